"""One row by name to numbers, without a data frame: the bits of reader.frame.encode, sooner."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from errors import TableError
from reader.formats import Reading
from reader.frame import encode
from reader.kinds import MOST_EXACT, Encoder, Levels, clean, finite_marks
from reader.moments import MICROSECONDS_A_DAY, YEAR_FIRST
from reader.schema import Column

LARGEST = 3.4028234663852886e38  # of float32
MOST_KEPT = 4_096  # cells of a column that are remembered
LONGEST = 200  # letters of such a cell
MOST_NAMED = 1_000  # columns among which a missing one is looked for
PLAIN_TIME = re.compile(r"[1-9]\d{3}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)?", re.ASCII)
YEARS = range(1900, 2200)  # whose microseconds a float64 has exactly


class Encoded(NamedTuple):
    """`rows`: float32 [N, packed columns]; `missing` and `unknown`: how many cells, by column that
    has any."""

    rows: NDArray[np.float32]
    missing: Mapping[str, int]
    unknown: Mapping[str, int]


class _Cell(NamedTuple):
    """What a cell becomes."""

    numbers: tuple[float, ...]
    missing: int = 0
    unknown: int = 0


class TableEncoder:
    """The rows of a table by name, any number of times: the levels of texts are looked up once."""

    def __init__(self, columns: Sequence[Column], may_be_empty: bool, reading: Reading) -> None:
        self.columns = [(column, Levels(column.levels, closed=True)) for column in columns]
        self.may_be_empty, self.reading = may_be_empty, reading
        marks = [np.float32(mark).item() for mark in finite_marks(reading)]
        self.names = [column.name for column in columns]
        self._plan = [
            (
                column.name,
                column.kind == "numeric" and not marks,
                _Cells(self, column, levels, marks),
            )
            for column, levels in self.columns
        ]

    def encoders(self) -> list[Encoder]:
        """One a column, which have counted nothing yet."""
        return [Encoder(column, self.may_be_empty, levels) for column, levels in self.columns]

    def table(self, table: Mapping[str, Sequence[Any]]) -> Encoded:
        """A dictionary of lists. Raises TableError, as reader.frame.encode does."""
        encoders = self.encoders()
        return counted(encode(table, encoders, self.reading), encoders)

    def row(self, row: Mapping[str, Any]) -> Encoded:
        """A dictionary of cells. Raises TableError, as `table` does for lists of one cell."""
        numbers: list[float] = []
        missing, unknown = {}, {}
        for name, is_plain, cells in self._plan:
            given = row.get(name, _Cells)  # which no cell is
            kind = type(given)
            plain = is_plain and (kind is float or (kind is int and abs(given) < MOST_EXACT))
            if plain and -LARGEST <= given <= LARGEST:
                numbers.append(given)
                continue
            cell = cells.encode(given)
            if cell is None:  # it is wrong, and all of the row's columns are needed to say so
                names = [*islice(row, MOST_NAMED), *(n for n in self.names if n in row)]
                return self.table({name: [row[name]] for name in names})
            numbers += cell.numbers
            if cell.missing:
                missing[name] = 1
            if cell.unknown:
                unknown[name] = 1
        return Encoded(np.array([numbers], dtype=np.float32), missing, unknown)


class _Cells:
    """The cells of one column, one at a time."""

    def __init__(
        self, table: TableEncoder, column: Column, levels: Levels, marks: Sequence[float]
    ) -> None:
        self.column, self._levels, self._table = column, levels, table
        self._marks = frozenset(marks)
        self._missing = frozenset(table.reading.missing)
        self._is_number = column.kind == "numeric"
        self._is_plain_time = column.kind == "time" and column.format in YEAR_FIRST
        self._origin = datetime.fromisoformat(column.origin) if self._is_plain_time else None
        self._levels_known = self._of_levels() if column.kind == "categorical" else {}
        self._kept: dict[tuple[type, Any], _Cell] = {}

    def encode(self, cell: Any) -> _Cell | None:
        """None where it is not what the column holds."""
        kind = type(cell)
        if self._is_number and (kind is float or (kind is int and abs(cell) < MOST_EXACT)):
            if not -LARGEST <= cell <= LARGEST:
                return None
            if self._marks and np.float32(cell).item() in self._marks:
                return self._remembered(kind, cell)
            return _Cell((float(cell),))
        if kind is str:
            if found := self._levels_known.get(cell):
                return found
            if self._is_plain_time and (found := self._plain_time(cell)):
                return found
            if len(cell) > LONGEST:
                return self._by_table(cell)
        elif kind not in (float, int, bool, type(None)):
            return None
        return self._remembered(kind, cell)

    def _remembered(self, kind: type, cell: Any) -> _Cell | None:
        if (found := self._kept.get((kind, cell))) or not (found := self._by_table(cell)):
            return found
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[kind, cell] = found
        return found

    def _by_table(self, cell: Any) -> _Cell | None:
        """What a table of this cell alone becomes."""
        encoder = Encoder(self.column, self._table.may_be_empty, self._levels)
        try:
            rows = encode({self.column.name: [cell]}, [encoder], self._table.reading)
        except TableError:
            return None
        return _Cell(tuple(rows[0].tolist()), encoder.missing, encoder.unknown)

    def _of_levels(self) -> dict[str, _Cell]:
        """All levels that have a text, as a column of them would be."""
        texts = [text for text in self.column.levels if text is not None]
        cells = clean(pl.Series(texts, dtype=pl.String), self._table.reading, numeric=False)
        encoder = Encoder(self.column, self._table.may_be_empty, self._levels)
        (codes,) = encoder.encode(cells)
        pairs = zip(texts, cells.to_list(), codes.to_list(), strict=True)
        return {
            text: _Cell((code,), cell is None, cell is not None and not code)
            for text, cell, code in pairs
        }

    def _plain_time(self, cell: str) -> _Cell | None:
        """2024-12-31 and 2024-12-31 23:59:00, which mean one thing only."""
        if not PLAIN_TIME.fullmatch(cell) or cell in self._missing or self._origin is None:
            return None
        try:
            moment = datetime.fromisoformat(cell)
        except ValueError:
            return None
        if moment.year not in YEARS:
            return None
        since = moment - self._origin
        microseconds = (since.days * 86_400 + since.seconds) * 1_000_000
        parts = {
            "month": moment.month,
            "day_of_week": moment.isoweekday(),
            "hour": moment.hour,
            "elapsed": microseconds / MICROSECONDS_A_DAY,
        }
        return _Cell(tuple(float(parts[part]) for part in self.column.parts))


def counted(rows: NDArray[np.float32], encoders: Sequence[Encoder]) -> Encoded:
    """Rows, and what those who encoded them have counted."""
    missing = {encoder.column.name: encoder.missing for encoder in encoders if encoder.missing}
    unknown = {encoder.column.name: encoder.unknown for encoder in encoders if encoder.unknown}
    return Encoded(rows, missing, unknown)
