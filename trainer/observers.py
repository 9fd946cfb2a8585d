"""What a run does beside training: keep checkpoints, draw curves, show progress, stop in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from errors import RunError
from reader.metrics import Metrics, title
from run.checkpoint import Checkpoint, Checkpoints
from run.curves import Curves
from run.signals import Signals, Stopped
from trainer.settings import GAP
from trainer.trainer import Observer, State, Trainer, watched_part

if TYPE_CHECKING:
    from model.line import LinearProblem
    from model.linear import Linear


Describe = Callable[[int, int, str, Mapping[str, float]], str | None]
"""(epoch, epochs, metric, its values by part) -> a line to print, or None."""


class BestWeights(Observer):
    """Keeps the network's state of the best epoch by the watched metric."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.state: dict[str, NDArray[np.float32]] = {}

    def epoch(self, state: State, metrics: Mapping[str, Metrics]) -> None:
        from model.regressor import get_state

        objective = self.trainer.objective
        value = float(getattr(metrics[watched_part(metrics)], objective.watched))
        if objective.is_better(value, state.best_value):
            state.best_epoch, state.best_value = state.epoch, value
            self.state = get_state(self.trainer.network)

    def load(self) -> None:
        """Put the best weights into the network."""
        from model.regressor import set_state

        set_state(self.trainer.network, self.state)


class StopAtOptimum(Observer):
    """Ends the training of a line within GAP of least squares."""

    def __init__(self, network: Linear, problem: LinearProblem) -> None:
        self.network, self.problem = network, problem

    def epoch(self, state: State, metrics: Mapping[str, Metrics]) -> None:
        if self.problem.gap(*self.network.line()) <= GAP:
            state.stop = f"within {GAP:.2%} of least squares: done at epoch {state.epoch}"


class EarlyStopping(Observer):
    """Ends training after `patience` epochs without a better one."""

    def __init__(self, patience: int, watched: str) -> None:
        self.patience, self.watched = patience, watched

    def epoch(self, state: State, metrics: Mapping[str, Metrics]) -> None:
        if state.epoch - state.best_epoch >= self.patience:
            state.stop = (
                f"no better validation {title(self.watched)} for {self.patience} epochs: "
                "stopped early"
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
    """A bar of steps, and a line for about ten epochs: `describe` gives the line, or None."""

    def __init__(
        self,
        trainer: Trainer,
        state: State,
        epochs: int,
        describe: Describe,
    ) -> None:
        total = epochs * trainer.loader.steps
        self.bar = tqdm(total=total, initial=state.step, leave=False, disable=None)
        self.epochs, self.describe = epochs, describe
        watched = trainer.objective.watched
        self.shown = "rmse" if watched == "mse" else watched  # which has the target's unit

    def block(self, state: State) -> None:
        self.bar.update(state.step - self.bar.n)

    def epoch(self, state: State, metrics: Mapping[str, Metrics]) -> None:
        self.block(state)
        values = {part: float(getattr(each, self.shown)) for part, each in metrics.items()}
        if line := self.describe(state.epoch, self.epochs, self.shown, values):
            self.bar.write(line)
        if state.stop:
            self.bar.write(state.stop)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()


class Checkpointing(Observer):
    """Saves and restores all that the rest of a run follows from; on a signal, saves and stops.

    It comes last of the observers: what the others did to the state is saved, too. `sha256`: of
    the table.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        trainer: Trainer,
        best: BestWeights,
        curves: Curves,
        signals: Signals,
        sha256: str,
    ) -> None:
        self.checkpoints, self.trainer, self.best = checkpoints, trainer, best
        self.curves, self.signals, self.sha256 = curves, signals, sha256

    def restore(self) -> State:
        """Go on from the newest checkpoint that is whole, or begin.

        Raises RunError where the table, by its SHA-256, or the version is not that of the run.
        """
        from model.optimizer import set_optimizer_state
        from model.regressor import set_state

        if (newest := self.checkpoints.newest()) is None:
            self.curves.rewind({})
            return State()
        folder, saved = self.checkpoints.folder, newest.state
        if saved["data"] != self.sha256:
            raise RunError(
                f"{folder}: this run began on another table (SHA-256 {saved['data'][:12]}..., "
                f"found {self.sha256[:12]}...); bring that table back, or train anew in another "
                "run.dir"
            )
        names = {field.name for field in fields(State)}
        if not names <= saved.keys() or saved.get("watched") != self.trainer.objective.watched:
            raise RunError(
                f"{folder}: this run began with an earlier version, which kept other things; end "
                "it with that one, or train anew in another run.dir"
            )
        set_state(self.trainer.network, dict(newest.weights))
        set_optimizer_state(self.trainer.optimizer, self.trainer.network, newest.optimizer)
        if self.trainer.average:
            self.trainer.average.restore(newest.optimizer)
        self.best.state = dict(newest.best)
        self.curves.rewind(saved["curves"])
        return State(**{name: saved[name] for name in names})

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
            "data": self.sha256,
            "curves": self.curves.offsets(),
        }
        if state.history:
            values[watched] = state.history[-1][watched_part(state.history[-1])]
        optimizer = get_optimizer_state(self.trainer.optimizer, self.trainer.network)
        if self.trainer.average:
            optimizer |= self.trainer.average.state()
        return Checkpoint(get_state(self.trainer.network), optimizer, self.best.state, values)
