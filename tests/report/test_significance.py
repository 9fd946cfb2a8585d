from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import betainc

from factor import factor
from report.coefficients import against_average
from report.significance import incomplete_beta, two_sided_p, variances


@pytest.mark.parametrize("free", [1, 2, 7, 40, 340, 9_999, 20_000])
@pytest.mark.parametrize("t", [0.0, 0.3, -1.96, 4.0, 30.0])
def test_p_is_that_of_the_t_distribution(t: float, free: int) -> None:
    assert two_sided_p(t, free) == pytest.approx(2 * stats.t.sf(abs(t), free), rel=5e-3, abs=1e-16)


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (3.0, 0.5), (170.0, 0.5), (2.0, 9.0)])
@pytest.mark.parametrize("x", [0.0, 1e-6, 0.2, 0.7, 0.999, 1.0])
def test_incomplete_beta(a: float, b: float, x: float) -> None:
    assert incomplete_beta(a, b, x) == pytest.approx(betainc(a, b, x), rel=1e-10)


def test_errors_are_those_of_the_design() -> None:
    """Against (X'X)^-1 of a design with a column of ones."""
    random = np.random.default_rng(0)
    x = random.normal([5.0, -2.0, 0.0], [1.0, 0.1, 30.0], size=(80, 3))
    design = np.column_stack([np.ones(80), x])
    expected = np.diag(np.linalg.inv(design.T @ design)) * 80
    mean, factored = x.mean(axis=0), factor(np.cov(x.T, bias=True))
    found = variances(factored, lambda w: np.vstack([mean @ w, w]), np.ones(4))
    found[0] += 1  # the mean of the target
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_levels_against_their_average_are_known_though_each_alone_is_not() -> None:
    """The flags of all levels add up to 1: only differences of their weights are determined."""
    code = np.repeat([0, 1, 2], [10, 20, 30])
    flags = np.eye(3)[code]
    shares = flags.mean(axis=0)
    factored = factor(np.cov(flags.T, bias=True))
    assert np.isnan(variances(factored, lambda w: w, np.ones(3))).all()
    found = variances(
        factored, lambda w: against_average(w, shares, [slice(0, 3)]), 1 / factored.scale
    )
    expected = 60 / np.array([10, 20, 30]) - 1  # of a level's mean minus the mean of all rows
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_constant_columns_and_sums_of_others_are_not_determined() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 50))
    x = np.column_stack([a, b, a + b, np.ones(50), random.normal(size=50)])
    found = variances(factor(np.cov(x.T, bias=True)), lambda w: w, np.ones(5))
    assert np.isnan(found).tolist() == [True, True, True, True, False]
