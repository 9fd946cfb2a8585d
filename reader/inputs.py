"""What stands between packed rows and the network: small steps, each fitted once.

Training applies a step in NumPy; the exported graph has a layer of the same name for it, in
model/input_layers.py. A test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from reader.axes import Axis

Rows = NDArray[np.float32]
Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]
Columns = tuple["InputColumn", ...]
PIECE = 16_384  # rows: few, for a core's cache; many, for each asks for the interpreter's lock
STEEPEST = 64.0  # what a matrix may multiply deviations by before float32 digits run out


@dataclass(frozen=True)
class InputColumn:
    """One column that a step yields: a number, a 0/1 flag, or a code from 0 to `levels` - 1."""

    name: str
    kind: Literal["number", "flag", "code"]
    levels: int = 0


class Step(Protocol):
    """A fitted step: float64 [n, columns in] -> float64 [n, len(columns)]; what it does not know
    of, the codes behind its columns, it passes on."""

    @property
    def columns(self) -> Columns:
        """What it yields."""

    def apply(self, x: Matrix) -> Matrix:
        """Of rows as the step before left them."""


@dataclass(frozen=True, eq=False)
class Select:
    """The columns at `positions`, in this order.

    >>> columns = tuple(InputColumn(name, "number") for name in "ba")
    >>> Select(columns, (1, 0)).apply(np.array([[1.0, 2.0]]))
    array([[2., 1.]])
    """

    columns: Columns
    positions: tuple[int, ...]

    def apply(self, x: Matrix) -> Matrix:
        return x[:, list(self.positions)]


@dataclass(frozen=True, eq=False)
class Indicate:
    """A flag, behind the first `numbers` columns, for each of those at `positions`: 1 where it is
    NaN."""

    columns: Columns
    positions: tuple[int, ...]
    numbers: int

    def apply(self, x: Matrix) -> Matrix:
        flags = np.isnan(x[:, list(self.positions)])
        return np.column_stack([x[:, : self.numbers], flags, x[:, self.numbers :]])


@dataclass(frozen=True, eq=False)
class Fill:
    """`values` [D] in place of NaN, in the first D columns.

    >>> Fill((InputColumn("a", "number"),), np.array([7.0])).apply(np.array([[np.nan], [1.0]]))
    array([[7.],
           [1.]])
    """

    columns: Columns
    values: Vector

    def apply(self, x: Matrix) -> Matrix:
        numbers = x[:, : len(self.values)]
        missing = np.isnan(numbers)
        if not missing.any():
            return x
        filled = x.copy()
        np.copyto(filled[:, : len(self.values)], self.values, where=missing)
        return filled


@dataclass(frozen=True, eq=False)
class OneHot:
    """In place of the code column at `start + i`, row `code` of `tables[i]` [levels, flags]."""

    columns: Columns
    start: int
    tables: tuple[Matrix, ...]

    def apply(self, x: Matrix) -> Matrix:
        codes = x[:, self.start : self.start + len(self.tables)].astype(np.intp)
        flags = [table[codes[:, index]] for index, table in enumerate(self.tables)]
        rest = x[:, self.start + len(self.tables) :]
        return np.column_stack([x[:, : self.start], *flags, rest])


@dataclass(frozen=True, eq=False)
class Scale:
    """(x - center) / scale of the first D columns; `center` and `scale` are [D].

    >>> step = Scale((InputColumn("a", "number"),), np.array([1.0]), np.array([4.0]))
    >>> step.apply(np.array([[3.0]]))
    array([[0.5]])
    """

    columns: Columns
    center: Vector
    scale: Vector

    def apply(self, x: Matrix) -> Matrix:
        return _leading(x, len(self.center), lambda part: (part - self.center) * (1 / self.scale))


@dataclass(frozen=True, eq=False)
class Whiten:
    """(x - center) @ matrix of the first D columns; `center` is [D], `matrix` [D, r].

    `tables`: of each code column behind them, by code what is taken off the result, [levels, r]:
    that of the average row of this level. `steepness`: the most that a deviation of a column is
    multiplied by.
    """

    columns: Columns
    center: Vector
    matrix: Matrix
    steepness: float
    tables: tuple[Matrix, ...] = ()

    def apply(self, x: Matrix) -> Matrix:
        def whiten(part: Matrix) -> Matrix:
            result = (part - self.center) @ self.matrix
            for index, table in enumerate(self.tables):
                result -= table[x[:, len(self.center) + index].astype(np.intp)]
            return result

        return _leading(x, len(self.center), whiten)


@dataclass(frozen=True, eq=False)
class Clip:
    """Values up to `bound` [D] in size as they are, beyond it ever less, and never twice as far; of
    the first D columns.

    A network then follows no cell out of the range that it has learned. Smooth: its slope falls
    from 1.

    >>> step = Clip((InputColumn("a", "number"),), np.array([8.0]))
    >>> step.apply(np.array([[-3.0], [16.0], [1e6]])).round(3)
    array([[-3.],
           [12.],
           [16.]])
    """

    columns: Columns
    bound: Vector

    def apply(self, x: Matrix) -> Matrix:
        return _leading(x, len(self.bound), self._clip)

    def _clip(self, part: Matrix) -> Matrix:
        size = np.abs(part)
        beyond = np.maximum(size - self.bound, 0)
        if not beyond.any():
            return part
        within = np.minimum(size, self.bound)
        return np.sign(part) * (within + beyond / (1 + beyond / self.bound))


@dataclass(frozen=True, eq=False)
class NormalScores:
    """Of the first D columns, in place of values their scores, linear between the `knots` [D][K]
    and flat beyond; of the `flags` behind them, their value less the mean [F].

    >>> knots, scores = (np.array([0.0, 4.0]),), (np.array([-1.0, 1.0]),)
    >>> step = NormalScores((InputColumn("a", "number"),), knots, scores, np.zeros(0))
    >>> step.apply(np.array([[1.0], [9.0]]))
    array([[-0.5],
           [ 1. ]])
    """

    columns: Columns
    knots: tuple[Vector, ...]
    scores: tuple[Vector, ...]
    flags: Vector

    def apply(self, x: Matrix) -> Matrix:
        result, count = x.copy(), len(self.knots)
        for column, (knots, scores) in enumerate(zip(self.knots, self.scores, strict=True)):
            result[:, column] = np.interp(x[:, column], knots, scores)
        result[:, count : count + len(self.flags)] -= self.flags
        return result


@dataclass(frozen=True, eq=False)
class SmoothClip:
    """x / sqrt(1 + (x / bound)^2) of the first D columns: never further from zero than `bound` [D].

    Holzmueller and others, "Better by default" (2024), where the bound is 3.

    >>> step = SmoothClip((InputColumn("a", "number"),), np.array([3.0]))
    >>> step.apply(np.array([[0.1], [1e30]])).round(3)
    array([[0.1],
           [3. ]])
    """

    columns: Columns
    bound: Vector

    def apply(self, x: Matrix) -> Matrix:
        return _leading(x, len(self.bound), lambda part: part / np.hypot(1, part / self.bound))


@dataclass(frozen=True, eq=False)
class Beside:
    """Two ways from packed rows, one beside the other; the second one's codes come last."""

    columns: Columns
    first: Inputs
    second: Inputs

    def apply(self, x: Matrix) -> Matrix:
        rows = x.astype(np.float32)
        return np.column_stack([self.first.apply(rows), self.second.apply(rows)])


@dataclass(frozen=True, eq=False)
class Places:
    """Packed rows -> their places on `axes`, as Axis.place says, and behind these, for each of the
    axes `beyond`, how far a row lies outside its knots: in units of the outer cell, negative
    below."""

    columns: Columns
    axes: tuple[Axis, ...]
    beyond: tuple[int, ...] = ()

    def apply(self, x: Matrix) -> Matrix:
        places = np.empty((len(x), len(self.columns)))
        for index, axis in enumerate(self.axes):
            places[:, index] = axis.place(x[:, axis.position])
        for index, of in enumerate(self.beyond, start=len(self.axes)):
            knots, cells = self.axes[of].knots, np.nan_to_num(x[:, self.axes[of].position])
            below = np.minimum(cells - knots[0], 0) / (knots[1] - knots[0])
            above = np.maximum(cells - knots[-1], 0) / (knots[-1] - knots[-2])
            known = ~np.isnan(x[:, self.axes[of].position])
            places[:, index] = known * (below + above)
        return places


def _leading(x: Matrix, count: int, function: Callable[[Matrix], Matrix]) -> Matrix:
    """`function` of the first `count` columns, and the others behind what it gives."""
    changed = function(x[:, :count])
    return changed if x.shape[1] == count else np.column_stack([changed, x[:, count:]])


@dataclass(frozen=True)
class TargetScale:
    """(y - center) / scale of the target, or of log(1 + y) with `log`.

    `limits`: the scaled values that predictions stay between.

    >>> TargetScale(1.0, 2.0).transform(np.array([[5.0]]))
    array([[2.]], dtype=float32)
    """

    center: float
    scale: float
    log: bool = False
    limits: tuple[float, float] | None = None

    @property
    def raw_limits(self) -> tuple[float, float] | None:
        """Those of y, or with `log` of log(1 + y)."""
        if self.limits is None:
            return None
        low, high = (self.center + self.scale * limit for limit in self.limits)
        return low, high

    def transform(self, y: NDArray[Any]) -> Rows:
        """float32, from any floats; the arithmetic is that of float64."""
        values = y.astype(np.float64)
        values = np.log1p(values) if self.log else values
        return ((values - self.center) / self.scale).astype(np.float32)

    def inverse(self, z: NDArray[Any]) -> Matrix:
        """From scaled values back to the target's unit, float64."""
        z = z if self.limits is None else np.clip(z, *self.limits)
        values = z.astype(np.float64) * self.scale + self.center
        return np.expm1(values) if self.log else values


@dataclass(frozen=True, eq=False)
class Inputs:
    """The steps from packed rows, whose feature columns are `packed`, to what a network sees."""

    packed: Columns
    steps: tuple[Step, ...] = ()

    @property
    def columns(self) -> Columns:
        """What the last step yields."""
        return self.steps[-1].columns if self.steps else self.packed

    @property
    def codes(self) -> tuple[InputColumn, ...]:
        """The columns that a network looks up; they come last."""
        return tuple(column for column in self.columns if column.kind == "code")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns that are no codes."""
        return tuple(column.name for column in self.columns if column.kind != "code")

    def then(self, step: Step) -> Inputs:
        """These steps and one more."""
        return Inputs(self.packed, (*self.steps, step))

    def clipped(self, bound: float) -> Inputs:
        """These steps, and what is further from zero than `bound` drawn in."""
        if not self.names:
            return self
        return self.then(Clip(self.columns, np.full(len(self.names), bound)))

    def apply(self, rows: Rows) -> Matrix:
        """float64 [n, len(columns)] of packed rows, which may have their target behind them."""
        x = rows[:, : len(self.packed)].astype(np.float64)
        for step in self.steps:
            x = step.apply(x)
        return x

    def encode(self, rows: Rows) -> Matrix:
        """`apply` without the codes: float64 [n, len(names)]."""
        return self.apply(rows)[:, : len(self.names)]

    def transform(self, rows: Rows) -> Rows:
        """float32 [n, len(columns)]: `apply` in pieces that stay in a core's cache.

        Plain numbers without holes, scaled by a mild step, need no float64 on the way: that is
        several times as fast, and exports are proven equal to what was trained on it.
        """
        result = np.empty((len(rows), len(self.columns)), dtype=np.float32)
        for start in range(0, len(rows), PIECE):
            piece, place = rows[start : start + PIECE], result[start : start + PIECE]
            if self._fused is not None and not np.isnan(piece.sum()):
                x = piece[:, : len(self.packed)] - self._fused.high
                x -= self._fused.low
                if self._fused.factor.ndim == 1:
                    np.multiply(x, self._fused.factor, out=place)
                else:
                    np.matmul(x, self._fused.factor, out=place)
            else:
                place[:] = self.apply(piece)
        return result

    @cached_property
    def _fused(self) -> _Scaling | None:
        """What is to be done to a plain number, where that is scaling alone."""
        if not self.steps or not all(isinstance(step, Fill) for step in self.steps[:-1]):
            return None
        last = self.steps[-1]
        if any(column.kind != "number" for column in last.columns):
            return None
        if isinstance(last, Scale):
            return _Scaling(*split(last.center), (1 / last.scale).astype(np.float32))
        if isinstance(last, Whiten) and last.steepness < STEEPEST:
            return _Scaling(*split(last.center), last.matrix.astype(np.float32))
        return None


class _Scaling(NamedTuple):
    """(x - high - low) times the factor [D], or the matrix [D, r], in float32."""

    high: Rows
    low: Rows
    factor: Rows


def split(values: Vector) -> tuple[Rows, Rows]:
    """Two float32 numbers for each float64 one: the nearest, and what it lacks.

    Subtracted one after the other, they leave a value near it all the digits that float32 has.
    """
    high = values.astype(np.float32)
    return high, (values - high).astype(np.float32)
