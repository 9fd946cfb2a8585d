"""Cells to float32 rows, batch by batch, every cell checked."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from display import short
from errors import TableError
from reader.decode import most_of, too_large
from reader.findings import as_kind
from reader.formats import POLARS_ERRORS, Reading, Survey, TableFile
from reader.kinds import Encoder, as_plain_text, clean, finite_marks
from reader.numbers import with_points
from reader.schema import is_number
from reader.text import TextFile
from reader.written import read, survey

ROWS_PER_BATCH = 65_536
NO_IDS = pl.DataFrame()
LONGEST = 80  # letters of a cell that may be a written number


class Batch(NamedTuple):
    """`rows`: float32 [n, packed columns], NaN where a cell may be empty and is; `ids`: what is
    passed through, by column; `errors`: what is wrong with a row, by its index here; all of such a
    row is NaN."""

    rows: NDArray[np.float32]
    ids: pl.DataFrame
    errors: dict[int, str]


@dataclass(frozen=True)
class Layout:
    """What a row is made of: columns that become numbers, and columns passed through: as text, or
    with `typed` as what the file has.

    With `flag` a wrong row does not raise, but goes into `Batch.errors`. `advice`: what helps with
    a wrong cell of a table to predict; "" where keys of the recipe do.
    """

    encoders: tuple[Encoder, ...] = ()
    ids: tuple[str, ...] = ()
    flag: bool = False
    advice: str = ""
    typed: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (*(encoder.column.name for encoder in self.encoders), *self.ids)

    @property
    def texts(self) -> set[str]:
        return {e.column.name for e in self.encoders if e.needs_texts} | set(self.ids)

    @property
    def times(self) -> set[str]:
        times, ids = (
            {e.column.name for e in self.encoders if e.column.kind == "time"},
            set(self.ids),
        )
        return times | ids if self.typed else times - ids


def read_batches(file: TableFile, layout: Layout) -> Iterator[Batch]:
    """Stream a file's rows, n <= ROWS_PER_BATCH at a time, in order; blank lines are no rows.

    Raises TableError for a wrong cell or row, unless the layout flags it, and where the rows of a
    small file take more than it may unpack to.
    """
    most, rows = most_of(file.size(), file.reading.unpack_limit), 0
    for batch in _read(file, layout):
        rows += len(batch.rows)
        if 4 * rows * len(layout.names) > most:
            raise too_large(file.path, file.size(), most)
        yield batch


def _read(file: TableFile, layout: Layout) -> Iterator[Batch]:
    read = yield from _by_numbers(file, layout)
    if read is not None:
        yield from _by_cells(file, layout, read)


def first_cells(file: TableFile, columns: Sequence[str], rows: int) -> pl.DataFrame:
    """The first rows at most, as `TableFile.cells` has them, of whatever length they are."""
    frame = file.cells(columns, times=columns, ragged=True)
    try:
        if not _needs_care(file):
            return frame.head(rows).collect()
    except POLARS_ERRORS:
        pass
    if not isinstance(file, TextFile):
        raise unreadable(file)
    return next(file.by_record(columns, 0, rows), frame.clear().collect())


def _needs_care(file: TableFile) -> bool:
    return isinstance(file, TextFile) and file.has_lone_quotes


def unreadable(file: TableFile) -> TableError:
    if isinstance(file, TextFile):
        return file.unreadable()
    return TableError(
        f"{file.path}: cannot be read: damaged, or with types unknown here; export it again, or as "
        "CSV"
    )


def _by_numbers(file: TableFile, layout: Layout) -> Generator[Batch, None, int | None]:
    """The shortest way, up to the first batch that is not plainly right.

    Returns how many rows it gave, or None where they were all.
    """
    read, frame = 0, file.numbers(layout.names, layout.texts)
    if frame is None:
        return read
    ids = [str(index) for index in range(len(layout.encoders), len(layout.names))]
    try:
        for cells in frame.collect_batches(chunk_size=ROWS_PER_BATCH):
            if cells["suspect"].any() or any(cells[name].has_nulls() for name in ids):
                return read  # a null may have been NA, which in a column passed through is a text
            if not layout.texts and not finite_marks(file.reading):
                rows = cells.drop("suspect").to_numpy(order="c")
                if np.isfinite(rows).all():
                    read += len(cells)
                    yield Batch(rows, NO_IDS, {})
                    continue
            decoded = _Decoded.of(cells, layout, file.reading)
            if not decoded.is_right():
                return read
            read += len(cells)
            yield decoded.batch()
    except POLARS_ERRORS:
        return read
    return None


def _by_cells(file: TableFile, layout: Layout, first: int) -> Iterator[Batch]:
    """From row `first` on, by the text of each cell."""
    survey: Survey | None = None
    try:
        for cells in _cells(file, layout, first):
            index = np.arange(first, first + len(cells))
            first += len(cells)
            decoded = _Decoded.of(cells, layout, file.reading)
            if not layout.flag and not cells["suspect"].any() and decoded.is_right():
                yield decoded.batch()
                continue
            survey = survey or _survey(file, layout)
            index = np.setdiff1d(index, survey.blank)
            decoded = _Decoded.of(cells[index - first + len(cells)], layout, file.reading)
            errors = {
                row: survey.ragged[at]
                for row, at in enumerate(index.tolist())
                if at in survey.ragged
            }
            for row, message in decoded.wrong_cells(file):
                errors.setdefault(row, message)
                if not layout.flag:
                    break
            errors = {row: f"{survey.place(index[row])}, {errors[row]}" for row in sorted(errors)}
            if errors and not layout.flag:
                raise TableError(f"{file.path}, {next(iter(errors.values()))}")
            yield decoded.batch(errors)
    except POLARS_ERRORS:
        raise unreadable(file) from None


def _cells(file: TableFile, layout: Layout, first: int) -> Iterator[pl.DataFrame]:
    """The cells from row `first` on; of text, record by record from where Polars gives up."""
    try:
        if not _needs_care(file):
            frame = file.cells(layout.names, layout.times, layout.flag).slice(first)
            for cells in frame.collect_batches(chunk_size=ROWS_PER_BATCH):
                first += len(cells)
                yield cells
            return
    except POLARS_ERRORS:
        if not isinstance(file, TextFile):
            raise
    assert isinstance(file, TextFile)
    yield from file.by_record(layout.names, first, ROWS_PER_BATCH)


def _survey(file: TableFile, layout: Layout) -> Survey:
    """Raises TableError at the first row of the wrong length, unless the layout flags it."""
    survey = file.survey()
    for row, message in survey.ragged.items():
        if not layout.flag:
            raise TableError(f"{file.path}, {survey.place(row)}: {message}")
    return survey


class _Decoded(NamedTuple):
    """A batch: its cells, null where one is missing, and the numbers they became."""

    layout: Layout
    cells: list[pl.Series]
    encoded: list[list[pl.Series]]
    ids: pl.DataFrame
    rows: NDArray[np.float32]

    @classmethod
    def of(cls, frame: pl.DataFrame, layout: Layout, reading: Reading) -> _Decoded:
        cells = [
            clean(frame[str(index)], reading, encoder.reads_numbers)
            for index, encoder in enumerate(layout.encoders)
        ]
        encoded = [
            encoder.encode(_plain(encoder, column, reading))
            for encoder, column in zip(layout.encoders, cells, strict=True)
        ]
        parts = [part for parts in encoded for part in parts]
        passed = frame[:, len(cells) : len(cells) + len(layout.ids)]
        ids = pl.DataFrame([_passed(column, layout.typed) for column in passed])
        ids.columns = list(layout.ids)
        rows = pl.DataFrame(parts).to_numpy(order="c") if parts else np.empty((len(frame), 0))
        return cls(layout, cells, encoded, ids, rows.astype(np.float32, copy=False))

    def is_right(self) -> bool:
        """Whether there is a number wherever a cell may not be empty, and no wrong cell."""
        return bool(np.isfinite(self.rows).all()) or not any(mask.any() for mask in self._wrong())

    def _wrong(self) -> Iterator[NDArray[np.bool_]]:
        for encoder, cells, parts in zip(
            self.layout.encoders, self.cells, self.encoded, strict=True
        ):
            yield encoder.wrong(cells, parts[0]).to_numpy()

    def wrong_cells(self, file: TableFile) -> Iterator[tuple[int, str]]:
        """The row, and what is wrong, of each cell that is; row by row."""
        if not self.layout.encoders:
            return
        for row, column in np.argwhere(np.column_stack(list(self._wrong()))):
            encoder, cell = self.layout.encoders[column], self.cells[column][int(row)]
            yield int(row), self._explain(encoder, "" if cell is None else str(cell), file)

    def _explain(self, encoder: Encoder, cell: str, file: TableFile) -> str:
        found = repr(cell[:40]) if cell else "an empty cell"
        expected, advice = encoder.expected(cell), _advice(encoder, cell, file, self.layout.advice)
        if is_number(cell) and _plain(encoder, pl.Series([cell]), file.reading).null_count():
            expected = "a number with a decimal comma (data.decimal_comma)"
            advice = "a point only goes between thousands, as in 1.234,5"
        return f"column {short(encoder.column.name)}: found {found}, expected {expected}; {advice}"

    def batch(self, errors: dict[int, str] | None = None) -> Batch:
        for encoder, cells, parts in zip(
            self.layout.encoders, self.cells, self.encoded, strict=True
        ):
            encoder.count(cells, parts[0])
        rows = self.rows
        if errors:
            rows = rows.copy()
            rows[list(errors)] = np.nan
        return Batch(rows, self.ids, errors or {})


def _passed(cells: pl.Series, typed: bool) -> pl.Series:
    if typed and cells.dtype != pl.String:
        return cells
    return as_plain_text(cells).str.strip_chars()


def _plain(encoder: Encoder, cells: pl.Series, reading: Reading) -> pl.Series:
    """The cells, numbers among them with decimal points; a form does that by itself."""
    reads = encoder.reads_numbers and not encoder.form
    return with_points(cells, reading) if reads else cells


def _advice(encoder: Encoder, cell: str, file: TableFile, otherwise: str) -> str:
    """What helps where a cell is wrong: beside a header among the rows, `otherwise` if that is
    given, else keys of the recipe."""
    name, kind = encoder.column.name, encoder.column.kind
    if cell == name:
        if isinstance(file, TextFile) and not file.has_header:
            return "the line is a header: leave data.columns out, and it will be read"
        return "the line repeats the header: delete it"
    if otherwise:
        return otherwise
    advice = "fix the cell, or train without the column (data.exclude)"
    if kind == "target":
        advice = "fix the cell, or leave the row out of the table"
    elif not cell:
        advice += "; data.missing.numeric says how missing numbers are filled"
    elif kind == "numeric":
        advice += f", or treat it as text ({as_kind(name, 'categorical')})"
    if cell and encoder.reads_numbers and not is_number(cell):
        advice = f"{_other_reading(encoder, cell)}; or {advice}"
    return advice


def _other_reading(encoder: Encoder, cell: str) -> str:
    """Which key reads a text in a column of numbers."""
    readings = dict[float, str]()
    for comma, number in _readings(cell) if not encoder.form and len(cell) <= LONGEST else ():
        key = "data.decimal_comma: true" if comma else as_kind(encoder.column.name, "numeric")
        readings.setdefault(number, key)
    if readings:
        return ", ".join(f"{key} reads it as {number:g}" for number, key in readings.items())
    return "add it to data.missing.values if it means missing"


@lru_cache(1_024)  # a wrong cell rarely comes alone, and each takes some 20 ms
def _readings(cell: str) -> list[tuple[bool, float]]:
    """What a text is as a written number, without and with a decimal comma."""
    text = pl.Series([cell])
    seen = [(comma, survey(text, comma)) for comma in (False, True)]
    return [(c, read(text, s.form)[0]) for c, s in seen if s.example and s.form.is_known]
