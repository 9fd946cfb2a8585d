from __future__ import annotations

import numpy as np
import pytest

from report.diagnostics import (
    bootstrap,
    by_level,
    histogram,
    patterns,
    permutation_importance,
    worst,
)
from report.report import Level


@pytest.mark.parametrize("rows", [1_500, 40_000])
def test_bootstrap_agrees_with_the_normal_approximation(rows: int) -> None:
    random = np.random.default_rng(0)
    target = random.normal(size=rows)
    prediction = target + random.normal(size=rows)
    confidence = bootstrap(target, prediction)
    squared = (prediction - target) ** 2
    half = 1.96 * squared.std() / np.sqrt(rows)
    assert confidence.mse == pytest.approx((squared.mean() - half, squared.mean() + half), rel=0.03)
    assert confidence.rmse == pytest.approx(np.sqrt(np.array(confidence.mse)))
    low, high = confidence.mae
    assert low < np.abs(prediction - target).mean() < high
    assert confidence.r2
    assert confidence.r2[0] < 1 - squared.mean() / target.var() < confidence.r2[1]


def test_a_constant_target_has_no_r2() -> None:
    assert bootstrap(np.ones(9), np.zeros(9)).r2 is None


def test_importance_of_what_counts_and_of_what_does_not() -> None:
    rows = np.random.default_rng(0).normal(size=(4_000, 3)).astype(np.float32)
    columns = permutation_importance(
        lambda x: 3 * x[:, 0], rows, 3 * rows[:, 0], 3 * rows[:, 0], {"noise": [1, 2], "a": [0]}
    )
    assert [column.name for column in columns] == ["a", "noise"]
    assert columns[0].rmse_increase == pytest.approx(np.sqrt(2 * 9 * rows[:, 0].var()), rel=0.05)
    assert columns[1].rmse_increase == columns[1].deviation == 0


def test_residuals_that_follow_a_curve() -> None:
    random = np.random.default_rng(0)
    curved, noise = random.normal(size=(2, 2_000)).astype(np.float32)
    residual = curved.astype(np.float64) ** 2 - 1 + random.normal(size=2_000)
    few = np.round(curved)
    holes = np.where(random.random(2_000) < 0.5, np.nan, curved).astype(np.float32)
    constant, empty = np.ones_like(curved), np.full_like(curved, np.nan)
    columns = {"noise": noise, "curved": curved, "few": few, "holes": holes}
    found = patterns(columns | {"constant": constant, "empty": empty}, residual)
    assert {pattern.column for pattern in found} == {"curved", "few", "holes"}
    share = found[0].share  # the square has 2 of 3, of which bins miss some in its ends
    assert 0.4 < share < 0.67
    assert patterns(columns, np.zeros(2_000)) == []
    assert patterns({"few rows": curved[:40]}, residual[:40]) == []


def test_residuals_by_level() -> None:
    residual = np.array([1.0, -1.0, 4.0, 3.0])
    levels = by_level(["a", None], np.array([1, 1, 2, 0]), residual)
    assert [level.level for level in levels] == ["a", "(other)", None]
    assert levels[0] == Level("a", rows=2, mean=0.0, rmse=1.0)


def test_the_worst_first() -> None:
    assert worst(np.zeros(4), np.array([1.0, -1.0, 4.0, 3.0]), 2).tolist() == [2, 3]


@pytest.mark.parametrize("residual", [np.zeros(5), np.array([-1.0, 1e9, 3.0, 3.0, 3.0])])
def test_histogram_counts_every_row(residual: np.ndarray[tuple[int], np.dtype[np.float64]]) -> None:
    counts, edges = histogram(residual)
    assert sum(counts) == 5
    assert len(edges) == len(counts) + 1
    assert (np.diff(edges) > 0).all()
