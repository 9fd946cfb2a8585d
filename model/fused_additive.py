"""A trained additive model as few operators: one search a feature, one look-up a term.

A: searches, one of each axis that terms have; T: terms; C: the cells of all terms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import nn

from model.additive import Layout
from model.input_layers import Axis
from model.intervals import Ends, Margins

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
HOLE, BEYOND = 3.4e38, 3.39e38  # what stands for a hole in a search, and a threshold below it


class Outcome(NamedTuple):
    """What the average row has, in the target's unit or with `is_log` that of log(1 + y), and what
    the sum stays between."""

    center: float
    limits: tuple[float, float] | None
    is_log: bool


class Search(NamedTuple):
    """The cell of a number is that after the `thresholds` [k] below it. On a cell, which stands for
    `place` [k + 1], the share t of the way to the next place is `constant` + `slope` z, where
    z = `gain` x + `shift` is between -1 and 1 on the knots."""

    thresholds: Vector
    place: NDArray[np.int64]
    constant: Vector
    slope: Vector
    gain: float
    shift: float


class FusedAdditive(nn.Layer):
    """Raw features float32 [N, P] -> float32 [N, 1] in the target's unit; with `margins` [N, 3].

    Each term is c0 + c1 z1 + c2 z2 + c3 z1 z2 with the coefficients of its cell, z1 and z2 being
    its features; the sum is float64. `tables`: what terms add to the `outcome` at the places of
    `layout`.
    """

    def __init__(
        self,
        axes: Sequence[Axis],
        layout: Layout,
        tables: Vector,
        outcome: Outcome,
        margins: Margins | None = None,
    ) -> None:
        super().__init__()
        center, self.limits, self.is_log = outcome
        sides = list(_sides(layout))
        kinds = list(dict.fromkeys(side for pair in sides for side in pair))
        searches = [search_of(axes[axis], goes_on) for axis, goes_on in kinds]
        at = [[kinds.index(side) for side in pair] for pair in sides]
        cells = [
            _coefficients(
                (searches[first], searches[second]),
                tables[layout.offsets[term] : layout.offsets[term + 1]].reshape(shape),
                layout.neighbours_in(term),
            )
            for term, ((first, second), shape) in enumerate(zip(at, layout.shapes, strict=True))
        ]
        is_pair = np.array([len(shape) == 2 for shape in layout.shapes])
        sizes = [len(searches[second].place) for _, second in at]
        most = max(len(search.thresholds) for search in searches)
        gain, shift = np.array([(s.gain, s.shift) for s in searches]).T[:, :, None, None]
        fills = [axes[axis].fill for axis, _ in kinds]
        self.fills = any(fill is not None for fill in fills)
        arrays: dict[str, NDArray[Any]] = {
            "position": np.array([axes[axis].position for axis, _ in kinds]),
            "first": np.array(at)[:, 0],
            "second": np.array(at)[:, 1],
            "stride": (is_pair * sizes)[:, None],
            "offset": np.cumsum([0, *map(len, cells[:-1])])[:, None],
            "thresholds": np.stack([_filled(s.thresholds, most) for s in searches]),
            "holes": np.array([[HOLE if fill is None else fill] for fill in fills]),
            "coefficients": np.concatenate(cells),
            "gain_first": gain * [0.0, 1.0, 0.0, 1.0],
            "shift_first": np.where([True, False, True, False], 1.0, shift),
            "gain_second": gain * [0.0, 0.0, 1.0, 1.0],
            "shift_second": np.where([True, True, False, False], 1.0, shift),
            "center": np.array([center]),
        }
        for name, values in arrays.items():
            single = name in ("thresholds", "holes")
            values = values.astype(np.float32) if single else values
            self.register_buffer(name, paddle.to_tensor(values))
        self.ends = Ends(margins, 0.0, scale=1.0) if margins else None

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        x = paddle.gather(features.T, self.position, axis=0)
        if self.fills:
            x = paddle.where(paddle.isnan(x), self.holes.expand_as(x), x)
        else:
            x = paddle.fmin(x, self.holes)
        cell = paddle.searchsorted(self.thresholds, x)
        first, second = (paddle.gather(cell, side, axis=0) for side in (self.first, self.second))
        found = F.embedding(first * self.stride + second + self.offset, self.coefficients)
        x = x.astype("float64").unsqueeze(2)
        first = paddle.gather(x * self.gain_first + self.shift_first, self.first, axis=0)
        second = paddle.gather(x * self.gain_second + self.shift_second, self.second, axis=0)
        result = (found * first * second).sum(axis=[0, 2]).unsqueeze(1) + self.center
        if self.limits is not None:
            result = paddle.clip(result, *self.limits)
        if self.ends is not None:
            return self.ends(result).astype("float32")
        return (paddle.expm1(result) if self.is_log else result).astype("float32")


def search_of(axis: Axis, goes_on: bool) -> Search:
    """`goes_on`: whether the outer cells have no end; else all beyond the ends are flat."""
    if not axis.is_number:
        known = np.arange(axis.levels) if axis.codes is None else axis.codes
        place = np.array([*known, axis.hole], dtype=np.int64)
        flat = np.zeros(len(place))
        return Search(np.append(np.arange(len(known) - 1) + 0.5, BEYOND), place, flat, flat, 0, 0)
    knots, last = axis.knots, len(axis.knots) - 1
    length = knots[-1] - knots[0]
    gain, shift = 2 / length, -(knots[0] + knots[-1]) / length
    begin, share, place = knots[:-1], 1 / np.diff(knots), np.arange(last)
    thresholds = knots[1:-1] if goes_on else knots
    if not goes_on:  # a cell below the first knot, and one above the last
        begin, share = np.array([knots[0], *begin, knots[-1]]), np.array([0.0, *share, 0.0])
        place = np.array([0, *place, last])
    begin, share, place = np.append(begin, 0.0), np.append(share, 0.0), np.append(place, last + 1)
    constant = -share * (begin + shift / gain)
    return Search(np.append(thresholds, BEYOND), place, constant, share / gain, gain, shift)


def _sides(layout: Layout) -> Iterator[tuple[tuple[int, bool], tuple[int, bool]]]:
    """Of each term its first axis and its second, the first again where there is none, and whether
    the outer cells of these have no end."""
    goes_on = {term for _, term in layout.beyond}
    for term, axes in enumerate(layout.axes):
        yield (axes[0], term in goes_on), (axes[-1], term in goes_on)


def _coefficients(
    searches: tuple[Search, Search], table: Matrix, after: NDArray[np.int64]
) -> Matrix:
    """[cells, 4] of a term, whose `table` of one axis or two has the neighbours `after`
    [places, 3]."""
    (one, other), is_pair = searches, table.ndim == 2
    flat = table.reshape(-1)
    k1, k2, k3 = (flat[after[:, i]] - flat for i in range(3))
    k3 -= k1 + k2
    at = one.place
    if is_pair:
        at = (one.place[:, None] * table.shape[1] + other.place).reshape(-1)
    size = len(other.place) if is_pair else 1
    t0, t1 = (np.repeat(each, size) for each in (one.constant, one.slope))
    u0, u1 = (np.tile(each, len(at) // len(each)) for each in (other.constant, other.slope))
    k0, k1, k2, k3 = (each[at] for each in (flat, k1, k2, k3))
    level, slope = k0 + k1 * t0, k2 + k3 * t0
    columns = [level + slope * u0, (k1 + k3 * u0) * t1, slope * u1, k3 * t1 * u1]
    return np.stack(columns, axis=1)


def _filled(values: Vector, length: int) -> Vector:
    return np.append(values, np.full(length - len(values), np.inf))
