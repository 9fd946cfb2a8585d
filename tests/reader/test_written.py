"""Numbers with a currency, a unit, or thousands separators."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from errors import TableError
from reader.formats import Reading
from reader.frame import table_of
from reader.kinds import Encoder
from reader.pack import PackedTable
from reader.rows import Layout
from reader.schema import Column
from reader.source import TableOptions
from reader.source import read as read_table
from reader.split import SplitOptions
from reader.table import open_table
from reader.written import Form, form_of, read, survey


@pytest.mark.parametrize(
    "text", ["1.5", "1,5", "$1.5", "1.5%", "1,5%", "1.5 kg", "1,5 €", "1.5 元"]
)
def test_a_form_is_its_text(text: str) -> None:
    form = Form.parse(text)
    assert Form.parse(str(form)) == form
    assert form.comma == ("," in text)


@pytest.mark.parametrize(
    ("form", "cells"),
    [
        ("1.5", {"1,234": 1234, "1,234,567.25": 1234567.25, "12": 12, "1e3": 1000, "5.": 5}),
        ("1.5", {"1 234": 1234, "1\u202f234": 1234, "1'234": 1234, "-1,234": -1234, "+7": 7}),
        ("1.5", {"(1,234)": -1234, "(5)": -5, "\u22125": -5, ".5": 0.5, "0.125": 0.125}),
        ("1.5", {"12,34": None, "1,2345": None, "12,34,567": None, "1,5": None, "1 234,567": None}),
        ("1.5", {"(5": None, "5)": None, "-(5)": None, "--5": None, "$5": None, "5%": None}),
        ("$1.5", {"$1,234.56": 1234.56, "-$5": -5, "$-5": -5, "($5)": -5, "5": 5, "5 $": 5}),
        ("$1.5", {"€5": None, "$5$": None, "$": None, "$12,34": None, "$5 kg": None}),
        ("1,5 €", {"1.234,5 €": 1234.5, "1.011": 1011, "€ 2": 2, "1,5": 1.5, "1.5": None}),
        ("1.5%", {"45%": 0.45, "45 %": 0.45, "-3.5%": -0.035, "1,200%": 12, "0": 0}),
        ("1.5%", {"45": None, "0.45": None, "%": None}),
        ("1.5 kg", {"12 kg": 12, "12kg": 12, "1,234 kg": 1234, "0": 0, "12": None, "3 g": None}),
    ],
)
def test_a_number_is_read_in_the_form_of_its_column(
    form: str, cells: dict[str, float | None]
) -> None:
    numbers = read(pl.Series(list(cells)), Form.parse(form))
    assert numbers.to_list() == list(cells.values())


@pytest.mark.parametrize(
    ("cells", "comma", "form"),
    [
        (["$4,619.00", "$5", "7"], False, "$1.5"),
        (["46.2%", "1%"], False, "1.5%"),
        (["1.234,56", "3,5"], True, "1,5"),
        (["1,234", "12"], False, "1.5"),
        (["85 m²", "90 m²"], False, "1.5 m²"),
        (["USD 5", "USD 1,000"], False, "1.5 USD"),
        (["1.2万", "3万"], False, "1.5 万"),
    ],
)
def test_a_form_is_told_from_cells(cells: list[str], comma: bool, form: str) -> None:
    assert str(form_of("a", pl.Series(cells), comma)) == form
    assert survey(pl.Series(cells), comma).share == 1


@pytest.mark.parametrize(
    "cells",
    [
        ["A1", "B2"],
        ["12a", "13b", "7c"],
        ["1st", "2nd"],
        ["5/6"],
        ["12:30"],
        ["2024-01-02"],
        ["#5"],
    ],
)
def test_codes_and_times_are_no_numbers(cells: list[str]) -> None:
    assert survey(pl.Series(cells)).share == 0


def test_a_column_may_have_decimal_commas_of_its_own() -> None:
    assert str(form_of("a", pl.Series(["1.660,21", "3,5", "7"]), False)) == "1,5"
    assert str(form_of("a", pl.Series(["12,345", "1,000"]), False)) == "1.5"  # not 12 and a bit
    assert str(form_of("a", pl.Series(["12,345", "1.5"]), False)) == "1.5"
    assert str(form_of("a", pl.Series(["12,345", "12,34", "7"]), False)) == "1.5"


def test_two_units_are_not_mixed() -> None:
    with pytest.raises(TableError, match="found '€1' and '\\$2', expected numbers of one unit"):
        form_of("price", pl.Series(["€1", "$2"]), False)


def test_files_and_frames_read_the_same(tmp_path: Path) -> None:
    cells = ["$1,234.50", "($2)", "", "17"]
    path = tmp_path / "t.csv"
    path.write_text("price,y\n" + "".join(f'"{cell}",{i}\n' for i, cell in enumerate(cells)))
    frame = {"price": cells, "y": range(4)}
    for table in (open_table(path), table_of({k: list(v) for k, v in frame.items()})):
        layout = Layout((Encoder(Column("price", "numeric", format="$1.5"), may_be_empty=True),))
        (batch,) = table.batches(layout)
        np.testing.assert_array_equal(batch.rows[:, 0], [1234.5, -2, np.nan, 17])


def test_typed_numbers_need_no_sign() -> None:
    """A frame or a spreadsheet holds 0.45 where a text file shows 45%."""
    layout = Layout((Encoder(Column("rate", "numeric", format="1.5%")),))
    (batch,) = table_of({"rate": [0.45, 2.0]}).batches(layout)
    assert batch.rows[:, 0].tolist() == [np.float32(0.45), 2]


def test_a_text_that_is_no_such_number_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('price,y\n"$1,234",1\n$5,2\n"$12,34",3\n')
    with pytest.raises(TableError, match=r"t\.csv, line 4, column price: found '\$12,34', exp"):
        packed(path, "y", "price")


def packed(path: Path, target: str, *numeric: str, comma: bool = False) -> PackedTable:
    """The table with some columns asked to be numeric, all rows in the training part."""
    options = TableOptions(
        path=str(path),
        target=target,
        reading=Reading(decimal_comma=comma),
        kinds=dict.fromkeys(numeric, "numeric"),
        split=SplitOptions(train=1.0, validation=0.0, test=0.0),
    )
    return read_table(options).packed


def test_the_target_may_be_written_so(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('a,price\n1,"$1,234"\n2,$5\n')
    with pytest.raises(TableError, match=r"data\.kinds: \{price: numeric\} reads it as 1234"):
        packed(path, "price")
    assert packed(path, "price", "price").matrix[:, -1].tolist() == [1234, 5]


def test_what_a_comma_may_be_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;price\n1;30,535\n2;1,5\n")
    words = r"\{price: numeric\} reads it as 30535, data\.decimal_comma: true reads it as 30\.535;"
    with pytest.raises(TableError, match=words):
        packed(path, "price")


def test_dots_for_thousands_with_a_decimal_comma(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a;y\n1.011,5;1\n994;2\n")
    assert packed(path, "y", "a", comma=True).matrix[:, 0].tolist() == [1011.5, 994]


def test_plain_numbers_are_read_as_fast_as_without_the_key(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,y\n1.5,1\n2,2\n")
    schema = packed(path, "y", "a").schema
    assert schema.columns[0] == Column("a", "numeric", format="1.5")
    assert Layout((Encoder(schema.columns[0]),)).texts == set()
