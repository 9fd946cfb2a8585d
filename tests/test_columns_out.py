"""What infer.py writes beside CSV: Parquet, Arrow, JSON Lines, packed text, and other columns."""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import infer
from output import output_of
from tests.conftest import train_recipe

pytestmark = pytest.mark.xdist_group("columns")  # one worker makes what they share

ROWS = 60


def table(rows: int = ROWS) -> pl.DataFrame:
    """Of every type that may be passed through; `y` is 2 a - b + 1."""
    a, b = np.arange(rows) % 10 / 4, np.arange(rows) % 7
    start = datetime.datetime(2024, 1, 1)
    return pl.DataFrame(
        {
            "home": [f"00{i}" for i in range(rows)],
            "key": pl.Series(range(10**15, 10**15 + rows)),
            "a": a,
            "b": b,
            "sold": [start + datetime.timedelta(hours=i) for i in range(rows)],
            "day": [start.date()] * rows,
            "new": [i % 2 == 0 for i in range(rows)],
            "note": [None if i % 3 == 0 else f'NA "{i}", ü' for i in range(rows)],
            "prediction": pl.Series([7] * rows, dtype=pl.Int8),
            "y": 2 * a - b + 1,
        }
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outputs")
    table().write_csv(folder / "train.csv")
    (folder / "recipe.yaml").write_text(
        f"data: {{path: {folder / 'train.csv'}, target: y, exclude: [sold, day, new, note], "
        "kinds: {home: id, key: id, prediction: ignored}}\n"
        f"run: {{dir: {folder / 'run'}}}\n"
    )
    train_recipe(folder / "run", str(folder / "recipe.yaml"))
    return folder / "run"


def run(model: Path, source: Path, output: Path, *options: str) -> int:
    given = ["--model", str(model), "--input", str(source), "--output", str(output)]
    return infer.main([*given, *options])


READ: dict[str, Callable[..., pl.DataFrame]] = {
    "parquet": pl.read_parquet,
    "arrow": pl.read_ipc,
    "feather": pl.read_ipc,
    "jsonl": pl.read_ndjson,
    "ndjson.gz": pl.read_ndjson,
    "jsonl.zst": pl.read_ndjson,
}
PASSED = ["a", "sold", "day", "new", "note", "prediction", "y"]


@pytest.mark.parametrize("kind", READ)
def test_a_typed_table_keeps_its_types(model: Path, tmp_path: Path, kind: str) -> None:
    source, output = tmp_path / "t.parquet", tmp_path / f"p.{kind}"
    table().write_parquet(source)
    assert run(model, source, output, "--columns", "a,sold", *PASSED[2:]) == 0
    found = READ[kind](output)
    given = table().select("home", "key", *PASSED).rename({"prediction": "prediction_"})
    assert found.columns == [*given.columns, "prediction"]
    np.testing.assert_allclose(found["prediction"], given["y"], atol=1e-4)
    if "json" in kind:
        moments = [pl.col("sold").str.to_datetime(time_unit="us"), pl.col("day").str.to_date()]
        found = found.with_columns(*moments, pl.col("prediction_").cast(pl.Int8))
    else:
        assert found.schema["prediction"] == pl.Float32
    assert found.drop("prediction").equals(given)


def test_a_text_table_gives_texts_and_numbers(model: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "t.csv", tmp_path / "p.parquet"
    table().write_csv(source)
    assert run(model, source, output, "--columns", "a", "y", "note", "new") == 0
    found = pl.read_parquet(output).drop("prediction")
    texts = pl.col("key", "new").cast(pl.String)
    assert found.equals(table().select("home", "key", "a", "y", "note", "new").with_columns(texts))


@pytest.mark.parametrize("kind", ["csv", "tsv.gz", "csv.zst"])
def test_cells_of_text_stay_as_they_were(model: Path, tmp_path: Path, kind: str) -> None:
    source, output = tmp_path / "t.csv", tmp_path / f"p.{kind}"
    text = table().write_csv().replace("007,", "NA,").replace(",1.0,", ",1.00,")
    source.write_text(text)
    assert run(model, source, output, "--columns", "b", "note", "a") == 0
    found = pl.read_csv(output, infer_schema=False, separator="\t" if "tsv" in kind else ",")
    given = pl.read_csv(io.StringIO(text), infer_schema=False)
    assert "NA" in found["home"]
    assert "1.00" in found["a"]
    assert found.drop("prediction").equals(given.select("home", "key", "b", "note", "a"))


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv.zst"])
def test_wrong_rows_and_no_rows(model: Path, tmp_path: Path, kind: str) -> None:
    source, output = tmp_path / "t.csv", tmp_path / f"p.{kind}"
    source.write_text(table(3).write_csv().replace("0.25", "?!"))
    output.write_text("before")
    assert run(model, source, output) == 2
    assert output.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == [output.name, source.name]
    assert run(model, source, output, "--on-error", "flag", "--columns", "b") == 0
    read = READ.get(kind, pl.read_csv)
    found = read(output)
    assert found["prediction"].is_null().to_list() == [False, True, False]
    assert "column a: found '?!'" in found["error"][1]
    assert found["b"].to_list() == [0.0, 1.0, 2.0]
    table(3).clear().write_parquet(tmp_path / "none.parquet")
    assert run(model, tmp_path / "none.parquet", output, "--columns", "sold", "note") == 0
    if kind == "jsonl":
        assert output.read_text() == ""
    else:
        found = read(output)
        assert found.columns == ["home", "key", "sold", "note", "prediction"]
        assert len(found) == 0
        if kind == "parquet":
            kinds = {"key": pl.Int64, "sold": pl.Datetime("us"), "prediction": pl.Float32}
            assert {name: found.schema[name] for name in kinds} == kinds


def test_one_type_a_column(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, output = tmp_path / "tables", tmp_path / "p.parquet"
    folder.mkdir()
    table(3).write_parquet(folder / "1.parquet")
    table(3).with_columns(pl.lit(None).alias("note")).write_parquet(folder / "2.parquet")
    assert run(model, folder, output, "--columns", "note") == 0
    assert len(pl.read_parquet(output)) == 6
    table(3).cast({"key": pl.Float64}).write_parquet(folder / "3.parquet")
    assert run(model, folder, output) == 2
    told = "column key: found Float64 in one file of the table, and Int64 in the files before it"
    assert told in capsys.readouterr().err
    assert len(pl.read_parquet(output)) == 6
    assert run(model, folder, tmp_path / "p.csv") == 0


def test_a_column_whose_name_has_a_comma(model: Path, tmp_path: Path) -> None:
    source, output = tmp_path / "t.parquet", tmp_path / "p.jsonl"
    table(2).rename({"note": "a,b", "new": "error"}).write_parquet(source)
    assert run(model, source, output, "--columns", "a,b", "error, day", "--on-error", "flag") == 0
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [*rows[1]] == ["home", "key", "a,b", "error_", "day", "prediction", "error"]
    assert rows[1]["error_"] is False


def write(path: Path, tables: Iterable[Any]) -> None:
    with output_of(str(path)).open() as writer:
        for lines in tables:
            writer.write(pl.DataFrame(lines))


@pytest.mark.parametrize("kind", ["parquet", "arrow", "jsonl", "csv.zst"])
def test_a_full_disk_is_told(tmp_path: Path, kind: str) -> None:
    (tmp_path / f"p.{kind}").symlink_to("/dev/full")
    lines = pl.DataFrame({"prediction": np.random.default_rng(0).normal(size=100_000)})
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path / f"p.{kind}", [lines] * 5)


@pytest.mark.parametrize("kind", ["parquet", "jsonl.gz", "csv.zst"])
def test_an_error_on_the_way_leaves_nothing(tmp_path: Path, kind: str) -> None:
    lines = pl.DataFrame({"prediction": [1.5] * 1000})
    with pytest.raises(TypeError):
        write(tmp_path / f"p.{kind}", [*[lines] * 10, 7])
    assert list(tmp_path.iterdir()) == []
