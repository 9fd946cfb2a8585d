"""Moments, however they are written: one reader for kinds, splits, files and frames."""

from __future__ import annotations

import math
import re
from datetime import date, timedelta
from itertools import product

import polars as pl

from errors import TableError
from reader.formats import KEPT

ORIGIN = "2000-01-01"  # the same for every table: a first date would tell of rows held out
DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日")
ZONED = ("%H:%M:%S%.f%#z", "%H:%M:%S%.f %#z", "%H:%M%#z")
CLOCKS = ("%H:%M:%S%.f", *ZONED, "%H:%M", "%H", "%I:%M:%S %p", "%I:%M %p")
MONTHS = ("%Y-%m", "%Y/%m", "%Y年%m月")  # all cells must be one: others may be numbers of parts
YEAR_FIRST = [*DAYS, *map("".join, product(DAYS, " T", CLOCKS)), *MONTHS]
STARTS_WITH_YEAR = r"^\d{4}\D"
YEARS = range(1900, 2101)
ZONE_BY_NAME = r" ?(?:UTC|GMT|[zZ])$"
PARTS = ("month", "day_of_week", "hour", "elapsed")
LEVELS = {"month": range(1, 13), "day_of_week": range(1, 8), "hour": range(24)}  # of a calendar
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MICROSECONDS_A_DAY = 86_400_000_000


def find_format(cells: pl.Series, asked: str | None = None) -> str | None:
    """The format that reads at least half of the texts: the one asked for, else one with the year
    first; None where neither does."""
    if not len(cells):
        return None
    if asked and _reads_half(cells, asked):
        return asked
    if 2 * cells.str.contains(STARTS_WITH_YEAR).sum() < len(cells):
        return None
    for candidate in YEAR_FIRST:
        if candidate in MONTHS:
            years = _parse(cells, candidate).dt.year()
            if years.is_in(YEARS).all() and not years.null_count():
                return candidate
        elif _reads_half(cells, candidate):
            return candidate
    return None


def is_day(text_format: str) -> bool:
    """Whether a format says the day, so that no other number is taken for what it reads."""
    return any(sign in text_format for sign in ("%d", "%e", "%j", "%D", "%F", "%s"))


def parts_of(text_format: str) -> tuple[str, ...]:
    """What a moment written so becomes, of PARTS: the hour only where there is a clock."""
    clock = any(sign in text_format for sign in ("%H", "%I", "%k", "%l", "%T", "%R", "%s"))
    return tuple(part for part in PARTS if clock or part != "hour")


def moments(cells: pl.Series, text_format: str) -> pl.Series:
    """Datetimes in microseconds, of UTC where the cells name their offset; null where a cell is no
    moment.

    Texts may be written in any way with the year first, which cannot be taken for another, unless
    `text_format` is one of its own that has the year first too.
    """
    if cells.dtype != pl.String:
        return of_utc(cells).cast(pl.Datetime("us"))
    found = _parse(cells, text_format)
    of_its_own = text_format not in YEAR_FIRST and re.match("%[YGF]", text_format)
    if of_its_own or found.null_count() == cells.null_count():
        return found
    left = (found.is_null() & cells.str.contains(STARTS_WITH_YEAR).fill_null(False)).arg_true()
    for other in YEAR_FIRST:
        if not len(left):
            break
        parsed = _parse(cells.gather(left), other)
        found = found.scatter(left, parsed)
        left = left.filter(parsed.is_null())
    return found


def numbers_of(moments: pl.Series, parts: tuple[str, ...], origin: str) -> list[pl.Series]:
    """float32 for each of `parts`; `elapsed`: days since the ISO date `origin`."""
    start = pl.Series([date.fromisoformat(origin)]).cast(pl.Datetime("us"))
    numbers = {
        "month": lambda: moments.dt.month(),
        "day_of_week": lambda: moments.dt.weekday(),
        "hour": lambda: moments.dt.hour(),
        "elapsed": lambda: (moments - start).dt.total_microseconds() / MICROSECONDS_A_DAY,
    }
    return [numbers[part]().cast(pl.Float32) for part in parts]


def day_of(elapsed: float, origin: str) -> date:
    """The day so many days after the ISO date `origin`.

    >>> day_of(366.5, ORIGIN)
    datetime.date(2001, 1, 1)
    """
    return date.fromisoformat(origin) + timedelta(days=math.floor(elapsed))


def level_name(part: str, level: int) -> str:
    """What a reader calls a level of a part of LEVELS.

    >>> level_name("day_of_week", 1), level_name("month", 1)
    ('Monday', '1')
    """
    return WEEKDAYS[level - 1] if part == "day_of_week" else str(level)


def as_text(cells: pl.Series) -> pl.Series:
    """Moments and booleans as their text, moments that of UTC; anything else as it is."""
    return of_utc(cells).cast(pl.String) if cells.dtype in KEPT else cells


def of_utc(cells: pl.Series) -> pl.Series:
    """Dates and datetimes without a time zone."""
    if isinstance(cells.dtype, pl.Datetime) and cells.dtype.time_zone:
        return cells.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return cells


def _reads_half(cells: pl.Series, text_format: str) -> bool:
    return 2 * _parse(cells, text_format).is_not_null().sum() >= len(cells)


def _parse(cells: pl.Series, text_format: str) -> pl.Series:
    """Raises TableError for a format that cannot be used."""
    pattern = text_format.replace(".%f", "%.f")  # as Python writes a fraction of a second
    if re.search("%[HIkl]", pattern) and "%M" not in pattern:
        cells, pattern = cells + ":00", pattern + ":%M"
    if "%#z" in pattern:
        cells = cells.str.replace(ZONE_BY_NAME, "+00")
    try:
        return of_utc(cells.str.to_datetime(pattern, strict=False, time_unit="us"))
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise TableError(
            f"data.time_format: {text_format!r} cannot be used: {reason}; "
            "write times as in '%d.%m.%Y %H:%M'"
        ) from None
