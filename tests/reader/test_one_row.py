"""One row by name becomes the bits that a table of it becomes, or the same error."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from errors import TableError
from reader.formats import Reading
from reader.moments import YEAR_FIRST
from reader.one_row import TableEncoder
from reader.schema import Column
from tests.conftest import SOAK

PARTS = ("month", "day_of_week", "hour", "elapsed")
COLUMNS = (
    Column("area", "numeric"),
    Column("fee", "numeric", format="$1.5"),
    Column("town", "categorical", levels=("north", None, "1", "true", "a b", "中")),
    Column("garden", "boolean"),
    Column("sold", "time", format="%Y-%m-%d %H:%M", parts=PARTS, origin="2000-01-01"),
    Column("day", "time", format="%d.%m.%Y", parts=("month", "elapsed"), origin="2000-01-01"),
)
GOOD = {
    "area": 1.5,
    "fee": 3,
    "town": "north",
    "garden": True,
    "sold": "2021-05-06 10:30",
    "day": "31.12.2021",
}
READINGS = (Reading(), Reading(missing=("", "NA", "nan", "-999", "2000-01-01")))
ENCODERS = [
    TableEncoder(COLUMNS, may_be_empty, reading)
    for may_be_empty in (False, True)
    for reading in READINGS
]
TEXTS: tuple[str, ...] = (
    "north",
    " north ",
    "1.0",
    "01",
    "True",
    "yes",
    "NO",
    "NA",
    "",
    "-999",
    "nan",
    "$1,234.50",
)
TEXTS += ("2021-02-29", "2020-02-29", "2021-1-2", "2021-01-02T03:04:05", "2021-01-02 24:00", "中")
TEXTS += ("2021/01/02 3:04", "2000-01-01", "1899-12-31", "0000-01-01", "2021-01-02 03:04:05.5Z")
TEXTS += ("\u2003north", "\x1fnorth", "1e5", "inf", "１２", "2021-01-02 03:04+02:00", "x" * 300)
CELLS = some.one_of(
    some.none(),
    some.booleans(),
    some.floats(allow_nan=False),
    some.floats(width=32, allow_nan=False),
    some.integers(-(2**64), 2**64),
    some.integers(-5, 5),
    some.sampled_from([-999, -999.0, -0.0, 3.4028235e38, 3.5e38, 2**53, 2**53 + 1, 1e-46]),
    some.sampled_from(TEXTS),
    some.text(max_size=6),
    some.datetimes().map(lambda moment: moment.strftime("%Y-%m-%d %H:%M")),
    some.dates().map(str),
    some.lists(some.integers(0, 3), max_size=2),
)


@settings(max_examples=100 * SOAK)
@given(
    encoder=some.sampled_from(ENCODERS),
    changed=some.dictionaries(some.sampled_from([*GOOD]), CELLS, min_size=1, max_size=2),
)
def test_a_row_is_a_table_of_one_row(encoder: TableEncoder, changed: dict[str, Any]) -> None:
    row = GOOD | changed
    try:
        expected = encoder.table({name: [cell] for name, cell in row.items()})
    except TableError as error:
        with pytest.raises(TableError, match=f"^{re.escape(str(error))}$"):
            encoder.row(row)
        return
    for _ in range(2):  # once found out, once remembered
        found = encoder.row(row)
        assert found.rows.tobytes() == expected.rows.tobytes()
        assert found.missing == expected.missing
        assert found.unknown == expected.unknown


def test_every_way_with_the_year_first_is_read_alike() -> None:
    """Which formats have a short way."""
    for text_format in YEAR_FIRST:
        column = Column("sold", "time", format=text_format, parts=PARTS, origin="2000-01-01")
        encoder = TableEncoder([column], False, Reading())
        for text in ("2021-05-06", "2021-05-06 07:08", "2021-05-06T07:08:09"):
            assert np.array_equal(
                encoder.row({"sold": text}).rows, encoder.table({"sold": [text]}).rows
            )


def test_a_missing_column_is_told() -> None:
    with pytest.raises(TableError, match="no column fee"):
        ENCODERS[0].row({name: cell for name, cell in GOOD.items() if name != "fee"})
