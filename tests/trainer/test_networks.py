"""What a network gives with nothing set: at least the line, and no surprise far from its rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from model.predictor import Predictor
from model.ridge import FOLDS, PENALTIES, Fold, ridge
from reader.inputs import Clip, InputColumn
from tests.conftest import train_recipe

Table = NDArray[np.float64]


def train(folder: Path, table: Table, *overrides: str) -> dict[str, Any]:
    names = [*(f"c{i}" for i in range(table.shape[1] - 1)), "y"]
    pl.DataFrame(table, schema=names).write_csv(folder / "table.csv")
    (folder / "recipe.yaml").write_text(f"data: {{path: {folder / 'table.csv'}, target: y}}\n")
    return train_recipe(folder / "run", str(folder / "recipe.yaml"), overrides)


def ridge_of(table: Table) -> NDArray[np.float64]:
    """[D + 1] weights, and the bias."""
    parts = [table[k::FOLDS] for k in range(FOLDS)]
    folds = [Fold(len(p), p.mean(axis=0), np.cov(p.T, bias=True)) for p in parts]
    weights, bias = ridge(folds)
    return np.array([*weights, bias])


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mlp", "resnet"])
def test_nothing_set_learns_what_no_line_can(tmp_path: Path, model: str) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(1_500, 3))
    y = x[:, 0] * x[:, 1] + np.sin(2 * x[:, 2]) + 0.1 * random.normal(size=1_500)
    report = train(tmp_path, np.column_stack([x, y]), f"model.name={model}")
    assert report["metrics"]["test"]["r2"] > 0.9
    assert report["best_line"]["test"]["improvement"] > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("model", ["mlp", "resnet"])
def test_where_a_line_is_all_there_is_it_keeps_to_it(tmp_path: Path, model: str) -> None:
    """Few rows, much noise."""
    random = np.random.default_rng(1)
    x = random.normal(size=(150, 4))
    y = x @ [1.0, -2.0, 0.5, 0.0] + 2 * random.normal(size=150)
    report = train(tmp_path, np.column_stack([x, y]), f"model.name={model}")
    improvement = report["best_line"]["test"]["improvement"]  # of the MSE
    assert improvement > 1 - 1.05**2


@pytest.mark.slow
@pytest.mark.parametrize(("model", "deviations"), [("mlp", 1e6), ("resnet", 200.0)])
def test_an_extreme_cell_ruins_neither_training_nor_prediction(
    tmp_path: Path, model: str, deviations: float
) -> None:
    random = np.random.default_rng(2)
    x = random.normal(size=(1_000, 2))
    y = x[:, 1] ** 2 + 0.1 * random.normal(size=1_000)
    x[::100, 0] *= deviations
    table = np.column_stack([x, y])
    report = train(tmp_path, table, f"model.name={model}", "train.epochs=60")
    assert report["metrics"]["test"]["r2"] > 0.9
    far = np.array([[1e30, 0.0], [-1e30, 0.0], [deviations, 0.0]], dtype=np.float32)
    found = Predictor(tmp_path / "run").predict(far)
    assert np.abs(found).max() < 3 * np.ptp(y)


def test_a_clip_leaves_what_is_near_and_is_smooth() -> None:
    step = Clip((InputColumn("a", "number"),), np.array([8.0]))
    x = np.linspace(-1_000, 1_000, 200_001)[:, None]
    clipped = step.apply(x)
    near = np.abs(x) <= 8
    np.testing.assert_array_equal(clipped[near], x[near])
    slope = np.diff(clipped[:, 0]) / 0.01
    assert slope.min() > 0
    assert np.abs(np.diff(slope)).max() < 0.01
    assert np.abs(clipped).max() < 16


def test_ridge_is_least_squares_where_rows_are_plenty() -> None:
    random = np.random.default_rng(3)
    x = random.normal(size=(5_000, 3)) @ random.normal(size=(3, 3)) + 4
    table = np.column_stack([x, x @ [1.0, -2.0, 3.0] + 5 + random.normal(size=5_000)])
    design = np.column_stack([x, np.ones(5_000)])
    expected = np.linalg.lstsq(design, table[:, -1])[0]
    np.testing.assert_allclose(ridge_of(table), expected, rtol=0.02, atol=0.02)


def test_ridge_holds_back_where_rows_are_few() -> None:
    """As many columns as rows: least squares would fit noise."""
    random = np.random.default_rng(4)
    x = random.normal(size=(120, 100))
    line = np.zeros(100)
    line[:5] = 1
    y = x @ line + 2 * random.normal(size=120)
    new = random.normal(size=(2_000, 100))
    *weights, bias = ridge_of(np.column_stack([x, y]))
    design = np.column_stack([x, np.ones(120)])
    by_least_squares = np.linalg.lstsq(design, y)[0]
    error = np.mean((new @ weights + bias - new @ line) ** 2)
    least_squares = np.mean((new @ by_least_squares[:-1] + by_least_squares[-1] - new @ line) ** 2)
    assert error < 0.5 * least_squares


def test_ridge_takes_columns_that_say_nothing() -> None:
    """A constant one, and one that is twice another; and more columns than rows."""
    random = np.random.default_rng(5)
    a = random.normal(size=50)
    table = np.column_stack([a, 2 * a, np.full(50, 3.0), 4 * a + 1])
    *weights, bias = ridge_of(table)
    np.testing.assert_allclose(table[:, :3] @ weights + bias, table[:, 3], atol=1e-4)
    wide = random.normal(size=(10, 30))
    assert np.isfinite(ridge_of(wide)).all()


def test_ridge_is_the_penalty_of_least_error_on_rows_left_out() -> None:
    """Against cross-validation row by row, with one penalty after another."""
    random = np.random.default_rng(6)
    x = random.normal(size=(60, 20)) + 3
    y = x[:, 0] + 2 * random.normal(size=60)

    def line(rows: NDArray[Any], penalty: float) -> NDArray[np.float64]:
        mean, scale = x[rows].mean(axis=0), x[rows].std(axis=0)
        z, centred = (x[rows] - mean) / scale, y[rows] - y[rows].mean()
        weights = np.linalg.solve(z.T @ z + len(z) * penalty * np.eye(20), z.T @ centred) / scale
        return np.array([*weights, y[rows].mean() - mean @ weights])

    errors = {}
    for penalty in PENALTIES:
        lines = [(k, line(np.arange(60) % FOLDS != k, penalty)) for k in range(FOLDS)]
        errors[penalty] = sum(
            np.sum((x[k::FOLDS] @ found[:-1] + found[-1] - y[k::FOLDS]) ** 2) for k, found in lines
        )
    expected = line(np.arange(60) >= 0, min(errors, key=errors.__getitem__))
    np.testing.assert_allclose(ridge_of(np.column_stack([x, y])), expected, rtol=1e-6)
