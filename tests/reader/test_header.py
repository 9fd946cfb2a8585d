"""Columns that have no name of their own, and folders with more than tables in them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from errors import TableError
from reader.cache import Cache
from reader.frame import table_of
from reader.header import header_of
from reader.schema import Schema
from reader.source import TableOptions, read
from reader.split import SplitOptions
from reader.table import open_like, open_table
from tests.conftest import numbers

WHOLE = SplitOptions(train=1.0, validation=0.0, test=0.0)


def schema_of(
    path: Path, exclude: Sequence[str] = (), kinds: dict[str, str] | None = None
) -> Schema:
    options = TableOptions(str(path), "y", exclude=exclude, kinds=kinds or {}, split=WHOLE)
    return read(options).packed.schema


def features(schema: Schema) -> list[str]:
    return [column.name for column in schema.features]


def test_names() -> None:
    assert header_of([" a ", "b"]).names == ("a", "b")
    assert header_of(["a", "b"], names_rows=True).names == ("row names", "a", "b")
    assert header_of(["", "row names"]).names == ("row names_", "row names")
    assert header_of(["a", "a", "a"]).doubles == {"a": ("a (column 2)", "a (column 3)")}


TWICE = "id,b,b,y\n1,2,3,4\n2,3,4,6\n3,4,6,5\n"


def test_a_name_that_two_columns_have_matters_where_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(TWICE)
    with pytest.raises(TableError) as caught:
        schema_of(path)
    assert "names 'b' more than once (columns 2 and 3)" in str(caught.value)
    assert 'data.exclude: ["b (column 3)"], or all of them: data.exclude: [b]' in str(caught.value)
    assert features(schema_of(path, ["b"], {"id": "numeric"})) == ["id"]
    schema = schema_of(path, ["b (column 3)"])
    assert features(schema) == ["b"]
    (batch,) = open_like(path, schema).batches(numbers(["b"]))
    assert batch.rows.tolist() == [[2], [3], [4]]


def test_a_table_to_predict_that_names_a_feature_twice(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("b,y\n1,2\n2,3\n3,5\n")
    schema = schema_of(tmp_path / "train.csv")
    (tmp_path / "new.csv").write_text("b,c,c\n1,2,3\n")
    (batch,) = open_like(tmp_path / "new.csv", schema).batches(numbers(["b"]))
    assert batch.rows.tolist() == [[1]]
    (tmp_path / "new.csv").write_text("b,c,b\n1,2,3\n")
    with pytest.raises(TableError, match="names 'b' more than once"):
        open_like(tmp_path / "new.csv", schema)


def test_a_column_without_a_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,,y\n1,2,3\n2,3,5\n3,4,6\n")
    with pytest.raises(TableError, match=r"column 2 has no name.*data\.exclude: \[column 2\]"):
        schema_of(path)
    assert features(schema_of(path, ["column 2"])) == ["a"]


def test_row_names_may_be_used_where_the_recipe_says_so(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(",a,y\n5,2,3\n6,3,5\n7,4,6\n")
    assert features(schema_of(path)) == ["a"]
    assert features(schema_of(path, kinds={"row names": "numeric"})) == ["row names", "a"]
    assert schema_of(path, kinds={"row names": "id"}).ids == ("row names",)


@pytest.mark.parametrize("name", ["Unnamed: 0", "rownames", "row.names", "...1"])
def test_names_that_pandas_and_r_give_an_index(tmp_path: Path, name: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"a,{name},y\n2,1,3\n3,2,5\n4,3,6\n")
    assert features(schema_of(path)) == ["a"]
    assert features(schema_of(path, kinds={name: "numeric"})) == ["a", name]
    pl.read_csv(path).write_parquet(tmp_path / "t.parquet")
    assert features(schema_of(tmp_path / "t.parquet")) == ["a"]


@pytest.mark.parametrize("name", ["__index_level_0__", "house"])
def test_the_index_of_a_frame_is_no_feature(tmp_path: Path, name: str) -> None:
    frame = pl.DataFrame({"a": [1.0, 2, 3], "5": [2, 3, 5], "y": [1.0, 2, 4], name: [7, 9, 8]})
    told = json.dumps({"index_columns": [name], "columns": []})
    frame.write_parquet(tmp_path / "t.parquet", metadata={"pandas": told})
    schema = schema_of(tmp_path / "t.parquet")
    assert features(schema) == ["a", "5"]
    assert name in open_table(tmp_path / "t.parquet").notes[0]
    told = json.dumps({"index_columns": [{"kind": "range", "start": 0, "stop": 3, "step": 1}]})
    frame.drop(name).write_parquet(tmp_path / "new.parquet", metadata={"pandas": told})
    assert not open_table(tmp_path / "new.parquet").notes
    (batch,) = open_like(tmp_path / "new.parquet", schema).batches(numbers(["a", "5"]))
    assert batch.rows.tolist() == [[1, 2], [2, 3], [3, 5]]


def test_types_that_are_no_cells(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1, 2, 3], "b": [[1], [2], [3]], "y": [1.0, 2, 4]})
    frame.write_parquet(tmp_path / "t.parquet")
    with pytest.raises(TableError, match=r"column b: found List.*data\.exclude"):
        schema_of(tmp_path / "t.parquet")
    assert features(schema_of(tmp_path / "t.parquet", ["b"])) == ["a"]


def test_a_decimal_too_wide_for_polars(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    wide = pa.array([Decimal(i) for i in range(3)], pa.decimal256(50, 10))
    table = pa.table({"a": wide, "b": [1, 2, 3], "y": [1.0, 2.0, 4.0]})
    path = tmp_path / "t.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(TableError, match=r"column a: found Decimal.*data\.exclude"):
        schema_of(path)
    assert features(schema_of(path, ["a"])) == ["b"]


def test_what_stands_beside_tables_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,y\n1,2\n2,3\n")
    (tmp_path / "2.tsv").write_text("y\ta\n4\t3\n")
    (tmp_path / "3.csv.gz").write_bytes(b"")
    for name in (
        "README",
        "README.txt",
        "LICENSE",
        "Thumbs.db",
        "desktop.ini",
        "notes.md",
        "a.png",
    ):
        (tmp_path / name).write_text("not a table")
    (tmp_path / "_draft.csv").write_text("a,y\n9,9\n")
    for name in (".DS_Store", "_SUCCESS", "~$1.xlsx"):
        (tmp_path / name).write_text("hidden")
    table = open_table(tmp_path)
    rows = [row for batch in table.batches(numbers(["a", "y"])) for row in batch.rows.tolist()]
    assert rows == [[1, 2], [2, 3], [3, 4]]
    (note,) = table.notes
    for name in ("3.csv.gz", "README", "README.txt", "LICENSE", "Thumbs.db", "desktop.ini"):
        assert name in note
    assert "_draft.csv" in note
    assert ".DS_Store" not in note


def test_empty_files_among_others(tmp_path: Path) -> None:
    for name, content in (
        ("1.csv", "town,y\n"),
        ("2.csv", ""),
        ("3.csv", "town,y\na,1\nb,2\na,3\n"),
    ):
        (tmp_path / name).write_text(content)
    assert features(schema_of(tmp_path)) == ["town"]
    table = open_table(tmp_path / "*.csv")
    assert [len(file.columns) for file in table.files] == [2, 2]
    assert table.notes == ("left out, not tables: 2.csv",)


def test_a_folder_of_other_things(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("no table")
    with pytest.raises(TableError, match="no files; expected at least one table"):
        open_table(tmp_path)
    (tmp_path / "1.csv").write_text("a,y\n1,2\n2,3\n")
    (tmp_path / "contacts.txt").write_text("name phone\nAnn 5\n")
    with pytest.raises(
        TableError, match=r"contacts\.txt: .*without a, y, with name, phone.*give a glob"
    ):
        open_table(tmp_path)


def test_a_packed_table_is_found_again_under_its_reading(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,2\n2,3\n")
    cache = Cache(tmp_path / "cache", 0)
    schema = schema_of(tmp_path / "t.csv")
    assert cache.entry(open_table(tmp_path / "t.csv"), schema, True)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow", "jsonl", ""])
def test_a_name_is_no_pattern(tmp_path: Path, suffix: str) -> None:
    frame = pl.DataFrame(
        {"*": [1, 2], "^a.*$": [3, 4], "ab": [5, 6], "suspect": [7, 8], "0": [9, 9]}
    )
    path = tmp_path / f"t.{suffix}"
    if suffix in ("csv", "parquet"):
        (frame.write_csv if suffix == "csv" else frame.write_parquet)(path)
    elif suffix:
        (frame.write_ipc if suffix == "arrow" else frame.write_ndjson)(path)
    table = open_table(path) if suffix else table_of(frame)
    names = ("*", "^a.*$", "ab", "suspect", "0")
    assert table.columns == names
    (batch,) = table.batches(numbers(names))
    assert batch.rows.tolist() == [[1, 3, 5, 7, 9], [2, 4, 6, 8, 9]]
    assert [int(cells[1]) for cells in table.sample(names).values()] == [2, 4, 6, 8, 9]


def test_the_index_of_a_frame_in_memory() -> None:
    table = table_of({"Unnamed: 0": [7, 8], "a": [1, 2], "y": [1, 2]})
    assert table.header.row_names == ("Unnamed: 0",)
    assert "only names the rows" in table.notes[0]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("a,,y\n1,2,3\n4,5,6\n", "column 2"),
        (",a,y\n1,2,3\n4,5,6\n", "row names"),
        ("a,y\n1,2,3\n4,5,6\n", "row names"),
    ],
)
def test_a_column_without_a_name_that_is_used_is_found_again(
    tmp_path: Path, content: str, name: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content)
    schema = schema_of(path, kinds={name: "numeric"})
    assert set(features(schema)) == {name, "a"}
    layout = numbers([name, "a"])
    (trained,) = open_table(path).batches(layout)
    (batch,) = open_like(path, schema).batches(layout)
    assert batch.rows.tolist() == trained.rows.tolist()
    path.write_text("a,y\n1,2\n3,4\n")
    with pytest.raises(TableError, match=f"no column {name}"):
        open_like(path, schema)
