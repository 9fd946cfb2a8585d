"""A line's closed forms, against NumPy's least squares and the textbook."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.line import LinearProblem, epochs_to_gap, fourth_moment, least_squares, noise
from reader.statistics import Statistics

Array = NDArray[Any]


def solve(features: Array, target: Array) -> tuple[Array, float]:
    """numpy's least squares, by SVD of the design: weights with the bias last, and the MSE."""
    design = np.column_stack([features, np.ones(len(features))])
    weights = np.linalg.lstsq(design, target, rcond=None)[0]
    return weights, float(np.mean((design @ weights - target) ** 2))


def problem(
    rows: Array, matrix: Array | None = None, center: Array | None = None, decay: float = 0.0
) -> LinearProblem:
    """That of rows [n, D + 1], the target last."""
    size = rows.shape[1] - 1
    statistics = Statistics.of([str(i) for i in range(size + 1)], [rows])
    return LinearProblem(
        rows=len(rows),
        mean=statistics.mean,
        covariance=statistics.covariance,
        center=np.zeros(size) if center is None else center,
        matrix=np.eye(size) if matrix is None else matrix,
        decay=decay,
    )


def test_boston_sequential_split() -> None:
    rows = np.loadtxt("data/boston/housing.data")[:404]
    optimum = problem(rows).optimum
    weights, mse = solve(rows[:, :-1], rows[:, -1])
    assert optimum.mse == pytest.approx(mse, rel=1e-9)
    assert optimum.mse == pytest.approx(22.778380, rel=1e-7)
    np.testing.assert_allclose([*optimum.weights, optimum.bias], weights, rtol=1e-7)


def test_rank_deficient_design() -> None:
    random = np.random.default_rng(0)
    base = random.normal(size=(200, 3)) * [1, 1e3, 1e-3]
    features = np.column_stack([base, base.sum(axis=1), np.full(200, 7.0)])
    target = base @ [1, 1e-3, 1e3] + random.normal(size=200)
    optimum = problem(np.column_stack([features, target])).optimum
    assert optimum.mse == pytest.approx(solve(features, target)[1], rel=1e-6)
    assert np.isfinite(optimum.weights).all()
    residual = optimum.predict(features) - target
    assert np.mean(residual**2) == pytest.approx(optimum.mse, rel=1e-6)


def test_an_exact_fit_has_no_error() -> None:
    x = np.random.default_rng(1).normal(size=(50, 1))
    for target in (3 * x + 1, np.full((50, 1), 4.0)):
        assert problem(np.column_stack([x, target])).optimum.mse == 0.0


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("target_scale", [1.0, 5.0])
def test_the_gap_is_the_loss_above_least_squares(decay: float, target_scale: float) -> None:
    """Of a line on scaled columns, whose loss is computed here row by row."""
    random = np.random.default_rng(2)
    rows = random.normal(2, 3, size=(500, 4)) @ random.normal(size=(4, 4))
    scale = rows.std(axis=0)[:-1]
    found = problem(rows, np.diag(1 / scale), rows.mean(axis=0)[:-1], decay)
    scaled = (rows[:, :-1] - found.center) / scale
    whole = LinearProblem(
        found.rows,
        found.mean,
        found.covariance,
        found.center,
        found.matrix,
        7.0,
        target_scale,
        decay,
    )

    def loss(weights: Array, bias: float) -> float:
        error = (scaled @ weights + bias) * target_scale + 7.0 - rows[:, -1]
        return float(np.mean(error**2) + 0.5 * decay * np.square(weights * target_scale).sum())

    best = whole.optimum.weights * scale / target_scale
    bias = (whole.optimum.bias + found.center @ whole.optimum.weights - 7.0) / target_scale
    for _ in range(5):
        weights, other = best + random.normal(size=3), bias + random.normal()
        above = loss(weights, float(other)) - loss(best, float(bias))
        assert above > 0
        assert whole.gap(weights, float(other)) == pytest.approx(
            above / whole.optimum.mse, rel=1e-9
        )


def test_ridge_leaves_the_bias_alone() -> None:
    random = np.random.default_rng(3)
    x = random.normal(size=(300, 2))
    y = x @ [1.0, -2.0] + 10 + random.normal(size=300)
    mean, covariance = np.append(x.mean(0), y.mean()), np.cov(np.column_stack([x, y]).T, bias=True)
    line = least_squares(mean, covariance, 0.5)
    centred = x - x.mean(axis=0)
    expected = np.linalg.solve(
        centred.T @ centred / 300 + 0.5 * np.eye(2), centred.T @ (y - y.mean()) / 300
    )
    np.testing.assert_allclose(line.weights, expected)
    assert line.bias == pytest.approx(y.mean() - x.mean(axis=0) @ expected)


def test_curvature_is_the_steepest_direction_of_the_loss() -> None:
    random = np.random.default_rng(5)
    rows = random.normal(1, 2, size=(400, 3))
    found = problem(rows, np.diag([0.5, 2.0]), np.array([0.3, -1.0]))
    x = np.column_stack([(rows[:, :-1] - [0.3, -1.0]) * [0.5, 2.0], np.ones(400)])
    assert found.curvature() == pytest.approx(np.linalg.eigvalsh(x.T @ x / 400)[-1])
    fourth = (x * np.square(x).sum(axis=1)[:, None]).T @ x
    moments = fourth_moment(x[:150, :-1]) + fourth_moment(x[150:, :-1])
    level = noise(moments, 400)
    assert level == pytest.approx(np.linalg.eigvalsh(fourth / 400)[-1])
    ends = rows[:, :-1].min(axis=0), rows[:, :-1].max(axis=0)
    assert found.curvature() <= level <= found.noise_bound(*ends)


def test_the_first_epoch_that_came_so_near() -> None:
    history = [
        {"epoch": 1, "train": 2.0},
        {"epoch": 2, "train": 1.05},
        {"epoch": 3, "train": 1.0005},
    ]
    assert epochs_to_gap(1.0, history) == {"10%": 2, "1%": 3, "0.1%": 3}
