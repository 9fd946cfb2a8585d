"""An additive model of the training rows: which terms it has, how smooth they are, its weights.

Main effects first; then the pairs that would explain what those leave, as many as pay for their
columns; then finer grids for the pairs that fill theirs. The smoothing parameters follow from the
sums of products of all columns, over as many rows as there is time for; the weights are those of
all rows, by conjugate gradients, for which the same sums are the preconditioner.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.monotone import Direction, Index, constrained, held
from model.smoothing import (
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
from reader.axes import Axis, quantile_knots, thinned
from reader.design import Design, Sums, Term
from reader.moments import LEVELS
from reader.pack import PackedTable
from reader.pair_search import Pair, all_pairs, bins_of, cell_sums, ranked
from reader.schema import Column
from reader.split import evenly
from trainer.machine import all_cores
from trainer.term_choice import TermChoice

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Rows = NDArray[np.float32]
Target = Callable[[Rows], Vector]
KNOT_ROWS = 200_000  # whose values knots are quantiles of
ROWS_A_KNOT = 12  # fewer would make a curve of each row
FEW_ROWS, ROWS_A_PARAMETER = 2_000, 20  # with fewer, penalties of a kind share a parameter
PAIR_KNOTS = 7  # of each side of a pair, before it is made finer
FINEST = 63  # of a side; 7, 15, 31, 63
MOST_MAIN, MOST_LEVELS = 1_500, 3_000  # columns of all curves, and of all levels
MOST_PAIRED, MOST_COLUMNS = 1_400, 3_400  # of pairs at first, and of all terms in the end
PAYS = 0.98  # times the error of rows left out, below which larger designs must come
LEFT_OUT_PRODUCTS = 1 << 33  # of looking at rows left out
LEAST_REST = 1e-3  # of a residual, that a row leaves of itself
LEAST_GAIN = -4.0  # of the logarithm of the likelihood, by which a pair is worth a try
PAIR_LEVELS = 400  # of a category in a pair
SEARCHED = 1 << 30  # rows times pairs that are looked at
FULL = 0.4  # of the columns of a pair that are free, from which its grid is made finer
MOSTLY = 0.8  # of a grid's columns, of which fewer are kept by name
REFINED, ROUNDS = 1, 3  # grids that are made finer at a time, and how often
TOLERANCE = 1.0  # of the logarithm of the likelihood: predictions hardly tell the difference
PRECISE, COARSE = 1e-11, 1e-7  # of sums in float64 and in float32
PRECISE_PRODUCTS = 1 << 34  # of a pass that float64 does in about a second
MOST_PRODUCTS = 1 << 38  # of a pass, ten seconds or so
NEAR = 1e-10  # of the target's squares, by which the penalised loss may be above its least
MOST_STEPS, MARGIN = 50, 1.2  # of conjugate gradients; times the curvature that they have seen
START = 30.0  # smoothing parameters: from above, they stop at the smoothest of several maxima


class OutOfTimeError(Exception):
    """The fit was to be done by its deadline, and is not."""


@dataclass(frozen=True)
class AdditiveOptions:
    """`knots`: at most so many of a curve; `fill`: the number that stands for a hole, if one does;
    `choice`: of terms, None for all; `deadline`: by time.perf_counter, None for none."""

    knots: int = 32
    fill: float | None = None
    choice: TermChoice | None = None
    deadline: float | None = None


@dataclass(frozen=True, eq=False)
class AdditiveFit:
    """`weights` [D] of the centred columns of `design`, whose means are `mean` [D]; `bias`: of the
    average row; `squares`: the sum of squared errors on the scaled target of all `rows` training
    rows. `parts` and `smooth`: the penalties, and what was found with them; `curvature`: of the
    penalised squares of all rows, at most so many times that of those that were summed up. With
    directions: `constraint`, by what share they raised the mean squared error, and `steps`,
    (low, high) [k], between which columns they hold the weights equal."""

    design: Design
    parts: list[Penalty]
    smooth: Smooth
    weights: Vector
    mean: Vector
    bias: float
    squares: float
    rows: int
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


class AdditiveSearch:
    """Fits an additive model to the packed table's `rows`; `target` gives their scaled target."""

    sums: Sums  # of the last design that was kept
    is_exact: bool  # whether they are those of all rows, in float64

    def __init__(
        self,
        packed: PackedTable,
        rows: NDArray[Any],
        target: Target,
        options: AdditiveOptions,
    ) -> None:
        self.packed, self.rows, self.target, self.options = packed, rows, target, options
        self.choice = options.choice or TermChoice(tuple(range(len(packed.schema.packed))))
        self.sample = packed.take(rows[evenly(len(rows), KNOT_ROWS)])

    def fit(self) -> AdditiveFit:
        """Raises OutOfTimeError."""
        axes = self.axes()
        mains = Design(tuple(Term((axis,)) for axis in axes))
        fitted = self.solve(mains)
        if pairs := self.pairs(axes, fitted):
            fitted = self.extended(Design((*mains.terms, *pairs)), fitted)
        for _ in range(ROUNDS):
            before, finer = fitted, self.finer(fitted)
            if finer is None or (fitted := self.extended(finer, before)) is before:
                break
        return self.exact(fitted)

    def extended(self, design: Design, before: AdditiveFit) -> AdditiveFit:
        """The fit of a larger design, or the one before if that predicts rows left out as well: a
        few extreme targets make any pair of their features look good."""
        sums, is_exact = self.sums, self.is_exact
        found = self.solve(design, before)
        if self.choice.pairs is not None or self.left_out(found) < PAYS * self.left_out(before):
            return found
        self.sums, self.is_exact = sums, is_exact
        return before

    def left_out(self, fitted: AdditiveFit) -> float:
        """The mean squared error of training rows, each predicted by a fit without it: its residual
        by 1 - h, where h is the leverage x'A^-1 x."""
        most = max(FEW_ROWS, LEFT_OUT_PRODUCTS // max(1, fitted.design.width) ** 2)
        rows = self.rows[evenly(len(self.rows), most)]

        def of_block(block: Rows) -> float:
            centred = fitted.design.dense(block, np.float64) - fitted.mean
            leverage = np.square(fitted.smooth.inverse @ centred.T).sum(axis=0) + 1 / fitted.rows
            residual = self.target(block) - fitted.predict(block)
            return float(np.square(residual / np.maximum(1 - leverage, LEAST_REST)).sum())

        with all_cores():
            return sum(self.each(rows)(of_block, fitted.design.width)) / len(rows)

    def each(self, rows: NDArray[Any]) -> Callable[..., Iterator[Any]]:
        """Blocks of these rows, between which the deadline is looked at."""

        def of_rows(function: Callable[[Rows], Any], width: int) -> Iterator[Any]:
            for part in self.packed.map(function, rows, width):
                self.check()
                yield part

        return of_rows

    def check(self) -> None:
        if self.options.deadline and time.perf_counter() > self.options.deadline:
            raise OutOfTimeError

    def axes(self) -> list[Axis]:
        """Of every feature that may have a curve."""
        columns = [column for column in self.packed.schema.features for _ in column.packed]
        names = self.packed.schema.packed
        numbers = sum(columns[at].kind != "categorical" for at in self.choice.mains)
        by_rows = max(4, len(self.rows) // ROWS_A_KNOT)
        most = max(2, min(self.options.knots, MOST_MAIN // max(1, numbers), by_rows))
        return [self.axis(columns[at], names[at], at, most) for at in self.choice.mains]

    @property
    def most_levels(self) -> int:
        """Of one category."""
        kinds = [column.kind for column in self.packed.schema.features]
        return MOST_LEVELS // max(1, kinds.count("categorical"))

    def axis(self, column: Column, name: str, at: int, most: int) -> Axis:
        cells, fill = self.sample[:, at], self.options.fill
        if column.kind == "categorical":
            counts = np.bincount(cells.astype(np.intp), minlength=len(column.levels) + 1)
            return Axis.of_codes(name, at, counts, self.most_levels)
        holes = bool(self.ends[2, at])
        part = dict(zip(column.packed, column.parts, strict=False)).get(name, "")
        if part in LEVELS:
            return Axis(name, at, levels=LEVELS[part].stop, is_cyclic=True, has_holes=holes)
        knots = self.knots(at, most)
        return Axis(name, at, knots, has_holes=holes and fill is None, fill=fill)

    def knots(self, at: int, most: int) -> Vector:
        """Quantiles of the sample, but for the first and the last, which are those of all rows."""
        knots = quantile_knots(self.sample[:, at], most)
        low, high = self.ends[:2, at]
        if low < high:
            knots[0], knots[-1] = min(knots[0], low), max(knots[-1], high)
        return knots

    @cached_property
    def ends(self) -> Matrix:
        """[3, P]: the least and the largest of each packed column, and whether it has holes."""

        def of_block(block: Rows) -> Matrix:
            hole = np.isnan(block)
            low = np.where(hole, np.inf, block).min(axis=0)
            high = np.where(hole, -np.inf, block).max(axis=0)
            return np.stack([low, high, hole.any(axis=0)]).astype(np.float64)

        blocks = np.stack(list(self.each(self.rows)(of_block, self.sample.shape[1])))
        return np.stack([blocks[:, 0].min(axis=0), *blocks[:, 1:].max(axis=0)])

    def solve(self, design: Design, before: AdditiveFit | None = None) -> AdditiveFit:
        """The weights and smoothing parameters of a design, from those of one that it extends."""
        width = max(1, design.width)
        rows = self.rows[evenly(len(self.rows), max(10_000, MOST_PRODUCTS // width**2))]
        precise = len(rows) * width**2 <= PRECISE_PRODUCTS
        kind = np.float64 if precise else np.float32
        sums = design.sums(self.each(rows), len(rows), self.target, kind)
        parts = design_penalties(design)
        start = np.full(len(parts), START)
        if before:
            start[: len(before.parts)] = before.smooth.parameters
        precision = PRECISE if precise else COARSE
        few = len(self.rows) < max(FEW_ROWS, ROWS_A_PARAMETER * len(parts))
        groups = grouped(design, parts) if few else None
        with all_cores():
            found = smooth(
                self.moments(sums), parts, start, precision, TOLERANCE, self.check, groups
            )
        self.sums, self.is_exact = sums, precise and len(rows) == len(self.rows)
        return AdditiveFit(
            design,
            parts,
            found,
            found.weights,
            sums.mean,
            sums.target,
            math.nan,
            len(self.rows),
        )

    def moments(self, sums: Sums) -> Moments:
        """Of all rows, as the ones that were summed up tell."""
        share = len(self.rows) / sums.rows
        return Moments(len(self.rows), sums.gram * share, sums.cross * share, sums.total * share)

    def pairs(self, axes: Sequence[Axis], fitted: AdditiveFit) -> list[Term]:
        """Those that the recipe names, or else the best by what they would explain."""
        coarse = [a.with_knots(thinned(a.knots, PAIR_KNOTS)) if a.is_number else a for a in axes]
        if self.choice.pairs is not None:
            at = {axis.position: axis for axis in coarse}
            return [Term((at[a], at[b])) for a, b in self.choice.pairs]
        pairs = self.candidates(coarse)
        if not pairs or self.choice.most_pairs == 0:
            return []
        terms, width = list[Term](), 0
        for gain, (a, b) in self.gains(axes, pairs, fitted):
            term = Term((coarse[a], coarse[b]))
            if gain > LEAST_GAIN and width + term.size <= MOST_PAIRED:
                terms.append(term)
                width += term.size
        return terms[: self.choice.most_pairs]

    def candidates(self, axes: Sequence[Axis]) -> list[Pair]:
        few = [i for i, axis in enumerate(axes) if axis.size <= PAIR_LEVELS]
        return [
            (a, b)
            for a, b in all_pairs(few)
            if (axes[a].position, axes[b].position) not in self.choice.excluded
        ]

    def gains(
        self, axes: Sequence[Axis], pairs: Sequence[Pair], fitted: AdditiveFit
    ) -> list[tuple[float, Pair]]:
        """By what the residual of the main effects tells of each pair, the largest first."""
        rows = self.rows[evenly(len(self.rows), max(10_000, SEARCHED // len(pairs)))]
        bins = []
        for axis in axes:
            places = np.rint(axis.place(self.sample[:, axis.position])).astype(np.intp)
            bins.append(bins_of(axis, np.bincount(places, minlength=axis.size + 1)))

        def residual(block: Rows) -> Vector:
            return self.target(block) - fitted.predict(block)

        counts, sums = cell_sums(self.each(rows), axes, bins, pairs, residual)
        is_number = [axis.is_number for axis in axes]
        return ranked(pairs, counts, sums, fitted.smooth.variance, is_number)

    def finer(self, fitted: AdditiveFit) -> Design | None:
        """With more knots for the pairs whose freedom fills the columns that rows touch."""
        terms, freedom = list(fitted.design.terms), fitted.freedom()
        width, changed = fitted.design.width, 0
        for index in np.argsort(-freedom, kind="stable").tolist():
            term, at = terms[index], fitted.design.spans[index]
            touched = int((fitted.mean[at] * fitted.rows >= 1).sum())
            if len(term.axes) == 1 or freedom[index] <= FULL * touched or changed == REFINED:
                continue
            new = self.touched(Term(tuple(self.with_more_knots(axis) for axis in term.axes)))
            if term.size < new.size <= MOST_COLUMNS - width + term.size:
                terms[index], changed = new, changed + 1
                width += new.size - term.size
        return Design(tuple(terms)) if changed else None

    def touched(self, term: Term) -> Term:
        """Without the columns that no training row touches, where these are many: the corners of a
        map where nobody lives."""
        if any(axis.position in self.choice.directions for axis in term.axes):
            return term  # whose grid has to be whole
        nothing = np.zeros(term.size)
        found = Design((term,)).residual(self.each(self.rows), len(self.rows), nothing)
        kept = np.flatnonzero(found.mean > 0)
        return Term(term.axes, kept) if len(kept) < MOSTLY * term.size else term

    def with_more_knots(self, axis: Axis) -> Axis:
        if not axis.is_number:
            return axis
        return axis.with_knots(self.knots(axis.position, min(2 * axis.size + 1, FINEST)))

    def exact(self, fitted: AdditiveFit) -> AdditiveFit:
        """With the weights of all rows, and of the constrained problem where predictions may only
        rise or fall along a feature."""
        free = self.descended(fitted)
        directions = list(self.directions(fitted.design))
        if not directions:
            return free
        matrix = self.moments(self.sums).gram + self.penalty(fitted)
        cross = matrix @ free.weights
        weights = constrained(matrix, cross, directions, fitted.smooth.inverse)
        each = self.each(self.rows)
        squares = fitted.design.residual(each, len(self.rows), weights, self.target).squares
        cost = squares / free.squares - 1 if free.squares else 0.0
        steps = held(weights, directions)
        return replace(free, weights=weights, squares=squares, constraint=cost, steps=steps)

    def directions(self, design: Design) -> Iterator[Direction]:
        for term, at in zip(design.terms, design.spans, strict=True):
            shape = tuple(axis.size for axis in term.axes)
            for number, axis in enumerate(term.axes):
                if sign := self.choice.directions.get(axis.position):
                    inside = slice(at.start, at.start + int(np.prod(shape)))
                    yield Direction(inside, shape, number, sign)

    def penalty(self, fitted: AdditiveFit) -> Matrix:
        return penalty_matrix(fitted.parts, fitted.smooth.parameters, fitted.design.width)

    def descended(self, fitted: AdditiveFit) -> AdditiveFit:
        """By conjugate gradients on all rows, preconditioned by the sums of some, or of all in
        float32; where these were exact, a look at the residual is all."""
        design, inverse, penalty = fitted.design, fitted.smooth.inverse, self.penalty(fitted)
        weights, rows, each = fitted.weights.copy(), len(self.rows), self.each(self.rows)
        at = design.residual(each, rows, weights, self.target)
        slope, near = at.cross - penalty @ weights, NEAR * self.moments(self.sums).total
        direction, lengths, sizes = np.zeros_like(weights), list[float](), list[float]()
        while not self.is_exact and len(lengths) < MOST_STEPS:
            step = inverse.T @ (inverse @ slope)
            size = float(slope @ step)
            if size <= near:
                break
            direction = step + (size / sizes[-1] if sizes else 0.0) * direction
            product = penalty @ direction - design.residual(each, rows, direction).cross
            length = float(slope @ direction) / float(direction @ product)
            weights, slope = weights + length * direction, slope - length * product
            lengths.append(length)
            sizes.append(size)
        if lengths:
            at = design.residual(each, rows, weights, self.target)
        return replace(
            fitted,
            weights=weights,
            mean=at.mean,
            bias=at.target,
            squares=at.squares,
            curvature=max(1.0, MARGIN * largest_eigenvalue(lengths, sizes)) if lengths else 1.0,
        )


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
