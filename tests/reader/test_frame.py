from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from errors import TableError
from reader.cache import Cache
from reader.formats import Reading
from reader.frame import encode, table_of
from reader.kinds import Encoder, infer
from reader.pack import pack
from reader.rows import ROWS_PER_BATCH, Layout
from reader.schema import Column, Schema
from reader.table import open_table

READING = Reading(missing=["", "NA", "-999"])
ROWS: dict[str, list[Any]] = {
    "id": ["a1", "a2", "a3", "a4"],
    "area": [7.5, -999, 1e-3, 3],
    "rooms": [3, 2, 1, 0],
    "town": [" north", "", "NA", "south"],
    "garden": [" yes", "NO", "1", "f"],
    "sold": ["2023-01-01", "2023-01-02", "", "1999-12-31"],
    "price": [1, 2.5, 3, 4],
}
KINDS = ["id", "numeric", "numeric", "categorical", "boolean", "time", "target"]
SOLD = infer("sold", pl.Series(["2023-01-01"]))
SCHEMA = Schema(
    tuple(
        SOLD if kind == "time" else Column(name, kind)
        for name, kind in zip(ROWS, KINDS, strict=True)
    )
)
FLOATS = ("area", "price")
NAN = float("nan")


def in_pandas(columns: dict[str, list[Any]]) -> Any:
    pandas = pytest.importorskip("pandas", reason="pandas is in requirements-dev.txt")
    return pandas.DataFrame(columns, index=pandas.Index(range(7, 11), name="area"))


def in_arrow(columns: dict[str, list[Any]]) -> Any:
    return pytest.importorskip("pyarrow", reason="for a table of Arrow").table(columns)


def in_numpy(columns: dict[str, list[Any]]) -> dict[str, Any]:
    return {name: np.array(cells) for name, cells in columns.items()}


@pytest.mark.parametrize("made", [dict, in_numpy, pl.DataFrame, in_pandas, in_arrow])
def test_a_frame_is_packed_as_the_file_of_its_rows(
    tmp_path: Path, made: Callable[[dict[str, list[Any]]], Any]
) -> None:
    pl.DataFrame(ROWS, strict=False).write_csv(tmp_path / "t.csv")
    cache = Cache(tmp_path / "cache", limit=0)
    file = open_table(tmp_path / "t.csv", reading=READING)
    expected = pack(file, SCHEMA, cache, may_be_empty=True)
    floats: dict[str, list[Any]] = {name: list(map(float, ROWS[name])) for name in FLOATS}
    columns = ROWS | floats
    table = table_of(made(columns), READING)
    entries = list((tmp_path / "cache").iterdir())
    packed = pack(table, SCHEMA, cache, may_be_empty=True)
    np.testing.assert_array_equal(packed.matrix, expected.matrix)
    assert packed.matrix[0].tolist() == [7.5, 3, 1, 1, 1, 7, 8401, 1]
    assert packed.texts == expected.texts == {"town": ["north", None, "south"]}
    assert packed.file_rows == expected.file_rows == (4,)
    assert list((tmp_path / "cache").iterdir()) == entries  # it is in memory already
    assert table.sample(["town"])["town"].to_list() == ["north", None, None, "south"]
    assert [cell for cells in table.texts("id") for cell in cells] == ROWS["id"]


def digest(columns: Any) -> str:
    schema = Schema((Column("a", "numeric"), Column("y", "target")))
    return pack(table_of(columns), schema).sha256


def test_a_checksum_of_names_types_and_cells() -> None:
    one: dict[str, list[Any]] = {
        "a": [1.5, 2.0],
        "y": [0, 1],
        "note": [None, ""],
        "parts": [[1], {}],
    }
    assert digest(one) == digest({name: tuple(cells) for name, cells in one.items()})
    others: list[dict[str, Any]] = [
        {"a": [1.5, 2.5]},
        {"y": [0.0, 1.0]},
        {"note": ["", None]},
        {"b": [1, 2]},
    ]
    assert len({digest(one), *(digest(one | other) for other in others)}) == 5


def test_batches_of_many_rows_are_in_order() -> None:
    values = np.arange(2 * ROWS_PER_BATCH + 1)
    (column, rows) = Column("a", "numeric"), encode({"a": values}, [numeric()], Reading())
    assert column.packed == ("a",)
    np.testing.assert_array_equal(rows[:, 0], values)


def numeric(name: str = "a") -> Encoder:
    return Encoder(Column(name, "numeric"))


def test_what_cells_become() -> None:
    levels = Column("town", "categorical", ("north", "3", None))
    encoders = [Encoder(levels), Encoder(Column("garden", "boolean"), True), Encoder(SOLD, True)]
    frame = {
        "town": [" north", 3, None, "west"],
        "garden": [" YES", 0, True, None],
        "sold": [datetime(2000, 1, 2, 12), "2000/1/3", "2000-01-01T00:30:00+01:00", None],
        "not needed": [object()] * 4,
    }
    rows = encode(frame, encoders, Reading())
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[:, :2], [[1, 1], [2, 0], [3, 1], [0, NAN]])
    np.testing.assert_array_equal(
        rows[:, 2:],
        [[1, 7, 1.5], [1, 1, 2], [12, 5, np.float32(-1 / 48)], [NAN] * 3],
    )
    assert [(e.missing, e.unknown) for e in encoders] == [(1, 1), (1, 0), (1, 0)]


@pytest.mark.parametrize("unit", ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "25s"])
def test_moments_of_any_unit(unit: str) -> None:
    moments = np.array(["1970-01-01", "NaT"], dtype=f"datetime64[{unit}]")
    for cells in (moments, list(moments), moments.astype(moments.dtype.newbyteorder(">"))):
        rows = encode({"sold": cells}, [Encoder(SOLD, True)], Reading())
        np.testing.assert_array_equal(rows, [[1, 4, -10_957], [NAN] * 3])


def test_no_rows() -> None:
    found = encode({"sold": [], "area": ()}, [Encoder(SOLD), numeric("area")], Reading())
    assert found.shape == (0, 4)
    with pytest.raises(TableError, match="no rows"):
        pack(table_of({"a": [], "y": []}), Schema((Column("a", "numeric"), Column("y", "target"))))


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({"b": [1]}, "no column a; found b"),
        ({"A": [1]}, "no column a; did you mean 'A'?; found A"),
        ({}, "no column a; found none"),
        ({"a": [1, 2], "b": [1]}, "columns of several lengths: a 2, b 1"),
        ({"a": [1, None]}, "row 2, column a: found an empty cell, expected a number"),
        ({"a": [1, "big"]}, "row 2, column a: found 'big', expected a number"),
        ({"a": [1, np.inf]}, "row 2, column a: found 'inf', expected a finite number (float32)"),
        ({"a": np.array([True])}, "row 1, column a: found 'true', expected a number"),
        ({"a": [1, {"b": 1}]}, "row 2, column a: found {'b': 1} (dict), expected a number, a text"),
        ({"a": ["1", "\ud800"]}, r"row 2, column a: found '\ud800' (str)"),
        ({"a": pl.Series([[1]])}, "column a: found List(Int64), expected numbers, texts or times"),
        ({"a": 3}, "column a: found 3 (int), expected a list of cells"),
        ({"a": "abc"}, "column a: found 'abc' (str), expected a list of cells"),
        ({"a": np.array(3)}, "column a: found array(3) (ndarray), expected a list of cells"),
        ({"a": np.ones((2, 3))}, "column a: found an array of 2 x 3, expected one column"),
        ({1: [1], "1": [2]}, "the table names '1' more than once"),
        ([1, 2], "found list, expected columns by name: a dictionary of lists, or a data frame"),
    ],
)
def test_what_is_no_table(frame: Any, words: str) -> None:
    with pytest.raises(TableError) as caught:
        encode(frame, [numeric()], Reading())
    assert words in str(caught.value)


def test_names_given_twice_in_pandas() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is in requirements-dev.txt")
    with pytest.raises(TableError, match="names 'a' more than once"):
        table_of(pandas.DataFrame([[1, 2]], columns=["a", "a"]))


def test_columns_of_pandas_that_arrow_holds() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is in requirements-dev.txt")
    pytest.importorskip("pyarrow", reason="for columns of Arrow in pandas")
    types = {"n": "int64[pyarrow]", "b": "bool[pyarrow]", "t": "timestamp[us, tz=UTC][pyarrow]"}
    cells = {"n": [3, None], "b": [True, None], "t": [datetime(2000, 1, 2, 12), None]}
    frame = {name: pandas.Series(cells[name], dtype=types[name]) for name in types}
    kinds = [Column("n", "numeric"), Column("b", "boolean")]
    rows = encode(frame, [Encoder(c, True) for c in [*kinds, *renamed(SOLD, "t")]], Reading())
    np.testing.assert_array_equal(rows, [[3, 1, 1, 7, 1.5], [NAN] * 5])


def renamed(column: Column, name: str) -> list[Column]:
    return [Column(name, column.kind, (), column.format, column.parts, column.origin)]


def test_an_aware_column_is_a_time_for_the_inference_of_kinds() -> None:
    cells = pl.Series([datetime(2023, 1, 1, 5)]).dt.replace_time_zone("UTC")
    table = table_of(pl.DataFrame({"t": cells}))
    assert infer("t", table.sample(["t"])["t"]).kind == "time"
    ((texts,), _) = [list(table.texts("t")), list(table.batches(Layout(ids=("t",))))]
    assert texts.to_list() == ["2023-01-01 05:00:00.000000+00:00"]
