"""How surely the coefficients of a least-squares line are not 0: standard errors, t and p.

The textbook's: Seber and Lee, "Linear Regression Analysis" (2003), chapters 3 and 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from factor import Factor

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Combine = Callable[[Matrix], Matrix]
LOOSE = 1e-6  # of what would be free, left by rounding
NORMAL = 10_000  # degrees of freedom from which t and the normal distribution agree to 4 digits


def variances(factor: Factor, combine: Combine, size: Vector) -> Vector:
    """Of sums of least-squares weights, by the variance of the error of one row, of so many rows.

    `factor`: that of the covariance [D, D] of the columns; `combine`: [D, n] weights -> [K, n]
    sums, linear in them; `size` [K]: about how large a sum of weights is, whose columns have the
    variance 1. NaN where the rows do not determine a sum, as of a column that is constant or
    follows from others.
    """
    found = np.square(combine(factor.root())).sum(axis=1)
    free = np.zeros((len(factor.scale), len(factor.left_out)))  # what weights may add, unnoticed
    free[factor.left_out, np.arange(len(factor.left_out))] = 1 / factor.scale[factor.left_out]
    free[factor.kept] = -factor.others.T / factor.scale[factor.kept, None]
    loose = np.abs(combine(free)).max(axis=1, initial=0.0)
    return np.where(loose <= LOOSE * size, found, np.nan)


def two_sided_p(t: float, free: int) -> float:
    """The probability of a |t| at least as large by chance, with `free` degrees of freedom.

    >>> round(two_sided_p(2.228, 10), 4), round(two_sided_p(1.96, 100_000), 4)
    (0.05, 0.05)
    """
    if free >= NORMAL:
        return math.erfc(abs(t) / math.sqrt(2))
    return incomplete_beta(free / 2, 0.5, free / (free + t * t))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function of 0 <= x <= 1, by its continued fraction.

    Lentz's method: Press et al., "Numerical Recipes" (2007), section 6.4.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction of the other tail converges faster
        return 1 - incomplete_beta(b, a, 1 - x)
    factor = a * math.log(x) + b * math.log1p(-x)
    factor += math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    c, d = 1.0, 1 / _apart(1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 500):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _apart(1 + term * d)
            c = _apart(1 + term / c)
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return math.exp(factor) * fraction / a


def _apart(value: float) -> float:
    """The value, or where it is 0 one that can be divided by."""
    return value if abs(value) > 1e-300 else 1e-300
