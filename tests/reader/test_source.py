"""What a recipe says of columns and rows, before any row is a training row."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from errors import TableError
from reader.fitting import InputOptions
from reader.frame import table_of
from reader.pack import PackedTable
from reader.schema import Schema
from reader.source import SplitTable, TableOptions, infer_schema, read
from reader.split import Split, SplitOptions
from reader.training_data import check_target, fit

DAYS = [datetime(2024, 1, 1) + timedelta(days=7 * week) for week in range(60)]


def kinds_of(columns: dict[str, Any], **options: Any) -> dict[str, str]:
    table = table_of({**columns, "x": range(60), "y": range(60)})
    schema, _ = infer_schema(table, TableOptions("t", "y", **options))
    return {column.name: column.format or column.kind for column in schema.columns[:-2]}


def written(text: str) -> list[str]:
    return [day.strftime(text) for day in DAYS]


def test_a_format_of_all_columns_leaves_iso_columns_alone() -> None:
    columns = {"sold": written("%d.%m.%Y"), "built": written("%Y-%m-%d"), "typed": DAYS}
    columns |= {"count": [20_000_000 + number for number in range(60)]}
    found = kinds_of(columns, time_format="%d.%m.%Y")
    assert found == {
        "sold": "%d.%m.%Y",
        "built": "%Y-%m-%d",
        "typed": "%Y-%m-%d %H:%M:%S%.f",
        "count": "numeric",
    }


def test_formats_by_column() -> None:
    us, eu, compact = written("%m/%d/%y"), written("%d/%m/%Y"), written("%Y%m%d")
    columns = {"us": us, "eu": eu, "compact": [*map(int, compact)], "iso": written("%Y/%m/%d")}
    columns |= {"holed": [None, *map(float, compact[1:])]}
    formats = {"us": "%m/%d/%y", "eu": "%d/%m/%Y", "compact": "%Y%m%d", "holed": "%Y%m%d"}
    assert kinds_of(columns, time_format=formats) == formats | {"iso": "%Y/%m/%d"}
    assert kinds_of(columns)["compact"] == "numeric"
    assert kinds_of(columns, time_format="%Y%m%d")["holed"] == "%Y%m%d"
    typed = {"us": DAYS, "eu": eu}
    assert kinds_of(typed, time_format=formats["eu"])["us"] == "%Y-%m-%d %H:%M:%S%.f"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"time_format": {"when": "%d.%m.%Y"}}, "column when (data.time_format): found '01/01/24'"),
        (
            {"kinds": {"when": "time"}},
            "column when (data.kinds): found '01/01/24'",
        ),
        ({"time_format": {"wenn": "%Y"}}, "data.time_format names 'wenn', which is not a column"),
        ({"time_format": {"y": "%Y"}}, "'y' is both data.target and in data.time_format"),
        ({"time_format": {"when": "%d %K"}}, "data.time_format"),
    ],
)
def test_formats_that_do_not_fit(options: dict[str, Any], words: str) -> None:
    with pytest.raises(TableError) as caught:
        kinds_of({"when": written("%m/%d/%y")}, **options)
    assert words in str(caught.value)


def test_a_column_named_like_a_part_of_a_time() -> None:
    columns = {"day": DAYS, "day.month": range(60), "day_.month": range(60)}
    table = table_of({**columns, "y": range(60)})
    schema, _ = infer_schema(table, TableOptions("t", "y"))
    assert schema.packed[:3] == ("day__.month", "day__.day_of_week", "day__.hour")
    assert len(set(schema.packed)) == len(schema.packed)
    assert Schema.read(schema.describe()) == schema
    source = read(TableOptions("t", "y"), table=table)
    inputs = fit(source, source.parts, InputOptions()).encoding
    assert len(set(inputs.names)) == len(inputs.names)


@pytest.mark.parametrize("excluded", [True, False])
@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%Y%m%d", "%m/%d/%y"])
def test_a_split_by_time_however_it_is_written(form: str, excluded: bool) -> None:
    """Its column is a feature, unless it is left out."""
    order = np.random.default_rng(0).permutation(60)
    text = [DAYS[at].strftime(form).replace("/0", "/").replace(".0", ".") for at in order]
    table = table_of({"when": text, "x": range(60), "y": range(60)})
    options = TableOptions(
        "t",
        "y",
        exclude=["when"] if excluded else [],
        time_format=None if form.startswith("%Y-") else {"when": form},
        split=SplitOptions("time", 0.5, 0.25, 0.25, column="when"),
    )
    source = read(options, table=table)
    ranks = [order[part] for part in source.parts]
    assert [len(part) for part in ranks] == [30, 15, 15]
    assert ranks[0].max() < ranks[1].min()
    assert ranks[1].max() < ranks[2].min()
    assert (source.packed.schema.packed == ("x",)) == excluded
    for fold in source.folds(3):
        assert order[fold.train].max() < order[fold.test].min()


COLUMNS: dict[str, Any] = {
    "x": [*range(40)],
    "g": [f"g{number // 2}" for number in range(40)],
    "t": [str(day.date()) for day in DAYS[:40]],
    "y": [None if number % 7 == 2 else 2.0 * number for number in range(40)],
}


@pytest.mark.parametrize("limit", [0, 1 << 20])
def test_rows_without_a_target_are_an_error_that_counts_them(tmp_path: Path, limit: int) -> None:
    pl.DataFrame(COLUMNS).write_csv(tmp_path / "t.csv")
    options = {"cache": tmp_path / "cache", "memory_limit": limit}
    for _ in range(2):  # the second time out of the cache
        with pytest.raises(TableError) as caught:
            read(TableOptions(str(tmp_path / "t.csv"), "y", **options))  # type: ignore[arg-type]
        words = "line 4, column y (data.target): found an empty cell, expected a number; 6 of 40"
        assert words in str(caught.value)
        assert "data.missing.target=drop" in str(caught.value)


@pytest.mark.parametrize(
    "split",
    [
        SplitOptions("random"),
        SplitOptions("sequential"),
        SplitOptions("group", column="g"),
        SplitOptions("time", column="t"),
    ],
)
@pytest.mark.parametrize("limit", [0, 1 << 20])
def test_rows_without_a_target_are_as_if_they_were_not_there(
    tmp_path: Path, split: SplitOptions, limit: int
) -> None:
    whole = pl.DataFrame(COLUMNS)
    known = whole.filter(pl.col("y").is_not_null())
    found = []
    for name, frame, drop in (("whole", whole, True), ("known", known, False)):
        frame.write_csv(tmp_path / f"{name}.csv")
        options = TableOptions(
            str(tmp_path / f"{name}.csv"),
            "y",
            split=split,
            drop_without_target=drop,
            cache=tmp_path / "cache",
            memory_limit=limit,
        )
        source = read(options)
        parts = [source.packed.take(part).tolist() for part in source.parts]
        folds = [source.packed.take(fold.test).tolist() for fold in source.folds(3)]
        found.append((parts, folds))
        assert source.packed.without_target == 6 * drop
    assert found[0] == found[1]


@pytest.mark.parametrize("drop", [False, True])
def test_a_table_without_any_target(tmp_path: Path, drop: bool) -> None:
    (tmp_path / "t.csv").write_text("x,y\n1,\n2,\n")
    options = TableOptions(str(tmp_path / "t.csv"), "y", drop_without_target=drop)
    with pytest.raises(TableError, match=r"2 of 2 rows have no target.*choose another column"):
        read(options)


def test_files_of_which_one_has_rows_without_a_target(tmp_path: Path) -> None:
    for name, cells in {"a": [1.0, 2.0, None], "b": [None, 3.0]}.items():
        pl.DataFrame({"x": [1.0] * len(cells), "y": cells}).write_csv(tmp_path / f"{name}.csv")
    options = TableOptions(
        str(tmp_path / "a.csv"),
        "y",
        split=SplitOptions("files"),
        other_paths=(None, str(tmp_path / "b.csv")),
    )
    with pytest.raises(TableError, match=r"a.csv, line 4, .* 2 of 5 rows have no target"):
        read(options)
    source = read(replace(options, drop_without_target=True))
    assert [part.tolist() for part in source.parts] == [[0, 1], [], [4]]


def of_target(values: list[float]) -> SplitTable:
    table = table_of({"x": range(len(values)), "y": values})
    schema, _ = infer_schema(table, TableOptions("t", "y"))
    matrix = np.column_stack([np.arange(len(values)), values]).astype(np.float32)
    every = np.arange(len(values), dtype=np.int32)
    return SplitTable(None, PackedTable(schema, matrix, ""), Split(every, every[:0], every[:0]))


def test_a_constant_target() -> None:
    words = r"column y \(data.target\): found 7 in all 30 training rows, .* nothing to learn"
    source = of_target([7.0] * 30)
    with pytest.raises(TableError, match=words):
        fit(source, source.parts, InputOptions())
    one = of_target([7.0])
    with pytest.raises(TableError, match="found 7 in a single training row of fold 2"):
        check_target(one.packed, one.parts, "training rows of fold 2")
    varied = of_target([7.0] * 29 + [8.0])
    check_target(varied.packed, varied.parts)
