from __future__ import annotations

import numpy as np
import pytest

from report.diagnostics import (
    bootstrap,
    by_level,
    histogram,
    permutation_importance,
    standard_errors,
    worst,
)

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("rows", [1_500, 40_000])
def test_bootstrap_agrees_with_the_normal_approximation(rows: int) -> None:
    target = RANDOM.normal(size=rows)
    prediction = target + RANDOM.normal(size=rows)
    found = bootstrap(target, prediction)
    squared = (prediction - target) ** 2
    half = 1.96 * squared.std() / np.sqrt(rows)
    assert found["mse"] == pytest.approx([squared.mean() - half, squared.mean() + half], rel=0.03)
    assert found["rmse"] == pytest.approx(np.sqrt(np.array(found["mse"])))
    r2 = 1 - squared.mean() / target.var()
    assert found["r2"]
    assert found["r2"][0] < r2 < found["r2"][1]
    assert bootstrap(np.ones(9), np.zeros(9))["r2"] is None


def test_importance_of_what_counts_and_of_what_does_not() -> None:
    rows = RANDOM.normal(size=(4_000, 3)).astype(np.float32)
    target = 3 * rows[:, 0]
    found = permutation_importance(lambda x: 3 * x[:, 0], rows, target, {"noise": [1, 2], "a": [0]})
    assert [column["name"] for column in found] == ["a", "noise"]
    assert found[0]["mse_increase"] == pytest.approx(2 * 9 * rows[:, 0].var(), rel=0.05)
    assert found[1]["mse_increase"] == found[1]["deviation"] == 0


def test_standard_errors_of_the_textbook() -> None:
    features = RANDOM.normal(size=(300, 3)) * [1, 100, 0.01] + 5
    target = features @ [1, 2, 3] + RANDOM.normal(size=300)
    design = np.column_stack([features, np.ones(300)])
    residual = target - design @ np.linalg.lstsq(design, target, rcond=None)[0]
    inverse = np.linalg.inv(design.T @ design)
    expected = np.sqrt(np.diag(inverse)[:3] * (residual @ residual) / (300 - 4))
    table = np.column_stack([features, target])
    found = standard_errors(np.cov(table.T, bias=True), float(np.mean(residual**2)), 300)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    double = np.column_stack([features, features[:, 0], target])
    found = standard_errors(np.cov(double.T, bias=True), float(np.mean(residual**2)), 300)
    assert np.isnan(found[[0, 3]]).all()
    np.testing.assert_allclose(found[1:3], expected[1:], rtol=1e-6)
    assert np.isnan(standard_errors(np.cov(table.T, bias=True), 1.0, 4)).all()


def test_residuals_by_level_and_the_worst() -> None:
    residual = np.array([1.0, -1.0, 4.0, 3.0])
    levels = by_level(["a", None], np.array([1, 1, 2, 0]), residual)
    assert [level["level"] for level in levels] == ["a", "(other)", None]
    assert levels[0] == {"level": "a", "rows": 2, "mean": 0.0, "rmse": 1.0}
    assert worst(np.zeros(4), residual, 2).tolist() == [2, 3]
    assert sum(histogram(np.zeros(5))["counts"]) == 5
