"""What each column of a table holds."""

from __future__ import annotations

from collections.abc import Container

from reader.moments import day_of
from reader.schema import Column, id_headers
from reader.training_data import TrainingData


def overview(data: TrainingData) -> list[tuple[str, str, str, str]]:
    """For each column of the table: name, kind, missing training rows, and what it holds there."""
    missing, codes = data.missing, {code.name for code in data.encoding.codes}
    rows = []
    for column in data.schema.columns:
        holes = f"{missing[column.name]:,}" if missing.get(column.name) else ""
        rows.append((column.name, column.kind, holes, _content(column, data, codes)))
    return rows


def _content(column: Column, data: TrainingData, codes: Container[str]) -> str:
    if column.kind == "categorical":
        rare = data.fitted.rare[column.name]
        folded = f"; {rare:,} rows of rarer ones count as unknown" if rare else ""
        embedded = ", embedded" if column.name in codes else ""
        return f"{len(column.levels):,} levels{embedded}{folded}"
    if column.kind in ("ignored", "id"):
        return _passed(column.name) if column.kind == "id" else ""
    if (index := data.statistics.position.get(column.packed[-1])) is None:
        return "no value in training rows: not used"
    low, high = data.statistics.minimum[index], data.statistics.maximum[index]
    if column.parts:
        days = (str(day_of(elapsed, column.origin)) for elapsed in (low, high))
        return f"{' to '.join(days)}: {', '.join(column.parts)}"
    return f"{low:.6g} to {high:.6g}"


def _passed(name: str) -> str:
    """What becomes of an id."""
    written = id_headers([name])[name]
    return f"passed through to the predictions{f' as {written}' if written != name else ''}"
