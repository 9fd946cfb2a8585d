"""The steps of reader/inputs.py as layers of the same names, so that the exported graph takes raw
rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Protocol

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import nn

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
FARTHEST = 1e18
NEGLIGIBLE = 2.0**-21  # deviations: four units in the last place of a float32 number near 1


class Select(nn.Layer):
    """float32 [N, P] -> the columns at `positions`."""

    def __init__(self, positions: Sequence[int]) -> None:
        super().__init__()
        self.positions = list(positions)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return _columns(x, self.positions)


class Indicate(nn.Layer):
    """float32 [N, P], and behind the first `numbers` columns a flag for each at `positions`."""

    def __init__(self, positions: Sequence[int], numbers: int) -> None:
        super().__init__()
        self.positions, self.numbers = list(positions), numbers

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        flags = paddle.isnan(_columns(x, self.positions)).astype("float32")
        parts = [x[:, : self.numbers], flags]
        if x.shape[1] > self.numbers:
            parts.append(x[:, self.numbers :])
        return paddle.concat(parts, axis=1)


class Leading(nn.Layer):
    """A step that changes the first `columns` of float32 [N, P], and none behind them."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.columns = columns

    def change(self, part: paddle.Tensor) -> paddle.Tensor:
        """Of the first columns [N, D] -> [N, D]."""
        raise NotImplementedError

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return _leading(x, self.columns, self.change)


class Chain(Leading):
    """Steps on the same leading columns, which are cut out once for all of them."""

    def __init__(self, steps: Sequence[Any]) -> None:
        super().__init__(steps[0].columns)
        self.steps = nn.LayerList(steps)

    def change(self, part: paddle.Tensor) -> paddle.Tensor:
        for step in self.steps:
            part = step.change(part)
        return part


class Fill(Leading):
    """float32 [N, P], `values` [D] in place of NaN in the first D columns."""

    def __init__(self, values: Vector) -> None:
        super().__init__(len(values))
        self.register_buffer("values", paddle.to_tensor(values.astype(np.float32)))

    def change(self, part: paddle.Tensor) -> paddle.Tensor:
        return paddle.where(paddle.isnan(part), self.values.expand_as(part), part)


class OneHot(nn.Layer):
    """float32 [N, P], in place of the code at `start + i` the row of `tables[i]` that it names."""

    def __init__(self, start: int, tables: Sequence[Matrix]) -> None:
        super().__init__()
        self.start, self.count = start, len(tables)
        for index, table in enumerate(tables):
            self.register_buffer(f"table{index}", paddle.to_tensor(table.astype(np.float32)))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        parts = [x[:, : self.start]] if self.start else []
        for index in range(self.count):
            code = x[:, self.start + index].astype("int64")
            parts.append(F.embedding(code, getattr(self, f"table{index}")))
        if x.shape[1] > self.start + self.count:
            parts.append(x[:, self.start + self.count :])
        return paddle.concat(parts, axis=1) if len(parts) > 1 else parts[0]


class Scale(Leading):
    """float32 [N, P], (x - center) / scale in the first D columns; both are [D]. With `unit` [D]
    what results counts in these.

    The center is subtracted as two float32 numbers where some column is far from zero: rounded to
    one, it would be off by many deviations of this column.
    """

    def __init__(self, center: Vector, scale: Vector, unit: Vector | None = None) -> None:
        super().__init__(len(center))
        whole = scale if unit is None else scale * unit
        high = center.astype(np.float32)
        low = center - high
        self.register_buffer("center", paddle.to_tensor(high))
        self.register_buffer("scale", paddle.to_tensor(whole.astype(np.float32)))
        self.is_far = bool((np.abs(low) > NEGLIGIBLE * scale).any())
        if self.is_far:
            self.register_buffer("low", paddle.to_tensor(low.astype(np.float32)))

    def change(self, part: paddle.Tensor) -> paddle.Tensor:
        part = part - self.center
        return (part - self.low if self.is_far else part) / self.scale


class Whiten(nn.Layer):
    """float32 [N, P], (x - center) @ matrix in the first D columns; `matrix` is [D, r]. Of the
    codes behind them, row `code` of `tables[i]` [levels, r] is taken off.

    In float64: where columns nearly follow from each other, the matrix takes small differences of
    large numbers.
    """

    def __init__(
        self, center: Vector, matrix: Matrix, steepness: float = 0.0, tables: Sequence[Matrix] = ()
    ) -> None:
        super().__init__()
        self.register_buffer("matrix", paddle.to_tensor(matrix))
        self.register_buffer("bias", paddle.to_tensor(-center @ matrix))
        self.count = len(tables)
        for index, table in enumerate(tables):
            self.register_buffer(f"table{index}", paddle.to_tensor(table))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        numbers = self.matrix.shape[0]

        def whiten(part: paddle.Tensor) -> paddle.Tensor:
            result = F.linear(part.astype("float64"), self.matrix, self.bias)
            for index in range(self.count):
                code = x[:, numbers + index].astype("int64")
                result = result - F.embedding(code, getattr(self, f"table{index}"))
            return result.astype("float32")

        return _leading(x, numbers, whiten)


class Clip(Leading):
    """float32 [N, P], what is beyond `bound` [D] drawn in, in the first D columns."""

    def __init__(self, bound: Vector) -> None:
        super().__init__(len(bound))
        self.register_buffer("bound", paddle.to_tensor(bound.astype(np.float32)))
        self.register_buffer("inverse", paddle.to_tensor((1 / bound).astype(np.float32)))

    def change(self, part: paddle.Tensor) -> paddle.Tensor:
        return self.drawn_in(part * self.inverse)

    def drawn_in(self, size: paddle.Tensor) -> paddle.Tensor:
        """Of columns that count in bounds."""
        # softshrink(u) is what of u is beyond 1 and -1, softsign(v) is v / (1 + |v|).
        beyond = F.softsign(F.softshrink(size, 1.0))
        return (paddle.clip(size, -1.0, 1.0) + beyond) * self.bound


class ScaleAndClip(Leading):
    """Scale, and Clip behind it, with a factor less."""

    def __init__(self, scale: Any, clip: Any) -> None:
        super().__init__(len(clip.bound))
        self.scale = Scale(scale.center, scale.scale, clip.bound)
        self.clip = Clip(clip.bound)

    def change(self, part: paddle.Tensor) -> paddle.Tensor:
        return self.clip.drawn_in(self.scale.change(part))


class NormalScores(nn.Layer):
    """float32 [N, P], scores in the first D columns: see reader.inputs.NormalScores.

    A score is value + slope (x - left), with the three numbers of its cell: that keeps the digits
    of a column that is far from zero.
    """

    def __init__(self, knots: Sequence[Vector], scores: Sequence[Vector], flags: Vector) -> None:
        super().__init__()
        self.count, self.flags = len(knots), len(flags)
        most = max(map(len, knots), default=1)
        thresholds = np.full((self.count, most), np.inf, dtype=np.float32)
        cells = np.zeros((self.count, most + 1, 3), dtype=np.float32)
        for row, (at, score) in enumerate(zip(knots, scores, strict=True)):
            thresholds[row, : len(at)] = at
            cells[row, 0] = at[0], score[0], 0
            cells[row, len(at)] = at[-1], score[-1], 0
            cells[row, 1 : len(at), 0] = at[:-1]
            cells[row, 1 : len(at), 1] = score[:-1]
            cells[row, 1 : len(at), 2] = np.diff(score) / np.diff(at)
        offset = np.arange(self.count)[:, None] * (most + 1)
        arrays: dict[str, NDArray[Any]] = {
            "thresholds": thresholds,
            "cells": cells.reshape(-1, 3),
            "offset": offset,
        }
        for name, values in arrays.items():
            self.register_buffer(name, paddle.to_tensor(values))
        self.register_buffer("mean", paddle.to_tensor(flags.astype(np.float32)))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        parts = []
        if self.count:
            numbers = x[:, : self.count].t()
            cell = paddle.searchsorted(self.thresholds, numbers)
            left, value, slope = paddle.unbind(F.embedding(cell + self.offset, self.cells), axis=2)
            parts.append((value + slope * (numbers - left)).t())
        end = self.count + self.flags
        if self.flags:
            parts.append(x[:, self.count : end] - self.mean)
        if x.shape[1] > end:
            parts.append(x[:, end:])
        return paddle.concat(parts, axis=1) if len(parts) > 1 else parts[0]


class SmoothClip(Leading):
    """float32 [N, P], x / sqrt(1 + (x / bound)^2) in the first D columns; `bound` is [D]."""

    def __init__(self, bound: Vector) -> None:
        super().__init__(len(bound))
        self.register_buffer("bound", paddle.to_tensor(bound.astype(np.float32)))

    def change(self, part: paddle.Tensor) -> paddle.Tensor:
        share = paddle.clip(part / self.bound, -FARTHEST, FARTHEST)  # whose square is finite
        return self.bound * share / paddle.sqrt(1 + share * share)


class Beside(nn.Layer):
    """float32 [N, P] -> what two ways give, one beside the other, in float32."""

    def __init__(self, first: Inputs, second: Inputs) -> None:
        super().__init__()
        self.first, self.second = layers_of(first.steps), layers_of(second.steps)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return paddle.concat([self.first(x).astype("float32"), self.second(x)], axis=1)


class Inputs(Protocol):
    """See reader.inputs."""

    @property
    def steps(self) -> tuple[Any, ...]: ...


class Axis(Protocol):
    """See reader.axes."""

    @property
    def position(self) -> int: ...

    @property
    def knots(self) -> Vector: ...

    @property
    def levels(self) -> int: ...

    @property
    def is_number(self) -> bool: ...

    @property
    def fill(self) -> float | None: ...

    @property
    def hole(self) -> float: ...

    @property
    def codes(self) -> NDArray[np.intp] | None: ...


class Places(nn.Layer):
    """float32 [N, P] -> float64 [N, axes + beyond]: see reader.inputs.Places.

    A place is the sum, over the cells of its axis, of the share of each that lies below the number.
    """

    def __init__(self, axes: Sequence[Axis], beyond: Sequence[int] = ()) -> None:
        super().__init__()
        numbers = [i for i, axis in enumerate(axes) if len(axis.knots)]
        codes = [i for i, axis in enumerate(axes) if not len(axis.knots)]
        order, self.numbers = [*numbers, *codes], len(numbers)
        self.back = list(np.argsort(order)) if order != sorted(order) else []
        self.positions = [axes[i].position for i in order]
        self.register_buffer("holes", paddle.to_tensor(np.array([axes[i].hole for i in order])))
        most = max([len(axes[i].knots) for i in numbers], default=2)
        starts, shares = np.zeros((2, len(numbers), most - 1))
        for row, i in enumerate(numbers):
            cells = np.diff(axes[i].knots)
            starts[row, : len(cells)], shares[row, : len(cells)] = axes[i].knots[:-1], 1 / cells
        tables = [axes[i].codes for i in codes]
        self.coded = [k for k, table in enumerate(tables, len(numbers)) if table is not None]
        for k in self.coded:
            table = np.append(np.asarray(tables[k - len(numbers)], np.float64), 0.0)
            self.register_buffer(f"codes{k}", paddle.to_tensor(table[:, None]))
        if numbers:
            self.register_buffer("starts", paddle.to_tensor(starts))
            self.register_buffer("shares", paddle.to_tensor(shares))
        self.register_buffer("zero", paddle.zeros([1], "float64"))
        self.beyond = [axes[i].position for i in beyond]
        if beyond:
            knots = [axes[i].knots for i in beyond]
            ends = np.array([[k[0], k[-1], 1 / (k[1] - k[0]), 1 / (k[-1] - k[-2])] for k in knots])
            self.register_buffer("none", paddle.zeros([len(beyond)], "float64"))
            for name, values in zip(("low", "high", "below", "above"), ends.T, strict=True):
                self.register_buffer(name, paddle.to_tensor(values))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        cells = _columns(x, self.positions).astype("float64")
        places = cells
        if self.numbers:
            numbers = cells[:, : self.numbers].unsqueeze(2)
            places = paddle.clip((numbers - self.starts) * self.shares, 0.0, 1.0).sum(axis=2)
            if self.numbers < len(self.positions):
                places = paddle.concat([places, self._codes(cells)], axis=1)
        elif self.coded:
            places = self._codes(cells)
        places = paddle.where(paddle.isnan(cells), self.holes.expand_as(cells), places)
        if self.back:
            places = _columns(places, self.back)
        return paddle.concat([places, self._far(x)], axis=1) if self.beyond else places

    def _codes(self, cells: paddle.Tensor) -> paddle.Tensor:
        """The places of codes, before holes are seen to."""
        parts = []
        for k in range(self.numbers, len(self.positions)):
            part = cells[:, k : k + 1]
            if k in self.coded:
                code = paddle.where(paddle.isnan(part), self.zero.expand_as(part), part)
                part = F.embedding(code[:, 0].astype("int64"), getattr(self, f"codes{k}"))
            parts.append(part)
        return paddle.concat(parts, axis=1) if len(parts) > 1 else parts[0]

    def _far(self, x: paddle.Tensor) -> paddle.Tensor:
        cells = _columns(x, self.beyond).astype("float64")
        far = F.relu(cells - self.high) * self.above - F.relu(self.low - cells) * self.below
        return paddle.where(paddle.isnan(cells), self.none.expand_as(cells), far)


class TargetScale(nn.Layer):
    """The target's scaling: (y - center) / scale, of log(1 + y) with `log`, and back. In float64:
    a target may be far from zero. `limits`: the scaled values that predictions stay between."""

    def __init__(
        self,
        center: float,
        scale: float,
        log: bool = False,
        limits: tuple[float, float] | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("center", paddle.to_tensor(np.array([center], dtype=np.float64)))
        self.register_buffer("scale", paddle.to_tensor(np.array([scale], dtype=np.float64)))
        self.log, self.limits = log, limits

    def forward(self, y: paddle.Tensor) -> paddle.Tensor:
        y = y.astype("float64")
        return (((paddle.log1p(y) if self.log else y) - self.center) / self.scale).astype("float32")

    def limited(self, z: paddle.Tensor) -> paddle.Tensor:
        """Scaled values within the limits."""
        return z if self.limits is None else paddle.clip(z, *self.limits)

    def inverse(self, z: paddle.Tensor) -> paddle.Tensor:
        """From scaled values, within the limits, back to the target's unit, float64."""
        y = self.limited(z).astype("float64") * self.scale + self.center
        return paddle.expm1(y) if self.log else y


LAYERS: dict[str, Callable[..., nn.Layer]] = {
    layer.__name__: layer
    for layer in (
        *(Select, Indicate, Fill, OneHot),
        *(Scale, Whiten, Clip, NormalScores, SmoothClip, Places, Beside, TargetScale),
    )
}


def layer_of(step: Any) -> nn.Layer:
    """The layer that does what a step, or the target's scaling, does in NumPy: the one named like
    its type, made of the same fields."""
    arguments = {f.name: getattr(step, f.name) for f in fields(step) if f.name != "columns"}
    return LAYERS[type(step).__name__](**arguments)


def layers_of(steps: Sequence[Any]) -> nn.Sequential:
    """The layers of steps, in order, in few operators: those on the same leading columns, which
    are cut out once for all of them, are one layer."""
    layers: list[nn.Layer] = [layer_of(step) for step in steps]
    if [type(layer) for layer in layers[-2:]] == [Scale, Clip]:
        scale, clip = steps[-2:]
        if len(scale.center) == len(clip.bound):
            layers[-2:] = [ScaleAndClip(scale, clip)]
    together: list[nn.Layer] = []
    for layer in layers:
        last = together[-1] if together else None
        if (
            isinstance(layer, Leading)
            and isinstance(last, Leading)
            and layer.columns == last.columns
        ):
            chain = list(last.steps) if isinstance(last, Chain) else [last]
            together[-1] = Chain([*chain, layer])
        else:
            together.append(layer)
    return nn.Sequential(*together)


def _leading(
    x: paddle.Tensor, count: int, function: Callable[[paddle.Tensor], paddle.Tensor]
) -> paddle.Tensor:
    """`function` of the first `count` columns, and the others behind what it gives."""
    if x.shape[1] == count:
        return function(x)
    return paddle.concat([function(x[:, :count]), x[:, count:]], axis=1)


def _columns(x: paddle.Tensor, positions: list[int]) -> paddle.Tensor:
    return paddle.index_select(x, paddle.to_tensor(positions, dtype="int64"), axis=1)
