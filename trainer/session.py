"""A training with all that a run wants beside it, from where its last checkpoint stands."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from model.blend import Blend
from model.optimizer import is_settled
from reader.metrics import Metrics
from reader.split import Split, evenly
from run.checkpoint import Checkpoints
from run.curves import Curves
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
from trainer.trainer import Observer, State

FEWEST_WATCHED = 1_000  # training rows
MANY_ROWS = 1_000  # of validation: these tell epochs apart


def train(
    fit: Fit,
    folder: Path,
    checkpoint: CheckpointOptions,
    signals: Signals,
    progress: Progress,
    least: float | None,
) -> tuple[State, dict[str, Evaluation]]:
    """Train epoch by epoch, with curves and checkpoints in `folder`; leaves the weights to be
    exported in the network, and gives their evaluation on every part that has rows. `least`: the
    loss of the optimum, where it is known, drawn beside the curves."""
    settings, parts = fit.settings, fit.data.parts
    trainer, seen = build_trainer(fit), parts._replace(test=parts.test[:0])
    last: dict[str, Evaluation] = {}
    watched = watched_rows(fit, seen)

    def evaluate_epoch() -> dict[str, Metrics]:
        last.update(evaluate(fit, watched))
        return metrics_of(last)

    with Curves(folder / "curves") as curves:
        best = BestWeights(trainer, partial(settled, fit))
        observers: list[Observer] = [best]
        observers.append(CurvesObserver(curves, trainer, settings.epochs, least))
        observers += stopping(fit, least)
        checkpoints = Checkpoints(
            folder / "checkpoints",
            checkpoint.seconds,
            checkpoint.steps,
            checkpoint.epochs,
            checkpoint.keep,
        )
        of = identity(fit, seen)
        saving = Checkpointing(checkpoints, trainer, best, curves, signals, of)
        state = saving.restore()
        progress.add_earlier(state.total_seconds)
        if state.step:
            progress.say(f"{progress.prefix}{resuming(folder, state, settings.epochs)}")
        else:
            curves.recipe(settings.recipe)
        early = settings.until_optimum or settings.patience > 0
        with signals.held():
            bar = ProgressBar(progress, trainer, state, settings.epochs, early)
            observers += [bar, saving]
            trainer.fit(state, settings.epochs, observers, evaluate_epoch, settings.log_every)
            saving.save(state, end=True)
    if settings.export == "best":
        best.load()
    if settings.export == "best" and state.best_epoch != state.epoch:
        last.clear()
    if len(watched.train) < len(seen.train):
        last.pop("train", None)
    if isinstance(fit.network, Blend) and not settings.stop_after:  # a refit has its share
        choose_share(fit)
        last.clear()
    progress.phase("evaluating")
    last |= evaluate(fit, parts._replace(**dict.fromkeys(last, parts.test[:0])))
    for each in last.values():
        trainer.finite(each.metrics.mse, state)
    return state, last


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
    fits: Iterable[Fit],
    folder: Path,
    checkpoint: CheckpointOptions,
    signals: Signals,
    progress: Progress,
) -> Iterator[Metrics]:
    """Train each fold's regressor in a folder of its own; the metrics of the rows that it has not
    seen."""
    for number, fit in enumerate(fits, start=1):
        path = folder / str(number)
        progress.prefix = f"fold {number}  "
        _, evaluations = train(fit, path, checkpoint, signals, progress, least_loss(fit))
        progress.prefix = ""
        yield evaluations["test"].metrics
