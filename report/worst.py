"""The rows that a regressor predicts worst: where they stand in the table, and what they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reader.places import cells_of
from reader.source import SplitTable
from report import diagnostics
from report.report import Worst, WorstRow
from trainer.evaluation import Evaluation

Cell = float | str | None


def worst_rows(part: str, source: SplitTable, evaluation: Evaluation) -> Worst:
    """The rows with the largest errors, with their identifiers and features."""
    target = evaluation.target.astype(np.float64)
    prediction = evaluation.prediction.astype(np.float64)
    found = diagnostics.worst(target, prediction)
    rows, ids = evaluation.rows[found], source.packed.schema.ids
    cells = cells_of(source, rows)
    values = values_of(source, rows, [texts for _, texts in cells])
    return Worst(
        part,
        [
            WorstRow(
                row=int(row) + 1,
                ids={name: texts[name] for name in ids if name in texts},
                actual=float(target[at]),
                predicted=float(prediction[at]),
                error=float(prediction[at] - target[at]),
                file=file,
                line=line,
                values=known,
            )
            for at, row, ((file, line), texts), known in zip(
                found, rows, cells, values, strict=True
            )
        ],
    )


def values_of(
    source: SplitTable, rows: NDArray[Any], texts: Sequence[Mapping[str, str]]
) -> list[dict[str, Cell]]:
    """The features of the rows at these indices: numbers, levels and times as the table has them,
    these by their `texts`."""
    packed, features = source.packed, source.packed.schema.features
    values = []
    for row, known in zip(packed.sample(rows), texts, strict=True):
        numbers = dict(zip(packed.columns, row, strict=True))
        cells: dict[str, Cell] = {}
        for column in features:
            for name in [column.name] if column.name in known else column.packed:
                level = packed.texts.get(name)
                if name in known:
                    cells[name] = known[name] or None
                elif level is not None:
                    cells[name] = level[int(numbers[name]) - 1]
                else:
                    number = float(numbers[name])
                    cells[name] = None if np.isnan(number) else float(f"{number:.7g}")
        values.append(cells)
    return values
