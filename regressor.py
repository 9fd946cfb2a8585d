"""From a recipe to a regressor: read, fit, train, evaluate, export, report."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from errors import RunError
from files import to_json
from model.predictor import resolve_device
from reader.data_checks import find
from reader.findings import Finding
from reader.split import Split
from reader.table import Table
from reader.training_data import SplitTable, TrainingData, read
from reader.training_data import fit as fit_rows
from report.console import epoch_line, versions
from report.report import FILE, Report
from run.folder import CONFIG, Begin, RunFolder
from run.signals import Signals
from trainer.machine import share_machine
from trainer.settings import Experiment, Settings

if TYPE_CHECKING:
    from trainer.build import Fit


class Prepared(NamedTuple):
    """A table that is packed and divided, what its training rows teach, and what was found that a
    person should know; `started`: when reading did, by time.perf_counter."""

    source: SplitTable
    data: TrainingData
    findings: tuple[Finding, ...]
    started: float


def prepare(experiment: Experiment, table: Table | None = None) -> Prepared:
    """Read the table, or one that is open already, every cell checked; Paddle is imported beside
    the reading of a large one.

    Raises TableError, and RunError where a part is too small for what it is to do.
    """
    started = time.perf_counter()
    share_machine()
    source = read(experiment.table, partial(import_module, "paddle"), table)
    data = fit_rows(source, source.parts, experiment.inputs)
    check_parts(experiment, data.parts)
    findings = find(source, data, experiment.table, experiment.skew_counts)
    return Prepared(source, data, findings, started)


def check_parts(experiment: Experiment, parts: Split) -> None:
    """Raises RunError where the validation part is too small for what it is to do."""
    rows, coverage = len(parts.validation), experiment.coverage
    if experiment.patience and not rows:
        raise RunError("train.patience needs a validation part, and data.split.column names none")
    if coverage and rows < (least := math.ceil(coverage / (1 - coverage) - 1e-9)):
        raise RunError(
            f"intervals.coverage={coverage:g} needs {least:,} validation rows, found {rows:,}; "
            "enlarge data.split.validation, or ask for less"
        )


def is_done(experiment: Experiment, begin: Begin) -> bool:
    """Whether the run to go on with is done already.

    Raises RunError where the folder is taken, or where the run to go on with has another recipe.
    """
    RunFolder.check(experiment.folder, *begin)
    if not begin.resume:
        return False
    folder = RunFolder(experiment.folder, *begin)
    folder.close()
    recipe = folder.path / CONFIG
    if recipe.exists() and (other := experiment.differences(recipe)):
        raise RunError(
            f"{folder.path}: a resumed run keeps its recipe, but\n  "
            + "\n  ".join(other)
            + "\nleave these as they were, or choose another run.dir"
        )
    return folder.is_done


def train(
    experiment: Experiment,
    prepared: Prepared,
    settings: Settings,
    begin: Begin,
    signals: Signals,
) -> Report:
    """Train, export and report into the experiment's folder; the report."""
    start_paddle(experiment.device, signals)
    from trainer.build import build

    fit = build(settings, prepared.data)
    folder = RunFolder(experiment.folder, *begin)
    try:
        return train_into(folder, experiment, prepared, fit, signals)
    finally:
        folder.close()


def train_into(
    folder: RunFolder, experiment: Experiment, prepared: Prepared, fit: Fit, signals: Signals
) -> Report:
    """The run in a folder that is ours; it is marked as done when all of it is written."""
    from report.assemble import Finished, assemble
    from report.intervals import calibrate
    from report.page import page
    from report.pictures import draw
    from trainer.optimum import optimum
    from trainer.publish import publish
    from trainer.session import cross_validate
    from trainer.session import train as train_session

    if not (folder.path / CONFIG).exists():
        folder.write(CONFIG, experiment.text)
    folder.write("schema.json", to_json(fit.data.schema.describe()))
    best_line, checkpoint = optimum(fit), experiment.checkpoint
    fits, path = folds_of(experiment, prepared.source), folder.path / "folds"
    folds = []
    for metrics in cross_validate(fits, path, checkpoint, signals, epoch_line):
        folds.append(metrics)
        print(f"fold {len(folds)}/{experiment.folds}  {metrics}", flush=True)
    state, evaluations = train_session(fit, folder.path, checkpoint, signals, epoch_line, best_line)
    if coverage := experiment.coverage:
        known = evaluations["validation"]
        margin = calibrate(fit.target, known.target, known.prediction, coverage)
        fit.regressor.objective.margin = margin
    parity = publish(fit, experiment.table, versions(), folder.path / "export")
    run = Finished(
        experiment=experiment,
        source=prepared.source,
        fit=fit,
        best_line=best_line,
        state=state,
        evaluations=evaluations,
        folds=folds,
        findings=prepared.findings,
        parity=parity,
        versions=versions(),
        started=prepared.started,
    )
    report = assemble(run)
    draw(folder.path / "curves", report)
    folder.write(FILE, to_json(report.to_json()))
    folder.write("report.html", page(report))
    folder.done()
    return report


def folds_of(experiment: Experiment, source: SplitTable) -> Iterator[Fit]:
    """A regressor with first weights for each fold of a cross-validation, made when its turn
    comes."""
    from trainer.build import build

    for parts in source.folds(experiment.folds, experiment.table.split):
        data = fit_rows(source, parts, experiment.inputs)
        yield build(experiment.resolve(data), data)


def start_paddle(device: str, signals: Signals) -> None:
    """Import Paddle and choose the device. Raises DeviceError where there is no such one."""
    import paddle

    gc.freeze()  # what packages hold stays to the end: no collection need look at it again
    paddle.disable_static()  # in this thread, if another one has imported it
    paddle.disable_signal_handler()  # its own ends the process at once, with nothing saved
    signals.install()
    paddle.set_device(resolve_device(device))
