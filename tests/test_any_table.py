"""Tables as they are: categories, holes, dates, identifiers, and columns that break arithmetic."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import infer
import train
from model.predictor import Predictor
from reader.source import TableOptions, read
from reader.split import SplitOptions
from tests.conftest import train_recipe

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("any table")]

TOWNS = {"north": 1.0, "south": -2.0, "harbour, old": 4.0, "": 0.5}


def homes(rows: int = 400) -> list[dict[str, Any]]:
    """Rows whose price follows from area, town, garden and year, with little noise."""
    random, found = np.random.default_rng(0), []
    for number in range(rows):
        town = str(random.choice(list(TOWNS)))
        area, garden, year = random.uniform(1, 9), random.random() < 0.5, random.integers(0, 9)
        price = 3 * area + TOWNS[town] + 2 * garden + 0.3 * year + random.normal(scale=0.3)
        found.append(
            {
                "home_id": f"h{number}",
                "area": f"{area:.4f}",
                "town": town,
                "garden": "yes" if garden else "no",
                "sold": f"{2010 + year}-06-15",
                "price": f"{price:.5f}",
            }
        )
    return found


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def recipe_of(table: Path, target: str = "price", more: str = "") -> str:
    path = table.with_suffix(".yaml")
    path.write_text(
        f"data: {{path: {table}, target: {target}{more}}}\ntrain: {{epochs: 200, export: last}}\n"
    )
    return str(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    folder, rows = tmp_path_factory.mktemp("homes"), homes()
    recipe = recipe_of(write(folder / "homes.csv", rows))
    train_recipe(folder / "run", recipe)
    return folder, rows


def test_learns_what_the_columns_say(run: tuple[Path, list[dict[str, Any]]]) -> None:
    report = json.loads((run[0] / "run" / "report.json").read_text())
    assert report["metrics"]["test"]["rmse"] < 0.4
    assert report["optimum"]["gap"] < 0.02
    kinds = json.loads((run[0] / "run" / "schema.json").read_text())["columns"]
    assert {column["name"]: column["kind"] for column in kinds} == {
        "home_id": "id",
        "area": "numeric",
        "town": "categorical",
        "garden": "boolean",
        "sold": "time",
        "price": "target",
    }
    assert kinds[2]["levels"] == ["harbour, old", "north", "south", None]


def predicted(folder: Path, table: Path, *options: str) -> list[dict[str, str]]:
    output = table.with_suffix(".out.csv")
    given = ["--model", str(folder / "run"), "--input", str(table), "--output", str(output)]
    assert infer.main([*given, *options]) == 0
    with open(output, newline="") as file:
        return list(csv.DictReader(file))


def test_ids_come_before_predictions_and_order_of_columns_is_nothing(
    run: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, rows = run
    one = predicted(folder, write(tmp_path / "one.csv", rows))
    other = [{name: row[name] for name in reversed(row)} for row in rows]
    assert one == predicted(folder, write(tmp_path / "other.csv", other))
    assert list(one[0]) == ["home_id", "prediction"]
    assert [row["home_id"] for row in one] == [row["home_id"] for row in rows]
    actual = np.array([float(row["price"]) for row in rows])
    assert np.abs(np.array([float(row["prediction"]) for row in one]) - actual).max() < 1.5


def test_columns_from_a_program_are_encoded_like_those_of_a_file(
    run: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, rows = run
    predictor = Predictor(folder / "run")
    found = predictor.predict(
        predictor.encode(
            {
                "sold": [row["sold"] for row in rows],
                "garden": [row["garden"] == "yes" for row in rows],
                "town": [row["town"] for row in rows],
                "area": [float(row["area"]) for row in rows],
            }
        )
    )
    lines = predicted(folder, write(tmp_path / "t.csv", rows))
    np.testing.assert_array_equal(
        found, np.array([line["prediction"] for line in lines], dtype=np.float32)
    )
    with pytest.raises(ValueError, match="no column town"):
        predictor.encode({"area": [1]})
    with pytest.raises(ValueError, match="row 1, column garden: found 'perhaps'"):
        predictor.encode({"area": [1], "town": ["north"], "garden": ["perhaps"], "sold": [None]})


def test_what_is_unlike_training_is_told_once_a_column(
    run: tuple[Path, list[dict[str, Any]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, rows = run
    changed = [row | {"town": "west", "area": "", "sold": "2030-01-01"} for row in rows[:50]]
    assert len(predicted(folder, write(tmp_path / "t.csv", [*changed, *rows[50:]]))) == 400
    error = capsys.readouterr().err
    assert "warning: town: 50 of 400 values unknown (12.5%); in training 0.0%" in error
    assert "warning: area: 50 of 400 values missing (12.5%); in training 0.0%" in error
    assert "warning: sold: 50 of 400 times outside the range" in error
    assert "town: 50 of 400 values missing" not in error


def test_wrong_rows_are_flagged_where_asked(
    run: tuple[Path, list[dict[str, Any]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, rows = run
    table = write(tmp_path / "t.csv", [*rows[:3], rows[3] | {"area": "big"}, *rows[4:9]])
    lines = table.read_text().splitlines()
    lines[6], lines[8] = lines[6] + ",more", "h7,1"
    table.write_text("\n".join(lines))
    found = predicted(folder, table, "--on-error", "flag")
    assert [bool(row["prediction"]) for row in found] == [True] * 3 + [False, True, False] + [
        True,
        False,
        True,
    ]
    assert "line 5, column area: found 'big', expected a number" in found[3]["error"]
    assert "line 7: found 7 values, expected 6" in found[5]["error"].replace(",", ":", 1)
    assert "found 2 values" in found[7]["error"]
    assert "3 of 9 rows have no prediction" in capsys.readouterr().err
    clean = predicted(folder, write(tmp_path / "clean.csv", rows[:9]))
    for row, expected in zip(found, clean, strict=True):
        assert row["error"] or row["prediction"] == expected["prediction"]
    assert infer.main(["--model", str(folder / "run"), "--input", str(table)]) == 2


def test_check_stops_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        row | {"area_twice": str(2 * float(row["area"])), "same": "7", "tax": row["price"]}
        for row in homes(200)
    ]
    table = write(tmp_path / "t.csv", rows)
    run = tmp_path / "run"
    assert train.main(["-c", recipe_of(table), "-o", f"run.dir={run}", "--check"]) == 0
    out = capsys.readouterr().out
    assert "160 train" not in out  # by the hash of the id, shares hold on average
    assert "constant: same has one value" in out
    assert "column area_twice: a copy of area" in out
    assert "likely leak: tax alone gives price" in out
    assert "likely leak: area" not in out
    assert not run.exists()


def test_rows_keep_their_part_by_id_when_the_table_is_sorted_anew(tmp_path: Path) -> None:
    rows = homes(100)
    more = [row | {"home_id": f"new {row['home_id']}"} for row in homes(30)]
    members = []
    for name, order in (("one", rows), ("other", [*more, *rows[::-1]])):
        path = write(tmp_path / f"{name}.csv", order)
        options = TableOptions(
            str(path),
            "price",
            split=SplitOptions("random", 0.6, 0.2, 0.2),
            cache=tmp_path,
        )
        source = read(options)
        ids = np.array([row["home_id"] for row in order])
        members.append(set(ids[source.parts.test]))
    assert members[0]
    assert members[0] == {name for name in members[1] if not name.startswith("new")}


def test_folds_measure_and_the_last_model_has_all_training_rows(tmp_path: Path) -> None:
    recipe = recipe_of(write(tmp_path / "t.csv", homes(300)), more=", exclude: [home_id]")
    report = train_recipe(tmp_path / "run", recipe, ["data.split.folds=3", "train.epochs=60"])
    folds = report["folds"]
    assert folds["count"] == len(folds["each"]) == 3
    assert sum(fold["rows"] for fold in folds["each"]) == report["metrics"]["train"]["rows"] == 240
    rmse = [fold["rmse"] for fold in folds["each"]]
    assert folds["rmse"]["mean"] == pytest.approx(np.mean(rmse))
    assert folds["rmse"]["deviation"] == pytest.approx(np.std(rmse, ddof=1))
    assert (tmp_path / "run" / "folds" / "3" / "checkpoints" / "best").is_dir()


def test_each_part_a_table(tmp_path: Path) -> None:
    rows = homes(300)
    paths = [
        write(tmp_path / f"{name}.csv", part)
        for name, part in (("a", rows[:200]), ("b", rows[200:250]), ("c", rows[250:]))
    ]
    split = f", split: {{method: files, validation_path: {paths[1]}, test_path: {paths[2]}}}"
    report = train_recipe(tmp_path / "run", recipe_of(paths[0], more=split), ["train.epochs=9"])
    assert [report["metrics"][part]["rows"] for part in ("train", "validation", "test")] == [
        200,
        50,
        50,
    ]


def columns(name: str) -> dict[str, list[Any]]:
    """400 rows with a column `a` that predicts, and another that makes trouble."""
    random = np.random.default_rng(1)
    a = random.normal(size=400)
    b = random.normal(size=400)
    trouble: dict[str, dict[str, Any]] = {
        "sum": {"b": b, "s": a + b},
        "two constants": {"c": np.full(400, 7), "d": np.zeros(400)},
        "far from zero": {"b": 1e6 + b},
        "all different texts of many levels": {"t": [f"t{i % 190}" for i in range(400)]},
    }
    return {
        "a": list(a),
        **{key: list(v) for key, v in trouble[name].items()},
        "y": list(3 * a + 1),
    }


def table_of(path: Path, values: dict[str, list[Any]]) -> Path:
    names = list(values)
    rows = [dict(zip(names, row, strict=True)) for row in zip(*values.values(), strict=True)]
    return write(path, rows)


@pytest.mark.parametrize(
    "name", ["sum", "two constants", "far from zero", "all different texts of many levels"]
)
def test_columns_that_make_trouble(tmp_path: Path, name: str) -> None:
    table = table_of(tmp_path / "t.csv", columns(name))
    report = train_recipe(tmp_path / "run", recipe_of(table, "y"))
    assert report["metrics"]["test"]["r2"] > 0.99


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([1e9 + i % 3 - 1 for i in range(400)], "column b: its values are near 1e+09"),
        ([20_240_101 + i % 3 for i in range(400)], "data.time_format: {b: '%Y%m%d'}"),
    ],
)
def test_columns_that_are_refused(
    tmp_path: Path, cells: list[Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = table_of(tmp_path / "t.csv", columns("sum") | {"b": cells})
    assert train.main(["-c", recipe_of(table, "y"), "-o", f"run.dir={tmp_path / 'run'}"]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_column_without_a_value_is_told_and_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = columns("sum")
    full = table_of(tmp_path / "t.csv", cells | {"b": list(range(len(cells["y"])))})
    empty = table_of(tmp_path / "e.csv", cells | {"b": [""] * len(cells["y"])})
    train_recipe(tmp_path / "run", recipe_of(empty, "y"))
    assert (
        "column b: no training row has a value, and it is not used: data.exclude: [b]"
        in capsys.readouterr().out
    )
    found = [predicted(tmp_path, table) for table in (empty, full)]
    assert found[0] == found[1]


@pytest.mark.parametrize("model", ["linear", "mlp"])
def test_four_thousand_levels_are_learned(tmp_path: Path, model: str) -> None:
    random = np.random.default_rng(2)
    effect = random.normal(size=4_000)
    level = random.integers(4_000, size=40_000)
    values = {"c": [f"shop {n}" for n in level], "a": list(random.normal(size=40_000))}
    y = effect[level] + np.array(values["a"])
    table = table_of(tmp_path / "t.csv", values | {"y": list(y)})
    more = [f"model.name={model}", "train.epochs=30"]
    if model == "mlp":
        more += ["optimizer.name=adam", "train.epochs=5"]
    report = train_recipe(tmp_path / "run", recipe_of(table, "y"), more)
    assert report["metrics"]["test"]["r2"] > 0.9
    if model == "linear":
        assert report["optimum"]["gap"] < 1e-4
    codes = Predictor(tmp_path / "run").predict([[0.0, 0.0]])
    assert abs(float(codes[0])) < 1


def test_codes_alone_give_the_mean_of_each_level(tmp_path: Path) -> None:
    """No column is left to be scaled."""
    random = np.random.default_rng(3)
    level = random.integers(5, size=400)
    y = np.array([3.0, -1.0, 4.0, 1.0, 5.0])[level] + random.normal(size=400)
    table = table_of(tmp_path / "t.csv", {"c": [f"shop {n}" for n in level], "y": list(y)})
    options = ["data.categories.one_hot=0", "data.split.test=0", "data.split.validation=0"]
    options += ["data.split.train=1"]
    train_recipe(tmp_path / "run", recipe_of(table, "y"), options)
    predictor = Predictor(tmp_path / "run")
    predicted = predictor.predict(predictor.encode({"c": [f"shop {n}" for n in range(5)]}))
    means = [y[level == n].mean() for n in range(5)]
    np.testing.assert_allclose(predicted.ravel(), means, atol=1e-4)
