"""Models beside other libraries': the same rows, figures kept, and how they are told."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from benchmarks import accuracy
from benchmarks.accuracy import Figure, Table, divided, main, told
from benchmarks.regressors import REGRESSORS, Regressor
from reader.source import SplitTable

Vector = NDArray[np.float64]


def mean_of_training(source: SplitTable, seed: int) -> Vector:
    """A peer that any test can foresee."""
    target = source.packed.matrix[:, -1].astype(np.float64)
    return np.full(len(source.parts.test), target[source.parts.train].mean())


def fails(source: SplitTable, seed: int) -> Vector:
    if seed:
        raise ArithmeticError("no tree grew")
    return mean_of_training(source, seed)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two tables of numbers, and peers that need no library."""
    random, index = np.random.default_rng(0), []
    for name in ("homes", "flats"):
        x = random.normal(size=(200, 3))
        price = x @ [3.0, -2.0, 1.0] + random.normal(size=200)
        frame = pl.DataFrame({"area": x[:, 0], "age": x[:, 1], "noise": x[:, 2], "price": price})
        frame.write_csv(tmp_path / f"{name}.csv")
        index.append({"name": name, "path": f"{name}.csv", "target": "price"})
    (tmp_path / "index.json").write_text(json.dumps(index))
    peers = {
        "CatBoost": Regressor("numpy", mean_of_training),
        "Broken": Regressor("numpy", fails),
        "Absent": Regressor("no_such_module", fails),
    }
    monkeypatch.setattr(accuracy, "REGRESSORS", peers)
    return tmp_path


def table_of(folder: Path, *more: str) -> Table:
    return Table("homes", None, [f"data.path={folder / 'homes.csv'}", "data.target=price", *more])


def kept(path: Path) -> dict[str, list[float]]:
    """The figures by side, table and seed; a table that is another one has another key."""
    sides: dict[str, dict[str, list[float]]] = json.loads(path.read_text())
    found = [
        (f"{s}, {k.rpartition(', ')[0]}", v) for s, each in sides.items() for k, v in each.items()
    ]
    assert len(dict(found)) == len(found)
    return dict(found)


def foreseen(folder: Path, seed: int) -> dict[str, float]:
    """What the peer and a straight line reach, by NumPy, from the cells of the file."""
    cells = pl.read_csv(folder / "homes.csv").to_numpy()
    parts = divided(table_of(folder), seed, 1_000).parts
    x, y = np.column_stack([cells[:, :3], np.ones(200)]), cells[:, 3]
    weights = np.linalg.lstsq(x[parts.train], y[parts.train], rcond=None)[0]
    wrong = {"CatBoost": y[parts.train].mean() - y[parts.test]}
    wrong["linear"] = x[parts.test] @ weights - y[parts.test]
    return {side: float(np.sqrt(np.mean(each**2))) for side, each in wrong.items()}


def test_figures_are_test_errors_on_the_same_rows(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = folder / "accuracy.md"
    command = [str(folder), "--ours", "linear", "--seeds", "2", "--page", str(page)]
    assert main(command) == 0
    results = kept(folder / "accuracy.json")
    errors: dict[str, list[float]] = {"linear": [], "CatBoost": []}
    for seed in range(2):
        expected = foreseen(folder, seed)
        for side in errors:
            error, seconds = results[f"{side}, homes, seed {seed}"]
            assert error == pytest.approx(expected[side], rel=1e-4)
            assert 0 <= seconds < 60
            errors[side].append(error)
    assert errors["linear"][0] != errors["linear"][1]
    line, mean = (np.sqrt(np.mean(np.square(errors[side]))) for side in errors)
    shown = capsys.readouterr()
    (row,) = [text for text in shown.out.splitlines() if text.startswith("| homes |")]
    cells = row.split(" | ")
    assert cells[1] == f"{mean:.5g}"
    assert cells[2].startswith(f"{line / mean:.3f} (")
    assert cells[3].startswith("1.000 (")
    assert len(cells) == 4  # what failed on one of the seeds has no column
    assert "Absent: not installed" in shown.out
    assert "homes, seed 1, Broken: ArithmeticError: no tree grew" in shown.err
    assert row in page.read_text()
    assert f"python -m benchmarks.accuracy {folder} --ours linear" in page.read_text()


def tables_in(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")]


def test_a_run_continues_where_the_last_one_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [
        str(folder),
        "--ours",
        "linear",
        "--peers",
        "CatBoost",
        "--page",
        str(folder / "a.md"),
    ]
    assert main(command) == 0
    before = tables_in(capsys.readouterr().out)
    measured: list[str] = []

    def count(*given: Any) -> float:
        measured.append(given[-2].name)
        return 1.0

    for side in ("ours", "theirs"):
        monkeypatch.setattr(accuracy, side, count)
    assert main(command) == 0
    assert measured == []
    assert tables_in(capsys.readouterr().out) == before
    path = folder / "accuracy.json"
    results = json.loads(path.read_text())
    (flats,) = [key for key in results["CatBoost"] if key.startswith("flats")]
    del results["CatBoost"][flats]
    path.write_text(json.dumps(results))
    assert main(command) == 0
    assert measured == ["flats"]
    assert json.loads(path.read_text())["linear"] == results["linear"]
    assert main([*command, "--rows", "50"]) == 0
    assert sorted(measured[1:]) == ["flats", "flats", "homes", "homes"]
    homes = folder / "homes.csv"
    homes.write_text(homes.read_text().replace("1", "2", 1))
    assert main(command) == 0
    assert measured[5:] == ["homes", "homes"]


def test_training_rows_are_capped_and_no_others(folder: Path) -> None:
    whole, few = (divided(table_of(folder), 0, rows).parts for rows in (1_000, 50))
    assert len(few.train) == 50
    assert len(set(few.train) & set(whole.train)) == 50
    np.testing.assert_array_equal(few.validation, whole.validation)
    np.testing.assert_array_equal(few.test, whole.test)


def test_your_own_table_by_a_recipe(folder: Path) -> None:
    recipe, path = folder / "mine.yaml", folder / "kept.json"
    recipe.write_text(
        f"data: {{path: {folder / 'homes.csv'}, target: price, split: {{seed: 1}}}}\n"
        "optimizer: {weight_decay: 1}\n"
    )
    command = ["-c", str(recipe), "--ours", "linear", "--peers", "--results", str(path)]
    assert main(command) == 0
    assert main([*command, "-o", "data.exclude=[area]"]) == 0
    found = kept(path)
    line = found["linear, mine, seed 0"][0]
    assert line == pytest.approx(foreseen(folder, 1)["linear"], rel=1e-4)
    assert found["recipe, mine, seed 0"][0] > 1.2 * line  # which does not decay
    assert found["linear, mine data.exclude=[area], seed 0"][0] > 1.2 * line
    recipe.write_text(recipe.read_text().replace("weight_decay: 1", "weight_decay: 0"))
    assert main(command) == 0
    assert kept(path)["recipe, mine, seed 0"][0] == pytest.approx(line, rel=1e-4)


def test_your_own_table_by_its_path(folder: Path) -> None:
    path = folder / "kept.json"
    command = ["--data", str(folder / "homes.csv"), "--ours", "linear", "--peers"]
    for target in ("price", "area"):
        assert main([*command, "--target", target, "--results", str(path)]) == 0
    (price, area) = json.loads(path.read_text())["linear"].values()
    assert price[0] == pytest.approx(foreseen(folder, 0)["linear"], rel=1e-4)
    assert area[0] < 0.5 * price[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ours", "nonsense"], "nonsense"),
        (["--ours", "linear data.exclude=[area]"], "set its keys with -o"),
        (["--only", "castles"], "none of castles is there"),
        (["--ours", "linear", "-o", "data.split.test=0"], "there are no test rows"),
    ],
)
def test_mistakes_are_told_before_anything_is_measured(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([str(folder), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "accuracy.json").exists()


def test_ratios_are_those_to_the_reference() -> None:
    figures = {
        "a": {"ours": Figure(1.0, 1.0), "CatBoost": Figure(2.0, 3.0), "XGBoost": Figure(4.0, 5.0)},
        "b": {"ours": Figure(8.0, 1.5), "CatBoost": Figure(4.0, 3.0)},
        "c": {"ours": Figure(2.0, 0.5), "CatBoost": Figure(4.0, 3.0)},
        "d": {"ours": Figure(9.0, 0.1)},
    }
    lines = told(figures, ["ours", "CatBoost", "XGBoost"], "CatBoost")
    assert lines[2:5] == [
        "| a | 2 | 0.500 (1.00) | 1.000 (3.00) | 2.000 (5.00) |",
        "| b | 4 | 2.000 (1.50) | 1.000 (3.00) |  |",
        "| c | 4 | 0.500 (0.50) | 1.000 (3.00) |  |",
    ]
    assert lines[-3:] == [
        "| ours | 3 | 0.794 | 2 | 2 | 3.0 |",  # the cube root of 1/2 * 2 * 1/2
        "| CatBoost | 3 | 1.000 | 0 | 1 | 9.0 |",
        "| XGBoost | 1 | 2.000 | 0 | 0 | 5.0 |",
    ]


class Recorder:
    """Stands for a library's class: what it was made and trained with."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def fit(self, x: Any, y: Any, **more: Any) -> None:
        self.x, self.y, self.more = np.asarray(x, np.float64), y, more

    def predict(self, x: Any) -> Vector:
        return np.asarray(x, np.float64)[:, 0]


def recorded(
    side: str, source: SplitTable, monkeypatch: pytest.MonkeyPatch
) -> tuple[Recorder, Vector]:
    made: list[Recorder] = []

    def make(**options: Any) -> Recorder:
        made.append(Recorder(**options))
        return made[0]

    classes: dict[str, Callable[..., Any]] = {
        f"{name}Regressor": make for name in ("XGB", "LGBM", "CatBoost")
    }
    stopping = {"early_stopping": lambda rounds, verbose: rounds}
    stub = SimpleNamespace(**classes, **stopping)
    monkeypatch.setitem(sys.modules, REGRESSORS[side].module, stub)
    predictions = REGRESSORS[side].predict(source, 7)
    return made[0], predictions


@pytest.mark.parametrize("library", ["XGBoost", "LightGBM", "CatBoost"])
def test_libraries_get_the_parts_that_are_theirs(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "homes.csv"
    towns = ["north", "south", "east", "west"]
    lines = [f"{'' if i % 7 == 0 else i},{towns[i % 4]},{i * 3}" for i in range(100)]
    path.write_text("\n".join(["area,town,price", *lines]))
    table = Table("homes", None, [f"data.path={path}", "data.target=price"])
    source = divided(table, 0, 1_000)
    plain, found = recorded(library, source, monkeypatch)
    tuned, _ = recorded(f"{library} tuned", source, monkeypatch)
    rows = source.parts.train
    np.testing.assert_array_equal(plain.y, rows * 3)
    area = np.where(rows % 7 == 0, np.nan, rows)
    np.testing.assert_array_equal(plain.x[:, 0], area)
    codes = {town: code for code, town in enumerate(sorted(towns), start=1)}
    np.testing.assert_array_equal(plain.x[:, 1], [codes[towns[i % 4]] for i in rows])
    np.testing.assert_array_equal(
        found, np.where(source.parts.test % 7 == 0, np.nan, source.parts.test)
    )
    assert "eval_set" not in plain.more
    assert len(plain.options) < 6 < len(tuned.options)
    evaluated = tuned.more["eval_set"]
    _, target = evaluated if library == "CatBoost" else evaluated[0]
    np.testing.assert_array_equal(target, source.parts.validation * 3)
    patience = tuned.options.get("early_stopping_rounds") or tuned.more.get("early_stopping_rounds")
    assert 300 in (patience, *tuned.more.get("callbacks", ()))
    named = {"XGBoost": plain.options.get("feature_types") == ["q", "c"]}
    named["LightGBM"] = plain.more.get("categorical_feature") == [1]
    named["CatBoost"] = plain.more.get("cat_features") == [1]
    assert named[library]
