"""Any number of files as one stream of float32 rows, every cell checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from errors import TableError
from reader.decode import as_utf8, is_utf8, unpacked, whole
from reader.dialect import Names, extent, sniff
from reader.folder import find_files
from reader.formats import (
    FORMATS_BY_SUFFIX,
    Reading,
    TableFile,
    TypedFile,
    binary_format,
    format_of,
    identity,
    scan_typed,
)
from reader.header import ROW_NAMES, Header, header_of, typed_header
from reader.json_lines import read_array, scan_lines
from reader.kinds import clean
from reader.lines import looked_through
from reader.moments import as_text
from reader.numbers import plain_or_as_is
from reader.rows import Batch, Layout, first_cells, read_batches
from reader.schema import Schema, abridged, is_number, unlike
from reader.text import TextFile
from reader.workbook import as_csv
from spelling import did_you_mean

JSON_FORMATS = {"json": read_array, "jsonl": scan_lines}
SAMPLE = 10_000  # rows that tell the kinds of columns


@dataclass(frozen=True)
class Table:
    """The rows of one file after the other; `columns` are those of the first, in its order.
    `path` says in messages which table it is; `header`: what is to be known of its names; `notes`:
    what was left out of the files, a line each; `identities`: of the files, as they were opened,
    None for one in memory."""

    path: Path | str
    columns: tuple[str, ...]
    files: tuple[TableFile, ...]
    header: Header = field(default_factory=lambda: Header(()))
    notes: tuple[str, ...] = ()
    identities: tuple[list[Any] | None, ...] = (None,)

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Raises TableError at the end, in place of another error, where a file is not the one that
        was opened: what was read is then of no version of it."""
        try:
            yield
        except (TableError, OSError):
            self.check_unchanged()
            raise
        self.check_unchanged()

    def check_unchanged(self) -> None:
        """Raises TableError where a file is not the one that was opened."""
        for file, opened in zip(self.files, self.identities, strict=True):
            try:
                now = file.identity()
            except OSError:
                now = []
            if now != opened:
                raise TableError(f"{file.path}: the table changed while it was read; run again")

    def batches(self, layout: Layout) -> Iterator[Batch]:
        """Stream the rows in order, n <= ROWS_PER_BATCH at a time. Raises TableError at the first
        cell that is wrong, and where a row has too few or too many, unless the layout flags it."""
        for file in self.files:
            yield from read_batches(file, layout)

    def texts(self, column: str) -> Iterator[pl.Series]:
        """Stream one column as text, a cell for each row of `batches`; null where it is empty."""
        with self.unchanged():
            for batch in self.batches(Layout(ids=(column,))):
                yield batch.ids[column].replace("", None)

    def sample(
        self, columns: Sequence[str], rows: int = SAMPLE, numeric: bool = True
    ) -> dict[str, pl.Series]:
        """Cells of the first rows by column, null where one is missing, as numbers or else as the
        texts of the file; wrong rows are passed on to whoever reads them all."""
        for file in self.files:  # the first may be but a header
            if len(frame := first_cells(file, columns, rows)):
                break
        cells = {name: frame[str(index)] for index, name in enumerate(columns)}
        cells = {name: clean(as_text(each), file.reading, numeric) for name, each in cells.items()}
        if not numeric:
            return cells
        return {name: plain_or_as_is(each, file.reading) for name, each in cells.items()}


class _Opened(NamedTuple):
    """A file, what is to be known of its columns' names, and how many lines are above them."""

    file: TableFile
    header: Header
    above: int = 0


def open_table(
    path: str | Path, columns: Sequence[str] | None = None, reading: Reading | None = None
) -> Table:
    """Open the table at `path`: a file, a folder of files, or a glob.

    The first line of a text file is its header, unless `columns` names the columns.
    Raises TableError for a file that is missing, empty or unreadable, and for unusable names.
    """
    return _open(Path(path), reading or Reading(), lambda file: lambda cells: columns)


def open_like(path: str | Path, schema: Schema, reading: Reading | None = None) -> Table:
    """Open a table to predict: by name where its first line names the features, else by order.

    A table without a header has either all columns of the training table, or all but the
    target, or the features alone. Raises TableError where neither fits.
    """
    asked = reading or Reading()
    # The suffix of the table at hand counts more than the format of the one trained on.
    if asked.format and Path(path).suffix in FORMATS_BY_SUFFIX:
        asked = replace(asked, format=None)
    table = _open(Path(path), asked, partial(_like, schema), lenient=True)
    features = dict.fromkeys(column.name for column in schema.features)
    if missing := [name for name in features if name not in table.columns]:
        raise TableError(f"{path}: no column {abridged(missing)}; found {abridged(table.columns)}")
    for name, others in table.header.doubles.items():
        if name in features and not set(others) <= set(schema.names):
            raise TableError(f"{table.header.doubled(path, name)}; keep the one that is meant")
    return replace(table, notes=tuple(n for n in table.notes if n not in table.header.notes))


def _like(schema: Schema, file: Path) -> Names:
    """What gives the columns of a table to predict, from the cells of its first line."""
    features = tuple(column.name for column in schema.features)
    without_target = tuple(name for name in schema.names if name != schema.target)
    layouts = (schema.names, without_target, features)

    def names(cells: Sequence[str]) -> Sequence[str] | None:
        # Columns without a name got one in training; row names may have no cell in the header.
        named = {*cells, *header_of(cells).names, ROW_NAMES}
        missing = [name for name in features if name not in named]
        if not missing:
            return None
        numbers = all(is_number(cell.replace(",", ".")) for cell in cells if cell)
        by_position = not schema.has_header and not set(cells) & set(schema.names)
        widths = (len(cells), extent(cells))  # with and without separators at the end of a row
        found = next((each for width in widths for each in layouts if len(each) == width), None)
        if found and (numbers or by_position):
            return found
        if not numbers:
            hint = did_you_mean(missing[0], cells)
            raise TableError(
                f"{file}: no column {abridged(missing)}{hint}; found {abridged(cells)}"
            )
        raise TableError(
            f"{file}: found {len(cells)} values in the first line and no header; expected "
            f"{len(features)} ({abridged(features)}), or a line with their names"
        )

    return names


def _open(
    path: Path, reading: Reading, names: Callable[[Path], Names], lenient: bool = False
) -> Table:
    """Open each file; `names` gives the columns of one whose first line is not a header. `lenient`:
    text in UTF-8 is read as that, whatever encoding the table trained on had."""
    try:
        found, beside = find_files(path)
    except OSError as error:
        raise TableError(f"{error.filename or path}: {error.strerror}") from None
    opened: list[_Opened] = []
    identities = []
    for file in found:
        try:
            identities.append(identity(file))
            opened.append(_open_file(file, reading, names(file), lenient))
        except OSError as error:
            raise TableError(f"{file}: {error.strerror or error}") from None
        first, columns = opened[0].file, opened[-1].file.columns
        if set(columns) != set(first.columns):
            raise TableError(
                f"{file}: found other columns ({unlike(columns, first.columns)}), expected those "
                f"of {first.path}; to read only some of the files, give a glob, as in "
                "data.path=folder/*.csv"
            )
    files, header = tuple(each.file for each in opened), opened[0].header
    notes = tuple(_notes(opened, beside))
    return Table(path, files[0].columns, files, header, notes, tuple(identities))


def _notes(opened: Sequence[_Opened], beside: Sequence[Path]) -> Iterator[str]:
    if beside:
        yield f"left out, not tables: {abridged([file.name for file in beside])}"
    for file, _, above in opened:
        if above:
            lines = "line 1 is" if above == 1 else f"lines 1 to {above} are"
            yield f"{file.path}: {lines} above the header, and left out"
    yield from opened[0].header.notes


def _open_file(path: Path, reading: Reading, names: Names, lenient: bool) -> _Opened:
    plain = unpacked(path, reading.unpack_limit)
    binary = binary_format(plain)
    if binary in ("parquet", "arrow"):
        plain = whole(plain)
        file = scan_typed(plain, binary, reading)
        return _typed(file, names, plain.path if binary == "parquet" else None)
    if binary == "excel":
        plain, reading = as_csv(whole(plain), reading)
    encoding = None if lenient and is_utf8(plain.start) else reading.encoding
    plain = as_utf8(plain, encoding)
    format_name = format_of(plain, reading)
    if format_name != "json":
        plain = looked_through(plain)
    if format_name in JSON_FORMATS:
        return _typed(JSON_FORMATS[format_name](plain, reading), names)
    found = sniff(plain, format_name, reading, names)
    text = TextFile(
        path,
        found.header.names,
        found.separator,
        reading,
        found.header_lines,
        plain,
        found.tail,
        found.has_header,
    )
    return _Opened(text, found.header, found.above)


def _typed(file: TypedFile, names: Names, parquet: Path | None = None) -> _Opened:
    columns = file.columns
    if names(columns) is not None:
        raise TableError(
            f"{file.path}: its columns have names of their own ({abridged(columns)}); "
            "data.columns is for text without a header"
        )
    return _Opened(file, typed_header(columns, parquet))
