"""Where rows stand in the files of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reader.formats import TableFile
from reader.source import SplitTable
from reader.text import TextFile

SURVEYED = 16 << 20  # bytes of a text file whose lines are counted, which takes a second or two


def places(source: SplitTable, rows: NDArray[Any]) -> list[tuple[str, int | None]]:
    """(the file's name, where the table has several, the line in it, where lines were counted) of
    the table's rows at these indices."""
    if source.table is None:
        return [("", None)] * len(rows)
    files, counts = source.table.files, source.packed.file_rows
    starts = np.cumsum([0, *counts])
    found, lines = [], dict[int, NDArray[np.int64] | None]()
    for row in map(int, rows):
        number = int(np.searchsorted(starts, row, side="right")) - 1
        if number not in lines:
            lines[number] = lines_of(files[number], counts[number])
        known = lines[number]
        line = None if known is None else int(known[row - int(starts[number])])
        found.append((Path(files[number].path).name if len(files) > 1 else "", line))
    return found


def lines_of(file: TableFile, rows: int) -> NDArray[np.int64] | None:
    """The line of each of the file's rows; None where it has no lines, or too many."""
    if not isinstance(file, TextFile) or file.size() > SURVEYED:
        return None
    lines = file.lines()
    return lines if len(lines) == rows else None
