"""Factored covariances, against eigenvalues and inverses of NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from factor import factor, largest_eigenvalue


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
    kept = found.kept
    root = found.root()[kept]
    inverse = np.linalg.inv(covariance[np.ix_(kept, kept)])
    np.testing.assert_allclose(root @ root.T, inverse, rtol=1e-6)


@pytest.mark.parametrize("size", [0, 1, 5, 200])
def test_the_largest_eigenvalue(size: int) -> None:
    x = np.random.default_rng(2).normal(size=(300, size))
    found = largest_eigenvalue(x.T @ x)
    assert found == pytest.approx(np.linalg.eigvalsh(x.T @ x)[-1] if size else 0.0, rel=0.01)
