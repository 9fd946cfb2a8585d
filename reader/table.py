"""Any number of files as one stream of float32 rows, every cell checked."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import polars.selectors as cs
from numpy.typing import NDArray

from reader.formats import (
    SEPARATORS,
    SUFFIXES,
    Reading,
    Record,
    Source,
    TextFile,
    find_files,
    format_of,
    scan_typed,
    sniff,
)
from reader.schema import Schema, TableError, did_you_mean, is_number

ROWS_PER_BATCH = 65_536
Names = Callable[[Path, Record], Sequence[str] | None]


@dataclass(frozen=True)
class Table:
    """The rows of one file after the other; `columns` are those of the first, in its order."""

    path: Path
    columns: tuple[str, ...]
    files: tuple[Source, ...]

    def batches(
        self, columns: Sequence[str], may_be_empty: Sequence[str] = ()
    ) -> Iterator[NDArray[np.float32]]:
        """Stream rows as float32 [n, len(columns)], n <= ROWS_PER_BATCH, in order.

        Blank lines are no rows. An empty cell of a column in `may_be_empty` becomes NaN.
        Raises TableError at the first other cell that is no finite number, and where a row
        has too few or too many values.
        """
        for file in self.files:
            yield from _batches(file, columns, may_be_empty)

    def texts(self, column: str) -> Iterator[pl.Series]:
        """Stream one column as text, a cell for each row of `batches`; null where it is empty."""
        for file in self.files:
            first, blank = 0, None
            for batch in file.text(column).collect_batches(chunk_size=ROWS_PER_BATCH):
                cells = batch["0"].str.strip_chars()
                if batch["suspect"].any():
                    blank = file.blank_rows() if blank is None else blank
                    cells = cells.filter(~np.isin(first + np.arange(len(cells)), blank))
                first += len(batch)
                yield cells.replace("", None)


def _batches(
    file: Source, columns: Sequence[str], may_be_empty: Sequence[str]
) -> Iterator[NDArray[np.float32]]:
    read = yield from _by_numbers(file, columns, may_be_empty)
    if read is not None:
        yield from _by_cells(file, columns, may_be_empty, read)


def _by_numbers(
    file: Source, columns: Sequence[str], may_be_empty: Sequence[str]
) -> Generator[NDArray[np.float32], None, int | None]:
    """The shortest way, up to the first batch that holds more than numbers and allowed holes.

    Returns how many rows it gave, or None where they were all.
    """
    read, numbers = 0, file.numbers(columns)
    if numbers is None:
        return read
    allowed = np.isin(columns, may_be_empty)
    try:
        for batch in numbers.collect_batches(chunk_size=ROWS_PER_BATCH):
            cells = batch.drop("suspect")
            rows, marked = _to_float32(cells, file.reading)
            if batch["suspect"].any():
                return read
            if not (finite := np.isfinite(rows)).all():
                holes = (marked | cells.select(pl.all().is_null()).to_numpy()) & allowed
                if not (finite | holes).all():
                    return read
            read += len(rows)
            yield rows
    except pl.exceptions.PolarsError:
        return read
    return None


def _by_cells(
    file: Source, columns: Sequence[str], may_be_empty: Sequence[str], first: int
) -> Iterator[NDArray[np.float32]]:
    """From row `first` on, every cell checked."""
    blank = None
    try:
        cells = file.cells(columns).slice(first)
        for batch in cells.collect_batches(chunk_size=ROWS_PER_BATCH):
            text = batch.drop("suspect")
            rows, marked = _to_float32(text, file.reading)
            if batch["suspect"].any() or not np.isfinite(rows).all():
                blank = file.blank_rows() if blank is None else blank
                index = np.setdiff1d(first + np.arange(len(text)), blank)
                text = text[index - first].with_columns(cs.string().str.strip_chars())
                rows, marked = _to_float32(text, file.reading)
                _check(file, rows, marked, text, index, columns, may_be_empty)
            first += len(batch)
            yield rows
    except pl.exceptions.PolarsError as error:
        file.blank_rows()
        reason = str(error).splitlines()[0]
        raise TableError(f"{file.path}: cannot be read as a table: {reason}") from None


def _to_float32(
    cells: pl.DataFrame, reading: Reading
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The numbers, NaN where there is none; and where a number like -999 marks a missing one."""
    rows = cells.select(pl.all().cast(pl.Float32, strict=False)).to_numpy(order="c")
    numbers = [np.float32(text) for text in reading.missing if is_number(text)]
    marks = [number for number in numbers if np.isfinite(number)]
    marked = np.isin(rows, marks) if marks else np.zeros((1, 1), dtype=np.bool_)
    return (np.where(marked, np.float32(np.nan), rows) if marked.any() else rows), marked


def _check(
    file: Source,
    rows: NDArray[np.float32],
    marked: NDArray[np.bool_],
    cells: pl.DataFrame,
    index: NDArray[np.int64],
    columns: Sequence[str],
    may_be_empty: Sequence[str],
) -> None:
    """Raise TableError at the first cell that is no finite number and may not be empty."""
    texts = [column.cast(pl.String).fill_null("") for column in cells]
    empty = np.column_stack([text.is_in(list(file.reading.missing)) for text in texts])
    bad = ~np.isfinite(rows) & ~((empty | marked) & np.isin(columns, may_be_empty))
    if not bad.any():
        return
    row, column = (int(position) for position in np.argwhere(bad)[0])
    cell = texts[column][row]
    found = repr(cell[:40]) if cell else "an empty cell"
    expected = "a finite number (float32)" if is_number(cell) else "a number"
    advice = "mend the cell, or train without the column (data.exclude)"
    if empty[row, column] and columns[column] not in may_be_empty:
        advice += "; holes in features are filled in where data.missing.numeric says how"
    if cell == columns[column]:
        advice = "the line is a header: leave data.columns out, and it will be read"
    raise TableError(
        f"{file.path}, {file.place(int(index[row]))}, column {columns[column]}: found {found}, "
        f"expected {expected}; {advice}"
    )


def open_table(
    path: str | Path, columns: Sequence[str] | None = None, reading: Reading | None = None
) -> Table:
    """Open the table at `path`: a file, a folder of files, or a glob.

    The first line of a text file is its header, unless `columns` names the columns.
    Raises TableError for a file that is missing, empty or unreadable, and for unusable names.
    """
    return _open(Path(path), reading or Reading(), lambda file, header: columns)


def open_like(path: str | Path, schema: Schema, reading: Reading | None = None) -> Table:
    """Open a table to predict: by name where its first line names the features, else by order.

    A table without a header has either all columns of the training table, or all but the
    target, or the features alone. Raises TableError where neither fits.
    """

    def names(file: Path, header: Record) -> Sequence[str] | None:
        cells = [cell.strip() for cell in header.cells]
        missing = [name for name in schema.features if name not in cells]
        if not missing:
            return None
        if not all(is_number(cell) for cell in cells if cell):
            hint = did_you_mean(missing[0], cells)
            raise TableError(
                f"{file}: no column {', '.join(missing)}{hint}; found {', '.join(cells)}"
            )
        without_target = tuple(name for name in schema.columns if name != schema.target)
        for columns in (schema.columns, without_target, schema.features):
            if len(columns) == len(cells):
                return columns
        raise TableError(
            f"{file}, line {header.line}: found {len(cells)} values and no header; expected "
            f"{len(schema.features)} ({', '.join(schema.features)}), or a line with their names"
        )

    asked = reading or Reading()
    # The suffix of the table at hand counts more than the format of the one trained on.
    by_suffix = asked.format and Path(path).suffix in SUFFIXES
    return _open(Path(path), replace(asked, format=None) if by_suffix else asked, names)


def _open(path: Path, reading: Reading, names: Names) -> Table:
    """Open each file; `names` gives the columns of one whose first line is not a header."""
    files: list[Source] = []
    for file in find_files(path):
        try:
            files.append(_open_file(file, reading, names))
        except OSError as error:
            raise TableError(f"{file}: {error.strerror or error}") from None
        if set(files[-1].columns) != set(files[0].columns):
            raise TableError(
                f"{file}: columns {', '.join(files[-1].columns)}, expected those of "
                f"{files[0].path}: {', '.join(files[0].columns)}"
            )
    return Table(path, files[0].columns, tuple(files))


def _open_file(file: Path, reading: Reading, names: Names) -> Source:
    format_name = format_of(file, reading)
    if format_name not in SEPARATORS:
        typed = scan_typed(file, format_name, reading)
        if names(file, Record(0, 0, list(typed.columns))) is not None:
            raise TableError(
                f"{file}: its columns have names of their own ({', '.join(typed.columns)}); "
                "data.columns is for text without a header"
            )
        return typed
    separator, header = sniff(file, reading)
    columns = names(file, header)
    if columns is None:
        return TextFile(file, _names(file, header.cells), separator, reading, header.end)
    return TextFile(file, tuple(columns), separator, reading, header_lines=0)


def _names(path: Path, cells: Sequence[str]) -> tuple[str, ...]:
    names = tuple(cell.strip() for cell in cells)
    for position, name in enumerate(names, start=1):
        if not name:
            raise TableError(f"{path}: column {position} has no name; add one to the header")
        if names.count(name) > 1:
            raise TableError(f"{path}: the header names {name!r} more than once; rename one")
    return names
