"""Texts of numbers with a decimal comma."""

from __future__ import annotations

import polars as pl

from reader.formats import Reading
from reader.written import APOSTROPHES, SPACES

SIGNS = f"[.{SPACES}{APOSTROPHES}]"  # between groups of three digits
COMMA = (
    rf"^[+-]?(?:[1-9]\d{{0,2}}(?:{SIGNS}\d{{3}})+(?:,\d*)?|\d+(?:,\d*)?|,\d+)(?:[eE][+-]?\d+)?$"
    r"|^[+-]?(?i:nan|inf|infinity)$"
)


def with_points(cells: pl.Series, reading: Reading) -> pl.Series:
    """Texts of numbers with a decimal comma as Polars reads them; null where one is none, as 1.5
    is, or 0.193: a point there is one between thousands. Anything else as it is.

    >>> with_points(pl.Series(["1.011", "-1.234,5", "1.5"]), Reading(decimal_comma=True)).to_list()
    ['1011', '-1234.5', None]
    """
    if not reading.decimal_comma or cells.dtype != pl.String:
        return cells
    plain = cells.str.replace_all(SIGNS, "").str.replace(",", ".", literal=True)
    return plain.set(~cells.str.contains(COMMA), None)


def plain_or_as_is(cells: pl.Series, reading: Reading) -> pl.Series:
    """The same, but what is no number with a decimal comma stays: it counts as one where kinds are
    told, and is refused where it is read."""
    plain = with_points(cells, reading)
    return plain.zip_with(plain.is_not_null(), cells)
