"""The report of a run, put together from what training left."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from model.line import epochs_to_gap
from reader.findings import Finding
from reader.fitting import level_names
from reader.metrics import METRICS, Metrics
from reader.split import evenly
from reader.training_data import SplitTable, TrainingData
from report import diagnostics
from report.intervals import Measured
from report.report import (
    PARTS,
    Best,
    BestLine,
    Choice,
    Coefficients,
    Data,
    Examples,
    Folds,
    Importance,
    Intervals,
    Level,
    MeanAndDeviation,
    Model,
    Optimum,
    Parity,
    Report,
    Residuals,
    Timing,
    Weight,
    Worst,
    WorstRow,
)
from trainer.build import Fit
from trainer.evaluation import Evaluation, metrics_of
from trainer.optimum import Optimum as LineOptimum
from trainer.optimum import line_metrics
from trainer.settings import Experiment
from trainer.trainer import State

EXAMPLES = 2_000
SHUFFLED = 5_000
WORSE = -1e-4  # an R2 that is below 0 by more than rounding


@dataclass(frozen=True, eq=False)
class Finished:
    """A run whose regressor is exported; `elapsed`: the seconds that it has taken so far."""

    experiment: Experiment
    source: SplitTable
    fit: Fit
    best_line: LineOptimum | None
    state: State
    evaluations: dict[str, Evaluation]
    folds: Sequence[Metrics]
    findings: Sequence[Finding]
    parity: Mapping[str, Any]
    versions: Mapping[str, str]
    elapsed: Callable[[], float]


def assemble(run: Finished) -> Report:
    """All figures, of predictions that were made once; only shuffled rows are predicted here."""
    fit, state, settings = run.fit, run.state, run.fit.settings
    data, metrics = fit.data, metrics_of(run.evaluations)
    part = next(part for part in reversed(PARTS) if part in metrics)
    last = run.evaluations[part]
    rows = data.packed.take(last.rows)
    parameters = sum(p.size for p in fit.network.parameters() if p.trainable)
    watched, best = fit.regressor.objective.watched, run.best_line
    is_line = settings.optimum_is_known
    return Report(
        metrics=metrics,
        confidence={
            name: diagnostics.bootstrap(*_floats(evaluation))
            for name, evaluation in run.evaluations.items()
        },
        data=Data(
            path=run.experiment.table.path,
            rows=len(data.packed),
            sha256=data.packed.sha256,
            target=data.schema.target,
            features=[column.name for column in data.schema.features],
        ),
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
        environment={
            "platform": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
        config=settings.recipe,
        examples=examples(part, last),
        residuals=residuals(part, data, rows, last),
        worst=worst_rows(part, run.source, last),
        model=Model(settings.model.name, int(parameters)),
        parity=Parity(**run.parity),
        versions=dict(run.versions),
        findings=list(run.findings),
        chosen={key: Choice(*choice) for key, choice in settings.chosen.items()},
        optimum=distance(fit, best, state, metrics) if is_line and best else None,
        best_line=None if is_line or not best else best_lines(fit, best, metrics),
        coefficients=coefficients(fit, metrics) if is_line else None,
        importance=None if is_line else importance(part, fit, rows, last),
        intervals=intervals(part, fit, rows, last) if settings.coverage else None,
        folds=folds_of(run.folds) if run.folds else None,
        warning=warning(metrics["train"].r2),
    )


def warning(r2: float | None) -> str | None:
    """Of a model that is worse on its own training rows than their mean."""
    if r2 is None or r2 > WORSE:
        return None
    return (
        f"on its own training rows this model is worse than their mean (R2 {r2:.3g}); do not use "
        "it. Try a smaller optimizer.learning_rate, more train.epochs or another model"
    )


def _floats(evaluation: Evaluation) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(target, prediction) in float64."""
    return evaluation.target.astype(np.float64), evaluation.prediction.astype(np.float64)


def distance(fit: Fit, best: LineOptimum, state: State, metrics: Mapping[str, Metrics]) -> Optimum:
    """The least loss of a line on the training rows, and how near this one came."""
    watched, least = fit.regressor.objective.watched, best.value
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
    part: str, data: TrainingData, rows: NDArray[np.float32], evaluation: Evaluation
) -> Residuals:
    """The distribution of the errors, and by category; `rows` are the packed ones evaluated."""
    target, prediction = _floats(evaluation)
    residual = prediction - target
    counts, edges = diagnostics.histogram(residual)
    by_category: dict[str, list[Level]] = {}
    for column in data.schema.features:
        if column.kind == "categorical":
            codes = rows[:, data.packed.columns.index(column.name)].astype(np.int64)
            by_category[column.name] = diagnostics.by_level(column.levels, codes, residual)
    return Residuals(part, counts, edges, by_category)


def worst_rows(part: str, source: SplitTable, evaluation: Evaluation) -> Worst:
    """The rows with the largest errors, and their identifiers."""
    target, prediction = _floats(evaluation)
    places = diagnostics.worst(target, prediction)
    ids = ids_of(source, evaluation.rows[places])
    return Worst(
        part,
        [
            WorstRow(
                row=int(evaluation.rows[place]) + 1,
                ids=cells,
                actual=float(target[place]),
                predicted=float(prediction[place]),
                error=float(prediction[place] - target[place]),
            )
            for place, cells in zip(places, ids, strict=True)
        ],
    )


def ids_of(source: SplitTable, rows: NDArray[Any]) -> list[dict[str, str]]:
    """The identifiers of the table's rows at these indices, by column."""
    ids: list[dict[str, str]] = [{} for _ in rows]
    for name in source.packed.schema.ids:
        start = 0
        for cells in source.texts(name):
            for place, row in enumerate(rows):
                if start <= row < start + len(cells):
                    ids[place][name] = str(cells[int(row) - start])
            start += len(cells)
    return ids


def importance(
    part: str, fit: Fit, rows: NDArray[np.float32], evaluation: Evaluation
) -> Importance:
    """Permutation importance of each feature, on some of the evaluated rows."""
    some = evenly(len(rows), SHUFFLED)
    features, positions = fit.data.schema.features, dict[str, list[int]]()
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


def coefficients(fit: Fit, metrics: Mapping[str, Metrics]) -> Coefficients:
    """The line in raw units, and how far each weight of least squares may be off by chance."""
    line = fit.line()
    errors = np.full(len(line.weights), np.nan)
    if fit.regressor.objective.quadratic:
        errors = fit.problem.standard_errors(metrics["train"].mse)
    weights = [
        Weight(name, float(weight), float(error) if np.isfinite(error) else None)
        for name, weight, error in zip(fit.data.encoding.names, line.weights, errors, strict=True)
    ]
    columns = {column.name: column for column in fit.data.schema.features}
    for code, table in zip(fit.data.encoding.codes, line.tables, strict=True):
        names = level_names(columns[code.name])
        weights += [Weight(n, float(w), None) for n, w in zip(names, table, strict=True)]
    return Coefficients(line.bias, weights)


def intervals(part: str, fit: Fit, rows: NDArray[np.float32], evaluation: Evaluation) -> Intervals:
    """What share of a part's true values the intervals hold, and how wide they are: in all, by
    prediction and by category; `rows` are the packed ones evaluated."""
    margins = fit.regressor.objective.margins
    assert margins is not None
    measured = Measured.of(margins, evaluation)
    columns = [c for c in fit.data.schema.features if c.kind == "categorical"]
    codes = {c.name: rows[:, fit.data.packed.columns.index(c.name)] for c in columns}
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


def folds_of(folds: Sequence[Metrics]) -> Folds:
    """Each metric's mean and standard deviation over folds."""
    statistics = {}
    for name in METRICS:
        values = [getattr(fold, name) for fold in folds if getattr(fold, name) is not None]
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        statistics[name] = MeanAndDeviation(float(np.mean(values)), deviation) if values else None
    return Folds(len(folds), list(folds), **cast(dict[str, MeanAndDeviation], statistics))
