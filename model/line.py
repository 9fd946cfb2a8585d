"""All that is known of a straight line in closed form, on plain arrays.

D: the encoded columns of the inputs, flags included; L: the levels of those that enter as codes.
Moments are of training rows, float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from factor import Factor, factor, largest_eigenvalue

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
MOST_STEPS = 200
LEAST = 3e-10
TINY = float(np.finfo(np.float64).tiny)
NO_LEVELS: Vector = np.zeros(0)
GAPS = {"10%": 0.1, "1%": 0.01, "0.1%": 0.001}


@dataclass(frozen=True, eq=False)
class Line:
    """`weights` [D] and `bias` in raw units, `mse` in the target's unit squared; `levels` [L]: what
    each level of the code columns adds, one column's after the other."""

    weights: Vector
    bias: float
    mse: float
    levels: Vector = field(default_factory=lambda: np.zeros(0))
    sizes: tuple[int, ...] = ()

    def predict(self, encoded: Matrix) -> Vector:
        """[n, D] and the codes behind them -> [n] in the target's unit."""
        size = len(self.weights)
        result: Vector = encoded[:, :size] @ self.weights + self.bias
        for index, table in enumerate(self.tables):
            result += table[encoded[:, size + index].astype(np.intp)]
        return result

    @property
    def tables(self) -> list[Vector]:
        """`levels` column by column."""
        return np.split(self.levels, np.cumsum(self.sizes)[:-1]) if self.sizes else []


class WeightedMoments(NamedTuple):
    """The mean loss of a line, and the weighted mean [D + 1] and covariance [D + 1, D + 1] of
    encoded columns and target (last)."""

    loss: float
    mean: Vector
    covariance: Matrix


class Absorbed(Protocol):
    """What levels leave of features and target: see reader.levels."""

    @property
    def by_level(self) -> Matrix: ...

    @property
    def covariance(self) -> Matrix: ...

    @property
    def rank(self) -> int: ...


class Iterated(Protocol):
    """Least squares where levels are too many to be absorbed: see reader.levels."""

    @property
    def weights(self) -> Vector: ...

    @property
    def levels(self) -> Vector: ...

    @property
    def largest(self) -> float: ...


class Levels(Protocol):
    """What is known of levels: see reader.levels."""

    @property
    def sizes(self) -> tuple[int, ...]: ...

    @property
    def shares(self) -> Vector: ...

    def variance(self, tables: Vector) -> float: ...


@dataclass(frozen=True, eq=False)
class LinearProblem:
    """A line on encoded columns, and the scaling that training sees it through.

    `mean` [D + 1] and `covariance` [D + 1, D + 1] of features and target (last); features are
    scaled as (x - center) @ matrix, with center [D] and matrix [D, r], the target as
    (y - target_center) / target_scale. `decay`: weight decay, as a part of the loss. `levels`, and
    where they are `absorbed`, else `iterated`: of the columns that enter as codes; `by_level`:
    whether features are scaled less their average row by level; `is_white`: whether scaled they
    have the covariance 1. `known`: the factor of `within`, if it is.
    """

    rows: int
    mean: Vector
    covariance: Matrix
    center: Vector
    matrix: Matrix
    target_center: float = 0.0
    target_scale: float = 1.0
    decay: float = 0.0
    levels: Levels | None = None
    absorbed: Absorbed | None = None
    iterated: Iterated | None = None
    by_level: bool = False
    is_white: bool = False
    known: Factor | None = None

    @cached_property
    def within(self) -> Matrix:
        """The covariance of what the levels leave of features and target [D + 1, D + 1]."""
        return self.absorbed.covariance if self.absorbed else self.covariance

    @cached_property
    def factor(self) -> Factor:
        """That of the features."""
        return self.known or factor(self.within[:-1, :-1], self._deviation)

    @property
    def _deviation(self) -> Vector:
        deviation = np.sqrt(np.diag(self.covariance)[:-1])
        return np.where(deviation > 0, deviation, 1.0)

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
        if self.is_white:  # with variances of 1: the decay is a share of the raw ones
            return 0.5 * self.decay * self.covariance[:-1, :-1]
        return np.diag(0.5 * self.decay / np.diag(self.matrix) ** 2)

    @cached_property
    def optimum(self) -> Line:
        """Least squares on the training rows, with the penalty of the decay."""
        if self.decay:
            return least_squares(self.mean, self.covariance, self.penalty)
        if self.iterated and self.levels:
            weights, levels = self.iterated.weights, self.iterated.levels
            bias = float(self.mean[-1] - self.mean[:-1] @ weights)
            return Line(weights, bias, math.nan, levels, self.levels.sizes)
        line = least_squares(self.mean, self.within, known=self.factor)
        if not self.absorbed or not self.levels:
            return line
        by_level = self.absorbed.by_level
        levels = by_level[:, -1] - by_level[:, :-1] @ line.weights
        return replace(line, levels=levels, sizes=self.levels.sizes)

    def in_raw_units(self, weights: Vector, bias: float) -> tuple[Vector, float]:
        """(weights [D], bias) on the encoded columns and the target's unit, or with a target of
        which the logarithm is scaled that of the logarithm, of a line on the scaled ones."""
        raw = self.matrix @ weights * self.target_scale
        center = self.target_center + self.target_scale * bias
        return raw, float(center - self.center @ raw)

    def raw_line(self, weights: Vector, bias: float, tables: Vector) -> Line:
        """The same of a line on scaled columns to which levels add `tables` [L]."""
        raw, intercept = self.in_raw_units(weights, bias)
        levels = tables * self.target_scale
        if self.by_level and self.absorbed:
            levels = levels - self.absorbed.by_level[:, :-1] @ raw
        return Line(raw, intercept, math.nan, levels, self.levels.sizes if self.levels else ())

    def gap(self, weights: Vector, bias: float, tables: Vector = NO_LEVELS) -> float:
        """By what share a scaled line's loss on all training rows is above least squares: from
        their moments, without a look at them. Where least squares fits exactly, as a share of what
        float32 weights can tell, 1e-10 or so of the variance for each of them."""
        line = self.raw_line(weights, bias, tables)
        apart = line.weights - self.optimum.weights
        shifted = line.bias - self.optimum.bias + self.mean[:-1] @ apart
        curvature = self.within[:-1, :-1] + self.penalty
        excess = float(apart @ curvature @ apart + shifted**2)
        if self.levels and self.absorbed:
            beside = self.absorbed.by_level[:, :-1] @ apart
            excess += self.levels.variance(line.levels - self.optimum.levels + beside)
        told = LEAST * (self.matrix.shape[1] + 1) * float(self.covariance[-1, -1])
        return excess / max(self.optimum.mse, told, TINY)

    def curvature(self) -> float:
        """The largest eigenvalue of E[x x'], x being the scaled features and a 1 for the bias; or
        with levels a bound of it, for each code column's centred flags, by the roots of their
        shares, have one of 1."""
        beside = len(self.levels.sizes) if self.levels and not self.by_level else 0
        if self.is_white and self.iterated:
            return min(1.0 + beside, 1.05 * self.iterated.largest)
        if self.is_white:
            return 1.0 + beside
        mean = (self.mean[:-1] - self.center) @ self.matrix
        second = self.matrix.T @ self.covariance[:-1, :-1] @ self.matrix + np.outer(mean, mean)
        whole = np.block([[second, mean[:, None]], [mean[None, :], np.ones((1, 1))]])
        return largest_eigenvalue(whole) + beside

    def noise_bound(self, minimum: Vector, maximum: Vector) -> float:
        """The largest value `noise` can take, from the columns' extremes [D]: the longest row's
        square times the curvature."""
        ends = np.abs([minimum - self.center, maximum - self.center])
        steepest = largest_eigenvalue(self.matrix.T @ (self.matrix * self._deviation[:, None] ** 2))
        longest = 1 + steepest * np.square(ends.max(axis=0) / self._deviation).sum()
        return float(longest * max(1.0, self.curvature()))


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


def fourth_moment(scaled: Matrix) -> Matrix:
    """The sum of |x|^2 x x' over rows [n, r] of scaled features, x with a 1 for the bias behind
    them: [r + 1, r + 1]."""
    x = np.column_stack([scaled, np.ones(len(scaled))])
    return (x * np.einsum("nd,nd->n", x, x)[:, None]).T @ x


def noise(fourth_moments: Matrix, rows: int) -> float:
    """The largest eigenvalue of E[|x|^2 x x']: how far the curvature of a single row may be from
    that of all rows. `fourth_moments`: their sum over these `rows`."""
    return largest_eigenvalue(fourth_moments / rows)


def epochs_to_gap(optimum: float, history: Sequence[Mapping[str, float]]) -> dict[str, int | None]:
    """For each gap the first epoch whose training loss was no further above the optimum."""
    return {
        name: next((int(e["epoch"]) for e in history if e["train"] <= optimum * (1 + gap)), None)
        for name, gap in GAPS.items()
    }


def least_squares(
    mean: Vector, covariance: Matrix, penalty: Matrix | float = 0.0, known: Factor | None = None
) -> Line:
    """Solve from the mean [D + 1] and covariance [D + 1, D + 1] of features and target (last).

    `penalty` [D, D], or a number for its diagonal, is added to the features' covariance: ridge
    regression, with the bias left alone (Hoerl and Kennard, 1970). `mse` is then that of the
    penalised solution. `known`: the factor of what is solved for, if it is.

    The normal equations, refined once; a column that is constant, or follows from others, gets
    weight 0.

    >>> x = np.array([[0.0, 1.0], [1.0, 3.0], [2.0, 5.0]])
    >>> line = least_squares(x.mean(axis=0), np.cov(x.T, bias=True))
    >>> round(float(line.weights[0]), 6), round(line.bias, 6), line.mse
    (2.0, 1.0, 0.0)
    """
    features, right = covariance[:-1, :-1], covariance[:-1, -1:]
    ridge = penalty if isinstance(penalty, np.ndarray) else penalty * np.eye(len(features))
    solved = known or factor(features + ridge)
    found = solved.solve(right)
    found += solved.solve(right - (features + ridge) @ found)
    weights = found[:, 0]
    residual = covariance[-1, -1] - weights @ (2 * right[:, 0] - features @ weights)
    return Line(
        weights=weights,
        bias=float(mean[-1] - mean[:-1] @ weights),
        mse=exact_or(float(residual), float(covariance[-1, -1])),
    )


def exact_or(mse: float, variance: float) -> float:
    """0 where a mean squared error is so small a share of the target's variance that it is
    rounding, and the fit exact."""
    return mse if mse > 1e-12 * variance else 0.0
