"""What kind a column is, told from a sample of its cells, and how its cells become numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import numpy as np
import polars as pl

from display import quoted, short
from errors import TableError
from reader.findings import as_kind, in_yaml
from reader.formats import Reading
from reader.moments import (
    ORIGIN,
    STARTS_WITH_YEAR,
    YEAR_FIRST,
    find_format,
    is_day,
    moments,
    numbers_of,
    parts_of,
)
from reader.numbers import with_points
from reader.schema import Column, is_number
from reader.written import Form, read

MOST_LEVELS = 100_000
TRUE = ("true", "yes", "t", "y", "1", "1.0", "是")  # 1.0: pandas turns 1 into it beside a hole
FALSE = ("false", "no", "f", "n", "0", "0.0", "否")
BOOLEANS = dict.fromkeys(TRUE, 1.0) | dict.fromkeys(FALSE, 0.0)
WHOLE = r"^([+-]?\d+)\.0+$"  # how a file of another type writes a whole number
BOOLEAN = r"^(True|TRUE|False|FALSE)$"
MOST_EXACT = 2.0**53  # above, a float does not have every whole number
NAN = r"^[+-]?(?i:nan)$"  # what reads as one, however it is written
ID_NAME = re.compile(r"(^|[\W_])(id|uuid|guid)$|编号$|序号$", re.IGNORECASE)
ID_IN_CAMEL_CASE = re.compile(r"[a-z]I[dD]$")
FEW = 20  # rows that may all differ in a column that is no identifier


def infer(name: str, cells: pl.Series, time_format: str | None = None) -> Column:
    """The kind of a column, from cells (null where one is missing).

    numeric where at least half of the cells are numbers: the others are mistakes, to be told of
    where they stand; a time where `time_format` says the day and reads all of them. id where no two
    cells are equal: texts, or whole numbers under such a name. boolean, time and categorical are
    for texts.
    """
    known = cells.drop_nulls()
    texts = as_plain_text(known)
    numbers = known.cast(pl.Float64, strict=False)
    if 2 * numbers.null_count() <= len(known):
        if time_format and is_day(time_format) and not _fails(texts, time_format):
            return _time_column(name, texts, time_format)
        named = ID_NAME.search(name) or ID_IN_CAMEL_CASE.search(name)
        whole = not numbers.null_count() and (numbers == numbers.round()).all()
        is_id = named and len(known) and whole and known.n_unique() == len(known)
        return Column(name, "id" if is_id else "numeric")
    if texts.str.to_lowercase().is_in(list(BOOLEANS)).all():
        return Column(name, "boolean")
    if found := find_format(texts, time_format):
        return _time_column(name, texts, found)
    differ = len(known) > FEW and known.n_unique() == len(known)
    return Column(name, "id" if differ else "categorical")


def time_column(name: str, cells: pl.Series, time_format: str | None, key: str) -> Column:
    """The column as a time, which `key` says it is. Raises TableError where neither `time_format`
    nor a format with the year first reads at least half of the cells."""
    texts = as_plain_text(cells.drop_nulls())
    if found := find_format(texts, time_format):
        return _time_column(name, texts, found)
    wrong = texts.filter(moments(texts, time_format or YEAR_FIRST[0]).is_null())
    example = quoted(wrong[0]) if len(wrong) else "no cell"
    expected = f"a time written {time_format!r}" if time_format else "a time like 2024-12-31 23:59"
    raise TableError(
        f"column {short(name)} ({key}): found {example}, expected {expected}; "
        f"say how times are written in data.time_format, as in {{{in_yaml(name)}: '%d.%m.%Y'}}"
    )


def _time_column(name: str, texts: pl.Series, time_format: str) -> Column:
    """A time; of months, which all begin on one day, weekdays would be but noise."""
    parts = parts_of(time_format)
    days = moments(texts, time_format).drop_nulls()
    if len(days) > 1 and days.dt.day().n_unique() == 1 and days.dt.month().n_unique() > 1:
        parts = tuple(part for part in parts if part != "day_of_week")
    return Column(name, "time", format=time_format, parts=parts, origin=ORIGIN)


def _fails(texts: pl.Series, time_format: str) -> bool:
    return not len(texts) or bool(moments(texts, time_format).null_count())


def rounded_away(cells: pl.Series) -> bool:
    """Whether float32 may be too coarse for a column: its cells differ, and it changes some."""
    numbers = cells.drop_nulls().cast(pl.Float64, strict=False).drop_nulls()
    return numbers.n_unique() > 1 and bool((numbers.cast(pl.Float32) != numbers).any())


def too_many_levels(column: str) -> TableError:
    return TableError(
        f"column {short(column)}: found more than {MOST_LEVELS:,} different texts; leave "
        f"it out (data.exclude), or pass it through as an id ({as_kind(column, 'id')})"
    )


class Levels:
    """Codes of texts from 1 on; a text that has none gets the next one, or 0 once it is closed."""

    def __init__(self, texts: Iterable[str | None] = (), closed: bool = False) -> None:
        self.texts: list[str | None] = list(texts)
        self.closed = closed
        self._codes = {text: code for code, text in enumerate(self.texts, start=1)}

    def encode(self, column: str, cells: pl.Series) -> pl.Series:
        """Float32 codes. Raises TableError for more than MOST_LEVELS levels."""
        if not self.closed:
            for text in cells.unique(maintain_order=True):
                if text not in self._codes:
                    self.texts.append(text)
                    self._codes[text] = len(self.texts)
        if len(self.texts) > MOST_LEVELS:
            raise too_many_levels(column)
        if len(cells) <= len(self._codes):
            return pl.Series([self._codes.get(text, 0) for text in cells], dtype=pl.Float32)
        codes = {text: code for text, code in self._codes.items() if text is not None}
        numbers = cells.replace_strict(
            list(codes), list(codes.values()), default=0, return_dtype=pl.Float32
        )
        empty = pl.Series([self._codes.get(None, 0)], dtype=pl.Float32)
        return numbers.zip_with(cells.is_not_null(), empty)


class Encoder:
    """Turns the cells of one column into numbers, and counts what is missing or unknown.

    `may_be_wrong`: a cell that is no number is NaN and counts as unknown, as suits the target of a
    table to predict.
    """

    def __init__(
        self,
        column: Column,
        may_be_empty: bool = False,
        levels: Levels | None = None,
        may_be_wrong: bool = False,
    ) -> None:
        self.column = column
        self.may_be_wrong = may_be_wrong
        self.may_be_empty = may_be_empty or column.kind == "categorical"
        self.levels = levels or Levels(column.levels, closed=True)
        self.missing = self.unknown = 0
        written = self.reads_numbers and column.format
        self.form = Form.parse(column.format) if written else None
        kinds: dict[str, Callable[[pl.Series], list[pl.Series]]] = {
            "boolean": self._boolean,
            "time": self._time,
            "categorical": self._categorical,
        }
        self._encode = kinds.get(column.kind, self._number)

    @property
    def reads_numbers(self) -> bool:
        """Whether the cells are plain numbers, and not texts."""
        return self.column.kind in ("numeric", "target")

    @property
    def needs_texts(self) -> bool:
        """Whether a file should give the cells as texts: they are, or they carry a unit."""
        return not self.reads_numbers or bool(self.form and self.form.unit)

    def encode(self, cells: pl.Series) -> list[pl.Series]:
        """Float32 columns named as `column.packed`; null or NaN where a cell is null or wrong."""
        if not self.reads_numbers and cells.dtype not in (pl.String, pl.Date, pl.Datetime):
            cells = as_plain_text(cells)
        numbers = self._encode(cells)
        return [part.alias(name) for part, name in zip(numbers, self.column.packed, strict=True)]

    def count(self, cells: pl.Series, encoded: pl.Series) -> None:
        """Take note of cells that are missing or of no known level."""
        self.missing += cells.null_count()
        if self.column.kind == "categorical":
            self.unknown += int(((encoded == 0) & cells.is_not_null()).sum())
        elif self.may_be_wrong:
            self.unknown += int((~_finite(encoded) & cells.is_not_null()).sum())

    def wrong(self, cells: pl.Series, encoded: pl.Series) -> pl.Series:
        """Where a cell is not what it should be, or is missing and may not be."""
        wrong = pl.repeat(False, len(cells), eager=True)
        if not self.may_be_wrong:
            wrong = ~_finite(encoded) & cells.is_not_null()
        return wrong if self.may_be_empty else wrong | cells.is_null()

    def expected(self, cell: str) -> str:
        """What a wrong cell should have been."""
        if self.form and not is_number(cell):
            return f"a number written like {self.form}"
        if self.form and np.isfinite(float(cell)):
            return f"a number with its unit, like {self.form}"
        return {
            "boolean": "true or false, yes or no, 1 or 0",
            "time": f"a time written {self.column.format}",
        }.get(self.column.kind, "a finite number (float32)" if is_number(cell) else "a number")

    def _number(self, cells: pl.Series) -> list[pl.Series]:
        if self.form and cells.dtype == pl.String:
            return [read(cells, self.form).cast(pl.Float32)]
        return [cells.cast(pl.Float32, strict=False)]

    def _boolean(self, cells: pl.Series) -> list[pl.Series]:
        lowered = cells.str.to_lowercase()
        return [lowered.replace_strict(BOOLEANS, default=None, return_dtype=pl.Float32)]

    def _categorical(self, cells: pl.Series) -> list[pl.Series]:
        return [self.levels.encode(self.column.name, as_levels(cells))]

    def _time(self, cells: pl.Series) -> list[pl.Series]:
        found = moments(cells, self.column.format)
        return numbers_of(found, self.column.parts, self.column.origin)


def as_plain_text(cells: pl.Series) -> pl.Series:
    """Texts as they are, numbers and booleans as texts: 1.0 as 1, which is what a column of whole
    numbers becomes where a hole makes floats of it."""
    texts = cells.cast(pl.String)
    if not cells.dtype.is_float():
        return texts
    whole = (cells == cells.round()) & (cells.abs() < MOST_EXACT)
    integers = cells.cast(pl.Int64, strict=False).cast(pl.String)
    return integers.zip_with(whole.fill_null(False), texts)


def as_levels(cells: pl.Series) -> pl.Series:
    """Texts with one spelling of whole numbers and of true and false, whatever wrote them.

    >>> as_levels(pl.Series(["1.0", "01", "True", "v1.0"])).to_list()
    ['1', '01', 'true', 'v1.0']
    """
    if not cells.str.contains(f"{WHOLE}|{BOOLEAN}").any():
        return cells
    plain = cells.str.replace(WHOLE, "$1")
    return plain.str.to_lowercase().zip_with(plain.str.contains(BOOLEAN), plain)


def exact_numbers(cells: pl.Series, column: Column, reading: Reading) -> pl.Series:
    """Texts of a column of numbers as float64; null where one is missing, or is no number."""
    cells = clean(cells, reading, numeric=True)
    if column.format:
        return read(cells, Form.parse(column.format))
    return with_points(cells, reading).cast(pl.Float64, strict=False)


def _finite(numbers: pl.Series) -> pl.Series:
    return numbers.is_finite().fill_null(False)


def clean(cells: pl.Series, reading: Reading, numeric: bool) -> pl.Series:
    """The cells with null wherever one is missing; texts, unless they are moments or `numeric`."""
    if cells.dtype in (pl.Date, pl.Datetime):
        return _without_marks(cells, reading)
    if not numeric and cells.dtype != pl.String:
        cells = as_plain_text(cells.fill_nan(None) if cells.dtype.is_float() else cells)
    if cells.dtype == pl.String:
        cells = cells.str.strip_chars()
        cells = cells.set(cells.is_in(list(reading.missing)), None)
    if not numeric:
        return cells
    if {"nan", "NaN"} & set(reading.missing):
        if cells.dtype == pl.String:
            cells = cells.set(cells.str.contains(NAN), None)
        elif cells.dtype.is_float():
            cells = cells.fill_nan(None)
    if not (marks := finite_marks(reading)):
        return cells
    numbers = with_points(cells, reading).cast(pl.Float32, strict=False)
    marked = numbers.is_in(pl.Series(marks, dtype=pl.Float32).implode())
    return cells.set(marked, None) if marked.any() else cells


def _without_marks(cells: pl.Series, reading: Reading) -> pl.Series:
    """Null where a moment is one of `reading.missing`, such as 1900-01-01."""
    marks = [text for text in reading.missing if re.match(STARTS_WITH_YEAR, text)]
    if not marks:
        return cells
    missing = moments(pl.Series(marks), YEAR_FIRST[0]).drop_nulls()
    return cells.set(moments(cells, "").is_in(missing.implode()), None)


def finite_marks(reading: Reading) -> list[float]:
    """Numbers like -999 that stand for a missing one."""
    marks = [float(text) for text in reading.missing if is_number(text)]
    return [mark for mark in marks if np.isfinite(mark)]
