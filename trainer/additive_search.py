"""Which terms an additive model of the training rows has.

Main effects first; then the pairs that would explain what those leave, as many as pay for their
columns; then finer grids for the pairs that fill theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from model.monotone import Direction
from reader.axes import Axis, quantile_knots, thinned
from reader.design import Design, Term
from reader.moments import LEVELS
from reader.pair_search import Pair, all_pairs, bins_of, cell_sums, ranked
from reader.schema import Column
from trainer.additive import AdditiveFit, TrainingRows, directed, exact, left_out, solve
from trainer.term_choice import TermChoice

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Rows = NDArray[np.float32]
KNOT_ROWS = 200_000  # whose values knots are quantiles of
ROWS_A_KNOT = 12  # fewer would make a curve of each row
PAIR_KNOTS = 7  # of each side of a pair, before it is made finer
FINEST = 63  # of a side; 7, 15, 31, 63
MOST_MAIN, MOST_LEVELS = 1_500, 3_000  # columns of all curves, and of all levels
MOST_PAIRED, MOST_COLUMNS = 1_400, 3_400  # of pairs at first, and of all terms in the end
PAYS = 0.99  # times the error of rows left out, below which larger designs must come
LEAST_GAIN = -4.0  # of the logarithm of the likelihood, by which a pair is worth a try
PAIR_LEVELS = 400  # of a category in a pair
MOST_FEATURES = 300  # whose pairs are searched
SEARCHED = 1 << 30  # rows times pairs that are looked at
FULL = 0.4  # of the columns of a pair that are free, from which its grid is made finer
MOSTLY = 0.8  # of a grid's columns, of which fewer are kept by name
REFINED, ROUNDS = 1, 3  # grids that are made finer at a time, and how often


@dataclass(frozen=True)
class AdditiveOptions:
    """`knots`: at most so many of a curve; `fill`: the number that stands for a hole, if one does;
    `choice`: of terms, None for all."""

    knots: int = 32
    fill: float | None = None
    choice: TermChoice | None = None


class AdditiveSearch:
    """Fits an additive model to the scaled target of training rows."""

    def __init__(self, rows: TrainingRows, options: AdditiveOptions) -> None:
        self.rows, self.options, self.schema = rows, options, rows.packed.schema
        self.choice = options.choice or TermChoice(tuple(range(len(self.schema.packed))))
        self.sample = rows.packed.sample(rows.some(KNOT_ROWS).rows)

    def fit(self) -> AdditiveFit:
        """Raises OutOfTimeError."""
        axes = self.axes()
        mains = Design(tuple(Term((axis,)) for axis in axes))
        fitted = solve(self.rows, mains)
        if pairs := self.pairs(axes, fitted):
            fitted = self.extended(Design((*mains.terms, *pairs)), fitted)
        for _ in range(ROUNDS):
            before, finer = fitted, self.finer(fitted)
            if finer is None or (fitted := self.extended(finer, before)) is before:
                break
        fitted, directions = exact(self.rows, fitted), list(self.directions(fitted.design))
        return directed(self.rows, fitted, directions) if directions else fitted

    def extended(self, design: Design, before: AdditiveFit) -> AdditiveFit:
        """The fit of a larger design, or the one before if that predicts rows left out as well: a
        few extreme targets make any pair of their features look good."""
        found = solve(self.rows, design, before)
        if self.choice.are_named:
            return found
        pays = left_out(self.rows, found) < PAYS * left_out(self.rows, before)
        return found if pays else before

    def axes(self) -> list[Axis]:
        """Of every feature that may have a curve."""
        columns = [column for column in self.schema.features for _ in column.packed]
        names = self.schema.packed
        numbers = sum(columns[at].kind != "categorical" for at in self.choice.mains)
        by_rows = max(4, len(self.rows) // ROWS_A_KNOT)
        most = max(2, min(self.options.knots, MOST_MAIN // max(1, numbers), by_rows))
        return [self.axis(columns[at], names[at], at, most) for at in self.choice.mains]

    @property
    def most_levels(self) -> int:
        """Of one category."""
        kinds = [column.kind for column in self.schema.features]
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

        def wider(a: Matrix, b: Matrix) -> Matrix:
            return np.stack([np.minimum(a[0], b[0]), *np.maximum(a[1:], b[1:])])

        width = self.sample.shape[1]
        nothing = np.stack([np.full(width, value) for value in (np.inf, -np.inf, 0.0)])
        ends: Matrix = self.rows.reduced(of_block, wider, nothing, width)
        return ends

    def pairs(self, axes: Sequence[Axis], fitted: AdditiveFit) -> list[Term]:
        """Those that the recipe names, or else the best by what they would explain."""
        coarse = [a.with_knots(thinned(a.knots, PAIR_KNOTS)) if a.is_number else a for a in axes]
        if self.choice.pairs is not None:
            at = {axis.position: axis for axis in coarse}
            return [Term((at[a], at[b])) for a, b in self.choice.pairs]
        pairs = self.candidates(coarse, fitted)
        if not pairs or self.choice.most_pairs == 0:
            return []
        terms, width = list[Term](), 0
        for gain, (a, b) in self.gains(axes, pairs, fitted):
            term = Term((coarse[a], coarse[b]))
            if gain > LEAST_GAIN and width + term.size <= MOST_PAIRED:
                terms.append(term)
                width += term.size
        return terms[: self.choice.most_pairs]

    def candidates(self, axes: Sequence[Axis], fitted: AdditiveFit) -> list[Pair]:
        """Of all features; of very many, those with the most degrees of freedom by themselves."""
        few = [i for i, axis in enumerate(axes) if axis.size <= PAIR_LEVELS]
        freedom = fitted.freedom()
        few = sorted(sorted(few, key=lambda i: -freedom[i])[:MOST_FEATURES])
        return [
            (a, b)
            for a, b in all_pairs(few)
            if (axes[a].position, axes[b].position) not in self.choice.excluded
        ]

    def gains(
        self, axes: Sequence[Axis], pairs: Sequence[Pair], fitted: AdditiveFit
    ) -> list[tuple[float, Pair]]:
        """By what the residual of the main effects tells of each pair, the largest first."""
        rows = self.rows.some(max(10_000, SEARCHED // len(pairs)))
        bins = []
        for axis in axes:
            places = np.rint(axis.place(self.sample[:, axis.position])).astype(np.intp)
            bins.append(bins_of(axis, np.bincount(places, minlength=axis.size + 1)))

        def residual(block: Rows) -> Vector:
            return rows.target(block) - fitted.predict(block)

        counts, sums = cell_sums(rows.reduced, axes, bins, pairs, residual)
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
        found = Design((term,)).residual(self.rows.reduced, len(self.rows), nothing)
        kept = np.flatnonzero(found.mean > 0)
        return Term(term.axes, kept) if len(kept) < MOSTLY * term.size else term

    def with_more_knots(self, axis: Axis) -> Axis:
        if not axis.is_number:
            return axis
        return axis.with_knots(self.knots(axis.position, min(2 * axis.size + 1, FINEST)))

    def directions(self, design: Design) -> Iterator[Direction]:
        for term, at in zip(design.terms, design.spans, strict=True):
            shape = tuple(axis.size for axis in term.axes)
            for number, axis in enumerate(term.axes):
                if sign := self.choice.directions.get(axis.position):
                    inside = slice(at.start, at.start + int(np.prod(shape)))
                    yield Direction(inside, shape, number, sign)
