"""The report of a run, put together from what training left."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from display import for_shell
from model.blend import Blend as BlendNetwork
from model.folder import Export
from model.line import epochs_to_gap
from reader.findings import Finding
from reader.metrics import METRICS, Metrics
from reader.source import SplitTable
from reader.split import evenly
from report import diagnostics
from report.coefficients import coefficients
from report.figures import worse_than_mean
from report.intervals import Measured
from report.report import (
    PARTS,
    Best,
    BestLine,
    Blend,
    BlendPart,
    Choice,
    Data,
    Examples,
    Folds,
    Importance,
    Intervals,
    Level,
    MeanAndDeviation,
    Members,
    Model,
    Optimum,
    Parity,
    Pattern,
    Processes,
    Refit,
    Report,
    Residuals,
    Timing,
    Training,
    Trial,
)
from report.terms import effects
from report.worst import worst_rows
from trainer.blending import parts_of
from trainer.build import Fit
from trainer.evaluation import Evaluation, metrics_of
from trainer.optimum import Optimum as LineOptimum
from trainer.optimum import line_metrics
from trainer.settings import Experiment, Named, Settings
from trainer.trainer import State
from trainer.trial import Trial as AdditiveTrial

EXAMPLES = 2_000
SHUFFLED = 5_000
MOST_SHUFFLED = 40  # features of an additive model
FEWEST, PREDICTED = 200, 200_000_000  # rows; their numbers in all, a second or so of each repeat


@dataclass(frozen=True, eq=False)
class Finished:
    """A run whose model is trained, and is that of `exported`: of `fit`, or of a second training on
    training and validation rows; `elapsed`: the seconds that it has taken so far."""

    experiment: Experiment
    source: SplitTable
    fit: Fit
    exported: Fit
    best_line: LineOptimum | None
    least: float | None
    state: State
    evaluations: dict[str, Evaluation]
    folds: Sequence[Metrics]
    findings: Sequence[Finding]
    elapsed: Callable[[], float]
    trial: AdditiveTrial | None = None
    passes: Passes | None = None


@dataclass(frozen=True)
class Passes:
    """What of the report takes passes over rows, which several processes make together."""

    best_line: dict[str, BestLine] | None
    blend: Blend | None
    processes: Processes | None = None


def passes(run: Finished) -> Passes:
    """By all processes, before the first parts with the others."""
    first, metrics, best = run.fit, metrics_of(run.evaluations), run.best_line
    packed = first.data.packed
    is_line = first.settings.is_line and first.settings.optimum_is_known
    lines = None if is_line or not best else best_lines(first, best, metrics)
    found = Passes(lines, blend(first, run.exported, metrics))
    if packed.ranks.is_alone:
        return found
    _ = run.exported.data.missing  # known from now on
    hosts, rows = packed.processes()
    return replace(found, processes=Processes(len(rows), hosts, rows))


def table_of(run: Finished) -> Data:
    """The table that was read."""
    packed = run.fit.data.packed
    return Data(
        path=run.experiment.table.path,
        rows=len(packed),
        sha256=packed.sha256,
        target=packed.schema.target,
        features=[column.name for column in packed.schema.features],
        rows_without_target=packed.without_target,
    )


def assemble(run: Finished, export: Export) -> Report:
    """All figures of a run and its export; only shuffled rows are predicted anew."""
    first, fit, state, settings = run.fit, run.exported, run.state, run.fit.settings
    data, metrics = first.data, metrics_of(run.evaluations)
    part = next(part for part in reversed(PARTS) if part in metrics)
    last = run.evaluations[part]
    rows = fit.data.packed.sample(last.rows)
    parameters = sum(p.size for p in fit.network.parameters() if p.trainable)
    watched, found = fit.regressor.objective.watched, run.passes or passes(run)
    is_line = settings.is_line and settings.optimum_is_known
    warning = worse_than_mean(watched, metrics["train"].r2)
    return Report(
        finished=datetime.now().astimezone().isoformat(timespec="seconds"),
        command=command(),
        metrics=metrics,
        confidence={
            name: diagnostics.bootstrap(*_floats(evaluation))
            for name, evaluation in run.evaluations.items()
        },
        data=table_of(run),
        split={
            "method": run.experiment.table.split.method,
            "seed": run.experiment.table.split.seed,
            **{name: len(members) for name, members in data.parts._asdict().items()},
        },
        best=Best(state.best_epoch, float(state.best_value or 0.0), watched),
        history=state.history,
        timing=Timing(
            total_s=run.elapsed(),
            train_s=state.seconds,
            rows_per_second=state.epoch * len(data.parts.train) / state.seconds,
        ),
        card=run.experiment.card,
        environment=environment(),
        config=settings.recipe,
        examples=examples(part, last),
        residuals=residuals(part, fit, rows, run.evaluations),
        worst=worst_rows(part, run.source, last),
        training=training(settings, state),
        model=Model(settings.model.name, int(parameters), layers(fit)),
        parity=Parity(**export.contract["parity"]),
        export_sha256=export.sha256,
        versions=dict(export.contract["versions"]),
        findings=list(run.findings),
        chosen={key: Choice(*choice) for key, choice in settings.chosen.items()},
        optimum=None if run.least is None else distance(first, run.least, state, metrics),
        best_line=found.best_line,
        coefficients=coefficients(fit, metrics) if is_line else None,
        effects=effects(fit),
        trial=Trial("additive", *run.trial) if run.trial else None,
        importance=importance(part, fit, rows, last) if is_shuffled(fit) else None,
        intervals=intervals(part, fit, rows, last) if settings.coverage else None,
        folds=folds_of(run.folds) if run.folds else None,
        members=members(part, fit, last.rows) if settings.members > 1 else None,
        blend=found.blend,
        processes=found.processes,
        refit=Refit(len(fit.data.parts.train), state.best_epoch) if fit is not first else None,
        warning=warning.plain if warning else None,
    )


def _floats(evaluation: Evaluation) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(target, prediction) in float64."""
    return evaluation.target.astype(np.float64), evaluation.prediction.astype(np.float64)


def distance(fit: Fit, least: float, state: State, metrics: Mapping[str, Metrics]) -> Optimum:
    """The least loss on the training rows, and how near this one came."""
    watched = fit.regressor.objective.watched
    return Optimum(
        metric=watched,
        value=least,
        gap=gap_of(getattr(metrics["train"], watched), least, fit),
        epochs=epochs_to_gap(least, state.history),
        weight_decay=fit.problem.decay or None,
    )


def gap_of(value: float, least: float, fit: Fit) -> float | None:
    """By what share a training loss is above the least; None where that is 0. Below least squares
    nothing is but by rounding."""
    if not least:
        return None
    is_least = fit.regressor.objective.quadratic and not fit.problem.decay
    return max(value / least - 1, 0.0) if is_least else value / least - 1


def best_lines(fit: Fit, best: LineOptimum, metrics: Mapping[str, Metrics]) -> dict[str, BestLine]:
    """By part the best straight line on the same columns, and the share of it that the model is
    below."""
    watched, lines = fit.regressor.objective.watched, {}
    for part, model in metrics.items():
        value = best.value
        if part != "train":
            rows = getattr(fit.data.parts, part)
            value = getattr(line_metrics(fit, best.line, rows), watched)
        improvement = 1 - getattr(model, watched) / value if value else 0.0
        lines[part] = BestLine(watched, value, improvement)
    return lines


def examples(part: str, evaluation: Evaluation) -> Examples:
    some = evenly(len(evaluation.rows), EXAMPLES)
    target, prediction = _floats(evaluation)
    return Examples(part, target[some].tolist(), prediction[some].tolist())


def residuals(
    part: str, fit: Fit, rows: NDArray[np.float32], evaluations: Mapping[str, Evaluation]
) -> Residuals:
    """The distribution of the errors, by category, and what they follow on the training rows;
    `rows` are the packed ones of the part."""
    target, prediction = _floats(evaluations[part])
    residual, position = prediction - target, fit.data.packed.position
    counts, edges = diagnostics.histogram(residual)
    by_category: dict[str, list[Level]] = {}
    for column in fit.data.schema.features:
        if column.kind == "categorical":
            codes = rows[:, position[column.name]].astype(np.int64)
            by_category[column.name] = diagnostics.by_level(column.levels, codes, residual)
    return Residuals(part, counts, edges, by_category, patterns(fit, evaluations["train"]))


def patterns(fit: Fit, evaluation: Evaluation) -> list[Pattern]:
    """The numeric features that the residuals of the training rows still follow."""
    some = evenly(len(evaluation.rows), SHUFFLED)
    target, prediction = _floats(evaluation)
    rows = fit.data.packed.sample(evaluation.rows[some])
    features = [column for column in fit.data.schema.features for _ in column.packed]
    numbers = {
        name: rows[:, at]
        for at, (name, column) in enumerate(zip(fit.data.schema.packed, features, strict=True))
        if column.kind in ("numeric", "time")
    }
    return diagnostics.patterns(numbers, (prediction - target)[some])


def training(settings: Settings, state: State) -> Training:
    """What the recipe and `auto` settled, and how long training was."""
    return Training(
        loss=_with_options(settings.loss),
        optimizer=_with_options(settings.optimizer),
        learning_rate=settings.learning_rate,
        schedule=_with_options(settings.schedule),
        weight_decay=settings.weight_decay,
        batch_size=settings.batch_size,
        epochs=state.epoch,
        planned=settings.epochs,
    )


def _with_options(named: Named) -> str:
    """A name, and the options that are its own: huber (delta 1)."""
    options = ", ".join(f"{key} {value:g}" for key, value in named.options.items())
    return f"{named.name} ({options})" if options else named.name


def environment() -> dict[str, str | int | None]:
    """The machine that trained."""
    return {
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
    }


def layers(fit: Fit) -> list[str]:
    """The layers without layers of their own, in order, with the shapes of their weights."""
    shown = []
    for layer in fit.network.sublayers():
        if not layer.sublayers():
            shapes = [p.shape for name, p in layer.named_parameters() if p.ndim > 1]
            sizes = ", ".join(" × ".join(map(str, shape)) for shape in shapes)
            shown.append(f"{type(layer).__name__} {sizes}".strip())
    return shown


def command() -> str:
    """What was typed to train; nothing in a program or a notebook."""
    script = Path(sys.argv[0])
    words = ["python", *map(for_shell, sys.argv)]
    return " ".join(words) if script.name == "train.py" else ""


def is_shuffled(fit: Fit) -> bool:
    """Whether features are shuffled to see what depends on them: a line has coefficients, and an
    additive model tells of each term what it explains, which is enough where features are many."""
    if fit.effects:
        return len(fit.data.schema.features) <= MOST_SHUFFLED
    return not fit.settings.is_line


def importance(
    part: str, fit: Fit, rows: NDArray[np.float32], evaluation: Evaluation
) -> Importance:
    """Permutation importance of each feature, on some of the evaluated rows."""
    features, positions = fit.data.schema.features, dict[str, list[int]]()
    most = PREDICTED // rows.shape[1] ** 2
    some = evenly(len(rows), max(FEWEST, min(SHUFFLED, most)))
    packed = [column.name for column in features for _ in column.packed]
    for position, name in enumerate(packed):
        positions.setdefault(name, []).append(position)
    columns = diagnostics.permutation_importance(
        lambda x: fit.predict(x)[:, 0].astype(np.float32),
        rows[some, :-1],
        evaluation.target[some],
        evaluation.prediction[some],
        positions,
    )
    return Importance(part, len(some), columns)


def intervals(part: str, fit: Fit, rows: NDArray[np.float32], evaluation: Evaluation) -> Intervals:
    """What share of a part's true values the intervals hold, and how wide they are: in all, by
    prediction and by category; `rows` are the packed ones evaluated."""
    margins = fit.regressor.objective.margins
    assert margins is not None
    measured = Measured.of(margins, evaluation)
    columns = [c for c in fit.data.schema.features if c.kind == "categorical"]
    codes = {c.name: rows[:, fit.data.packed.position[c.name]] for c in columns}
    return Intervals(
        coverage=float(fit.settings.coverage or 0.0),
        part=part,
        rows=len(evaluation.rows),
        measured=float(measured.held.mean()),
        mean_width=float(measured.width.mean()),
        calibration_rows=len(fit.data.parts.validation),
        by_prediction=measured.by_prediction(),
        by_category=[
            band
            for c in columns
            for band in measured.by_level(c.name, c.levels, codes[c.name].astype(np.int64))
        ],
    )


def members(part: str, fit: Fit, rows: NDArray[np.integer]) -> Members:
    """What the members of a network predict, each alone, of a part's rows at these indices."""
    some = fit.data.packed.sample(rows[evenly(len(rows), EXAMPLES)])
    outputs = fit.member_outputs(some)
    error = outputs - some[:, -1:]
    rmse = np.sqrt(np.square(error).mean(axis=0))
    return Members(part, len(some), rmse.tolist(), float(outputs.std(axis=1).mean()))


def blend(first: Fit, exported: Fit, metrics: Mapping[str, Metrics]) -> Blend | None:
    """What each part of a blend predicts alone, of rows that it has not seen, and both together."""
    if not isinstance(first.network, BlendNetwork):
        return None
    parts = {}
    for part in ("validation", "test"):
        if part in metrics:
            fit = first if part == "validation" else exported
            parts[part] = alone(fit, getattr(fit.data.parts, part), metrics[part].rmse)
    return Blend(float(first.network.share.item()), parts)


def alone(fit: Fit, rows: NDArray[np.integer], together: float) -> BlendPart:
    """The RMSE of both parts, in the target's unit."""
    found = parts_of(fit, rows)
    truth = replace(fit.target, limits=None).inverse(found.target)
    errors = [fit.target.inverse(each) - truth for each in (found.additive, found.network)]
    additive, network = (float(np.sqrt(np.square(error).mean())) for error in errors)
    return BlendPart(additive, network, together)


def folds_of(folds: Sequence[Metrics]) -> Folds:
    """Each metric's mean and standard deviation over folds."""
    statistics = {}
    for name in METRICS:
        values = [getattr(fold, name) for fold in folds if getattr(fold, name) is not None]
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        statistics[name] = MeanAndDeviation(float(np.mean(values)), deviation) if values else None
    return Folds(len(folds), list(folds), **cast(dict[str, MeanAndDeviation], statistics))
