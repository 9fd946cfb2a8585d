from __future__ import annotations

import numpy as np
import pytest

from reader.statistics import Statistics
from run.optimum import least_squares

RANDOM = np.random.default_rng(0)


def solve(features: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    """numpy's least squares, by SVD of the design: weights with the bias last, and the MSE."""
    design = np.column_stack([features, np.ones(len(features))])
    weights = np.linalg.lstsq(design, target, rcond=None)[0]
    return weights, float(np.mean((design @ weights - target) ** 2))


def test_boston_sequential_split() -> None:
    rows = np.loadtxt("data/boston/housing.data")[:404]
    found = Statistics.of("abcdefghijklmn", [rows])
    optimum = least_squares(found.mean, found.covariance)
    weights, mse = solve(rows[:, :-1], rows[:, -1])
    assert optimum.mse == pytest.approx(mse, rel=1e-9)
    assert optimum.mse == pytest.approx(22.778380, rel=1e-7)
    np.testing.assert_allclose([*optimum.weights, optimum.bias], weights, rtol=1e-7)


def test_rank_deficient_design() -> None:
    base = RANDOM.normal(size=(200, 3)) * [1, 1e3, 1e-3]
    features = np.column_stack([base, base.sum(axis=1), np.full(200, 7.0)])
    target = base @ [1, 1e-3, 1e3] + RANDOM.normal(size=200)
    found = Statistics.of("abcdef", [np.column_stack([features, target])])
    optimum = least_squares(found.mean, found.covariance)
    assert optimum.mse == pytest.approx(solve(features, target)[1], rel=1e-6)
    assert np.isfinite(optimum.weights).all()
    residual = features @ optimum.weights + optimum.bias - target
    assert np.mean(residual**2) == pytest.approx(optimum.mse, rel=1e-6)


def test_exact_fit_and_constant_target_have_no_gap() -> None:
    x = RANDOM.normal(size=(50, 1))
    for target in (3 * x + 1, np.full((50, 1), 4.0)):
        found = Statistics.of("ab", [np.column_stack([x, target])])
        optimum = least_squares(found.mean, found.covariance)
        assert optimum.describe(mse=0.1) == {"train_mse": 0.0, "gap": None}


def test_gap_is_a_share_of_the_optimum() -> None:
    x, noise = RANDOM.normal(size=(2, 50, 1))
    found = Statistics.of("ab", [np.column_stack([x, x + noise])])
    optimum = least_squares(found.mean, found.covariance)
    assert optimum.describe(optimum.mse * 1.25)["gap"] == pytest.approx(0.25)


@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_excess_is_the_loss_above_least_squares(penalty: float) -> None:
    rows = RANDOM.normal(2, 3, size=(500, 4)) @ RANDOM.normal(size=(4, 4))
    found = Statistics.of("abcy", [rows])
    optimum = least_squares(found.mean, found.covariance, penalty)
    for _ in range(5):
        weights, bias = optimum.weights + RANDOM.normal(size=3), optimum.bias + RANDOM.normal()

        def loss(weights: np.ndarray, bias: float) -> float:
            error = rows[:, :-1] @ weights + bias - rows[:, -1]
            return float(np.mean(error**2) + penalty * weights @ weights)

        above = loss(weights, bias) - loss(optimum.weights, optimum.bias)
        excess = optimum.excess(weights, bias, found.mean, found.covariance, penalty)
        assert excess == pytest.approx(above, rel=1e-9)
