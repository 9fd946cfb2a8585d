"""Numbers with a decimal comma."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from errors import TableError
from reader.formats import Reading
from reader.numbers import with_points
from reader.pack import pack
from reader.source import TableOptions, read
from reader.split import SplitOptions
from reader.table import open_like, open_table
from tests.conftest import numbers, numeric

COMMA = Reading(decimal_comma=True)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.011", 1011),
        ("994", 994),
        ("1.234,56", 1234.56),
        ("-1.234,5", -1234.5),
        ("+12.345.678", 12345678),
        ("1,5", 1.5),
        ("-0,25", -0.25),
        (",5", 0.5),
        ("7,", 7),
        ("1,5e3", 1500),
        ("1.000e-3", 1),
        ("2E+2", 200),
        ("1 234,5", 1234.5),
        ("1\u202f234\u202f567", 1234567),
        ("1'234,5", 1234.5),
        ("007", 7),
    ],
)
def test_a_number_with_a_decimal_comma(tmp_path: Path, text: str, number: float) -> None:
    assert with_points(pl.Series([text]), COMMA).cast(pl.Float64).to_list() == [number]
    (tmp_path / "t.csv").write_text(f"a;y\n{text};1\n994;2\n3;4\n")
    table = open_table(tmp_path / "t.csv", reading=COMMA)
    rows = pack(table, numeric(["a", "y"], "y")).matrix
    assert rows[0].tolist() == pytest.approx([number, 1])
    (batch,) = open_like(tmp_path / "t.csv", numeric(["a", "y"], "y"), COMMA).batches(
        numbers(["a"])
    )
    assert batch.rows[0].tolist() == pytest.approx([number])


@pytest.mark.parametrize(
    "text",
    ["1.5", "12.34", "0.193", "1.0111", "1234.567", "1.234.5", "1,234.5", "1,2,3", "1.5e3", "."],
)
def test_what_is_none_is_refused_where_it_stands(tmp_path: Path, text: str) -> None:
    assert with_points(pl.Series([text]), COMMA).to_list() == [None]
    (tmp_path / "t.csv").write_text(f"a;y\n994;1\n1,5;2\n{text};4\n")
    options = TableOptions(
        str(tmp_path / "t.csv"), "y", COMMA, split=SplitOptions("sequential", 1.0, 0.0, 0.0)
    )
    with pytest.raises(TableError) as caught:
        read(options)
    assert f"line 4, column a: found {text!r}, expected a number" in str(caught.value)


def test_a_column_with_points_throughout_is_not_taken_for_texts(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a;y\n12.34;1,5\n1.5;2\n7.25;4\n")
    options = TableOptions(str(tmp_path / "t.csv"), "y", COMMA)
    with pytest.raises(
        TableError, match=r"line 2, column a: found '12\.34'.*a point only goes between thousands"
    ):
        read(options)


def test_marks_of_missing_numbers_and_typed_columns(tmp_path: Path) -> None:
    reading = Reading(decimal_comma=True, missing=["", "-999"])
    (tmp_path / "t.csv").write_text("a;y\n-999,0;1\n-999;2\n1.011;4\n")
    layout = numbers(["a", "y"], ["a"])
    (batch,) = open_table(tmp_path / "t.csv", reading=reading).batches(layout)
    assert [str(value) for value in batch.rows[:, 0]] == ["nan", "nan", "1011.0"]
    frame = pl.DataFrame({"a": ["1.011", "1,5", "3"], "y": [1.5, 2.25, 3]})
    frame.write_parquet(tmp_path / "t.parquet")
    (batch,) = open_table(tmp_path / "t.parquet", reading=reading).batches(numbers(["a", "y"]))
    assert batch.rows.tolist() == [[1011, 1.5], [1.5, 2.25], [3, 3]]


def test_decimal_commas_that_nobody_told_of(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a;y\n" + "".join(f"{row},5;{row}\n" for row in range(30)))
    with pytest.raises(
        TableError, match=r"no feature is left.*decimal comma.*data\.decimal_comma: true"
    ):
        read(TableOptions(str(tmp_path / "t.csv"), "y"))
