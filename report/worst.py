"""The rows that a regressor predicts worst: where they stand in the table, and what they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reader.places import places
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
    rows = evaluation.rows[found]
    return Worst(
        part,
        [
            WorstRow(
                row=int(row) + 1,
                ids=ids,
                actual=float(target[at]),
                predicted=float(prediction[at]),
                error=float(prediction[at] - target[at]),
                file=file,
                line=line,
                values=values,
            )
            for at, row, ids, (file, line), values in zip(
                found,
                rows,
                texts_of(source, source.packed.schema.ids, rows),
                places(source, rows),
                values_of(source, rows),
                strict=True,
            )
        ],
    )


def texts_of(
    source: SplitTable, names: tuple[str, ...], rows: NDArray[Any]
) -> list[dict[str, str]]:
    """The cells of these columns as texts, of the table's rows at these indices."""
    texts: list[dict[str, str]] = [{} for _ in rows]
    for name in names:
        start = 0
        for cells in source.texts(name):
            for place, row in enumerate(rows):
                if start <= row < start + len(cells):
                    cell = cells[int(row) - start]
                    texts[place][name] = "" if cell is None else str(cell)
            start += len(cells)
    return texts


def values_of(source: SplitTable, rows: NDArray[Any]) -> list[dict[str, Cell]]:
    """The features of the rows at these indices: numbers, levels and times as the table has
    them."""
    packed, features = source.packed, source.packed.schema.features
    times = tuple(column.name for column in features if column.kind == "time")
    texts = texts_of(source, times, rows) if source.table else [{} for _ in rows]
    values = []
    for row, known in zip(rows, texts, strict=True):
        numbers = dict(zip(packed.columns, packed.matrix[row], strict=True))
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
