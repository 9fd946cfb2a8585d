from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from errors import TableError
from reader.formats import Reading
from reader.pack import pack
from reader.schema import Role, Schema, roles
from reader.table import open_like, open_table
from tests.conftest import COLUMNS, numbers, numeric


def read(path: Path, content: str | bytes, columns: list[str] | None = None) -> list[list[float]]:
    """Write `content`, and read it back with the last column as the target."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    table = open_table(path, columns)
    return pack(table, numeric(table.columns, table.columns[-1])).matrix.tolist()


def test_housing_data() -> None:
    table = open_table("data/boston/housing.data", COLUMNS)
    packed = pack(table, numeric(COLUMNS, "MEDV"))
    assert packed.matrix.dtype == np.float32
    assert packed.matrix.flags.c_contiguous
    np.testing.assert_array_equal(
        packed.matrix, np.loadtxt("data/boston/housing.data").astype(np.float32)
    )


ROWS = [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    "content",
    [
        "a,b,c\n1,2,3\n4,5,6\n",
        "a,b,c\n1,2,3\n4,5,6",
        "a,b,c\r\n1,2,3\r\n4,5,6\r\n",
        "\ufeffa,b,c\n1,2,3\n4,5,6\n",
        ' a ,"b",c\n1,"2",3\n 4, 5 ,6 \n',
        "\n\na,b,c\n1,2,3\n\n4,5,6\n\n\n",
        "a b  c\n1 2 3\n\n 4\t5   6 \n",
        "a,b,c\n1e0,2.0,+3\n4.,5,0.6e1\n",
    ],
)
def test_table_with_header(tmp_path: Path, content: str) -> None:
    assert read(tmp_path / "table.txt", content) == ROWS


@pytest.mark.parametrize("content", ["1,2,3\n4,5,6\n", "\ufeff 1 2 3\n\n4 5 6"])
def test_table_without_header(tmp_path: Path, content: str) -> None:
    assert read(tmp_path / "table.txt", content, ["a", "b", "c"]) == ROWS


def test_order_of_many_batches(tmp_path: Path) -> None:
    values = range(200_000)
    rows = read(tmp_path / "t.csv", "a,b\n" + "".join(f"{v},{v % 7}\n" for v in values))
    assert [int(row[0]) for row in rows] == list(values)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("a,b,c\n", "no rows"),
        ("a,b,c\n1,2,3\n4,5\n", "line 3: found 2 values, expected 3 (a, b, c)"),
        ("a,b,c\n1,2\n", "line 2: found 2 values, expected 3"),
        ("a,b,c\n1,2,3\n4,5,6,7\n", "line 3: found 4 values, expected 3"),
        ("a,b,c\n1,2,3\n\n4,x,6\n", "line 4, column b: found 'x', expected a number"),
        ("a,b,c\n1,,3\n", "line 2, column b: found an empty cell"),
        ("a,b,c\n,,\n", "line 2, column a: found an empty cell"),
        ("a,b,c\n1,nan,3\n", "column b: found 'nan', expected a finite number"),
        ("a,b,c\n1,-inf,3\n", "column b: found '-inf', expected a finite number"),
        ("a,b,c\n1,1e39,3\n", "column b: found '1e39', expected a finite number (float32)"),
        ("a,b,c\n1,1_0,3\n", "column b: found '1_0'"),
        ('a,b,c\n"1\n",x,3\n', "line 2, column b: found 'x'"),
        ('a,b,c\n1,"2,3\n', "line 2: a quote opens a cell, and none closes it"),
        (b"a,b,c\n1,2,\xff\n", "not UTF-8"),
        ("a b c\n1 2 3\n4 5\n", "line 3: found 2 values"),
        ("a b c\n1 2 3\n4 5 6 7\n", "line 3: found 4 values"),
        ("a b c\n1 2 3\n\n4 x 6\n", "line 4, column b: found 'x'"),
    ],
)
def test_wrong_table(tmp_path: Path, content: str | bytes, words: str) -> None:
    path = tmp_path / "table.txt"
    with pytest.raises(TableError) as caught:
        read(path, content)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_row_of_13_values_in_housing_data(tmp_path: Path) -> None:
    lines = Path("data/boston/housing.data").read_text().splitlines()
    lines[99] = " ".join(lines[99].split()[:-1])
    with pytest.raises(TableError, match="line 100: found 13 values, expected 14"):
        read(tmp_path / "housing.data", "\n".join(lines), COLUMNS)


def test_bad_cell_far_down_is_found_by_its_line(tmp_path: Path) -> None:
    lines = ["a,b", *(f"{v},{v}" for v in range(150_000))]
    lines[140_000] = "1,one"
    with pytest.raises(TableError, match="line 140001, column b: found 'one'"):
        read(tmp_path / "t.csv", "\n".join(lines))


def test_header_given_twice(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"line 1, column a.*leave data\.columns out"):
        read(tmp_path / "t.csv", "a,b,c\n1,2,3\n", ["a", "b", "c"])


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="No such file"):
        open_table(tmp_path / "none.csv")
    with pytest.raises(TableError, match="no files"):
        open_table(tmp_path)


def test_text_in_an_excluded_column_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("name,a,y\nx,1,2\n,3,4\n")
    packed = pack(open_table(path), numeric(["name", "a", "y"], "y", ["name"]))
    assert packed.matrix.tolist() == [[1, 2], [3, 4]]


SCHEMA = numeric(["a", "i", "b", "y"], "y", ["i"])


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("a,b\n1,2\n", [[1, 2]]),
        ("b,a\n2,1\n", [[1, 2]]),
        ("y,b,x,a\n3,2,text,1\n", [[1, 2]]),
        ("1,2\n", [[1, 2]]),
        ("1,9,2\n", [[1, 2]]),
        ("1,9,2,3\n", [[1, 2]]),
        ("1 9 2 3\n", [[1, 2]]),
    ],
    ids=["names", "reordered", "more", "features", "no target", "all", "white space"],
)
def test_columns_of_a_table_to_predict(
    tmp_path: Path, content: str, rows: list[list[float]]
) -> None:
    path = tmp_path / "t.txt"
    path.write_text(content)
    (batch,) = open_like(path, SCHEMA).batches(numbers(["a", "b"]))
    assert batch.rows.tolist() == rows


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("A,b\n1,2\n", "no column a; did you mean 'A'?"),
        ("1,2,3,4,5\n", "found 5 values in the first line and no header; expected 2 (a, b)"),
        ("", "empty"),
    ],
)
def test_wrong_table_to_predict(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    with pytest.raises(TableError) as caught:
        open_like(path, SCHEMA)
    assert words in str(caught.value)


def test_unknown_target_may_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,y\n1,2,\n3,4,5\n")
    (batch,) = open_like(path, SCHEMA).batches(numbers(["a", "b", "y"], ["y"]))
    np.testing.assert_array_equal(batch.rows, [[1, 2, np.nan], [3, 4, 5]])


HOLES = Reading(missing=["", "NA", "?", "-999"])


@pytest.mark.parametrize(
    "content",
    [
        "a,b,c\n1,NA,3\n,5,6\n7,8,9\n",
        "a,b,c\n1, NA ,3\n?,5,6\n7,8,9\n",
        "a b c\n1 NA 3\n? 5 6\n7 8 9\n",
        "a,c,b\n1,3,NA\n,6,5\n7,9,8\n",
        "a,b,c\n1,-999,3\n-999.0,5,6\n7,8,9\n",
        "a b c\n1 -999 3\n-999 5 6\n7 8 9\n",
    ],
)
def test_holes_where_they_are_allowed(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.txt").write_text(content)
    table = open_table(tmp_path / "t.txt", reading=HOLES)
    (batch,) = table.batches(numbers(["a", "b", "c"], ["a", "b"]))
    np.testing.assert_array_equal(batch.rows, [[1, np.nan, 3], [np.nan, 5, 6], [7, 8, 9]])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b,c\n1,2,NA\n", "line 2, column c: found an empty cell, expected a number"),
        ("a,b,c\n1,2,-999\n", "line 2, column c: found an empty cell"),
        ("a,b,c\n1,N/A,3\n", "line 2, column b: found 'N/A', expected a number"),
        ("a,b,c\n1,nan,3\n", "line 2, column b: found 'nan', expected a finite number"),
        ("a,b,c\n1,inf,3\n", "line 2, column b: found 'inf'"),
        ("a,c,b\n1,3\n", "line 2: found 2 values, expected 3"),
    ],
)
def test_what_is_no_hole(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    table = open_table(tmp_path / "t.csv", reading=HOLES)
    with pytest.raises(TableError) as caught:
        list(table.batches(numbers(["a", "b", "c"], ["a", "b"])))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("target", "exclude", "words"),
    [
        ("MDEV", [], "data.target names 'MDEV', which is not a column; did you mean 'MEDV'?"),
        ("MEDV", ["Q"], "data.exclude names 'Q'"),
        ("MEDV", ["MEDV"], "both data.target and in data.exclude"),
        ("MEDV", COLUMNS[:-1], "no feature is left"),
    ],
)
def test_wrong_roles(target: str, exclude: list[str], words: str) -> None:
    with pytest.raises(TableError) as caught:
        roles(
            "housing.data", COLUMNS, target, [Role("data.exclude", n, "ignored") for n in exclude]
        )
    assert words in str(caught.value)


def test_row_taken_for_a_header() -> None:
    with pytest.raises(TableError, match=r"name the columns .* in data\.columns"):
        roles("t.csv", ["1", "2", "3"], "y")


def test_schema_reads_back() -> None:
    assert Schema.read(SCHEMA.describe()) == SCHEMA


def test_a_message_names_the_first_of_many_columns() -> None:
    names = [f"c{i}" for i in range(600)]
    with pytest.raises(TableError, match=r"the columns are c0, c1, .*, c19 and 580 more"):
        roles("t.csv", names, "y")
