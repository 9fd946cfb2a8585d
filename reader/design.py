"""The columns of an additive model, never held: their sums over rows, block by block.

A term has one axis or two. Of one axis, its columns are tents (linear B-splines) at the knots or
the flags of levels, and one for holes; of two, the products of both, without holes. A row touches
two columns of a number and four of a pair of numbers; the others are zero. D: columns in all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reader.axes import Axis
from reader.merge import add

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Rows = NDArray[np.float32]
Index = NDArray[np.intp]
Reduce = Callable[..., Any]
"""(function, merge, start, width) -> what merges function(block) of all blocks of rows."""
Target = Callable[[Rows], Vector]


class Place(NamedTuple):
    """Of rows [n] on an axis: the whole part of their places, and what is beyond."""

    low: Index
    share: Vector


@dataclass(frozen=True, eq=False)
class Term:
    """A function of one feature, or of two; with `kept`, in order, of those of its columns alone
    that training rows touch: the values at the other places follow from the penalty."""

    axes: tuple[Axis, ...]
    kept: Index | None = None

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(axis.name for axis in self.axes)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Its columns by axis."""
        if len(self.axes) == 1:
            return (self.axes[0].size + self.axes[0].has_holes,)
        return tuple(axis.size for axis in self.axes)

    @cached_property
    def size(self) -> int:
        return int(np.prod(self.shape)) if self.kept is None else len(self.kept)

    @cached_property
    def numbers(self) -> Index:
        """Of each place its column; -1 for none."""
        numbers = np.full(int(np.prod(self.shape)), -1, dtype=np.intp)
        assert self.kept is not None
        numbers[self.kept] = np.arange(len(self.kept))
        return numbers

    def columns(self, places: Sequence[Place]) -> Iterator[tuple[Index, Vector]]:
        """The columns [n] that rows touch and their values there, one of each row at a time."""
        along = [list(self._along(k, place)) for k, place in enumerate(places)]
        if len(along) == 1:
            yield from along[0]
            return
        width = self.shape[1]
        for first, weight in along[0]:
            for second, other in along[1]:
                place = first * width + second
                if self.kept is None:
                    yield place, weight * other
                else:
                    column = self.numbers[place]
                    yield np.maximum(column, 0), weight * other * (column >= 0)

    def _along(self, k: int, place: Place) -> Iterator[tuple[Index, Vector]]:
        axis, last = self.axes[k], self.shape[k] - 1
        low, there = place.low, np.ones(len(place.low))
        if low.max(initial=0) > last:  # a hole, of which this term says nothing
            there, low = (low <= last).astype(np.float64), np.minimum(low, last)
        if not axis.is_number:
            yield low, there
            return
        yield low, there * (1 - place.share)
        yield np.minimum(low + 1, last), there * place.share


class Sums(NamedTuple):
    """Over `rows` rows: products of centred columns [D, D], of these with the centred target [D],
    the means of columns [D] and target, and the sum of squares of the centred target."""

    rows: int
    gram: Matrix
    cross: Vector
    mean: Vector
    target: float
    total: float


class Residual(NamedTuple):
    """Of weights: the products of centred columns with the residual [D] and its sum of squares,
    both about its mean; and the means of columns [D] and target."""

    cross: Vector
    squares: float
    mean: Vector
    target: float


@dataclass(frozen=True, eq=False)
class Design:
    """The columns of `terms`, one term's after the other's."""

    terms: tuple[Term, ...]

    @cached_property
    def spans(self) -> list[slice]:
        ends = np.cumsum([0, *(term.size for term in self.terms)]).tolist()
        return [slice(a, b) for a, b in pairwise(ends)]

    @property
    def width(self) -> int:
        return self.spans[-1].stop if self.spans else 0

    def touched(self, block: Rows) -> Iterator[tuple[Index, Vector]]:
        """What `Term.columns` gives of every term, counted among all columns."""
        places: dict[int, Place] = {}
        for term, at in zip(self.terms, self.spans, strict=True):
            for axis in term.axes:
                if id(axis) not in places:
                    place = axis.place(block[:, axis.position])
                    low = place.astype(np.intp)
                    places[id(axis)] = Place(low, place - low)
            for index, value in term.columns([places[id(axis)] for axis in term.axes]):
                yield at.start + index, value

    def dense(self, block: Rows, dtype: Any) -> NDArray[Any]:
        """[n, D]."""
        result = np.zeros((len(block), self.width), dtype)
        flat, first = result.reshape(-1), np.arange(len(block)) * self.width
        for index, value in self.touched(block):
            flat[first + index] += value.astype(dtype)
        return result

    def sums(self, reduced: Reduce, rows: int, target: Target, dtype: Any = np.float64) -> Sums:
        """One pass over these rows. `dtype`: of the products in a block; float32 is twice as
        fast."""

        def of_block(block: Rows) -> tuple[Any, ...]:
            x, y = self.dense(block, dtype), target(block)
            return x.T @ x, x.sum(axis=0, dtype=np.float64), y @ x, y.sum(), y @ y

        width = self.width
        start = np.zeros((width, width)), np.zeros(width), np.zeros(width), 0.0, 0.0
        gram, first, cross, y, squares = reduced(of_block, add, start, width)
        mean, center = first / rows, float(y / rows)
        gram -= rows * np.outer(mean, mean)
        total = float(squares - rows * center**2)
        return Sums(rows, gram, cross - rows * mean * center, mean, center, total)

    def predict(self, block: Rows, weights: Vector) -> Vector:
        """The sum of columns by weights [n]."""
        result = np.zeros(len(block))
        for index, value in self.touched(block):
            result += weights[index] * value
        return result

    def residual(
        self, reduced: Reduce, rows: int, weights: Vector, target: Target | None = None
    ) -> Residual:
        """One pass, in float64; without a target, it is 0."""
        width = self.width

        def of_block(block: Rows) -> tuple[Vector, Vector, float, float, float]:
            cross, columns = np.zeros(width), np.zeros(width)
            touched = list(self.touched(block))
            y = target(block) if target else np.zeros(len(block))
            residual = y.copy()
            for index, value in touched:
                residual -= weights[index] * value
            for index, value in touched:
                cross += np.bincount(index, residual * value, minlength=width)
                columns += np.bincount(index, value, minlength=width)
            return cross, columns, float(residual @ residual), float(residual.sum()), float(y.sum())

        start = np.zeros(width), np.zeros(width), 0.0, 0.0, 0.0
        cross, columns, squares, total, y = reduced(of_block, add, start, 0)
        mean, center = columns / rows, total / rows
        return Residual(cross - columns * center, squares - rows * center**2, mean, y / rows)
