"""A line as SQL: DuckDB and SQLite give what infer.py writes, over tables of text and of types."""

from __future__ import annotations

import datetime
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

import infer
from errors import UserError
from model.folder import read_export
from model.raw_line import RawLine, Term, raw_line
from model.sql import DIALECTS, main, select
from tests.conftest import ROOT, train_recipe

pytestmark = pytest.mark.xdist_group("sql")  # one worker makes what they share

ROWS = 300
TOWNS = ["north", "o'hara", 'say "hi"', "名古屋", "1.00", "TRUE", "a\tb\nc", ";--", "\\'", "", None]
NAMES = {"town": 'to"wn; "--', "sold": "select", "area": "面积 'm²'", "home": "prediction"}


def table(rows: int = ROWS, seed: int = 0) -> pl.DataFrame:
    """With holes, far numbers, a column that follows from another, and odd texts."""
    draw = np.random.default_rng(seed)
    area, rooms = 1e7 + 300 * draw.normal(size=rows), draw.integers(1, 9, rows)
    towns = draw.integers(0, len(TOWNS), rows)
    days = draw.integers(0, 900, rows)
    start = datetime.datetime(2021, 3, 5)
    times = [start + datetime.timedelta(days=int(d), hours=int(d) % 24) for d in days]
    garden = draw.random(rows) < 0.5
    size = 0.002 * (area - 1e7) + 0.1 * rooms + 0.2 * garden + 0.1 * (towns % 3) + days / 900

    def holes(values: Any, every: int) -> list[Any]:
        return [None if i % every == seed + 1 else v for i, v in enumerate(values)]

    columns = {
        "home": [f"h{i}" for i in range(rows)],
        "area": holes(np.round(area, 2).tolist(), 11),
        "rooms": holes([-999 if i % 7 == 2 else int(r) for i, r in enumerate(rooms)], 13),
        "half": (np.round(area, 2) / 2).tolist(),
        "town": [TOWNS[i] for i in towns],
        "garden": holes(["Yes" if g else "no" for g in garden], 17),
        "sold": holes([time.strftime("%d/%m/%Y %H:%M") for time in times], 19),
        "opened": holes([time.date().isoformat() for time in times], 23),
        "y": np.expm1(np.abs(size) / 4 + 0.2),
    }
    return pl.DataFrame(columns).rename(NAMES)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sql")
    table().write_csv(folder / "t.csv")
    recipe = {
        "data": {
            "path": str(folder / "t.csv"),
            "target": "y",
            "kinds": {NAMES["town"]: "categorical", NAMES["home"]: "id"},
            "time_format": {NAMES["sold"]: "%d/%m/%Y %H:%M"},
            "missing": {"indicator": True, "values": ["", "NA", "-999", "nan"]},
            "categories": {"one_hot": 4},
            "scale": {"target": "log1p"},
            "split": {"validation": 0.3},
        },
        "intervals": {"coverage": 0.8},
        "run": {"dir": str(folder / "run")},
    }
    (folder / "recipe.yaml").write_text(json.dumps(recipe))
    train_recipe(folder / "run", str(folder / "recipe.yaml"))
    return folder / "run"


def sql(model: Path, dialect: str) -> str:
    export = read_export(model)
    return select(raw_line(export, str(model)), export.contract, DIALECTS[dialect], "a \"table'")


def by_duckdb(model: Path, rows: pl.DataFrame) -> pl.DataFrame:
    with duckdb.connect() as database:
        database.register("given", rows.to_arrow())
        database.execute('CREATE TABLE "a ""table\'" AS SELECT * FROM given')
        found = database.execute(sql(model, "duckdb"))
        assert found.description
        names = [column[0] for column in found.description]
        return pl.DataFrame(found.fetchall(), names, orient="row", infer_schema_length=None)


def by_sqlite(model: Path, rows: pl.DataFrame, affinity: str = "") -> pl.DataFrame:
    database = sqlite3.connect(":memory:")
    quoted = ['"' + name.replace('"', '""') + f'" {affinity}' for name in rows.columns]
    database.execute(f'CREATE TABLE "a ""table\'" ({", ".join(quoted)})')
    marks = ", ".join("?" * len(quoted))
    database.executemany(f'INSERT INTO "a ""table\'" VALUES ({marks})', rows.rows())  # noqa: S608
    found = database.execute(sql(model, "sqlite"))
    names = [column[0] for column in found.description]
    return pl.DataFrame(found.fetchall(), names, orient="row", infer_schema_length=None)


def by_sqlite_as_numeric(model: Path, rows: pl.DataFrame) -> pl.DataFrame:
    return by_sqlite(model, rows, "NUMERIC")


def by_sqlite_as_text(model: Path, rows: pl.DataFrame) -> pl.DataFrame:
    return by_sqlite(model, rows, "TEXT")


def inferred(model: Path, rows: pl.DataFrame, folder: Path) -> pl.DataFrame:
    rows.write_csv(folder / "t.csv")
    given = ["--input", str(folder / "t.csv"), "--output", str(folder / "p.parquet")]
    assert infer.main(["--model", str(model), *given, "--on-error", "flag"]) == 0
    return pl.read_parquet(folder / "p.parquet")


DATABASES = [by_duckdb, by_sqlite, by_sqlite_as_numeric, by_sqlite_as_text]
Database = Callable[[Path, pl.DataFrame], pl.DataFrame]


def assert_same(model: Path, found: pl.DataFrame, expected: pl.DataFrame) -> None:
    tolerance = read_export(model).contract["golden"]["tolerance"]
    outputs = ["prediction", "lower", "upper"]
    assert found.columns == ["prediction_", *outputs]
    joined = expected.join(found, on="prediction_", suffix=" by sql")
    assert len(joined) == len(expected)
    for name in outputs:
        one, other = joined[name], joined[f"{name} by sql"].cast(pl.Float64)
        assert one.is_null().to_list() == other.is_null().to_list()
        assert (one - other).abs().max() <= tolerance  # type: ignore[operator]


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("as_text", [True, False])
def test_a_database_gives_what_infer_writes(
    model: Path, tmp_path: Path, database: Database, as_text: bool
) -> None:
    """On other rows than those trained on, with levels that these did not have."""
    town = pl.when(pl.int_range(pl.len()) % 29 == 0).then(pl.lit("never seen"))
    rows = table(200, seed=1).with_columns(
        town.otherwise(pl.col(NAMES["town"])).alias(NAMES["town"])
    )
    expected = inferred(model, rows, tmp_path)
    given = rows.select(pl.all().cast(pl.String)) if as_text else rows
    assert_same(model, database(model, given), expected)


def test_typed_booleans_and_moments(model: Path, tmp_path: Path) -> None:
    rows = table(100, seed=1)
    typed = rows.with_columns(
        (pl.col("garden") == "Yes").alias("garden"),
        pl.col(NAMES["sold"]).str.to_datetime("%d/%m/%Y %H:%M"),
        pl.col("opened").str.to_date(),
    )
    expected = inferred(model, rows, tmp_path)
    assert_same(model, by_duckdb(model, typed), expected)
    zoned = typed.with_columns(pl.col(NAMES["sold"]).dt.replace_time_zone("UTC"))
    assert_same(model, by_duckdb(model, zoned), expected)


WRONG = {
    "area": ["many", "1.2.3", "inf", "0x10", "1_000"],
    "garden": ["perhaps"],
    "opened": ["2021-02-30", "5 May", "2021-13-01"],
}


@pytest.mark.parametrize("database", DATABASES)
def test_a_wrong_cell_gives_no_prediction(model: Path, tmp_path: Path, database: Database) -> None:
    """And not that of a missing one."""
    cells = [(NAMES.get(name, name), text) for name, texts in WRONG.items() for text in texts]
    rows = table(len(cells) + 1, seed=5).select(pl.all().cast(pl.String))
    for row, (name, text) in enumerate(cells):
        rows[row, name] = text
    found = database(model, rows)
    assert found["prediction"].is_null().to_list() == [True] * len(cells) + [False]
    assert_same(model, found, inferred(model, rows, tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["duckdb", "sqlite"])
def test_boston(
    boston_run: Path, tmp_path: Path, dialect: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from model.predictor import Predictor
    from tests.conftest import COLUMNS

    rows = np.loadtxt(ROOT / "data/boston/housing.data")
    assert main([str(boston_run), "--dialect", dialect, "--table", "houses"]) == 0
    text = capsys.readouterr().out
    marks = ", ".join("?" * 14)
    database: Any = duckdb.connect() if dialect == "duckdb" else sqlite3.connect(":memory:")
    database.execute(f"CREATE TABLE houses ({', '.join(f'{c} DOUBLE' for c in COLUMNS)})")
    database.executemany(f"INSERT INTO houses VALUES ({marks})", rows.tolist())  # noqa: S608
    found = np.array(database.execute(text).fetchall())[:, 0]
    predictor = Predictor(boston_run)
    tolerance = predictor.contract["golden"]["tolerance"]
    assert np.abs(found - predictor.predict(rows[:, :-1])).max() <= tolerance


def contract_of(columns: list[dict[str, Any]]) -> Any:
    schema = {"columns": [*columns, {"name": "y", "kind": "target"}], "has_header": True}
    reading = {"missing": [""]}
    return {"schema": schema, "reading": reading, "may_be_empty": False, "outputs": ["prediction"]}


def test_numbers_keep_their_bits() -> None:
    draw = np.random.default_rng(0)
    exponents = draw.integers(-40, 40, 200)
    values = (draw.normal(size=200) * 10.0**exponents).tolist()
    for value in values:
        line = RawLine(value, {"a": Term(0.0)})
        text = select(
            line, contract_of([{"name": "a", "kind": "numeric"}]), DIALECTS["duckdb"], "t"
        )
        query = text.replace('"t" AS t', "(SELECT 0 AS a) AS t")
        found = duckdb.execute(query).fetchone()
        assert found == (value,)


@pytest.mark.parametrize("database", ["duckdb", "sqlite"])
def test_many_levels_and_many_columns(database: str) -> None:
    levels = [f"l{i}" for i in range(2_000)]
    columns: list[dict[str, Any]] = [{"name": f"x{i}", "kind": "numeric"} for i in range(600)]
    columns.append({"name": "code", "kind": "categorical", "levels": levels})
    terms = {f"x{i}": Term(float(i)) for i in range(600)}
    terms["code"] = Term(values=tuple(np.arange(2_001.0)))
    text = select(RawLine(0.5, terms), contract_of(columns), DIALECTS[database], "t")
    names = ", ".join(f"x{i}" for i in range(600))
    connection: Any = duckdb.connect() if database == "duckdb" else sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE t AS SELECT {names.replace('x', '1 AS x')}, 'l1998' AS code")
    assert connection.execute(text).fetchall() == [(0.5 + 600 * 599 / 2 + 1999,)]


@pytest.mark.parametrize(
    ("names", "dialect", "words"),
    [
        (["a", "A"], "duckdb", "columns a and A: have one name to the database"),
        (["x" * 63 + "a", "x" * 63 + "b"], "postgres", "have one name to the database"),
        (["a\x1b[2J"], "sqlite", "has characters that are not seen"),
        ([f"x{i}" for i in range(2_001)], "sqlite", "found 2,001 columns"),
    ],
)
def test_names_that_a_database_does_not_have(names: list[str], dialect: str, words: str) -> None:
    line = RawLine(0.0, {name: Term(1.0) for name in names})
    columns = [{"name": name, "kind": "numeric"} for name in names]
    with pytest.raises(UserError, match=re.escape(words)):
        select(line, contract_of(columns), DIALECTS[dialect], "t")


def refused(model: str, capsys: pytest.CaptureFixture[str], *options: str) -> Iterator[str]:
    assert main([model, *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    yield captured.err


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.name=additive", "the model is additive"),
        ("model.name=mlp", "the model is a network"),
    ],
)
def test_another_model_is_refused(
    recipe: Path, override: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    train_recipe(recipe.parent / "run", str(recipe), [override])
    capsys.readouterr()
    (told,) = refused(str(recipe.parent / "run"), capsys)
    assert words in told
    assert "-o model.name=linear" in told


def test_a_wrong_option(capsys: pytest.CaptureFixture[str]) -> None:
    (told,) = refused("runs/none", capsys)
    assert "expected a run folder or its export folder" in told
    with pytest.raises(SystemExit) as ended:
        main(["runs/none", "--dialect", "oracle"])
    assert ended.value.code == 2
    assert "python -m model.sql --help" in capsys.readouterr().err
