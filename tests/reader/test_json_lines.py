"""Tables of JSON."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from errors import TableError
from reader.pack import pack
from reader.schema import Schema
from reader.source import TableOptions, infer_schema
from reader.table import open_table
from tests.conftest import numbers, numeric

SCHEMA = numeric(["a", "y"], "y")


def lines(*objects: object) -> str:
    return "".join(json.dumps(each) + "\n" for each in objects)


def read(path: Path) -> list[list[float]]:
    table = open_table(path)
    return pack(table, numeric(["a", "y"], "y"), may_be_empty=True).matrix.tolist()


def test_types_and_columns_are_those_of_all_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    whole = [{"a": row, "y": None} for row in range(300)]
    path.write_text(lines(*whole, {"a": 1.5, "y": 2.5, "late": 7}))
    table = open_table(path)
    assert table.columns == ("a", "y", "late")
    rows = [batch.rows for batch in table.batches(numbers(["a", "y", "late"], ["y", "late"]))]
    assert np.concatenate(rows)[-1].tolist() == [1.5, 2.5, 7]
    assert np.isnan(np.concatenate(rows)[:-1, 1:]).all()


@pytest.mark.parametrize(
    "name", ["sales[1].jsonl", "sales?.jsonl", "sales*.ndjson", "sa{1,2}.jsonl"]
)
def test_a_name_is_no_pattern(tmp_path: Path, name: str) -> None:
    (tmp_path / "sales1.jsonl").write_text(lines({"a": 9, "y": 9}))
    (tmp_path / "sales2.ndjson").write_text(lines({"a": 9, "y": 9}))
    (tmp_path / name).write_text(lines({"a": 1, "y": 2}))
    assert read(tmp_path / name) == [[1, 2]]


ROWS: list[dict[str, object]] = [{"a": 1, "y": 2}, {"a": 3.5, "y": 4}]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        "\ufeff" + json.dumps(ROWS),
        lines(*ROWS),
        "\ufeff" + lines(*ROWS),
        lines(*ROWS).replace("\n", "\r\n\r\n"),
        lines({**ROWS[0], "tags": {"x": 1, "z": [2]}}, {**ROWS[1], "tags": [1, {"v": 2}]}),
    ],
)
@pytest.mark.parametrize("suffix", [".json", ".jsonl", ""])
def test_arrays_and_lines(tmp_path: Path, content: str, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    path.write_text(content)
    assert read(path) == [[1, 2], [3.5, 4]]
    with gzip.open(tmp_path / f"t{suffix}.gz", "wt") as file:
        file.write(content)
    assert read(tmp_path / f"t{suffix}.gz") == [[1, 2], [3.5, 4]]
    path.write_text(content, encoding="utf-16")
    assert read(path.rename(tmp_path / "u.json")) == [[1, 2], [3.5, 4]]


def test_nan_is_read_as_it_is_in_text(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"a": NaN, "y": 1}\n{"a": 2.5, "y": 3}\n')
    table = open_table(tmp_path / "t.jsonl")
    with pytest.raises(TableError, match="row 1, column a: found 'NaN', expected a finite number"):
        pack(table, SCHEMA)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"a": 1, "y": 2}\n{"a": 1, "y": 2\n', "line 2: not valid JSON"),
        ('{"a": 1, "y": 2}\n[1, 2]\n', "line 2: found [1, 2]; expected one object per line"),
        ('[{"a": 1, "y": 2}, 3]', "row 2: found 3; expected one object"),
        ('[{"a": 1, "y": 2}', "not valid JSON"),
        ("[]", "the array is empty"),
        ('{"a": {"0": 1, "1": 2}, "y": {"0": 1, "1": 2}}', "found a, y, each of them a list or an"),
        ('{"data": [{"a": 1, "y": 2}]}', "found data, each of them a list or an object; expected"),
        ('{\n "a": {"0": 1, "1": 2},\n "y": {"0": 1, "1": 2}\n}', "expected one object per line"),
    ],
)
def test_what_is_no_table(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "t.json").write_text(content)
    with pytest.raises(TableError) as caught:
        read(tmp_path / "t.json")
    assert words in str(caught.value)


def test_nested_values_are_refused_where_they_are_used(tmp_path: Path) -> None:
    for index, (one, other) in enumerate([("[1]", "[2]"), ('{"x": 1}', "[2]")]):
        path = tmp_path / f"{index}.jsonl"
        first, second = (json.dumps(row)[:-1] for row in ROWS)
        path.write_text(f'{first}, "tags": {one}}}\n{second}, "tags": {other}}}\n')
        assert read(path) == [[1, 2], [3.5, 4]]
        with pytest.raises(TableError, match=r"column tags: found List.*data\.exclude"):
            open_table(path).sample(["a", "tags"])


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_a_file_without_an_object_is_empty(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.jsonl").write_text(content)
    with pytest.raises(TableError, match="the file is empty; expected a table"):
        open_table(tmp_path / "t.jsonl")


@pytest.mark.parametrize("odd", [[1], {"of": 2}])
@pytest.mark.parametrize("is_array", [False, True])
def test_a_list_or_an_object_among_numbers_is_the_columns_fault(
    tmp_path: Path, odd: object, is_array: bool
) -> None:
    cells = [0, 1, 2, odd, None, 5]
    rows = [{"a": row, "y": row, "k": cell} for row, cell in enumerate(cells)]
    path = tmp_path / ("t.json" if is_array else "t.jsonl")
    path.write_text(json.dumps(rows) if is_array else lines(*rows))
    assert read(path) == [[row, row] for row in range(6)]
    with pytest.raises(TableError, match=r"column k: found (List|Struct).*data\.exclude"):
        list(open_table(path).batches(numbers(["k"])))


def test_a_key_without_a_letter_names_the_rows(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(lines(*({"": row, "a": row, "y": row} for row in range(9))))
    table = open_table(tmp_path / "t.jsonl")
    schema, _ = infer_schema(table, TableOptions("t", "y"))
    assert [column.kind for column in schema.columns] == ["ignored", "numeric", "target"]
    assert Schema.read(schema.describe()) == schema
