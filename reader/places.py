"""Where rows stand in the files of a table, and what of their cells is not packed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reader.formats import TableFile
from reader.source import SplitTable
from reader.text import TextFile

SURVEYED = 16 << 20  # bytes of a text file whose lines are counted, which takes a second or two
CELLS = "cells"
Place = tuple[str, int | None]
Rows = NDArray[np.integer[Any]]


def places(source: SplitTable, rows: Rows) -> list[Place]:
    """(the file's name, where the table has several, the line in it, where lines were counted) of
    the table's rows at these indices: a meeting."""
    return source.packed.told("places", rows, partial(_places, source))


def cells_of(source: SplitTable, rows: Rows) -> list[tuple[Place, dict[str, str]]]:
    """Of the table's rows at these indices the place, and by column the texts of ids and times: a
    meeting."""
    return source.packed.told(CELLS, rows, partial(_cells, source))


def _cells(source: SplitTable, rows: Rows) -> list[tuple[Place, dict[str, str]]]:
    schema = source.packed.schema
    times = [column.name for column in schema.features if column.kind == "time"]
    names = [*schema.ids, *times] if source.table else []
    texts: list[dict[str, str]] = [{} for _ in rows]
    for name in names if len(rows) else []:
        start = source.packed.first
        for cells in source.texts(name):
            for place, row in enumerate(rows):
                if start <= row < start + len(cells):
                    cell = cells[int(row) - start]
                    texts[place][name] = "" if cell is None else str(cell)
            start += len(cells)
    return list(zip(_places(source, rows), texts, strict=True))


def _places(source: SplitTable, rows: Rows) -> list[Place]:
    if source.table is None:
        return [("", None)] * len(rows)
    files, counts = source.table.files, source.packed.file_rows
    starts = source.packed.first + np.cumsum([0, *counts])
    is_one = len(files) == 1 and counts[0] == len(source.packed)
    found, lines = list[Place](), dict[int, NDArray[np.int64] | None]()
    for row in map(int, rows):
        number = int(np.searchsorted(starts, row, side="right")) - 1
        if number not in lines:
            lines[number] = lines_of(files[number], counts[number])
        known = lines[number]
        line = None if known is None else int(known[row - int(starts[number])])
        found.append(("" if is_one else Path(files[number].path).name, line))
    return found


def lines_of(file: TableFile, rows: int) -> NDArray[np.int64] | None:
    """The line of each of the file's rows; None where it has no lines, or too many."""
    if not isinstance(file, TextFile) or file.size() > SURVEYED:
        return None
    lines = file.lines()
    return lines if len(lines) == rows else None
