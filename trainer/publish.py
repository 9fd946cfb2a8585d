"""The export of a fitted regressor: its contract, and the rows that prove it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.export import Proof, export
from reader.split import evenly
from reader.training_data import TableOptions, TrainingData
from trainer.build import Fit

PROVEN_ROWS = 10_000


def publish(
    fit: Fit, table: TableOptions, versions: dict[str, str], folder: Path
) -> dict[str, Any]:
    """Export, and prove the export on training rows; the parity. Raises ExportError."""
    data, rows = fit.data, fit.data.parts.train
    statistics = data.statistics
    some = rows[evenly(len(rows), PROVEN_ROWS)]
    proof = Proof(
        rows=data.packed.take(some)[:, :-1],
        expected=fit.predict,
        target_range=float(statistics.maximum[-1] - statistics.minimum[-1]),
        unusual=unusual_rows(data, table.may_be_empty),
    )
    contract = data.contract(table.reading, table.may_be_empty) | {"versions": versions}
    return export(fit.regressor, folder, contract, proof, fit.fused())


def unusual_rows(data: TrainingData, may_be_empty: bool) -> dict[str, NDArray[np.float32]]:
    """Rows that a table seldom has, by kind: made of what training rows hold."""
    real = data.packed.take(data.parts.train[:1])[:, :-1]
    low, high, unknown = real.copy(), real.copy(), real.copy()
    columns = [column for column in data.schema.features for _ in column.packed]
    coded = [i for i, column in enumerate(columns) if column.kind == "categorical"]
    numbers = [i for i in range(len(columns)) if i not in coded]
    low[:, numbers] = data.statistics.minimum[: len(numbers)]
    high[:, numbers] = data.statistics.maximum[: len(numbers)]
    low[:, coded] = [1 if columns[i].levels else 0 for i in coded]
    high[:, coded] = [len(columns[i].levels) for i in coded]
    unknown[:, coded] = 0
    rows = {"extreme": np.concatenate([low, high])}
    if may_be_empty and numbers:
        empty = real.copy()
        empty[:, numbers] = np.nan
        rows["missing"] = empty
    if coded:
        rows["unknown"] = unknown
    return rows
