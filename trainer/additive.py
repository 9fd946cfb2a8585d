"""The additive model of given terms: how smooth they are, and their weights.

The smoothing parameters follow from the sums of products of all columns, over as many rows as there
is time for; the weights are those of all rows, by conjugate gradients, for which the same sums are
the preconditioner.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.monotone import Direction, Index, constrained, held
from model.smoothing import (
    End,
    Marginal,
    Moments,
    Penalty,
    Smooth,
    curvature,
    penalties,
    penalty_matrix,
    shrinkage,
    smooth,
)
from reader.axes import Axis
from reader.design import Design
from reader.merge import add
from reader.pack import PackedTable
from reader.split import evenly
from trainer.machine import all_cores

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Rows = NDArray[np.float32]
Target = Callable[[Rows], Vector]
FEW_ROWS, ROWS_A_PARAMETER = 2_000, 20  # with fewer, penalties of a kind share a parameter
LEFT_OUT_PRODUCTS = 1 << 33  # of looking at rows left out
LEAST_REST = 1e-3  # of a residual, that a row leaves of itself
TOLERANCE = 1.0  # of the logarithm of the likelihood: predictions hardly tell the difference
PRECISE, COARSE = 1e-11, 1e-7  # of sums in float64 and in float32
PRECISE_PRODUCTS = 1 << 34  # of a pass that float64 does in about a second
MOST_PRODUCTS = 1 << 38  # of a pass, ten seconds or so
NEAR = 1e-10  # of the target's squares, by which the penalised loss may be above its least
MOST_STEPS, MARGIN = 50, 1.2  # of conjugate gradients; times the curvature that they have seen
START = 30.0  # smoothing parameters: from above, they stop at the smoothest of several maxima


class OutOfTimeError(Exception):
    """The fit was to be done by its deadline, and is not."""


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """The `rows` of a packed table; `target` gives what is fitted, of blocks of them. By the
    `deadline`, a time of time.perf_counter, OutOfTimeError is raised."""

    packed: PackedTable
    rows: NDArray[Any]
    target: Target
    deadline: float | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def check(self) -> None:
        if self.deadline and time.perf_counter() > self.deadline:
            raise OutOfTimeError

    def reduced(
        self,
        function: Callable[[Rows], Any],
        merge: Callable[[Any, Any], Any],
        start: Any,
        width: int,
    ) -> Any:
        """What merges `function` of blocks of rows, which makes rows `width` wide: see
        PackedTable.reduce."""

        def checked(whole: Any, part: Any) -> Any:
            self.check()
            return merge(whole, part)

        return self.packed.reduce(function, checked, start, self.rows, width)

    def some(self, most: int) -> TrainingRows:
        """At most so many of them, evenly spaced."""
        return replace(self, rows=self.rows[evenly(len(self.rows), most)])


@dataclass(frozen=True, eq=False)
class AdditiveFit:
    """`weights` [D] of the centred columns of `design`, whose means are `mean` [D]; `bias`: of the
    average row; `squares`: the sum of squared errors on the scaled target of all `rows` training
    rows. `parts` and `smooth`: the penalties, and what was found with them; `curvature`: of the
    penalised squares of all rows, at most so many times that of those that were summed up. With
    directions: `constraint`, by what share they raised the mean squared error, and `steps`,
    (low, high) [k], between which columns they hold the weights equal. `moments`: what was solved;
    `is_exact`: whether these are of all rows, in float64."""

    design: Design
    parts: list[Penalty]
    smooth: Smooth
    weights: Vector
    mean: Vector
    bias: float
    squares: float
    rows: int
    moments: Moments
    is_exact: bool
    curvature: float = 1.0
    constraint: float | None = None
    steps: tuple[Index, Index] | None = None

    @cached_property
    def whitening(self) -> Matrix:
        """Z [D', D]: changes of the weights by Z'v keep the steps, and add v'v to the penalised
        squares, or less with a curvature. Without either, Z'Z is the inverse of A."""
        inverse = self.smooth.inverse / math.sqrt(self.curvature)
        if self.steps is None or not len(self.steps[0]):
            return inverse
        low, high = self.steps
        normals = inverse[:, high] - inverse[:, low]
        rotation = np.linalg.qr(normals, mode="complete")[0]
        whitening: Matrix = rotation[:, len(low) :].T @ inverse
        return whitening

    @property
    def penalty(self) -> Matrix:
        return penalty_matrix(self.parts, self.smooth.parameters, self.design.width)

    def predict(self, block: Rows) -> Vector:
        """Packed rows [n, P] or more columns -> the scaled target [n]."""
        center = self.bias - float(self.mean @ self.weights)
        return self.design.predict(block, self.weights) + center

    def freedom(self) -> Vector:
        """Effective degrees of freedom by term."""
        result = np.zeros(len(self.design.terms))
        for part, freedom in zip(self.parts, self.smooth.freedom, strict=True):
            result[part.term] += freedom
        return result


def solve(rows: TrainingRows, design: Design, before: AdditiveFit | None = None) -> AdditiveFit:
    """The weights and smoothing parameters of a design, from those of one that it extends."""
    width = max(1, design.width)
    some = rows.some(max(10_000, MOST_PRODUCTS // width**2))
    precise = len(some) * width**2 <= PRECISE_PRODUCTS
    sums = design.sums(some.reduced, len(some), rows.target, np.float64 if precise else np.float32)
    share = len(rows) / sums.rows
    moments = Moments(len(rows), sums.gram * share, sums.cross * share, sums.total * share)
    parts = design_penalties(design)
    start = np.full(len(parts), START)
    if before:
        start[: len(before.parts)] = before.smooth.parameters
    precision = PRECISE if precise else COARSE
    few = len(rows) < max(FEW_ROWS, ROWS_A_PARAMETER * len(parts))
    groups = grouped(design, parts) if few else None
    with all_cores():
        found = smooth(moments, parts, start, groups, precision, End(TOLERANCE, rows.check))
    return AdditiveFit(
        design,
        parts,
        found,
        found.weights,
        sums.mean,
        sums.target,
        math.nan,
        len(rows),
        moments,
        is_exact=precise and len(some) == len(rows),
    )


def left_out(rows: TrainingRows, fitted: AdditiveFit) -> float:
    """The mean absolute error of rows, each predicted by a fit without it: its residual by 1 - h,
    where h is the leverage x'A^-1 x. Absolute, for one row must not decide."""
    some = rows.some(max(FEW_ROWS, LEFT_OUT_PRODUCTS // max(1, fitted.design.width) ** 2))

    def of_block(block: Rows) -> float:
        centred = fitted.design.dense(block, np.float64) - fitted.mean
        leverage = np.square(fitted.smooth.inverse @ centred.T).sum(axis=0) + 1 / fitted.rows
        residual = rows.target(block) - fitted.predict(block)
        return float(np.abs(residual / np.maximum(1 - leverage, LEAST_REST)).sum())

    with all_cores():
        errors = some.reduced(of_block, add, 0.0, fitted.design.width)
    return float(errors) / len(some)


def exact(rows: TrainingRows, fitted: AdditiveFit) -> AdditiveFit:
    """With the weights of all rows: by conjugate gradients, preconditioned by the sums of some, or
    of all in float32; where these were exact, a look at the residual is all."""
    design, inverse, penalty = fitted.design, fitted.smooth.inverse, fitted.penalty
    weights = fitted.weights.copy()
    at = design.residual(rows.reduced, len(rows), weights, rows.target)
    slope, near = at.cross - penalty @ weights, NEAR * fitted.moments.total
    direction, lengths, sizes = np.zeros_like(weights), list[float](), list[float]()
    while not fitted.is_exact and len(lengths) < MOST_STEPS:
        step = inverse.T @ (inverse @ slope)
        size = float(slope @ step)
        if size <= near:
            break
        direction = step + (size / sizes[-1] if sizes else 0.0) * direction
        product = penalty @ direction - design.residual(rows.reduced, len(rows), direction).cross
        length = float(slope @ direction) / float(direction @ product)
        weights, slope = weights + length * direction, slope - length * product
        lengths.append(length)
        sizes.append(size)
    if lengths:
        at = design.residual(rows.reduced, len(rows), weights, rows.target)
    return replace(
        fitted,
        weights=weights,
        mean=at.mean,
        bias=at.target,
        squares=at.squares,
        curvature=max(1.0, MARGIN * largest_eigenvalue(lengths, sizes)) if lengths else 1.0,
    )


def directed(rows: TrainingRows, free: AdditiveFit, directions: Sequence[Direction]) -> AdditiveFit:
    """With the weights of the constrained problem, where predictions may only rise or fall along a
    feature, from those of the free one."""
    matrix = free.moments.gram + free.penalty
    weights = constrained(matrix, matrix @ free.weights, directions, free.smooth.inverse)
    squares = free.design.residual(rows.reduced, len(rows), weights, rows.target).squares
    cost = squares / free.squares - 1 if free.squares else 0.0
    steps = held(weights, directions)
    return replace(free, weights=weights, squares=squares, constraint=cost, steps=steps)


def largest_eigenvalue(lengths: Sequence[float], sizes: Sequence[float]) -> float:
    """Of a preconditioned matrix, as far as conjugate gradients have seen it, whose steps and
    squared residuals these are: they make Lanczos's tridiagonal matrix (Golub and Van Loan, "Matrix
    Computations", 11.3)."""
    steps, ratios = 1 / np.array(lengths), np.array(sizes[1:]) / np.array(sizes[:-1])
    matrix = np.diag(steps + np.append(0.0, ratios * steps[:-1]))
    matrix += np.diag(off := np.sqrt(ratios) * steps[:-1], 1) + np.diag(off, -1)
    return float(np.linalg.eigvalsh(matrix)[-1])


def design_penalties(design: Design) -> list[Penalty]:
    """Those of all terms."""
    parts: list[Penalty] = []
    for index, (term, at) in enumerate(zip(design.terms, design.spans, strict=True)):
        hole = len(term.axes) == 1 and term.axes[0].has_holes
        marginals = [marginal(axis) for axis in term.axes]
        parts += penalties(index, at.start, marginals, hole, term.kept)
    return parts


def grouped(design: Design, parts: Sequence[Penalty]) -> NDArray[np.intp]:
    """The penalties of one kind, of curves or of pairs, by number."""
    kinds = [f"{part.kind} {len(design.terms[part.term].axes)}" for part in parts]
    numbers: NDArray[np.intp] = np.unique(kinds, return_inverse=True)[1]
    return numbers


def marginal(axis: Axis) -> Marginal:
    """The penalty along an axis."""
    if axis.is_number:
        return curvature(axis.knots)
    if axis.is_cyclic:
        return curvature(np.arange(axis.size, dtype=np.float64), is_cyclic=True)
    return shrinkage(axis.size)
