"""Weights under directions, against SciPy's solvers and the conditions of the optimum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import lsq_linear, minimize, nnls

from model.monotone import Direction, constrained
from model.smoothing import cholesky, curvature

Array = NDArray[np.float64]


def problem(seed: int, size: int, ratio: float = 0.2) -> tuple[Array, Array]:
    """A [D, D], whose least eigenvalue is about `ratio` of a typical one, and c [D]."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(size, size))
    return rows.T @ rows + ratio * size * np.eye(size), size * rng.normal(size=size)


def grid(start: int, shape: tuple[int, int], signs: tuple[int, int]) -> list[Direction]:
    """Both axes of a pair."""
    at = slice(start, start + shape[0] * shape[1])
    return [Direction(at, shape, axis, sign) for axis, sign in enumerate(signs)]


def rows_of(directions: Sequence[Direction], width: int) -> Array:
    """G [m, D], where Gw >= 0 is asked."""
    result = []
    for at, shape, axis, sign in directions:
        steps = sign * np.diff(np.eye(width)[at].reshape(*shape, width), axis=axis)
        result.append(steps.reshape(-1, width))
    return np.concatenate(result)


def keeps(weights: Array, directions: Sequence[Direction]) -> bool:
    return all(
        bool((sign * np.diff(weights[at].reshape(shape), axis=axis) >= 0).all())
        for at, shape, axis, sign in directions
    )


def assert_optimal(
    matrix: Array, cross: Array, directions: Sequence[Direction], weights: Array
) -> None:
    """The directions hold exactly, and the gradient is a sum of positive multiples of the steps
    that are zero, as of a convex problem's optimum alone."""
    assert keeps(weights, directions)
    steps = rows_of(directions, len(weights))
    held = steps[steps @ weights == 0]
    assert len(held)
    rest = nnls(held.T, matrix @ weights - cross, maxiter=100_000)[1]
    assert rest <= 1e-9 * np.linalg.norm(np.abs(matrix) @ np.abs(weights) + np.abs(cross))


@pytest.mark.parametrize("seed", range(5))
def test_a_curve_is_that_of_bounded_least_squares_in_its_steps(seed: int) -> None:
    matrix, cross = problem(seed, 30)
    weights = constrained(matrix, cross, [Direction(slice(4, 24), (20,), 0, -1)])
    to_weights = np.eye(30)
    to_weights[4:24, 4:24] = np.tril(np.ones((20, 20)))  # the first weight and the steps
    upper = np.linalg.cholesky(matrix).T
    highest = np.where((np.arange(30) > 4) & (np.arange(30) < 24), 0.0, np.inf)
    target = np.linalg.solve(upper.T, cross)
    steps = lsq_linear(upper @ to_weights, target, (-np.inf, highest), "bvls", tol=1e-14).x
    np.testing.assert_allclose(weights, to_weights @ steps, rtol=0, atol=1e-10)


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_a_pair_on_both_axes_is_what_slsqp_finds(signs: tuple[int, int]) -> None:
    matrix, cross = problem(7, 20)
    directions = grid(3, (3, 4), signs)
    steps = rows_of(directions, 20)
    weights = constrained(matrix, cross, directions)
    known = minimize(
        lambda w: 0.5 * w @ matrix @ w - cross @ w,
        np.zeros(20),
        jac=lambda w: matrix @ w - cross,
        method="SLSQP",
        constraints={"type": "ineq", "fun": lambda w: steps @ w, "jac": lambda w: steps},
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    np.testing.assert_allclose(weights, known.x, rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_random_problems_meet_the_conditions_of_the_optimum(seed: int) -> None:
    matrix, cross = problem(seed, 120, ratio=10.0 ** -(seed % 7))
    directions = [
        Direction(slice(0, 30), (30,), 0, 1),
        Direction(slice(30, 50), (4, 5), 1, -1),
        *grid(55, (6, 8), (1, -1)),
    ]
    weights = constrained(matrix, cross, directions)
    assert_optimal(matrix, cross, directions, weights)


@pytest.mark.parametrize("stiffness", [1.0, 1e4, 1e8])
def test_stiff_curves_with_a_level_that_the_rows_do_not_tell(stiffness: float) -> None:
    """As smoothing leaves them: A is ill-conditioned, by up to 1e14."""
    rng = np.random.default_rng(2)
    places = rng.integers(0, 20, size=(2000, 3))
    columns = (places[:, :, None] == np.arange(20)).reshape(2000, 60).astype(np.float64)
    columns -= columns.mean(axis=0)
    target = np.sin(places / 4).sum(axis=1) + rng.normal(size=2000)
    bent = np.kron(np.eye(3), curvature(np.arange(20.0)).matrix)
    matrix = columns.T @ columns + stiffness * bent + 1e-6 * np.eye(60)
    directions = [Direction(slice(20 * k, 20 * k + 20), (20,), 0, 1 - k) for k in (0, 2)]
    weights = constrained(matrix, columns.T @ target, directions)
    assert_optimal(matrix, columns.T @ target, directions, weights)


def test_a_thousand_grids_are_monotone_to_the_last_bit() -> None:
    rng = np.random.default_rng(0)
    for seed in range(1000):
        rows, columns = rng.integers(1, 7, size=2).tolist()
        first, second = rng.choice([-1, 1], size=2).tolist()
        matrix, cross = problem(seed, rows * columns + 2, ratio=10.0 ** -(seed % 7))
        directions = grid(1, (rows, columns), (first, second))
        assert keeps(constrained(matrix, cross, directions), directions)


def test_without_an_active_direction_they_are_the_unconstrained_weights() -> None:
    matrix, _ = problem(0, 12)
    wanted = np.arange(12.0)
    wanted[:6] = wanted[5::-1]
    directions = [Direction(slice(0, 6), (6,), 0, -1), *grid(6, (2, 3), (1, 1))]
    for some in (directions, []):
        weights = constrained(matrix, matrix @ wanted, some)
        np.testing.assert_allclose(weights, wanted, rtol=1e-12, atol=1e-12)


def test_the_known_inverse_gives_the_same_weights() -> None:
    matrix, cross = problem(3, 40)
    directions = grid(0, (6, 6), (1, -1))
    weights = constrained(matrix, cross, directions)
    assert np.array_equal(weights, constrained(matrix, cross, directions, cholesky(matrix)[1]))


def test_up_and_down_along_one_axis_is_flat() -> None:
    matrix, cross = problem(5, 12)
    at = slice(2, 10)
    weights = constrained(matrix, cross, [Direction(at, (8,), 0, 1), Direction(at, (8,), 0, -1)])
    assert (weights[at] == weights[2]).all()
    to_weights = np.delete(np.eye(12), slice(3, 10), axis=1)
    to_weights[at, 2] = 1
    found = np.linalg.solve(to_weights.T @ matrix @ to_weights, to_weights.T @ cross)
    np.testing.assert_allclose(weights, to_weights @ found, rtol=0, atol=1e-10)


def test_a_tree_of_pools_that_must_be_split_again() -> None:
    """Isotonic regression of equal weights: the pools are those of adjacent violators."""
    heights = np.array([3.0, 1.0, 2.0, 9.0, 7.0, 8.0, 0.0, 12.0, 11.0])
    weights = constrained(np.eye(9), heights, [Direction(slice(0, 9), (9,), 0, 1)])
    np.testing.assert_allclose(weights, [2, 2, 2, 6, 6, 6, 6, 11.5, 11.5], rtol=1e-14)
