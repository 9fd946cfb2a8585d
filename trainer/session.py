"""A training with all that a run wants beside it, from where its last checkpoint stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from configs.load import dump
from model.linear import Linear
from reader.metrics import Metrics
from reader.split import SplitOptions
from reader.training_data import SplitTable
from reader.training_data import fit as fit_rows
from run.checkpoint import Checkpoints
from run.curves import Curves
from run.signals import Signals
from trainer.build import Fit, build, build_trainer
from trainer.evaluation import Evaluation, evaluate, metrics_of
from trainer.observers import (
    BestWeights,
    Checkpointing,
    CurvesObserver,
    Describe,
    EarlyStopping,
    ProgressBar,
    StopAtOptimum,
)
from trainer.optimum import Optimum, optimum
from trainer.settings import CheckpointOptions, Experiment
from trainer.trainer import Observer, State


def train(
    fit: Fit,
    folder: Path,
    checkpoint: CheckpointOptions,
    signals: Signals,
    describe: Describe,
    best_line: Optimum | None,
) -> tuple[State, dict[str, Evaluation]]:
    """Train epoch by epoch, with curves and checkpoints in `folder`; leaves the weights to be
    exported in the network, and gives their evaluation on every part that has rows. `best_line`:
    drawn beside the curves of a line."""
    settings, parts = fit.settings, fit.data.parts
    trainer, seen = build_trainer(fit), parts._replace(test=parts.test[:0])
    last: dict[str, Evaluation] = {}

    def evaluate_epoch() -> dict[str, Metrics]:
        last.update(evaluate(fit, seen))
        return metrics_of(last)

    with Curves(folder / "curves") as curves:
        best = BestWeights(trainer)
        level = best_line.value if best_line and settings.optimum_is_known else None
        observers: list[Observer] = [best]
        observers.append(CurvesObserver(curves, trainer, settings.epochs, level))
        if settings.until_optimum:
            observers.append(StopAtOptimum(cast(Linear, fit.network), fit.problem))
        if settings.patience:
            observers.append(EarlyStopping(settings.patience, trainer.objective.watched))
        checkpoints = Checkpoints(
            folder / "checkpoints",
            checkpoint.seconds,
            checkpoint.steps,
            checkpoint.epochs,
            checkpoint.keep,
        )
        saving = Checkpointing(checkpoints, trainer, best, curves, signals, fit.data.packed.sha256)
        state = saving.restore()
        if not state.step:
            curves.recipe(settings.recipe, dump(settings.recipe))
        with ProgressBar(trainer, state, settings.epochs, describe) as bar, signals.held():
            observers += [bar, saving]
            trainer.fit(state, settings.epochs, observers, evaluate_epoch, settings.log_every)
            saving.save(state, end=True)
    if settings.export == "best":
        best.load()
    if settings.export == "best" and state.best_epoch != state.epoch:
        last.clear()
    return state, last | evaluate(fit, parts._replace(**dict.fromkeys(last, parts.test[:0])))


def cross_validate(
    experiment: Experiment, source: SplitTable, signals: Signals, describe: Describe
) -> Iterator[Metrics]:
    """The metrics of each fold of the training rows, by a regressor that has not seen it."""
    options: SplitOptions = experiment.table.split
    folds = source.folds(experiment.folds, options) if experiment.folds else ()
    for number, parts in enumerate(folds, start=1):
        data = fit_rows(source, parts, experiment.inputs)
        fit = build(experiment.resolve(data), data)
        folder = experiment.folder / "folds" / str(number)
        best_line = optimum(fit) if fit.settings.optimum_is_known else None
        _, evaluations = train(fit, folder, experiment.checkpoint, signals, describe, best_line)
        metrics = evaluations["test"].metrics
        print(f"fold {number}/{experiment.folds}  {metrics}", flush=True)
        yield metrics
