"""The steps of a run, from a recipe to the report: read, fit, train, evaluate, export, report."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from configs.load import check_tables, load
from configs.paths import run_name
from configs.starter import starter
from display import for_shell
from errors import ConfigError, DivergedError, RunError, UserError
from files import drafted_folder, to_json, write_atomically
from model.device import FLOAT32, use_device
from model.onnx import check_installed
from ranks.alone import ALONE, Ranks
from reader.data_checks import find
from reader.findings import Finding
from reader.places import CELLS, cells_of
from reader.schema import abridged
from reader.source import SplitTable, infer_schema, read
from reader.split import Split
from reader.table import Table, open_table
from reader.training_data import TrainingData, check_target
from reader.training_data import fit as fit_rows
from report.console import choices, noted, python, versions
from report.report import FILE, Report
from run.contents import CONFIG
from run.folder import Begin, RunFolder, standing
from run.signals import Signals, Stopped
from trainer.machine import as_a_guest, share_machine
from trainer.progress import Progress
from trainer.settings import Experiment, Settings, experiment

if TYPE_CHECKING:
    from model.folder import Export
    from report.assemble import Finished
    from trainer.build import Fit
    from trainer.evaluation import Evaluation
    from trainer.session import Keeping
    from trainer.trainer import State

SCHEMA = "schema.json"
MOST_COLUMNS = 30  # that a message lists
TRIAL = 1.0  # times as long as a run took, an additive model may be tried for


class Prepared(NamedTuple):
    """A table that is packed and divided, what its training rows teach, what was found that a
    person should know, and what is said of the run."""

    source: SplitTable
    data: TrainingData
    findings: tuple[Finding, ...]
    progress: Progress


def plan(recipe: str | None, overrides: Sequence[str]) -> Experiment:
    """The run that a recipe, if any, and `key=value` overrides describe.

    Raises ConfigError, with a line for each problem, and where a table is not there.
    """
    try:
        config = load(recipe, overrides)
    except ConfigError as error:
        *lines, last = error.args
        raise ConfigError(*lines, f"{last}{_columns(recipe, overrides)}") from None
    return experiment(check_tables(config, recipe))


def _columns(recipe: str | None, overrides: Sequence[str]) -> str:
    """The columns of the table, where all that a recipe lacks is the target."""
    try:
        table = plan_table(recipe, [*overrides, "data.target=?"])
    except UserError:
        return ""
    return f"; the table has {abridged(table.columns, MOST_COLUMNS)}"


def plan_table(recipe: str | None, overrides: Sequence[str]) -> Table:
    """The table that a recipe names, opened."""
    options = experiment(check_tables(load(recipe, overrides), recipe)).table
    return open_table(options.path, options.columns, options.reading)


def write_recipe(experiment: Experiment, overrides: Sequence[str]) -> str:
    """Write a commented recipe, which sets what `overrides` do, into the working directory; what to
    say of it. Raises TableError, and RunError where there is such a file."""
    options = experiment.table
    file = Path(f"{run_name(options.path)}.yaml")
    if file.exists():
        train = f"train with -c {for_shell(str(file))}, or move it"
        raise RunError(f"{file}: exists, and is not overwritten; {train}")
    table = open_table(options.path, options.columns, options.reading)
    schema, _ = infer_schema(table, options)
    kinds = {c.name: c.kind for c in schema.columns if c.name != options.target}
    write_atomically(file, starter(str(file), overrides, kinds).encode())
    return f"wrote {file}; edit it, then train with {python()} train.py -c {for_shell(str(file))}"


def prepare(
    experiment: Experiment,
    table: Table | None = None,
    progress: Progress | None = None,
    signals: Signals | None = None,
    ranks: Ranks = ALONE,
) -> Prepared:
    """Read the table, or one that is open already, every cell checked, in a process that is this
    run's own or of several, `ranks`, that train one model; Paddle is imported beside the reading of
    a large one.

    `signals`: of a run that trains on what was read; a GPU that is not there is then told before.
    Raises TableError, DeviceError, and RunError where a part is too small for what it is to do.
    """
    share_machine()
    if signals and (experiment.device.startswith("gpu") or experiment.precision != FLOAT32):
        start_paddle(experiment, signals)
    check_alike(experiment, ranks)
    return look_at(experiment, table, progress or Progress(), ranks)


def check_alike(experiment: Experiment, ranks: Ranks) -> None:
    """Raises RunError where this process has another recipe than the first one; where the table is
    may differ."""
    first = ranks.shared(experiment.keys)
    for key, value in experiment.keys.items():
        if first.get(key) != value:
            raise RunError(
                f"process {ranks.rank} has {key}={value}, and process 0 has {first.get(key)}; give "
                "all processes the same recipe"
            )


def look_at(
    experiment: Experiment, table: Table | None, progress: Progress, ranks: Ranks = ALONE
) -> Prepared:
    """What the table holds, and what its training rows teach."""
    if experiment.onnx:
        check_installed()
    progress.phase("reading the table")
    paddle = partial(import_module, "paddle")
    source = read(experiment.table, paddle, table, progress.reading, ranks)
    progress.phase("looking at the training rows")
    data = fit_rows(source, source.parts, experiment.inputs)
    check_parts(experiment, data.parts)
    for number, parts in enumerate(source.folds(experiment.folds), start=1):
        check_target(source.packed, parts, f"training rows of fold {number}")
    findings = find(source, data, experiment.table, experiment.skew_counts)
    progress.close()
    return Prepared(source, data, findings, progress)


def check_parts(experiment: Experiment, parts: Split) -> None:
    """Raises RunError where the validation part is too small for what it is to do."""
    rows, coverage = len(parts.validation), experiment.coverage
    if experiment.patience and not rows:
        raise RunError("train.patience needs validation rows, and data.split.column marks none")
    if coverage and rows < (least := math.ceil(coverage / (1 - coverage) - 1e-9)):
        raise RunError(
            f"intervals.coverage={coverage:g} needs {least:,} validation rows, found {rows:,}; "
            "enlarge data.split.validation, or lower the coverage"
        )


def is_done(experiment: Experiment, begin: Begin, ranks: Ranks = ALONE) -> bool:
    """Whether the run to go on with is done already; of several processes, the first looks.

    Raises RunError where the folder is taken, or where the run to go on with has another recipe.
    """
    if not ranks.is_first:
        return ranks.shared(False)
    RunFolder.check(experiment.folder, *begin)
    return ranks.shared(begin.resume and _is_done(experiment, begin))


def _is_done(experiment: Experiment, begin: Begin) -> bool:
    folder = RunFolder(experiment.folder, *begin)
    folder.close()
    recipe = folder.path / CONFIG
    if recipe.exists() and (other := experiment.differences(recipe)):
        raise RunError(
            f"{folder.path}: --resume needs the recipe that the run began with; set these keys "
            "back, or start a new run with another run.dir:",
            *other,
        )
    return folder.is_done


def train(
    experiment: Experiment,
    prepared: Prepared,
    settings: Settings,
    begin: Begin,
    signals: Signals,
) -> Report | None:
    """Train, export and report into the experiment's folder; the report. Of several processes the
    first does so, and the others train with it, and write nothing: None.

    Raises DivergedError, ExportError, and Stopped, which says where the run can go on. A note of
    the error says where the run is that this one was to replace.
    """
    progress = prepared.progress
    progress.say(*choices(settings, progress.verbose))
    progress.phase("loading Paddle")
    start_paddle(experiment, signals)
    from trainer.session import Keeping

    fit, prepared = built(settings, prepared)
    if not prepared.source.packed.ranks.is_first:
        source = prepared.source
        finished(experiment, prepared, fit, Keeping(None, experiment.checkpoint, signals))
        source.packed.serve({CELLS: partial(cells_of, source)})
        return None
    folder = RunFolder(experiment.folder, *begin)
    if begin.resume and not standing(folder.path):
        progress.say(f"{folder.path}: nothing to resume; starting from the beginning")
    try:
        return train_into(folder, experiment, prepared, fit, signals)
    except BaseException as error:
        if isinstance(error, DivergedError):
            folder.diverged(str(error))
        if isinstance(error, Stopped):
            error.saved = str(standing(folder.path) or "")
        if told := folder.give_up():
            error.add_note(told)
        raise
    finally:
        progress.close()
        folder.close()


def train_in_memory(experiment: Experiment, table: Table | None, progress: Progress) -> Finished:
    """The run up to its export, as a guest in this process: nothing is written, and signals and
    threads are as they were. `table`: one that is open already.

    Raises TableError, DeviceError, RunError and DivergedError.
    """
    with as_a_guest():
        prepared = look_at(experiment, table, progress)
        settings = experiment.resolve(prepared.data)
        import paddle

        paddle.disable_static()
        use_device(experiment.device, experiment.precision)
        fit, prepared = built(settings, prepared)
        try:
            return finished(experiment, prepared, fit, None)
        finally:
            progress.close()


def built(settings: Settings, prepared: Prepared) -> tuple[Fit, Prepared]:
    """The regressor with first weights, and what was found, the levels that it pools among it."""
    from trainer.build import build
    from trainer.effects import pooled_levels

    fit = build(settings, prepared.data)
    if fit.effects and (found := pooled_levels(fit.effects)):
        prepared.progress.say(*noted(found, len(found)))
        prepared = prepared._replace(findings=(*prepared.findings, *found))
    return fit, prepared


def train_into(
    folder: RunFolder, experiment: Experiment, prepared: Prepared, fit: Fit, signals: Signals
) -> Report:
    """The run in a folder that is ours; it is marked as done when all of it is written."""
    from report.page import page
    from report.pictures import draw
    from trainer.session import Keeping

    if not (folder.path / CONFIG).exists():
        folder.write(CONFIG, experiment.text())
    if not (folder.path / SCHEMA).exists():  # a resume that will be refused changes nothing
        folder.write(SCHEMA, to_json(fit.data.schema.describe()))
    keeping = Keeping(folder.path, experiment.checkpoint, signals)
    run = finished(experiment, prepared, fit, keeping)
    # The model that stands there predicts until all that belongs to the new one is written.
    draft_export = drafted_folder(folder.path / "export", to_disk=True)
    with prepared.source.packed.alone(), draft_export as draft:
        report = reported(run, exported(run, draft, prepared.progress), prepared.progress)
        draw(folder.path / "curves", report)
        folder.write(FILE, to_json(report.to_json()))
        folder.write("report.html", page(report))
    folder.done()
    return report


def finished(
    experiment: Experiment, prepared: Prepared, fit: Fit, keeping: Keeping | None
) -> Finished:
    """The run up to its export: cross-validation, training, and what the model is held against."""
    from report.assemble import Finished, passes
    from trainer.optimum import least_loss, optimum
    from trainer.session import cross_validate
    from trainer.trial import additive_trial

    progress = prepared.progress
    progress.phase("solving least squares")
    best_line = optimum(fit)
    inside, folds = keeping.within("folds") if keeping else None, []
    for metrics in cross_validate(folds_of(experiment, prepared.source), inside, progress):
        folds.append(metrics)
        progress.say(f"fold {len(folds)}/{experiment.folds}  {metrics}")
    least = least_loss(fit, best_line)
    state, evaluations, chosen = trained(experiment, prepared, fit, keeping, least)
    progress.phase("trying an additive model")
    is_alone = prepared.source.packed.ranks.is_alone  # clocks of several would not agree
    seconds = TRIAL * progress.elapsed() if is_alone and not progress.quiet else 0.0
    run = Finished(
        experiment=experiment,
        source=prepared.source,
        fit=fit,
        exported=chosen,
        best_line=best_line,
        least=least,
        state=state,
        evaluations=evaluations,
        folds=folds,
        findings=prepared.findings,
        elapsed=progress.elapsed,
        trial=additive_trial(fit.settings, fit.data, seconds),
    )
    return run if is_alone else replace(run, passes=passes(run))


def exported(run: Finished, folder: Path, progress: Progress) -> Export:
    """The run's model in a folder, checked. Raises ExportError."""
    from trainer.publish import publish

    progress.phase("exporting")
    plan = run.experiment
    return publish(run.exported, plan.table, versions(), folder, plan.onnx)


def reported(run: Finished, export: Export, progress: Progress) -> Report:
    """What is to be known of a run and its export."""
    from report.assemble import assemble

    progress.phase("writing the report")
    return assemble(run, export)


def trained(
    experiment: Experiment,
    prepared: Prepared,
    fit: Fit,
    keeping: Keeping | None,
    least: float | None,
) -> tuple[State, dict[str, Evaluation], Fit]:
    """The training of `fit`, what it predicts of each part, and what is to be exported: itself, or
    with train.refit another one, whose test rows are then told. `least`: see trainer.session."""
    from report.intervals import calibrate
    from trainer.refitting import refit, second_fit
    from trainer.session import train as train_session

    state, evaluations = train_session(fit, keeping, prepared.progress, least)
    chosen = fit
    if fit.settings.refit and len(fit.data.parts.validation):
        given = prepared.source, experiment.inputs, experiment.resolve
        chosen = second_fit(*given, fit, state.best_epoch)
        inside = keeping.within("refit") if keeping else None
        again = refit(chosen, inside, prepared.progress)
        evaluations |= {part: each for part, each in again.items() if part == "test"}
    if coverage := experiment.coverage:
        training, validation = evaluations["train"], evaluations["validation"]
        margins = calibrate(training, validation, coverage, fit.target.log)
        chosen.regressor.calibrate(margins)
    return state, evaluations, chosen


def folds_of(experiment: Experiment, source: SplitTable) -> Iterator[Fit]:
    """A regressor with first weights for each fold of a cross-validation, made when its turn
    comes."""
    from trainer.build import build

    for parts in source.folds(experiment.folds):
        data = fit_rows(source, parts, experiment.inputs)
        yield build(experiment.resolve(data), data)


def start_paddle(experiment: Experiment, signals: Signals) -> None:
    """Import Paddle and choose the device. Raises DeviceError where there is no such one."""
    with signals.held():  # an exception in the midst of Paddle's import would become another one
        import paddle

    gc.freeze()  # what packages hold stays to the end: no collection need look at it again
    paddle.disable_static()  # in this thread, if another one has imported it
    paddle.disable_signal_handler()  # its own ends the process at once, with nothing saved
    signals.install()
    use_device(experiment.device, experiment.precision)
