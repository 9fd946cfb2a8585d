"""A cell gives the same number, or the same refusal, whatever brought it."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import TableError
from reader.formats import Reading
from reader.frame import encode, table_of
from reader.kinds import Encoder
from reader.moments import ORIGIN, PARTS
from reader.rows import Layout
from reader.schema import Column
from reader.table import Table, open_table
from tests.conftest import SOAK

pandas = pytest.importorskip("pandas", reason="pandas is in requirements-dev.txt")

pytestmark = pytest.mark.slow
COLUMNS = (
    Column("c", "numeric"),
    Column("c", "boolean"),
    Column("c", "categorical", ("north", "3", "true", None)),
    Column("c", "time", format="%Y-%m-%d %H:%M:%S%.f", parts=PARTS, origin=ORIGIN),
)
MISSING = (["", "NA", "NaN", "nan", "null"], ["", "NA", "-999"], [""], ["", "1900-01-01"])
WAYS = [*product(COLUMNS, MISSING, (True, False))]
Way = tuple[Column, Sequence[str], bool]
Outcome = tuple[float | None, ...] | str
REFUSED = "refused"
MARK = (
    "\ufeff"  # of byte order, which Polars drops before the first row, as it does before a header
)

TEXTS = r"""north| north ||  |NA| NA|na|null|NaN|nan|-nan|NAN|+nAn|N/A|None|é|😀|"|""|a "quoted" cell|'|,|;|a,b|#|\|\N
 yes|YES|Yes |no|True| TRUE|t|f|1|0|1.0|0.0|01|2|是|否|soon|# 1
-999|-999.0| -999|-9.99e2|inf|-inf|Infinity|1e400|1e39|-1e39|3.4028235e38|1e-46|5e-324|1.5| 1.5
1.5 |1,5|1.500,5|+3|-0|.5|5.|1_0|0x10|1d5|1e5|١|٣|½|1 000|3|3.0|0.1|16777217|123456789012345678901234567890
2023-01-01|2023-1-1|2023/01/02|2023.01.02|2023年1月2日|2023-01-01 05:00:00|2023-01-01T05:00:00
2023-01-01T05:00:00Z|2023-01-01T05:00:00+02:00|2023-01-01 05:00:00.123456|2023-01-01 05:00
2023-13-01|2023-02-30|01.02.2023|02/03/2023|23-01-01|23.12.24|20230101|1900-01-01|2023-01-01 24:00:00
1900-01-01 00:00:00|9999-12-31|0001-01-01|2016-12-31 23:59:60"""  # noqa: E501
HOSTILE = TEXTS.replace("\n", "|").split("|")
HOSTILE += ["a\nb", "1\n", "\n1", "a\r\nb", "\r", "\t1", "1\t", 'a"\n"b', "\v1\f", "\u00a01\u00a0"]
HOSTILE += [
    "\u30001",
    "\u200b1",
    "\ufeff1",
    "true\u0001",
    "\u0007",
    "\u001f1",
    "e\u0301",
    "x" * 9_999,
]


def outcomes(table: Table, column: Column, may_be_empty: bool) -> list[Outcome]:
    """What becomes of each cell of column c: its numbers, None for NaN; or a refusal."""
    found: list[Outcome] = []
    for batch in table.batches(Layout((Encoder(column, may_be_empty),), flag=True)):
        rows = [tuple(None if math.isnan(v) else v for v in row) for row in batch.rows.tolist()]
        found += [REFUSED if i in batch.errors else row for i, row in enumerate(rows)]
    return found


def encoded(frame: Any, column: Column, reading: Reading, may_be_empty: bool) -> list[Outcome]:
    """The same by `encode`, which stops at the first cell that is wrong."""
    found = outcomes(table_of(frame, reading), column, may_be_empty)
    encoder = Encoder(column, may_be_empty)
    if REFUSED in found:
        row = found.index(REFUSED) + 1
        with pytest.raises(
            TableError, match=rf"the table, row {row}, column c: found .* expected "
        ):
            encode(frame, [encoder], reading)
    else:
        again = encode(frame, [encoder], reading)
        assert again.dtype == np.float32
        np.testing.assert_array_equal(again, np.array(found, dtype=np.float32))
    return found


def as_csv(path: Path, cells: Sequence[Any]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("c", "other"), *((cell, 1) for cell in cells)])


def as_json_lines(path: Path, cells: Sequence[Any]) -> None:
    path.write_text("".join(json.dumps({"c": cell, "other": 1}) + "\n" for cell in cells))


def as_parquet(path: Path, cells: Sequence[Any]) -> None:
    pl.DataFrame({"c": cells, "other": 1}).write_parquet(path)


def as_arrow(path: Path, cells: Sequence[Any]) -> None:
    pl.DataFrame({"c": cells, "other": 1}).write_ipc(path)


TYPED = {"t.parquet": as_parquet, "t.arrow": as_arrow}
FILES: dict[str, Callable[[Path, Sequence[Any]], None]] = {
    "t.csv": as_csv,
    "t.jsonl": as_json_lines,
    **TYPED,
}
FRAMES: dict[str, Callable[[list[Any]], Any]] = {
    "list": lambda cells: {"c": cells},
    "tuple": lambda cells: {"c": tuple(cells)},
    "objects": lambda cells: {"c": np.array([*cells, None], dtype=object)[:-1]},
    "polars": lambda cells: pl.DataFrame({"c": cells}),
    "pandas": lambda cells: pandas.DataFrame({"c": cells}),
    "pandas objects": lambda cells: {"c": pandas.Series(cells, dtype=object)},
}


def agree(
    cells: list[Any],
    files: Sequence[str] = (),
    frames: Sequence[str] = tuple(FRAMES),
    more: Sequence[Any] = (),
    ways: Sequence[Way] = WAYS,
) -> None:
    """Assert that every way to read the cells of column c gives the same."""
    with TemporaryDirectory() as folder:
        for name in files:
            FILES[name](Path(folder) / name, cells)
        made = [*(FRAMES[name](cells) for name in frames), *more]
        for column, missing, may_be_empty in ways:
            reading = Reading(missing=missing)
            found: dict[str, list[Outcome]] = {}
            for name in files:
                table = open_table(Path(folder) / name, reading=reading)
                found[name] = outcomes(table, column, may_be_empty)
            for name, frame in zip([*frames, *map(str, range(len(more)))], made, strict=True):
                found[name] = encoded(frame, column, reading, may_be_empty)
            first, *others = found.values()
            assert len(first) == len(cells)
            for name, other in zip(list(found)[1:], others, strict=True):
                different = [c for c, a, b in zip(cells, first, other, strict=True) if a != b]
                assert not different, (name, column.kind, missing, may_be_empty)


def texts_in_numpy(cells: list[str]) -> Iterator[Any]:
    if not any(cell.endswith("\0") for cell in cells):
        yield {"c": np.array(cells, dtype=str)}


def test_hostile_texts() -> None:
    agree(HOSTILE, list(FILES), more=list(texts_in_numpy(HOSTILE)), ways=WAYS[::5])


def test_hostile_texts_one_by_one() -> None:
    """A column of one text may become something else than a column of many."""
    cells = [cell for cell in HOSTILE if not cell.startswith(MARK)]
    for number, cell in list(enumerate(cells))[::2]:
        ways = [WAYS[number % len(WAYS)], WAYS[0]]
        agree([cell], ["t.csv"], ["list", "pandas"], ways=ways)


TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=["\0", MARK]), max_size=9
)
NUMBER = st.floats().map(repr) | st.integers().map(str) | st.decimals().map(str)
PADDING = st.text(" \t\u00a0\u3000", max_size=2)
PADDED = st.tuples(PADDING, NUMBER | st.sampled_from(HOSTILE), PADDING).map("".join)
WAY = st.sampled_from(WAYS).map(lambda way: [way])


@settings(max_examples=20 * SOAK)
@given(st.lists(TEXT | NUMBER | PADDED, min_size=1, max_size=20), WAY)
def test_texts(cells: list[str], ways: list[Way]) -> None:
    agree(cells, list(FILES), more=list(texts_in_numpy(cells)), ways=ways)


HOLES = st.lists(st.booleans(), min_size=20, max_size=20)


def with_holes(cells: list[Any], holes: list[bool]) -> list[Any]:
    return [None if hole else cell for cell, hole in zip(cells, holes, strict=False)]


@settings(max_examples=12 * SOAK)
@given(st.lists(st.floats(), min_size=1, max_size=20), HOLES, WAY)
def test_floats(cells: list[float], holes: list[bool], ways: list[Way]) -> None:
    cells = [-999.0, 1.0, 3.0, math.inf, 1e39, 5e-324, *cells]
    array = np.array(cells)
    swapped = {"c": array.astype(">f8")}
    agree(cells, list(TYPED), ["list", "tuple", "polars"], [{"c": array}, swapped], ways)
    numeric: list[Way] = [(COLUMNS[0], missing, empty) for _, missing, empty in ways]
    agree(cells, ["t.csv", "t.parquet"], ["list"], ways=numeric)
    holed = with_holes([c for c in cells if not math.isnan(c)], [False, *holes])
    nan = {"c": pandas.Series([math.nan if c is None else c for c in holed])}
    extension = {"c": pandas.Series(holed, dtype="Float64")}
    agree(holed, list(TYPED), more=[nan, extension], ways=ways)


@settings(max_examples=10 * SOAK)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20), HOLES, WAY)
def test_integers(cells: list[int], holes: list[bool], ways: list[Way]) -> None:
    cells = [-999, 0, 1, 3, 2**24 + 1, *cells]
    scalars = {"c": [np.int64(cell) for cell in cells]}
    files = ["t.csv", "t.jsonl", *TYPED]
    agree(cells, files, more=[{"c": np.array(cells)}, scalars], ways=ways)
    holed = with_holes(cells, [False, *holes])
    masked: Any = np.ma.array(cells[: len(holed)], mask=[cell is None for cell in holed])
    extension = {"c": pandas.Series(holed, dtype="Int64")}
    frames = ["list", "objects", "polars", "pandas objects"]
    agree(holed, files, frames, [{"c": masked}, extension], ways)


def test_booleans() -> None:
    cells = [True, False, None, True]
    extension = {"c": pandas.Series(cells, dtype="boolean")}
    agree(cells, ["t.jsonl", *TYPED], more=[extension], ways=WAYS[::3])
    agree(cells, ["t.csv"], ["list"], ways=[way for way in WAYS if way[0].kind == "boolean"])
    whole = [True, False]
    agree(whole, list(TYPED), more=[{"c": np.array(whole)}, {"c": [np.True_, np.False_]}])


def test_integers_of_any_size() -> None:
    cells = [10**30, -(2**63) - 1, 2**64 - 1, 10**400, 3]
    agree([str(cell) for cell in cells], ["t.csv"], ["list"], [{"c": cells}])


ZONE = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENT = st.datetimes(datetime(1000, 1, 2), datetime(9999, 12, 30))


@settings(max_examples=10 * SOAK)
@given(st.lists(MOMENT, max_size=9), HOLES, ZONE, WAY)
def test_moments(
    moments: list[datetime], holes: list[bool], zone: timezone, ways: list[Way]
) -> None:
    moments = [datetime(1900, 1, 1), datetime(2024, 2, 29, 23, 59, 59, 999_999), *moments]
    cells = with_holes(moments, [False, *holes])
    stamps = np.array(cells, dtype="datetime64[us]")
    series = pandas.Series(stamps)
    written = [cell and cell.isoformat() for cell in cells]
    local = [cell and cell.replace(tzinfo=UTC).astimezone(zone) for cell in cells]
    aware = [
        {"c": local},
        {"c": [cell and cell.isoformat() for cell in local]},
        {"c": series.dt.tz_localize("UTC").dt.tz_convert(zone)},
        pl.DataFrame({"c": pl.Series(cells).dt.replace_time_zone("UTC")}),
        {"c": pl.Series(cells).dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")},
    ]
    typed = [{"c": stamps}, {"c": list(stamps)}, {"c": list(series)}]
    texts = [{"c": written}, {"c": [cell and str(cell) for cell in cells]}]
    agree(cells, list(TYPED), more=typed, ways=ways)
    agree(cells, ["t.csv"], more=[*texts, *aware], ways=[(COLUMNS[3], MISSING[0], True)])


@settings(max_examples=8 * SOAK)
@given(st.lists(st.dates(date(1000, 1, 1)), max_size=9), HOLES, WAY)
def test_dates(dates: list[date], holes: list[bool], ways: list[Way]) -> None:
    cells = with_holes([date(1900, 1, 1), date(2024, 2, 29), *dates], [False, *holes])
    days = [{"c": np.array(cells, dtype="datetime64[D]")}]
    agree(cells, list(TYPED), more=days, ways=ways)
    written = {"c": [cell and cell.strftime("%Y/%m/%d") for cell in cells]}
    midnights = {"c": [cell and datetime(cell.year, cell.month, cell.day) for cell in cells]}
    time: list[Way] = [(COLUMNS[3], missing, empty) for _, missing, empty in ways]
    agree(cells, ["t.csv"], more=days, ways=time)
    agree(cells, more=[written, midnights], ways=[(COLUMNS[3], MISSING[0], True)])


@pytest.mark.parametrize("hole", [None, math.nan, pandas.NaT, pandas.NA, np.datetime64("NaT")])
def test_holes(hole: Any) -> None:
    """Whatever stands for nothing, alone or among texts, is the cell that is not there."""
    some = WAYS[::5]
    texts = [way for way in some if way[0].kind != "numeric"]
    agree([None], ["t.parquet"], ["list", "pandas objects"], [{"c": [hole]}], texts)
    pair = {"c": ["north", hole]}
    agree(["north", None], list(FILES), more=[pair, {"c": pandas.Series(pair["c"])}], ways=some)
    if hole is not math.nan:
        agree([None], ["t.parquet"], more=[{"c": [hole]}], ways=some)


def test_nan_of_pandas_is_a_hole_and_another_is_what_the_reading_says() -> None:
    (numeric, *_), reading = COLUMNS, Reading(missing=[""])
    hole, refused = [(None,)], [REFUSED]
    assert encoded({"c": pandas.Series([math.nan])}, numeric, reading, True) == hole
    assert encoded({"c": [math.nan]}, numeric, reading, True) == refused
    assert encoded({"c": np.array([math.nan])}, numeric, reading, True) == refused
    assert encoded({"c": [math.nan]}, numeric, Reading(missing=["", "nan"]), True) == hole


def test_cells_of_several_kinds_are_the_text_that_a_file_would_hold() -> None:
    moment = datetime(2023, 1, 1, 5, tzinfo=timezone(timedelta(hours=2)))
    cells = ["north", 3, 3.0, True, None, date(2023, 1, 1), moment, np.float32(0.5), math.nan]
    texts = ["north", "3", "3.0", "true", "", "2023-01-01", "2023-01-01 03:00:00", "0.5", ""]
    agree(texts, ["t.csv"], ["list"], [{"c": cells}, {"c": np.array(cells, dtype=object)}])
