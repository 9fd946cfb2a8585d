"""Factored covariances, against eigenvalues and inverses of NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from factor import factor, largest_eigenvalue
from reader.statistics import rounding


@pytest.mark.parametrize(("rows", "columns"), [(50, 3), (500, 150), (90, 200)])
def test_columns_are_whitened_as_far_as_they_are_independent(rows: int, columns: int) -> None:
    x = np.random.default_rng(0).normal(size=(rows, columns)) * np.geomspace(1e-3, 1e6, columns)
    covariance = np.cov(x.T, bias=True)
    found = factor(covariance)
    assert found.rank == min(rows - 1, columns)
    root = found.root()
    np.testing.assert_allclose(root.T @ covariance @ root, np.eye(found.rank), atol=1e-8)
    target = covariance @ np.ones((columns, 1))
    np.testing.assert_allclose(covariance @ found.solve(target), target, rtol=1e-8)


def test_columns_that_follow_from_others_are_left_out() -> None:
    x = np.random.default_rng(1).normal(size=(300, 3)) * [1, 1e5, 1e-5]
    x = np.column_stack([x, 2 * x[:, 0], np.full(300, 7.0)])
    covariance = np.cov(x.T, bias=True)
    found = factor(covariance)
    assert found.rank == 3
    assert {*found.left_out} in ({0, 4}, {3, 4})
    root = found.root() * found.scale[:, None]
    correlation = covariance / np.outer(found.scale, found.scale)
    np.testing.assert_allclose(root @ root.T, np.linalg.pinv(correlation, 1e-10), atol=1e-9)
    assert not root[4].any()


@pytest.mark.parametrize("rows", [40, 150])  # few columns are kept, or few left out
def test_of_all_weights_the_shortest_are_found(rows: int) -> None:
    """Against numpy's least squares, which finds those of scaled columns by singular values."""
    random = np.random.default_rng(3)
    x = random.normal(size=(rows, 100)) * np.geomspace(1e-3, 1e6, 100)
    x = np.column_stack([x, x[:, 0], 5 * x[:, 1] - 3, x[:, 2] / x[:, 2].std() - x[:, 3]])
    y = random.normal(size=rows)
    centred = x - x.mean(axis=0)
    expected = np.linalg.lstsq(centred / x.std(axis=0), y, rcond=1e-9)[0]
    found = factor(np.cov(x.T, bias=True)).solve(centred.T @ y[:, None] / rows)[:, 0]
    found *= x.std(axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-7 * np.abs(expected).max())
    assert found[0] == pytest.approx(found[100])  # copies share a weight


def test_what_follows_but_for_rounding_does_not_add_it() -> None:
    """A steep direction, and a column that float32 rounding keeps from being the sum of others."""
    random = np.random.default_rng(4)
    a = random.normal(size=2_000)
    x = np.column_stack([a, a + 1e-4 * random.normal(size=2_000), random.normal(size=2_000)])
    x = np.column_stack([x, 1e3 + x.sum(axis=1)]).astype(np.float32).astype(np.float64)
    covariance = np.cov(x.T, bias=True)
    found = factor(covariance, None, rounding(x) / covariance.diagonal())
    assert found.rank == 3
    root = found.root()
    assert not found.exact.any()
    np.testing.assert_allclose(root.T @ covariance @ root, np.eye(3), atol=1e-6)


@pytest.mark.parametrize("size", [0, 1, 5, 200])
def test_the_largest_eigenvalue(size: int) -> None:
    x = np.random.default_rng(2).normal(size=(300, size))
    found = largest_eigenvalue(x.T @ x)
    assert found == pytest.approx(np.linalg.eigvalsh(x.T @ x)[-1] if size else 0.0, rel=0.01)
