"""A sum of functions of one feature and of two, as one linear layer on columns that are mostly 0.

Of a number, the columns are tents (linear B-splines) at its knots; of a category, its levels; of a
pair of features, their products. A row is in one cell of each term, where the term is
c0 + c1 t + c2 u + c3 t u, with t and u from 0 to 1: four coefficients are looked up, and none is
multiplied by a zero.
A: input columns, places on axes (see reader.axes) and behind them, in units of the outer cell, how
far rows lie beyond their knots; T: terms; C: the places of all terms; D: columns of the layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import nn

from model.columns import Columns
from model.network import Network

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Layout:
    """`axes` of each term, one input column or two; `shapes`: its places along them, the last of
    each for holes; `levels`: by input column, whether its places are levels, between which there
    is nothing. `beyond`: by input column that goes on beyond its knots, the column which says how
    far, and the term."""

    axes: tuple[tuple[int, ...], ...]
    shapes: tuple[tuple[int, ...], ...]
    levels: tuple[bool, ...]
    beyond: tuple[tuple[int, int], ...] = ()

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """[T + 1], where the places of each term begin among those of all."""
        return np.cumsum([0, *(int(np.prod(shape)) for shape in self.shapes)])

    def first_and_second(self) -> tuple[list[int], list[int]]:
        """The input columns of each term; of a term with one, it stands in both."""
        return [axes[0] for axes in self.axes], [axes[-1] for axes in self.axes]

    def strides(self) -> tuple[list[int], list[int]]:
        """How far apart neighbours are along the first and the second axis; 0 for none."""
        pairs = [len(shape) == 2 for shape in self.shapes]
        first = [shape[1] if len(shape) == 2 else 1 for shape in self.shapes]
        return first, [int(two) for two in pairs]

    def neighbours(self) -> NDArray[np.int64]:
        """[C, 3]: the next place along the first axis, along the second, and along both; itself
        where there is none."""
        terms = range(len(self.axes))
        return np.concatenate([self.offsets[term] + self.neighbours_in(term) for term in terms])

    def neighbours_in(self, term: int) -> NDArray[np.int64]:
        """[places, 3]: the same within a term."""
        shape = self.shapes[term]
        at = np.arange(int(np.prod(shape))).reshape(shape)
        first, *second = (self._after(*side) for side in zip(self.axes[term], shape, strict=True))
        if not second:
            return np.stack([at[first], at, at[first]], axis=-1)
        three = np.stack([at[first], at[:, second[0]], at[first][:, second[0]]], axis=-1)
        return three.reshape(-1, 3)

    def _after(self, axis: int, size: int) -> NDArray[np.int64]:
        """Of places 0 to size - 2, and the hole behind them."""
        after = np.arange(size)
        if not self.levels[axis]:
            after[: size - 2] += 1
        return after


@dataclass(frozen=True, eq=False)
class Solution:
    """What is known of the layer in closed form: `center`, what the average row has, and `tables`
    [C], its functions at all places, on the scaled target; `directions` [C, D], by which these
    change with each of the D whitened weights; and of the penalty, as a function of these, the
    slope [D] and the curvature [D, D]."""

    layout: Layout
    center: float
    tables: Vector
    directions: NDArray[np.floating[Any]]
    slope: Vector
    curvature: NDArray[np.floating[Any]]


class Additive(Network):
    """Places float32 [N, A] -> [N, 1].

    The weights are those of penalised least squares, plus what training adds to them: `weight` [D],
    0 at first, in directions in which the penalised loss curves alike, as a whitened line's does.
    """

    def __init__(self, columns: Columns, outputs: int, solution: Solution) -> None:
        super().__init__()
        assert outputs == 1, "an additive model has one output"
        zeros = nn.initializer.Constant(0.0)
        size = solution.directions.shape[1]
        self.weight = self.create_parameter([size, 1], default_initializer=zeros)
        self.bias = self.create_parameter([1], default_initializer=zeros)
        self.cells = Cells(solution.layout)
        self._known: tuple[bytes, paddle.Tensor] | None = None
        arrays = {
            "center": [solution.center],
            "tables": solution.tables[:, None],
            "directions": solution.directions,
            "slope": solution.slope[None],
            "curvature": solution.curvature,
        }
        for name, values in arrays.items():
            tensor = paddle.to_tensor(np.asarray(values, dtype=np.float32))
            self.register_buffer(name, tensor, persistable=False)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.cells(x.astype("float32"), self._coefficients()) + (self.center + self.bias)

    def _coefficients(self) -> paddle.Tensor:
        """[C, 4]; made once for all that is predicted with the same weights."""
        if paddle.is_grad_enabled() or not paddle.in_dynamic_mode():
            return self.cells.coefficients(self.tables + self.directions @ self.weight)
        weights = self.weight.numpy().tobytes()
        if self._known is None or self._known[0] != weights:
            tables = self.tables + self.directions @ self.weight
            self._known = weights, self.cells.coefficients(tables)
        return self._known[1]

    def penalty(self) -> paddle.Tensor:
        """Of the weights, less that of the closed form: what is added to the mean squared error."""
        slope = self.slope @ self.weight
        return (2 * slope + (self.weight * (self.curvature @ self.weight)).sum()).sum()

    @property
    def bias_change(self) -> float:
        return float(self.bias.numpy()[0])

    def excess(self) -> float:
        """By how much the penalised loss is above its least, on the scaled target."""
        return float(sum(np.square(p.numpy(), dtype=np.float64).sum() for p in self.parameters()))

    def change(self) -> Vector:
        """What training has added to the tables [C]."""
        weight = self.weight.numpy().astype(np.float64)
        change: Vector = (self.directions.numpy() @ weight)[:, 0]
        return change


class Cells(nn.Layer):
    """Places [N, A] and coefficients [C, 4] -> the sum of all terms [N, 1]."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        first, second = layout.first_and_second()
        stride, is_pair = layout.strides()
        neighbours = layout.neighbours()
        slopes = [self._ends(layout, term) for _, term in layout.beyond]
        arrays = {
            "first": np.array(first),
            "second": np.array(second),
            "stride": np.array(stride, np.float32),
            "is_pair": np.array(is_pair, np.float32),
            "offset": np.array(layout.offsets[:-1], np.float32),
            "along_first": neighbours[:, 0],
            "along_second": neighbours[:, 1],
            "along_both": neighbours[:, 2],
            "ones": np.ones((len(first), 1), np.float32),
        }
        self.beyond = [column for column, _ in layout.beyond]
        if slopes:
            low, high = np.array(slopes).T
            arrays |= {"below": np.array(self.beyond), "low": low, "high": high}
        for name, values in arrays.items():
            self.register_buffer(name, paddle.to_tensor(values), persistable=False)

    @staticmethod
    def _ends(layout: Layout, term: int) -> tuple[int, int]:
        """The first cell of a curve, and the last."""
        start, (size,) = int(layout.offsets[term]), layout.shapes[term]
        return start, start + size - 3

    def coefficients(self, tables: paddle.Tensor) -> paddle.Tensor:
        """[C, 1] -> [C, 4]."""
        first = paddle.gather(tables, self.along_first)
        second = paddle.gather(tables, self.along_second)
        both = paddle.gather(tables, self.along_both)
        bend = both - first - second + tables
        return paddle.concat([tables, first - tables, second - tables, bend], axis=1)

    def forward(self, x: paddle.Tensor, coefficients: paddle.Tensor) -> paddle.Tensor:
        first = paddle.index_select(x, self.first, axis=1)
        second = paddle.index_select(x, self.second, axis=1) * self.is_pair
        cell, other = paddle.floor(first), paddle.floor(second)
        t, u = first - cell, second - other
        at = (cell * self.stride + other + self.offset).astype("int64")
        found = F.embedding(at, coefficients)
        products = paddle.stack([t, u, t * u], axis=2)
        terms = found[:, :, 0] + (found[:, :, 1:] * products).sum(axis=2)
        result = F.linear(terms, self.ones)
        if self.beyond:
            far = paddle.index_select(x, self.below, axis=1)
            slope = coefficients[:, 1:2]
            result = result + F.linear(F.relu(far), paddle.gather(slope, self.high))
            result = result - F.linear(F.relu(-far), paddle.gather(slope, self.low))
        return result
