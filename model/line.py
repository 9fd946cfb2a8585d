"""All that is known of a straight line in closed form, on plain arrays.

D: the encoded columns of the inputs, flags included. Moments are of training rows, float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
MOST_STEPS = 200
GAPS = {"10%": 0.1, "1%": 0.01, "0.1%": 0.001}


@dataclass(frozen=True, eq=False)
class Line:
    """`weights` [D] and `bias` in raw units, `mse` in the target's unit squared."""

    weights: Vector
    bias: float
    mse: float

    def predict(self, encoded: Matrix) -> Vector:
        """[n, D] -> [n] in the target's unit."""
        return encoded @ self.weights + self.bias


class WeightedMoments(NamedTuple):
    """The mean loss of a line, and the weighted mean [D + 1] and covariance [D + 1, D + 1] of
    encoded columns and target (last)."""

    loss: float
    mean: Vector
    covariance: Matrix


@dataclass(frozen=True, eq=False)
class LinearProblem:
    """A line on encoded columns, and the scaling that training sees it through.

    `mean` [D + 1] and `covariance` [D + 1, D + 1] of features and target (last); features are
    scaled as (x - center) @ matrix, with center [D] and matrix [D, D], the target as
    (y - target_center) / target_scale. `decay`: weight decay, as a part of the loss.
    """

    rows: int
    mean: Vector
    covariance: Matrix
    center: Vector
    matrix: Matrix
    target_center: float = 0.0
    target_scale: float = 1.0
    decay: float = 0.0

    @cached_property
    def penalty(self) -> Matrix:
        """What weight decay adds to the covariance of the features [D, D]: see least_squares.

        Paddle adds decay * w to the gradient of the mean squared error on scaled columns, so the
        optimum has decay / 2 beside the variances of these, and decay / 2 * matrix^-2 beside the
        raw ones.
        """
        size = len(self.center)
        if not self.decay:
            return np.zeros((size, size))
        if np.count_nonzero(self.matrix - np.diag(np.diag(self.matrix))):
            # Whitened features have variance 1: their decay is a share of the raw ones.
            return 0.5 * self.decay * self.covariance[:-1, :-1]
        return np.diag(0.5 * self.decay / np.diag(self.matrix) ** 2)

    @cached_property
    def optimum(self) -> Line:
        """Least squares on the training rows, with the penalty of the decay."""
        return least_squares(self.mean, self.covariance, self.penalty)

    def in_raw_units(self, weights: Vector, bias: float) -> tuple[Vector, float]:
        """(weights [D], bias) on the encoded columns and the target's unit, or with a target of
        which the logarithm is scaled that of the logarithm, of a line on the scaled ones."""
        raw = self.matrix @ weights * self.target_scale
        center = self.target_center + self.target_scale * bias
        return raw, float(center - self.center @ raw)

    def gap(self, weights: Vector, bias: float) -> float:
        """By what share a scaled line's loss on all training rows is above least squares: from
        their moments, without a look at them. Where least squares fits exactly, as a share of 1e-6
        of the variance."""
        raw, intercept = self.in_raw_units(weights, bias)
        apart = raw - self.optimum.weights
        shifted = intercept - self.optimum.bias + self.mean[:-1] @ apart
        curvature = self.covariance[:-1, :-1] + self.penalty
        excess = float(apart @ curvature @ apart + shifted**2)
        return excess / max(self.optimum.mse, 1e-6 * float(self.covariance[-1, -1]))

    def curvature(self) -> float:
        """The largest eigenvalue of E[x x'], x being the scaled features and a 1 for the bias."""
        mean = (self.mean[:-1] - self.center) @ self.matrix
        second = self.matrix.T @ self.covariance[:-1, :-1] @ self.matrix + np.outer(mean, mean)
        whole = np.block([[second, mean[:, None]], [mean[None, :], np.ones((1, 1))]])
        return float(np.linalg.eigvalsh(whole)[-1])

    def noise_bound(self, minimum: Vector, maximum: Vector, deviation: Vector) -> float:
        """The largest value `noise` can take, from the columns' extremes [D]: the longest row's
        square times the curvature. `deviation` [D] is what the extremes are measured by."""
        ends = np.abs([minimum - self.center, maximum - self.center])
        steepest = np.linalg.norm(self.matrix * deviation[:, None], ord=2)
        longest = 1 + steepest**2 * np.square(ends.max(axis=0) / deviation).sum()
        return float(longest * max(1.0, self.curvature()))

    def fourth_moment(self, encoded: Matrix) -> Matrix:
        """The sum of |x|^2 x x' over rows [n, D], x as in `curvature`: [D + 1, D + 1]."""
        x = np.ones((len(encoded), len(self.center) + 1))
        np.matmul(encoded - self.center, self.matrix, out=x[:, :-1])
        return (x * np.einsum("nd,nd->n", x, x)[:, None]).T @ x

    def standard_errors(self, mse: float) -> Vector:
        """Of the weights [D] of a least-squares line with a bias, in raw units.

        sigma^2 (X'X)^-1 of the textbook. NaN for a column that is constant or follows from others,
        and with too few rows.
        """
        deviation = np.sqrt(np.diag(self.covariance)[:-1])
        scale = np.where(deviation > 0, deviation, 1.0)
        values, vectors = np.linalg.eigh(self.covariance[:-1, :-1] / np.outer(scale, scale))
        varies = values > values[-1] * len(values) * np.finfo(np.float64).eps
        free = self.rows - int(varies.sum()) - 1
        if free <= 0:
            return np.full(len(scale), np.nan)
        inverse = ((vectors[:, varies] ** 2) / values[varies]).sum(axis=1)
        determined = (vectors[:, ~varies] ** 2).sum(axis=1) < 1e-9
        errors = np.sqrt(inverse * mse / free) / scale
        return np.where(determined, errors, np.nan)


def iterate(start: Line, weigh: Callable[[Line, float], WeightedMoments]) -> Line:
    """The line of least loss, by iteratively reweighted least squares from `start` on.

    `weigh` gives, for a line, the loss of all rows and their moments with the weights that the
    loss's slope at each residual asks for, its corners rounded off over a smoothing that is halved
    from step to step (Holland and Welsch, "Robust regression using iteratively reweighted
    least-squares", 1977). Ends where a step lowers the loss by less than 1e-7 of it.
    """
    best, least, last = start, math.inf, math.inf
    for step in range(MOST_STEPS):
        smoothing = max(0.5**step, 1e-6)
        moments = weigh(start, smoothing)
        if moments.loss < least:
            best, least = start, moments.loss
        if smoothing == 1e-6 and last - moments.loss <= 1e-7 * abs(last):
            break
        last = moments.loss
        start = least_squares(moments.mean, moments.covariance)
    return best


def noise(fourth_moments: Iterable[Matrix], rows: int) -> float:
    """The largest eigenvalue of E[|x|^2 x x']: how far the curvature of a single row may be from
    that of all rows. `fourth_moments`: the sums over blocks of these `rows`."""
    return float(np.linalg.eigvalsh(sum(fourth_moments) / rows)[-1])


def epochs_to_gap(optimum: float, history: Sequence[Mapping[str, float]]) -> dict[str, int | None]:
    """For each gap the first epoch whose training loss was no further above the optimum."""
    return {
        name: next((int(e["epoch"]) for e in history if e["train"] <= optimum * (1 + gap)), None)
        for name, gap in GAPS.items()
    }


def least_squares(mean: Vector, covariance: Matrix, penalty: Matrix | float = 0.0) -> Line:
    """Solve from the mean [D + 1] and covariance [D + 1, D + 1] of features and target (last).

    `penalty` [D, D], or a number for its diagonal, is added to the features' covariance: ridge
    regression, with the bias left alone (Hoerl and Kennard, 1970). `mse` is then that of the
    penalised solution.

    The normal equations of standardised features, by eigenvalues; directions in which the
    features do not vary (a constant column, a column that is the sum of others) get weight 0.

    >>> x = np.array([[0.0, 1.0], [1.0, 3.0], [2.0, 5.0]])
    >>> line = least_squares(x.mean(axis=0), np.cov(x.T, bias=True))
    >>> round(float(line.weights[0]), 6), round(line.bias, 6), line.mse
    (2.0, 1.0, 0.0)
    """
    deviation = np.sqrt(np.diag(covariance)[:-1])
    scale = np.where(deviation > 0, deviation, 1.0)
    correlation = covariance[:-1, :-1] / np.outer(scale, scale)
    with_target = covariance[:-1, -1] / scale
    ridge = penalty if isinstance(penalty, np.ndarray) else penalty * np.eye(len(scale))
    values, vectors = np.linalg.eigh(correlation + ridge / np.outer(scale, scale))
    varies = values > values[-1] * len(values) * np.finfo(np.float64).eps
    basis = vectors[:, varies]
    standardised = basis @ ((basis.T @ with_target) / values[varies])
    residual = covariance[-1, -1] - standardised @ (2 * with_target - correlation @ standardised)
    # Below this the difference of two nearly equal numbers is rounding, and the fit is exact.
    exact = covariance[-1, -1] * 1e-12
    weights = standardised / scale
    return Line(
        weights=weights,
        bias=float(mean[-1] - mean[:-1] @ weights),
        mse=float(residual) if residual > exact else 0.0,
    )
