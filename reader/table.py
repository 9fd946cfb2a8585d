"""Any number of files as one stream of float32 rows, every cell checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from errors import TableError
from reader.formats import (
    SEPARATORS,
    SUFFIXES,
    Reading,
    Record,
    TableFile,
    TextFile,
    find_files,
    format_of,
    scan_typed,
    sniff,
)
from reader.kinds import as_text, clean
from reader.rows import Batch, Layout, read_batches, unreadable
from reader.schema import Schema, did_you_mean, is_number

SAMPLE = 10_000  # rows that tell the kinds of columns
Names = Callable[[Path, Record], Sequence[str] | None]


@dataclass(frozen=True)
class Table:
    """The rows of one file after the other; `columns` are those of the first, in its order.
    `path` says in messages which table it is."""

    path: Path | str
    columns: tuple[str, ...]
    files: tuple[TableFile, ...]

    def batches(self, layout: Layout) -> Iterator[Batch]:
        """Stream the rows in order, n <= ROWS_PER_BATCH at a time. Raises TableError at the first
        cell that is wrong, and where a row has too few or too many, unless the layout flags it."""
        for file in self.files:
            yield from read_batches(file, layout)

    def texts(self, column: str) -> Iterator[pl.Series]:
        """Stream one column as text, a cell for each row of `batches`; null where it is empty."""
        for batch in self.batches(Layout(ids=(column,))):
            yield batch.ids[column].replace("", None)

    def sample(
        self, columns: Sequence[str], rows: int = SAMPLE, numeric: bool = True
    ) -> dict[str, pl.Series]:
        """Cells of the first rows by column, null where one is missing, as numbers or else as the
        texts of the file; wrong rows are passed on to whoever reads them all."""
        file = self.files[0]
        try:
            frame = file.cells(columns, times=columns, ragged=True).head(rows).collect()
        except pl.exceptions.PolarsError as error:
            raise unreadable(file, error) from None
        return {
            name: clean(as_text(frame[str(index)]), file.reading, numeric)
            for index, name in enumerate(columns)
        }


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

    features = tuple(column.name for column in schema.features)
    without_target = tuple(name for name in schema.names if name != schema.target)
    layouts = (schema.names, without_target, features)

    def names(file: Path, header: Record) -> Sequence[str] | None:
        cells = [cell.strip() for cell in header.cells]
        missing = [name for name in features if name not in cells]
        if not missing:
            return None
        numbers = all(is_number(cell) for cell in cells if cell)
        by_position = not schema.has_header and not set(cells) & set(schema.names)
        fits = len(cells) in map(len, layouts)
        if not numbers and not (by_position and fits):
            hint = did_you_mean(missing[0], cells)
            raise TableError(
                f"{file}: no column {', '.join(missing)}{hint}; found {', '.join(cells)}"
            )
        for columns in layouts:
            if len(columns) == len(cells):
                return columns
        raise TableError(
            f"{file}, line {header.line}: found {len(cells)} values and no header; expected "
            f"{len(features)} ({', '.join(features)}), or a line with their names"
        )

    asked = reading or Reading()
    # The suffix of the table at hand counts more than the format of the one trained on.
    by_suffix = asked.format and Path(path).suffix in SUFFIXES
    return _open(Path(path), replace(asked, format=None) if by_suffix else asked, names)


def _open(path: Path, reading: Reading, names: Names) -> Table:
    """Open each file; `names` gives the columns of one whose first line is not a header."""
    files: list[TableFile] = []
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


def _open_file(file: Path, reading: Reading, names: Names) -> TableFile:
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
