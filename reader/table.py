"""A file as a stream of float32 rows, every cell checked."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from reader.schema import Schema, TableError, did_you_mean, is_number

ROWS_PER_BATCH = 65_536


class Record(NamedTuple):
    """One row as the file has it; a blank line has no cells."""

    line: int
    cells: list[str]


@dataclass(frozen=True)
class Table:
    """A CSV file, or one whose values stand between runs of white space.

    `columns` are in file order; `header_lines` counts the lines before the first row.
    """

    path: Path
    columns: tuple[str, ...]
    comma: bool
    header_lines: int

    def batches(
        self, columns: Sequence[str], may_be_empty: Sequence[str] = ()
    ) -> Iterator[NDArray[np.float32]]:
        """Stream rows as float32 [n, len(columns)], n <= ROWS_PER_BATCH, in file order.

        Blank lines are no rows. An empty cell of a column in `may_be_empty` becomes NaN.
        Raises TableError at the first other cell that is no finite number, and where a row
        has too few or too many values.
        """
        first, blank = 0, None
        try:
            for batch in self._cells(columns).collect_batches(chunk_size=ROWS_PER_BATCH):
                text = batch.drop("suspect")
                rows = _to_float32(text, pl.all())
                if batch["suspect"].any() or not np.isfinite(rows).all():
                    blank = self._survey() if blank is None else blank
                    text = text.filter(~np.isin(first + np.arange(len(text)), blank))
                    rows = _to_float32(text, pl.all().str.strip_chars())
                    self._check(rows, text, columns, may_be_empty, first)
                first += len(batch)
                yield rows
        except pl.exceptions.PolarsError as error:
            self._survey()
            reason = str(error).splitlines()[0]
            raise TableError(f"{self.path}: cannot be read as a table: {reason}") from None

    def _cells(self, columns: Sequence[str]) -> pl.LazyFrame:
        """The cells as text, columns named by position, and whether a row's length is suspect."""
        positions = [self.columns.index(name) for name in columns]
        width = len(self.columns)
        if self.comma:
            everything: dict[str, type[pl.String]] = {str(i): pl.String for i in range(width)}
            return pl.scan_csv(
                self.path,
                schema=everything,
                has_header=False,
                skip_lines=self.header_lines,
                glob=False,
            ).select(
                *(pl.col(str(i)) for i in positions),
                suspect=pl.col(str(width - 1)).is_null(),  # how Polars fills up a short row
            )
        cells = pl.scan_lines(self.path, glob=False).slice(self.header_lines)
        return cells.select(pl.col("line").str.extract_all(r"[^\s\ufeff]+")).select(
            *(pl.col("line").list.get(i, null_on_oob=True).alias(str(i)) for i in positions),
            suspect=pl.col("line").list.len() != width,
        )

    def _survey(self) -> NDArray[np.int64]:
        """Go through the file record by record; the indices of its blank lines.

        Raises TableError at the first row of the wrong length.
        """
        blank = []
        for index, record in enumerate(self._rows()):
            if not record.cells:
                blank.append(index)
            elif len(record.cells) != len(self.columns):
                raise TableError(
                    f"{self.path}, line {record.line}: found {len(record.cells)} values, expected "
                    f"{len(self.columns)} ({', '.join(self.columns)}); mend the line"
                )
        return np.array(blank, dtype=np.int64)

    def _rows(self) -> Iterator[Record]:
        return (
            record for record in records(self.path, self.comma) if record.line > self.header_lines
        )

    def _check(
        self,
        rows: NDArray[np.float32],
        text: pl.DataFrame,
        columns: Sequence[str],
        may_be_empty: Sequence[str],
        first: int,
    ) -> None:
        """Raise TableError at the first cell that is no finite number and may not be empty."""
        empty = text.select(pl.all().str.strip_chars().fill_null("") == "").to_numpy()
        bad = ~np.isfinite(rows) & ~(empty & np.isin(columns, may_be_empty))
        if not bad.any():
            return
        row, column = np.argwhere(bad)[0]
        cell = text[int(row), int(column)] or ""
        rows_only = (record for record in islice(self._rows(), first, None) if record.cells)
        line = next(islice(rows_only, int(row), None)).line
        found = "an empty cell" if empty[row, column] else repr(cell[:40])
        expected = "a finite number (float32)" if is_number(cell) else "a number"
        advice = "mend the cell, or train without the column (data.exclude)"
        if cell.strip() == columns[column]:
            advice = "the line is a header: leave data.columns out, and it will be read"
        raise TableError(
            f"{self.path}, line {line}, column {columns[column]}: found {found}, "
            f"expected {expected}; {advice}"
        )


def _to_float32(text: pl.DataFrame, cells: pl.Expr) -> NDArray[np.float32]:
    """What is no number becomes NaN."""
    return text.select(cells.cast(pl.Float32, strict=False)).to_numpy(order="c")


def records(path: Path, comma: bool) -> Iterator[Record]:
    """Every line or quoted record of the file, with the number of its first line, from 1."""
    end = 0
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            rows = reader if comma else (line.split() for line in file)
            for count, cells in enumerate(rows, start=1):
                start, end = end + 1, reader.line_num if comma else count
                blank = not cells or (len(cells) == 1 and not cells[0].strip())
                yield Record(start, [] if blank else cells)
    except UnicodeDecodeError as error:
        raise TableError(f"{path}: not UTF-8 text; save it as UTF-8 ({error.reason})") from None
    except csv.Error as error:
        raise TableError(f"{path}, line {end + 1}: {error}") from None


def open_table(path: str | Path, columns: Sequence[str] | None = None) -> Table:
    """Open the table at `path`, its first line a header unless `columns` names the columns.

    Raises TableError for a file that is missing, empty or not text, and for unusable names.
    """
    path = Path(path)
    comma, header = _first_record(path)
    if columns is not None:
        return Table(path, tuple(columns), comma, header_lines=0)
    return Table(path, _names(path, header.cells), comma, header_lines=header.line)


def open_like(path: str | Path, schema: Schema) -> Table:
    """Open a table to predict: by name where its first line names the features, else by order.

    A table without a header has either all columns of the training table, or all but the
    target, or the features alone. Raises TableError where neither fits.
    """
    path = Path(path)
    comma, header = _first_record(path)
    cells = [cell.strip() for cell in header.cells]
    missing = [name for name in schema.features if name not in cells]
    if not missing:
        return Table(path, _names(path, cells), comma, header_lines=header.line)
    if not all(is_number(cell) for cell in cells if cell):
        hints = "".join(did_you_mean(name, cells) for name in missing[:1])
        raise TableError(f"{path}: no column {', '.join(missing)}{hints}; found {', '.join(cells)}")
    without_target = tuple(name for name in schema.columns if name != schema.target)
    for columns in (schema.columns, without_target, schema.features):
        if len(columns) == len(cells):
            return Table(path, columns, comma, header_lines=0)
    raise TableError(
        f"{path}, line {header.line}: found {len(cells)} values and no header; expected "
        f"{len(schema.features)} ({', '.join(schema.features)}), or a header line with their names"
    )


def _first_record(path: Path) -> tuple[bool, Record]:
    """Whether commas separate the values, and the first line that is not blank."""
    if path.is_dir():
        raise TableError(f"{path}: a folder; expected a file")
    try:
        first = next((record for record in records(path, comma=False) if record.cells), None)
        comma = path.suffix.lower() == ".csv" or (first and any("," in c for c in first.cells))
        if comma:
            first = next((record for record in records(path, comma=True) if record.cells), None)
    except OSError as error:
        raise TableError(f"{path}: {error.strerror}") from None
    if first is None:
        raise TableError(f"{path}: the file is empty; expected a table")
    return bool(comma), first


def _names(path: Path, cells: Sequence[str]) -> tuple[str, ...]:
    names = tuple(cell.strip() for cell in cells)
    for position, name in enumerate(names, start=1):
        if not name:
            raise TableError(f"{path}: column {position} has no name; add one to the header")
        if names.count(name) > 1:
            raise TableError(f"{path}: the header names {name!r} more than once; rename one")
    return names
