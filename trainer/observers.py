"""What a run does beside training: keep checkpoints, draw curves, show progress, stop in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reader.metrics import Metrics, title
from run.checkpoint import Checkpoint, Checkpoints
from run.restore import Expected, Restored, RunIdentity
from run.signals import Signals, Stopped
from trainer.progress import Progress, bar, duration
from trainer.settings import GAP
from trainer.trainer import Observer, State, Trainer, watched_part

if TYPE_CHECKING:
    from run.curves import Curves


class BestWeights(Observer):
    """Keeps the network's state of the best epoch by the watched metric, of those that
    `is_settled`, once there is one."""

    def __init__(self, trainer: Trainer, is_settled: Callable[[int], bool]) -> None:
        self.trainer, self.is_settled = trainer, is_settled
        self.state: dict[str, NDArray[np.float32]] = {}

    def epoch(self, state: State, metrics: Mapping[str, Metrics]) -> None:
        from model.regressor import get_state

        objective = self.trainer.objective
        value = float(getattr(metrics[watched_part(metrics)], objective.watched))
        settled, was_settled = self.is_settled(state.epoch), self.is_settled(state.best_epoch)
        if settled > was_settled or (
            settled == was_settled and objective.is_better(value, state.best_value)
        ):
            state.best_epoch, state.best_value = state.epoch, value
            self.state = get_state(self.trainer.network)

    def load(self) -> None:
        """Put the best weights into the network."""
        from model.regressor import set_state

        set_state(self.trainer.network, self.state)


class StopAtOptimum(Observer):
    """Ends training within GAP of the optimum: `gap` tells by what share of it the loss is above,
    given that of the training rows."""

    def __init__(self, gap: Callable[[float], float]) -> None:
        self.gap = gap

    def epoch(self, state: State, metrics: Mapping[str, Metrics]) -> None:
        if self.gap(metrics["train"].mse) <= GAP:
            state.stop = f"stopped after epoch {state.epoch}: within {GAP * 100:g} % of the optimum"


class StopAfter(Observer):
    """Ends training after so many epochs, before the schedule does."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def epoch(self, state: State, metrics: Mapping[str, Metrics]) -> None:
        if state.epoch >= self.epochs:
            state.stop = f"stopped after epoch {state.epoch}, the best of the first training"


class EarlyStopping(Observer):
    """Ends training after `patience` epochs without a better one."""

    def __init__(self, patience: int, watched: str) -> None:
        self.patience, self.watched = patience, watched

    def epoch(self, state: State, metrics: Mapping[str, Metrics]) -> None:
        if state.epoch - state.best_epoch >= self.patience:
            state.stop = (
                f"stopped after epoch {state.epoch}: no better validation {title(self.watched)} "
                f"for {self.patience} epochs"
            )


class CurvesObserver(Observer):
    """Draws losses, metrics, speed and weights in VisualDL; `optimum`: a level to draw beside the
    watched metric."""

    def __init__(
        self, curves: Curves, trainer: Trainer, epochs: int, optimum: float | None = None
    ) -> None:
        self.curves, self.trainer, self.epochs, self.optimum = curves, trainer, epochs, optimum

    def step(self, state: State, loss: float, learning_rate: float) -> None:
        self.curves.step(state.step, loss, learning_rate)

    def epoch(self, state: State, metrics: Mapping[str, Metrics]) -> None:
        watched = self.trainer.objective.watched
        for part, values in metrics.items():
            self.curves.epoch(state.epoch, part, values.describe(), watched)
        self.curves.speed(state.epoch, len(self.trainer.loader.rows) / state.epoch_seconds)
        self.curves.weights(state.epoch, self.epochs, self.trainer.network)
        if self.optimum is not None:
            self.curves.optimum(state.epoch, self.optimum)


class ProgressBar(Observer):
    """Shows where training stands: epoch, loss of the last step that was drawn, rows per second and
    the time that is left, which `may_end_early` makes a bound; and says how epochs went."""

    def __init__(
        self,
        progress: Progress,
        trainer: Trainer,
        state: State,
        epochs: int,
        may_end_early: bool = False,
    ) -> None:
        self.progress, self.trainer, self.epochs = progress, trainer, epochs
        self.steps = epochs * trainer.loader.steps
        self.before = "at most " if may_end_early else ""
        self.began, self.first, self.seconds = time.perf_counter(), state.step, state.seconds
        self.loss = ""
        watched = trainer.objective.watched
        self.shown = "rmse" if watched == "mse" else watched  # which has the target's unit

    def step(self, state: State, loss: float, learning_rate: float) -> None:
        self.loss = f"loss {loss:.4g}  "
        self.progress.show(lambda: self.line(state))

    def block(self, state: State) -> None:
        state.total_seconds = self.progress.elapsed()
        self.progress.show(lambda: self.line(state))

    def epoch(self, state: State, metrics: Mapping[str, Metrics]) -> None:
        state.total_seconds = self.progress.elapsed()
        values = {part: float(getattr(each, self.shown)) for part, each in metrics.items()}
        self.progress.epoch(state.epoch, self.epochs, self.shown, values)
        if state.stop:
            self.progress.say(f"{self.progress.prefix}{state.stop}")
        self.progress.show(lambda: self.line(state))

    def line(self, state: State) -> str:
        """Where training stands; the speed is that of this sitting."""
        epoch = min(state.epoch + 1, self.epochs)
        text = f"epoch {epoch}/{self.epochs} {bar(state.step / self.steps)}  {self.loss}"
        done, loop = state.step - self.first, state.seconds - self.seconds
        if not done or not loop:
            return text.rstrip()
        rows = done * len(self.trainer.loader.rows) / self.trainer.loader.steps
        left = (time.perf_counter() - self.began) / done * (self.steps - state.step)
        return f"{text}{rows / loop:,.0f} rows/s  {self.before}{duration(left)} left"


class Checkpointing(Observer):
    """Saves and restores all that the rest of a run follows from; on a signal, saves and stops.

    It comes last of the observers: what the others did to the state is saved, too. `of`: the run.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        trainer: Trainer,
        best: BestWeights,
        curves: Curves,
        signals: Signals,
        of: RunIdentity,
    ) -> None:
        self.checkpoints, self.trainer, self.best = checkpoints, trainer, best
        self.curves, self.signals, self.of = curves, signals, of

    def restore(self) -> tuple[State, Restored | None]:
        """Go on from the newest checkpoint that is whole and of this run, or begin; and what was
        restored.

        Raises RunError where the table, by its SHA-256, or the version is not that of the run.
        """
        from model.optimizer import set_optimizer_state
        from model.regressor import set_state

        if (newest := self.checkpoints.newest(self.expected())) is None:
            self.curves.rewind({})
            return State(), None
        saved = newest.state
        set_state(self.trainer.network, dict(newest.weights))
        set_optimizer_state(self.trainer.optimizer, self.trainer.network, newest.optimizer)
        if self.trainer.average:
            self.trainer.average.restore(newest.optimizer)
        self.trainer.precision.restore(newest.optimizer)
        self.best.state = dict(newest.best)
        self.curves.rewind(saved.curves)
        state = State(**saved.model_dump(include={field.name for field in fields(State)}))
        # A process that died between the two writes left `last` and `best` behind.
        self.checkpoints.publish(self.checkpoint(state))
        return state, newest

    def expected(self) -> Expected:
        """What a checkpoint of this run holds, of a trainer that has made no step."""
        from model.optimizer import first_optimizer_state
        from model.regressor import get_state

        trainer, loader = self.trainer, self.trainer.loader
        optimizer = first_optimizer_state(trainer.optimizer, trainer.network)
        if trainer.average:
            optimizer |= trainer.average.state()
        optimizer |= trainer.precision.state()
        return Expected(
            of=self.of,
            watched=trainer.objective.watched,
            smaller_is_better=trainer.objective.smaller_is_better,
            steps_per_epoch=loader.steps,
            steps_per_block=loader.block_size // loader.batch_size,
            weights=get_state(trainer.network),
            optimizer=optimizer,
        )

    def block(self, state: State) -> None:
        self.save(state)

    def epoch(self, state: State, metrics: Mapping[str, Metrics]) -> None:
        self.save(state)

    def save(self, state: State, end: bool = False) -> None:
        """Save where a checkpoint is due, at the end, and on a signal. Then raises Stopped."""
        stop = self.signals.received
        wanted = end or stop or self.checkpoints.due(state.step, state.epoch)
        if wanted and not self.checkpoints.holds(state.step):
            self.checkpoints.save(self.checkpoint(state))
        if stop:
            raise Stopped(stop)

    def checkpoint(self, state: State) -> Checkpoint:
        """All of it, as it stands."""
        from model.optimizer import get_optimizer_state
        from model.regressor import get_state

        watched = self.trainer.objective.watched
        values: dict[str, Any] = asdict(state) | {
            "watched": watched,
            "smaller_is_better": self.trainer.objective.smaller_is_better,
            "run": self.of.run,
            "data": self.of.data,
            "curves": self.curves.offsets(),
        }
        if state.history:
            values[watched] = state.history[-1][watched_part(state.history[-1])]
        optimizer = get_optimizer_state(self.trainer.optimizer, self.trainer.network)
        if self.trainer.average:
            optimizer |= self.trainer.average.state()
        optimizer |= self.trainer.precision.state()
        return Checkpoint(get_state(self.trainer.network), optimizer, self.best.state, values)
