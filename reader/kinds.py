"""What kind a column is, told from a sample of its cells, and how its cells become numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date
from itertools import product

import numpy as np
import polars as pl

from errors import TableError
from reader.formats import Reading
from reader.numbers import with_points
from reader.schema import Column, is_number
from reader.written import Form, read

MOST_LEVELS = 100_000
ORIGIN = "2000-01-01"  # the same for every table: a first date would tell of rows held out
TRUE = ("true", "yes", "t", "y", "1", "1.0", "是")  # 1.0: pandas turns 1 into it beside a hole
FALSE = ("false", "no", "f", "n", "0", "0.0", "否")
BOOLEANS = dict.fromkeys(TRUE, 1.0) | dict.fromkeys(FALSE, 0.0)
DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日")
CLOCKS = (" %H:%M:%S%.f", "T%H:%M:%S%.f", " %H:%M:%S%.f%#z", "T%H:%M:%S%.f%#z", " %H:%M", "T%H:%M")
FORMATS = [*DAYS, *map("".join, product(DAYS, CLOCKS))]
NAN = r"^[+-]?(?i:nan)$"  # what reads as one, however it is written
YEAR_FIRST = r"^\d{4}\D"
ID_NAME = re.compile(r"(^|[\W_])(id|uuid|guid)$|编号$|序号$", re.IGNORECASE)
ID_IN_CAMEL_CASE = re.compile(r"[a-z]I[dD]$")
FEW = 20  # rows that may all differ in a column that is no identifier
MICROSECONDS_A_DAY = 86_400_000_000


def infer(name: str, cells: pl.Series, time_format: str | None = None) -> Column:
    """The kind of a column, from cells (null where one is missing).

    numeric where at least half of the cells are numbers: the others are mistakes, to be told of
    where they stand. id where no two cells are equal: texts, or whole numbers under such a name.
    boolean, time and categorical are for texts.
    """
    known = cells.drop_nulls()
    numbers = known.cast(pl.Float64, strict=False)
    if 2 * numbers.null_count() <= len(known):
        named = ID_NAME.search(name) or ID_IN_CAMEL_CASE.search(name)
        whole = not numbers.null_count() and (numbers == numbers.round()).all()
        is_id = named and len(known) and whole and known.n_unique() == len(known)
        return Column(name, "id" if is_id else "numeric")
    if known.str.to_lowercase().is_in(list(BOOLEANS)).all():
        return Column(name, "boolean")
    if column := time_column(name, known, time_format):
        return column
    differ = len(known) > FEW and known.n_unique() == len(known)
    return Column(name, "id" if differ else "categorical")


def time_column(name: str, cells: pl.Series, time_format: str | None) -> Column | None:
    """The column as a time, if there is a format that reads at least half of the cells."""
    if not len(cells):
        return None
    for candidate in [time_format] if time_format else FORMATS:
        moments = _parse(cells, candidate).drop_nulls()
        if len(moments) and 2 * len(moments) >= len(cells):
            clock = ("hour",) if any(sign in candidate for sign in ("%H", "%I", "%T")) else ()
            parts = ("year", "month", "day_of_week", *clock, "elapsed")
            return Column(name, "time", format=candidate, parts=parts, origin=ORIGIN)
    return None


def of_kind(name: str, kind: str, cells: pl.Series, time_format: str | None = None) -> Column:
    """The column, of a kind that was asked for. Raises TableError for a time of no known format."""
    if kind != "time":
        return Column(name, kind)
    known = cells.drop_nulls()
    if column := time_column(name, known, time_format):
        return column
    example = repr(known[0]) if len(known) else "no cell"
    raise TableError(
        f"column {name} (data.kinds: time): found {example}, expected "
        f"{time_format or 'a date like 2024-12-31 or 2024-12-31 23:59:59'}; "
        "say how times are written in data.time_format, as in '%d.%m.%Y'"
    )


def rounded_away(cells: pl.Series) -> bool:
    """Whether float32 may be too coarse for a column: its cells differ, and it changes some."""
    numbers = cells.drop_nulls().cast(pl.Float64, strict=False).drop_nulls()
    return numbers.n_unique() > 1 and bool((numbers.cast(pl.Float32) != numbers).any())


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
            raise TableError(
                f"column {column}: found more than {MOST_LEVELS:,} different texts; leave it out "
                f"(data.exclude), or pass it through as an id (data.kinds: {{{column}: id}})"
            )
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
            cells = cells.cast(pl.String)
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
        return [self.levels.encode(self.column.name, cells)]

    def _time(self, cells: pl.Series) -> list[pl.Series]:
        moments = _moments(cells, self.column.format)
        origin = date.fromisoformat(self.column.origin)
        elapsed = (moments - pl.Series([origin]).cast(pl.Datetime("us"))).dt.total_microseconds()
        parts = {
            "year": moments.dt.year(),
            "month": moments.dt.month(),
            "day_of_week": moments.dt.weekday(),
            "hour": moments.dt.hour(),
            "elapsed": elapsed / MICROSECONDS_A_DAY,
        }
        return [parts[name].cast(pl.Float32) for name in self.column.parts]


def _moments(cells: pl.Series, time_format: str) -> pl.Series:
    """Datetimes, of UTC where the cells name their offset; null where a cell is none.

    Texts of a column whose format has the year first may have any other such format: these cannot
    be taken for each other.
    """
    if cells.dtype != pl.String:
        return _of_utc(cells).cast(pl.Datetime("us"))
    moments = _parse(cells, time_format)
    if time_format not in FORMATS or moments.null_count() == cells.null_count():
        return moments
    left = (moments.is_null() & cells.str.contains(YEAR_FIRST).fill_null(False)).arg_true()
    for other in FORMATS:
        if not len(left):
            break
        parsed = _parse(cells.gather(left), other)
        moments = moments.scatter(left, parsed)
        left = left.filter(parsed.is_null())
    return moments


def _parse(cells: pl.Series, time_format: str) -> pl.Series:
    return _of_utc(cells.str.to_datetime(time_format, strict=False, time_unit="us"))


def as_text(cells: pl.Series) -> pl.Series:
    """Moments as their text, of UTC; anything else as it is."""
    return _of_utc(cells).cast(pl.String) if cells.dtype in (pl.Date, pl.Datetime) else cells


def _of_utc(moments: pl.Series) -> pl.Series:
    """Dates and datetimes without a time zone."""
    if isinstance(moments.dtype, pl.Datetime) and moments.dtype.time_zone:
        return moments.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return moments


def _finite(numbers: pl.Series) -> pl.Series:
    return numbers.is_finite().fill_null(False)


def clean(cells: pl.Series, reading: Reading, numeric: bool) -> pl.Series:
    """The cells with null wherever one is missing; texts, unless they are moments or `numeric`."""
    if cells.dtype in (pl.Date, pl.Datetime):
        return _without_marks(cells, reading)
    if not numeric and cells.dtype != pl.String:
        cells = (cells.fill_nan(None) if cells.dtype.is_float() else cells).cast(pl.String)
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


def _without_marks(moments: pl.Series, reading: Reading) -> pl.Series:
    """Null where a moment is one of `reading.missing`, such as 1900-01-01."""
    marks = [text for text in reading.missing if re.match(YEAR_FIRST, text)]
    if not marks:
        return moments
    missing = _moments(pl.Series(marks), FORMATS[0]).drop_nulls()
    return moments.set(_moments(moments, "").is_in(missing.implode()), None)


def finite_marks(reading: Reading) -> list[float]:
    """Numbers like -999 that stand for a missing one."""
    marks = [float(text) for text in reading.missing if is_number(text)]
    return [mark for mark in marks if np.isfinite(mark)]
