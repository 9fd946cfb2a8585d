"""What a finished model is worth: the figures behind report.json and report.html."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from configs.schema import Config
from reader.metrics import Metrics, Sums, mean_and_deviation
from reader.ready import Ready
from reader.split import Split, evenly
from reader.training_data import Source, TrainingData
from run.evidence import (
    bootstrap,
    by_level,
    histogram,
    permutation_importance,
    standard_errors,
    worst,
)
from run.optimum import Optimum, epochs_to_gap
from trainer.keeper import Progress
from trainer.recipe import best_line, decays_in_loss, is_line, trained_line

if TYPE_CHECKING:
    from model.regressor import Regressor

MOST_ROWS = 200_000  # of a part, for what needs its rows at once
EXAMPLES = 2_000
SHUFFLED = 5_000


def evaluate(
    regressor: Regressor, ready: Ready, data: TrainingData, parts: Split
) -> dict[str, Metrics]:
    """Metrics in the target's unit over every row of each part that has rows."""

    def errors(block: NDArray[np.float32]) -> Sums:
        sums = Sums()
        sums.add(block[:, -1:], regressor.predict_ready(ready.features(block))[:, :1])
        return sums

    metrics = {}
    for part, rows in parts._asdict().items():
        sums = Sums()
        for found in data.packed.map(errors, rows, len(data.encoding.names)):
            sums.merge(found)
        if len(rows):
            metrics[part] = sums.metrics()
    return metrics


def results(
    config: Config, data: TrainingData, metrics: dict[str, Metrics], progress: Progress
) -> dict[str, Any]:
    """The figures that training gives."""
    packed, parts = data.packed, data.parts
    report = {
        "metrics": {part: found.describe() for part, found in metrics.items()},
        "data": {
            "path": config.data.path,
            "rows": len(packed),
            "sha256": packed.sha256,
            "target": data.schema.target,
            "features": [column.name for column in data.schema.features],
        },
        "split": {
            "method": config.data.split.method,
            "seed": config.data.split.seed,
            **{part: len(rows) for part, rows in parts._asdict().items()},
        },
        "best": {"epoch": progress.best_epoch, "value": progress.best_mse},
        "history": progress.history,
        "timing": {
            "train_s": progress.seconds,
            "rows_per_second": progress.epoch * len(parts.train) / progress.seconds,
        },
        "card": config.card.model_dump(),
        "environment": {
            "platform": platform.platform(),
            "processor": platform.machine(),
            "cores": os.cpu_count(),
        },
        "config": config.model_dump(),
    }
    return report | yardstick(config, data, metrics, progress)


def yardstick(
    config: Config, data: TrainingData, metrics: dict[str, Metrics], progress: Progress
) -> dict[str, Any]:
    """How far a line is from its optimum, or how much better than a line another model is."""
    line = best_line(config, data)
    if not is_line(config, data):
        return {"best_line": against_line(line, data, metrics)}
    optimum: dict[str, Any] = line.describe(metrics["train"].mse)
    optimum["epochs"] = epochs_to_gap(line.mse, progress.history)
    if config.optimizer.weight_decay and decays_in_loss(config):
        optimum["weight_decay"] = config.optimizer.weight_decay
    return {"optimum": optimum}


def against_line(
    line: Optimum, data: TrainingData, metrics: dict[str, Metrics]
) -> dict[str, dict[str, float]]:
    """The line's MSE by part, and the share of it that the model is below."""
    found = {}
    for part, model in metrics.items():
        sums = Sums()
        for block in data.packed.blocks(getattr(data.parts, part)):
            sums.add(block[:, -1], data.encoding.encode(block) @ line.weights + line.bias)
        mse = sums.metrics().mse
        found[part] = {"mse": mse, "improvement": 1 - model.mse / mse if mse else 0.0}
    return found


def evidence(
    config: Config, source: Source, data: TrainingData, regressor: Regressor, mse: float
) -> dict[str, Any]:
    """Confidence by part; examples, residuals and worst rows of the last part; and what the model
    rests on: coefficients of a line, permutation importance of any other. `mse`: of training."""
    report: dict[str, Any] = {"confidence": {}}
    held = {part: members for part, members in data.parts._asdict().items() if len(members)}
    for part, members in held.items():
        members = members[evenly(len(members), MOST_ROWS)]
        rows = data.packed.take(members)
        target = rows[:, -1].astype(np.float64)
        blocks = np.array_split(rows[:, :-1], -(-len(rows) // 65_536))
        predicted = np.concatenate([regressor.predict(block)[:, 0] for block in blocks])
        prediction = predicted.astype(np.float64)
        report["confidence"][part] = bootstrap(target, prediction)
    some = evenly(len(rows), EXAMPLES)
    at = worst(target, prediction)
    report["examples"] = {
        "part": part_of(data.parts),
        "actual": target[some].tolist(),
        "predicted": prediction[some].tolist(),
    }
    report["residuals"] = {
        "part": part_of(data.parts),
        **histogram(prediction - target),
        "by_category": by_category(data, rows, prediction - target),
    }
    report["worst"] = {
        "part": part_of(data.parts),
        "rows": [
            {
                "row": int(members[i]) + 1,
                "ids": ids,
                "actual": float(target[i]),
                "predicted": float(prediction[i]),
                "error": float(prediction[i] - target[i]),
            }
            for i, ids in zip(at, ids_of(source, data, members[at]), strict=True)
        ],
    }
    if is_line(config, data):
        return report | {"coefficients": coefficients(config, data, regressor, mse)}
    few = rows[evenly(len(rows), SHUFFLED)]
    positions: dict[str, list[int]] = {column.name: [] for column in data.schema.features}
    packed = [column.name for column in data.schema.features for _ in column.packed]
    for position, name in enumerate(packed):
        positions[name].append(position)
    found = permutation_importance(
        lambda x: regressor.predict(x)[:, 0], few[:, :-1], few[:, -1], positions
    )
    importance = {"part": part_of(data.parts), "rows": len(few), "columns": found}
    return report | {"importance": importance}


def part_of(parts: Split) -> str:
    """The last part that has rows."""
    return next(part for part in reversed(Split._fields) if len(getattr(parts, part)))


def by_category(
    data: TrainingData, rows: NDArray[np.float32], residual: NDArray[np.float64]
) -> dict[str, Any]:
    return {
        column.name: by_level(
            column.levels,
            rows[:, data.packed.columns.index(column.name)].astype(np.int64),
            residual,
        )
        for column in data.schema.features
        if column.kind == "categorical"
    }


def ids_of(source: Source, data: TrainingData, rows: NDArray[Any]) -> Sequence[dict[str, str]]:
    """The identifiers of these rows, by column."""
    found: list[dict[str, str]] = [{} for _ in rows]
    for name in data.schema.ids:
        start = 0
        for cells in source.table.texts(name):
            for place, row in enumerate(rows):
                if start <= row < start + len(cells):
                    found[place][name] = str(cells[int(row) - start])
            start += len(cells)
    return found


def coefficients(
    config: Config, data: TrainingData, regressor: Regressor, mse: float
) -> dict[str, Any]:
    """The line in raw units, and how far each weight may be off by chance."""
    raw, intercept = trained_line(config, data, regressor.network)
    errors = standard_errors(data.statistics.covariance, mse, data.statistics.count)
    names = data.encoding.names
    return {
        "intercept": intercept,
        "weights": [
            {"name": n, "weight": float(w), "standard_error": float(e) if np.isfinite(e) else None}
            for n, w, e in zip(names, raw, errors, strict=True)
        ],
    }


def unusual_rows(data: TrainingData, may_be_empty: bool) -> dict[str, NDArray[np.float32]]:
    """Rows that a table seldom has, for the contract: made of what training rows hold."""
    real = data.packed.take(data.parts.train[:1])[:, :-1]
    low, high, unknown = real.copy(), real.copy(), real.copy()
    numbers = data.encoding.numbers
    count = len(numbers)
    low[:, numbers] = data.statistics.minimum[:count]
    high[:, numbers] = data.statistics.maximum[:count]
    columns = [column for column in data.schema.features for _ in column.packed]
    coded = [i for i, column in enumerate(columns) if column.kind == "categorical"]
    low[:, coded] = [1 if columns[i].levels else 0 for i in coded]
    high[:, coded] = [len(columns[i].levels) for i in coded]
    unknown[:, coded] = 0
    rows = {"extreme": np.concatenate([low, high])}
    if may_be_empty and count:
        empty = real.copy()
        empty[:, numbers] = np.nan
        rows["missing"] = empty
    if coded:
        rows["unknown"] = unknown
    return rows


def folded(report: dict[str, Any], folds: Sequence[Metrics]) -> dict[str, Any]:
    return report | ({"folds": mean_and_deviation(folds)} if folds else {})
