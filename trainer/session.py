"""A training with all that a run wants beside it, from where its last checkpoint stands."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from model.blend import Blend
from model.optimizer import is_settled
from reader.metrics import Metrics
from reader.split import Split, evenly
from run.checkpoint import Checkpoints
from run.folder import standing
from run.restore import RunIdentity
from run.signals import Signals
from trainer.blending import choose_share
from trainer.build import Fit, build_trainer
from trainer.evaluation import Evaluation, evaluate, metrics_of
from trainer.observers import (
    BestWeights,
    Checkpointing,
    CurvesObserver,
    EarlyStopping,
    ProgressBar,
    StopAfter,
    StopAtOptimum,
)
from trainer.optimum import least_loss
from trainer.progress import Progress
from trainer.settings import CheckpointOptions
from trainer.together import StopTogether, begin_together
from trainer.trainer import Observer, State

FEWEST_WATCHED = 1_000  # training rows
MANY_ROWS = 1_000  # of validation: these tell epochs apart


@dataclass(frozen=True)
class Keeping:
    """Where a training keeps curves and checkpoints, how often, and the signals that end it between
    two blocks. Of several processes that train, the first has a folder."""

    folder: Path | None
    checkpoint: CheckpointOptions
    signals: Signals

    def within(self, *names: str) -> Keeping:
        """The same in a folder inside."""
        return replace(self, folder=self.folder.joinpath(*names)) if self.folder else self


def train(
    fit: Fit, keeping: Keeping | None, progress: Progress, least: float | None
) -> tuple[State, dict[str, Evaluation]]:
    """Train epoch by epoch; leaves the weights to be exported in the network, and gives their
    evaluation on every part that has rows. With `keeping` it goes on from the last checkpoint, and
    leaves curves and checkpoints; else nothing is written. `least`: the loss of the optimum, where
    it is known, drawn beside the curves."""
    training = _Training(fit, progress, least)
    state = training.kept(keeping) if keeping else training.loop(State())
    return state, training.evaluations(state)


class _Training:
    """The loop with what goes beside it, and what it leaves."""

    def __init__(self, fit: Fit, progress: Progress, least: float | None) -> None:
        self.fit, self.progress, self.least = fit, progress, least
        self.trainer = build_trainer(fit)
        self.best = BestWeights(self.trainer, partial(settled, fit))
        parts, self.ranks = fit.data.parts, fit.data.packed.ranks
        self.seen = parts._replace(test=parts.test[:0])
        self.watched = watched_rows(fit, self.seen)
        self.last: dict[str, Evaluation] = {}

    def evaluate(self) -> dict[str, Metrics]:
        self.last.update(evaluate(self.fit, self.watched))
        return metrics_of(self.last)

    def loop(
        self, state: State, curves: Sequence[Observer] = (), saving: Sequence[Observer] = ()
    ) -> State:
        """Train from where `state` stands."""
        settings = self.fit.settings
        early = settings.until_optimum or settings.patience > 0
        bar = ProgressBar(self.progress, self.trainer, state, settings.epochs, early)
        observers = [self.best, *curves, *stopping(self.fit, self.least), bar, *saving]
        return self.trainer.fit(
            state, settings.epochs, observers, self.evaluate, settings.log_every
        )

    def kept(self, keeping: Keeping) -> State:
        """Train from where the last checkpoint stands, with curves and further checkpoints, or as
        the process that has these does."""
        together = partial(begin_together, self.ranks, self.trainer, self.best)
        if keeping.folder is None:
            state = together(State(), None)
            with keeping.signals.held():
                return self.loop(state, (), 2 * self.meetings(keeping.signals))
        from run.curves import Curves  # which imports VisualDL

        settings, progress, options = self.fit.settings, self.progress, keeping.checkpoint
        with Curves(keeping.folder / "curves") as curves:
            drawing = CurvesObserver(curves, self.trainer, settings.epochs, self.least)
            checkpoints = Checkpoints(
                keeping.folder / "checkpoints",
                options.seconds,
                options.steps,
                options.epochs,
                options.keep,
            )
            of = identity(self.fit, self.seen)
            saving = Checkpointing(
                checkpoints, self.trainer, self.best, curves, keeping.signals, of
            )
            state = together(*saving.restore())
            progress.add_earlier(state.total_seconds)
            if state.step:
                progress.say(f"{progress.prefix}{resuming(keeping.folder, state, settings.epochs)}")
            else:
                curves.recipe(settings.recipe)
            with keeping.signals.held():
                meetings = self.meetings(keeping.signals)
                self.loop(state, [drawing], [*meetings, saving, *meetings])
                saving.save(state, end=True)
        return state

    def meetings(self, signals: Signals) -> list[Observer]:
        """Of several processes, between two blocks."""
        return [] if self.ranks.is_alone else [StopTogether(self.ranks, signals)]

    def evaluations(self, state: State) -> dict[str, Evaluation]:
        """Of the weights to be exported, which are put into the network, on every part."""
        fit, last, parts = self.fit, self.last, self.fit.data.parts
        is_best = fit.settings.export == "best"
        if is_best:
            self.best.load()
        if is_best and state.best_epoch != state.epoch:
            last.clear()
        if len(self.watched.train) < len(self.seen.train):
            last.pop("train", None)
        if isinstance(fit.network, Blend) and not fit.settings.stop_after:  # a refit has its share
            choose_share(fit)
            last.clear()
        self.progress.phase("evaluating")
        last |= evaluate(fit, parts._replace(**dict.fromkeys(last, parts.test[:0])))
        for each in last.values():
            self.trainer.finite(each.metrics.mse, state)
        return last


def settled(fit: Fit, epoch: int) -> bool:
    """Whether an epoch may be the best one: few validation rows cannot tell what is good from what
    a large step left by chance."""
    settings, rows = fit.settings, len(fit.data.parts.validation)
    return rows >= MANY_ROWS or is_settled(settings.schedule.name, epoch / settings.epochs)


def stopping(fit: Fit, least: float | None) -> Iterator[Observer]:
    """What may end training before its last epoch."""
    settings = fit.settings
    if settings.until_optimum:
        yield StopAtOptimum(partial(fit.gap, least or 0.0))
    if settings.stop_after:
        yield StopAfter(settings.stop_after)
    if settings.patience:
        yield EarlyStopping(settings.patience, fit.regressor.objective.watched)


def watched_rows(fit: Fit, seen: Split) -> Split:
    """The rows that are predicted after each epoch: where validation rows pick the best one, as
    many training rows show whether a network overfits; to predict all takes as long as to train."""
    count = max(FEWEST_WATCHED, len(seen.validation))
    if not fit.settings.is_network or not len(seen.validation):
        return seen
    return seen._replace(train=seen.train[evenly(len(seen.train), count)])


def identity(fit: Fit, seen: Split) -> RunIdentity:
    """What tells the training of `fit` from others; `seen`: the parts that its history has."""
    rows = hashlib.sha256(fit.settings.identity.encode())
    for part in seen:
        rows.update(len(part).to_bytes(8, "big") + np.ascontiguousarray(part).data)
    parts = tuple(name for name, part in seen._asdict().items() if len(part))
    return RunIdentity(rows.hexdigest(), fit.data.packed.sha256, fit.settings.epochs, parts)


def resuming(folder: Path, state: State, epochs: int) -> str:
    """From where a run goes on."""
    stands = standing(folder)
    when = f", checkpoint of {stands.when}" if stands else ""
    if state.epoch >= epochs or state.stop:
        return f"trained already, {state.epoch} epochs{when}"
    place = f"in epoch {state.epoch + 1}" if state.block else f"after epoch {state.epoch}"
    return f"resuming {place} of {epochs}{when}"


def cross_validate(
    fits: Iterable[Fit], keeping: Keeping | None, progress: Progress
) -> Iterator[Metrics]:
    """Train each fold's regressor, in a folder of its own where one is kept; the metrics of the
    rows that it has not seen."""
    for number, fit in enumerate(fits, start=1):
        inside = keeping.within(str(number)) if keeping else None
        progress.prefix = f"fold {number}  "
        _, evaluations = train(fit, inside, progress, least_loss(fit))
        progress.prefix = ""
        yield evaluations["test"].metrics
