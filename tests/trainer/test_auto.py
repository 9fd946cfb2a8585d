"""What `auto` chooses, held against least squares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from tests.conftest import train_recipe

pytestmark = pytest.mark.slow

Table = NDArray[np.float64]


def of_condition(condition: float, rows: int = 5_000) -> Table:
    """13 columns whose design matrix has this condition number; every direction tells something."""
    random = np.random.default_rng(0)
    rotation = np.linalg.qr(random.normal(size=(13, 13)))[0]
    z = random.normal(size=(rows, 13))
    target = z.sum(axis=1) / np.sqrt(13) + 0.5 * random.normal(size=rows)
    return np.column_stack([z * np.geomspace(1, 1 / condition, 13) @ rotation, target])


def with_outliers() -> Table:
    """More rows than a mini-batch may have, a few of them far from all others."""
    random = np.random.default_rng(1)
    x = random.standard_t(3, size=(90_000, 4))
    x[:, 1] = x[:, 0] + 0.01 * x[:, 1]
    x[7, 1] += 50
    return np.column_stack([x, x @ [1, 2, -1, 0.5] + random.normal(size=90_000)])


def sum_of_others() -> Table:
    random = np.random.default_rng(2)
    x = random.normal(100, 5, size=(2_000, 3))
    return np.column_stack([x, x.sum(axis=1), x @ [1, 0, 2] + random.normal(size=2_000)])


def exact() -> Table:
    x = np.random.default_rng(3).normal(size=(300, 2))
    return np.column_stack([x, x @ [3, -2] + 1])


def run(folder: Path, table: Table, *overrides: str) -> dict[str, Any]:
    """Train with a recipe of the two keys that it must have, on all rows."""
    names = [*(f"c{i}" for i in range(table.shape[1] - 1)), "y"]
    pl.DataFrame(table, schema=names).write_csv(folder / "table.csv", float_precision=9)
    (folder / "recipe.yaml").write_text(f"data: {{path: {folder / 'table.csv'}, target: y}}\n")
    return train_recipe(folder / "run", str(folder / "recipe.yaml"), overrides)


def least_squares(table: Table) -> float:
    rows = table.astype(np.float32).astype(np.float64)
    design = np.column_stack([rows[:, :-1] - rows[:, :-1].mean(axis=0), np.ones(len(rows))])
    scale = design.std(axis=0) + (design.std(axis=0) == 0)
    found = np.linalg.lstsq(design / scale, rows[:, -1], rcond=1e-12)[0]
    return float(np.mean((design / scale @ found - rows[:, -1]) ** 2))


ALL = ("data.split.train=1", "data.split.validation=0", "data.split.test=0")


@pytest.mark.parametrize("table", [of_condition(1e6), sum_of_others(), with_outliers()])
def test_nothing_set_ends_at_least_squares(tmp_path: Path, table: Table) -> None:
    report = run(tmp_path, table, *ALL)
    optimum = least_squares(np.loadtxt(tmp_path / "table.csv", delimiter=",", skiprows=1))
    assert report["metrics"]["train"]["mse"] == pytest.approx(optimum, rel=2e-4)
    assert report["chosen"]["data.scale.features"]["value"] == "whiten"
    assert len(report["history"]) <= 15


def test_an_exact_fit_is_found(tmp_path: Path) -> None:
    report = run(tmp_path, exact(), *ALL)
    assert report["metrics"]["train"]["mse"] < 1e-9


@pytest.mark.parametrize("scaling", ["standard", "min_max", "mean_range", "none", "whiten"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum"])
def test_learning_rate_fits_any_scaling(tmp_path: Path, scaling: str, optimizer: str) -> None:
    """It neither diverges nor creeps."""
    random = np.random.default_rng(4)
    x = random.normal(1, 2, size=(3_000, 3))
    table = np.column_stack([x, x @ [1, 2, 3] + random.normal(size=3_000)])
    scaled = (f"data.scale.features={scaling}", f"optimizer.name={optimizer}")
    report = run(tmp_path, table, *ALL, *scaled, "train.batch_size=100")
    assert report["optimum"]["gap"] < 0.03


def test_choices_are_told_with_reasons(tmp_path: Path) -> None:
    report = run(tmp_path, of_condition(10))
    batch_size = report["chosen"]["train.batch_size"]
    assert batch_size["value"] == report["metrics"]["train"]["rows"]
    assert batch_size["why"] == "all rows, so each step is exact"
    assert batch_size["why_zh"]
    assert set(report["chosen"]) == {
        "data.scale.features",
        "optimizer.name",
        "schedule.name",
        "train.batch_size",
        "optimizer.learning_rate",
        "train.epochs",
        "train.log_every",
        "train.patience",
    }
    assert report["config"]["optimizer"]["learning_rate"] == 0.5


def test_what_is_set_stays(tmp_path: Path) -> None:
    """A step size of the user's own goes with small mini-batches and the usual number of epochs."""
    asked = ("optimizer.learning_rate=0.01", "train.epochs=3")
    report = run(tmp_path, of_condition(10), *asked)
    assert report["config"]["optimizer"]["learning_rate"] == 0.01
    assert report["config"]["train"]["batch_size"] == 64
    assert len(report["history"]) == 3
    assert report["config"]["schedule"]["name"] == "cosine"


def test_other_models_get_what_suits_them(tmp_path: Path) -> None:
    report = run(tmp_path, of_condition(10), "model.name=mlp", "train.epochs=1")
    assert report["config"]["data"]["scale"]["features"] == "standard"
    assert report["config"]["train"]["batch_size"] == 32
    assert report["config"]["train"]["patience"] == 30
    assert report["config"]["optimizer"]["name"] == "adam"


def test_whitened_weight_decay_is_ridge(tmp_path: Path) -> None:
    decay = ("optimizer.weight_decay=0.1", "data.scale.features=whiten", "train.epochs=30")
    report = run(tmp_path, of_condition(100), *ALL, *decay, "train.export=last")
    assert abs(report["optimum"]["gap"]) < 1e-4
    plain = least_squares(np.loadtxt(tmp_path / "table.csv", delimiter=",", skiprows=1))
    assert report["optimum"]["train_mse"] > plain * 1.001
