from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from errors import TableError
from reader.formats import Reading
from reader.kinds import Encoder, Levels, clean, infer, rounded_away, time_column
from reader.schema import Column, Schema


@pytest.mark.parametrize(
    ("name", "cells", "kind"),
    [
        ("a", ["1", "2.5", None], "numeric"),
        ("a", ["1", "2", "six"], "numeric"),
        ("a", [None, None], "numeric"),
        ("a", ["A1", "7", "B2"], "categorical"),
        ("a", ["red", "blue", "red"], "categorical"),
        ("a", ["Yes", "no", None], "boolean"),
        ("a", ["是", "否"], "boolean"),
        ("a", ["0", "1"], "numeric"),
        ("a", ["2024-01-02", "2023/1/2"], "time"),
        ("a", ["2024-01-02T03:04:05Z"], "time"),
        ("a", ["2024年1月2日"], "time"),
        ("a", ["2024-05", "2024-12"], "time"),
        ("a", ["2024-05", "2024-13"], "categorical"),
        ("a", ["1234-05", "2024-12"], "categorical"),
        ("a", ["2024-01-02 05:00:00 UTC", "soon"], "time"),
        ("a", ["2024-01-02 5:00 PM", None], "time"),
        ("id", ["4", "7"], "id"),
        ("customer_id", ["4", "4"], "numeric"),
        ("PassengerId", ["1", "2"], "id"),
        ("paid", ["1", "2"], "numeric"),
        ("name", [f"n{i}" for i in range(30)], "id"),
        ("name", [f"n{i}" for i in range(10)], "categorical"),
    ],
)
def test_kind_of_a_column(name: str, cells: list[str | None], kind: str) -> None:
    assert infer(name, pl.Series(cells, dtype=pl.String)).kind == kind


def encoded(column: Column, cells: list[str | None]) -> list[list[float | None]]:
    return [part.to_list() for part in Encoder(column).encode(pl.Series(cells, dtype=pl.String))]


def test_time_becomes_its_parts() -> None:
    cells: list[str | None] = ["2024-01-01 12:00", "2024-03-02 06:30", None, "soon"]
    column = infer("t", pl.Series(cells))
    assert column.packed == ("t.month", "t.day_of_week", "t.hour", "t.elapsed")
    assert encoded(column, cells) == [
        [1, 3, None, None],
        [1, 6, None, None],
        [12, 6, None, None],
        [8766.5, pytest.approx(8827 + 6.5 / 24, rel=1e-6), None, None],  # days since 2000
    ]


@pytest.mark.parametrize(
    ("cell", "moment"),
    [
        ("2000-01-02T12:00:00", 1.5),
        ("2000-01-02T12:00:00Z", 1.5),
        ("2000-01-02 12:00:00.000+01:00", 1.5 - 1 / 24),
        ("2000-01-02", 1),
        ("2000/01/02 12:00", 1.5),
        ("2000年1月2日", 1),
        ("00.1.2", None),
    ],
)
def test_a_time_may_be_written_in_any_way_with_the_year_first(
    cell: str, moment: float | None
) -> None:
    column = infer("t", pl.Series(["2024-01-01 12:00:00"]))
    right = "2000-01-02 00:00:00"
    found = encoded(column, [right, cell, None])[-1]
    assert found == [1, moment and pytest.approx(moment), None]
    other = time_column("t", pl.Series(["31.12.2024"]), "%d.%m.%Y", "data.kinds")
    assert encoded(other, ["03.01.2000", cell])[-1] == [2, found[1]]
    backwards = time_column("t", pl.Series(["2024-31-12"]), "%Y-%d-%m", "data.kinds")
    assert encoded(backwards, ["2000-02-01", "2000-01-13"])[-1] == [1, None]


@pytest.mark.parametrize("cells", [["2024-01", "2024-02"], ["2024-01-01", "2024-02-01", "x"]])
def test_months_have_no_weekdays(cells: list[str]) -> None:
    assert infer("t", pl.Series(cells)).parts == ("month", "elapsed")


def test_time_written_in_a_way_of_its_own() -> None:
    column = time_column("t", pl.Series(["31.12.2024"]), "%d.%m.%Y", "data.kinds")
    assert encoded(column, ["02.01.2000"])[-1] == [1]
    with pytest.raises(TableError, match=r"found '31\.12\.2024', .* in data\.time_format"):
        time_column("t", pl.Series(["31.12.2024"]), None, "data.kinds")


def test_boolean() -> None:
    assert encoded(Column("b", "boolean"), ["TRUE", "no", None, "x"]) == [[1, 0, None, None]]


def test_levels_grow_until_they_are_closed() -> None:
    levels = Levels()
    assert levels.encode("c", pl.Series(["b", None, "a", "b"])).to_list() == [1, 2, 3, 1]
    assert levels.encode("c", pl.Series(["z", "a"])).to_list() == [4, 3]
    closed = Encoder(Column("c", "categorical", ("a", None)))
    cells = pl.Series(["a", "q", None])
    (codes,) = closed.encode(cells)
    assert codes.to_list() == [1, 0, 2]
    closed.count(cells, codes)
    assert (closed.missing, closed.unknown) == (1, 1)


def test_too_many_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reader.kinds.MOST_LEVELS", 3)
    with pytest.raises(TableError, match="column c: found more than 3 different texts"):
        Levels().encode("c", pl.Series(["a", "b", "c", "d"]))


def test_clean() -> None:
    reading = Reading(missing=["", "NA", "nan", "-9"], decimal_comma=True)
    texts = clean(pl.Series([" a ", "NA", "", None, "-9", "1,5"]), reading, numeric=False)
    assert texts.to_list() == ["a", None, None, None, None, "1,5"]
    numbers = clean(pl.Series(["1,5", "-9,0", "2"]), reading, numeric=True)
    assert numbers.to_list() == ["1,5", None, "2"]  # as the file has them
    assert clean(pl.Series([1.0, np.nan, -9]), reading, numeric=True).to_list() == [1, None, None]


@pytest.mark.parametrize(
    ("cells", "coarse"),
    [([0.5, 0.25], False), ([1e9, 1e9 + 1], True), ([1e9, 1e9], False), ([0.1, 0.2], True)],
)
def test_what_float32_rounds(cells: list[float], coarse: bool) -> None:
    assert rounded_away(pl.Series(cells)) == coarse


def test_schema_reads_back() -> None:
    time = infer("t", pl.Series(["2024-01-01"]))
    columns = (time, Column("c", "categorical", ("a", None)), Column("y", "target"))
    schema = Schema(columns, has_header=False)
    assert Schema.read(schema.describe()) == schema
    assert schema.packed == ("t.month", "t.day_of_week", "t.elapsed", "c")
