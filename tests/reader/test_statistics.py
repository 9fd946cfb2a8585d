from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from reader.metrics import Sums
from reader.statistics import Statistics, rounding


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 99))
@example([1, 36], 98)
def test_batches_merge_to_the_moments_of_the_whole(sizes: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = random.normal([0.0, 5.0, -1e4], [1.0, 1e3, 1e-2], size=(sum(sizes), 3))
    found = Statistics.of("abc", np.split(rows, np.cumsum(sizes)[:-1]))
    assert found.count == len(rows)
    largest = np.abs(rows).max(axis=0)  # what rounding is measured by: a mean may be near 0
    np.testing.assert_allclose(found.mean / largest, rows.mean(axis=0) / largest, atol=1e-12)
    deviation = np.maximum(rows.std(axis=0), 1e-9 * largest)  # 0 in a single row
    scale, covariance = np.outer(deviation, deviation), np.cov(rows.T, bias=True)
    np.testing.assert_allclose(found.covariance / scale, covariance / scale, atol=1e-6)
    np.testing.assert_array_equal(found.minimum, rows.min(axis=0))
    np.testing.assert_array_equal(found.maximum, rows.max(axis=0))


@pytest.mark.parametrize(
    ("method", "low", "high", "mean"),
    [("min_max", 0, 1, 0.25), ("mean_range", -0.25, 0.75, 0), ("none", 2, 6, 3)],
)
def test_scalings(method: str, low: float, high: float, mean: float) -> None:
    column = np.array([[2.0], [2.0], [2.0], [6.0]])
    shift, spread = Statistics.of("a", [column]).scaling(method)
    scaled = (column - shift) / spread
    assert (scaled.min(), scaled.max(), scaled.mean()) == (low, high, mean)


def test_standard_scaling() -> None:
    column = np.random.default_rng(0).normal(7, 3, size=(100, 1))
    shift, spread = Statistics.of("a", [column]).scaling("standard")
    scaled = (column - shift) / spread
    assert scaled.mean() == pytest.approx(0, abs=1e-12)
    assert scaled.std() == pytest.approx(1)


@pytest.mark.parametrize("method", ["min_max", "mean_range", "standard", "none"])
def test_constant_column_has_spread_one(method: str) -> None:
    statistics = Statistics.of("ab", [np.array([[3.0, 1.0], [3.0, 2.0]])])
    assert statistics.constant == ["a"]
    assert statistics.scaling(method)[1][0] == 1


def test_metrics_of_batches_are_those_of_the_whole() -> None:
    random = np.random.default_rng(0)
    target = random.normal(1e3, 2, size=(50, 1)).astype(np.float32)
    prediction = target + random.normal(size=(50, 1)).astype(np.float32)
    sums = Sums()
    for start in range(0, 50, 7):
        sums.add(target[start : start + 7], prediction[start : start + 7])
    found, error = sums.metrics(), prediction.astype(np.float64) - target
    assert found.rows == 50
    assert found.mse == pytest.approx(np.mean(error**2))
    assert found.rmse == pytest.approx(np.sqrt(np.mean(error**2)))
    assert found.mae == pytest.approx(np.mean(np.abs(error)))
    assert found.r2 == pytest.approx(1 - np.mean(error**2) / target.astype(np.float64).var())


def test_metrics_refuse_shapes_that_would_broadcast() -> None:
    with pytest.raises(AssertionError):
        Sums().add(np.zeros((3, 1)), np.zeros(3))


def test_r2_of_a_constant_target_is_none() -> None:
    sums = Sums()
    sums.add(np.ones(3), np.zeros(3))
    assert sums.metrics().r2 is None


def whitened(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of these features, as far as they vary; a target stands behind them."""
    names = [*map(str, range(rows.shape[1])), "y"]
    found = Statistics.of(names, [np.column_stack([rows, rows[:, 0]])])
    return (rows - found.mean[:-1]) @ found.factor(rounding(rows)).root()


@pytest.mark.parametrize("condition", [1, 1e3, 1e6])
def test_whitened_columns_are_uncorrelated(condition: float) -> None:
    random = np.random.default_rng(0)
    rotation = np.linalg.qr(random.normal(size=(5, 5)))[0]
    rows = random.normal(size=(2_000, 5)) * np.geomspace(1, 1 / condition, 5) @ rotation + 3
    np.testing.assert_allclose(np.cov(whitened(rows).T, bias=True), np.eye(5), atol=1e-3)


def test_a_direction_of_mere_rounding_is_left_out() -> None:
    """A sum of columns, a constant, and a column far from zero that float32 has made coarse."""
    random = np.random.default_rng(0)
    base = random.normal(1e3, 1, size=(2_000, 2))
    rows = np.column_stack([base, base.sum(axis=1), np.full(2_000, 7.0)])
    rounded = rows.astype(np.float32).astype(np.float64)
    assert np.abs(whitened(rounded)).max() < 10
    np.testing.assert_allclose(np.cov(whitened(rounded).T, bias=True), np.eye(2), atol=1e-3)
