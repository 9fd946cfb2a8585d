"""The lesson's network, one linear layer; and the same line as one product on raw columns.

All that is known of a line in closed form is in model/line.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import nn

from model.columns import Columns, split_columns
from model.intervals import Ends, Margins
from model.network import Group, Network

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LevelScaling:
    """How what is learned of levels becomes the number that each adds; L: the levels of all code
    columns, one column's after the other.

    `shares` [L] of the training rows; `scale`: what the learned numbers of levels are multiplied
    by, [L]. With `rest` [L - levels of the first column, r] scale is of the first column alone: the
    other levels add rest @ r learned numbers, and the first's as much less as goes with them,
    `conditional` [levels of the first column, L - levels of the first column] of it.
    """

    shares: Vector
    scale: Vector
    rest: Matrix | None = None
    conditional: Matrix | None = None

    @classmethod
    def by_shares(cls, shares: Vector, least: float = 0.0) -> LevelScaling:
        """Each level as its flag divided by the root of its share, which is at least `least`: a
        step then moves it as far as any number of deviation 1, however many rows have it."""
        root = np.maximum(np.sqrt(shares), least)
        return cls(shares, np.divide(1.0, root, out=np.zeros_like(root), where=shares > 0))


class LevelEffects(nn.Layer):
    """Codes float32 [N, C] -> [N, outputs]: what the levels of C columns add, on average nothing.

    A level that no training row has adds nothing.
    """

    def __init__(self, columns: Columns, outputs: int, scaling: LevelScaling) -> None:
        super().__init__()
        self.sizes = [column.levels for column in columns]
        count = len(scaling.scale) + (0 if scaling.rest is None else scaling.rest.shape[1])
        zeros = nn.initializer.Constant(0.0)
        self.weight = self.create_parameter([count, outputs], default_initializer=zeros)
        arrays = {
            "shares": scaling.shares[:, None],
            "seen": (scaling.shares > 0)[:, None],
            "scale": scaling.scale[:, None],
            "rest": scaling.rest,
            "conditional": scaling.conditional,
        }
        for name, values in arrays.items():
            tensor: Any = None if values is None else paddle.to_tensor(values.astype(np.float32))
            self.register_buffer(name, tensor, persistable=False)

    def tables(self) -> list[paddle.Tensor]:
        """[levels, outputs] of each column."""
        count = self.scale.shape[0]
        levels = self.scale * self.weight[:count]
        if self.rest is not None:
            others = self.rest @ self.weight[count:]
            levels = paddle.concat([levels - self.conditional @ others, others])
        parts = [paddle.split(part, self.sizes) for part in (levels, self.shares, self.seen)]
        return [
            (level - (share * level).sum(axis=0)) * seen
            for level, share, seen in zip(*parts, strict=True)
        ]

    def forward(self, codes: paddle.Tensor) -> paddle.Tensor:
        codes = codes.astype("int64")
        return paddle.add_n(
            [F.embedding(codes[:, i], table) for i, table in enumerate(self.tables())]
        )


class Linear(Network):
    """float32 [N, len(columns)] -> [N, outputs].

    Each level of a code column adds a number of its own: that is a flag for each level, without
    the zeros; `levels` says how these are scaled.
    """

    def __init__(
        self, columns: Columns, outputs: int = 1, levels: LevelScaling | None = None
    ) -> None:
        super().__init__()
        self.numbers, codes = split_columns(columns)
        self.linear = nn.Linear(max(1, self.numbers), outputs)
        self.linear.weight.stop_gradient = not self.numbers
        self.levels = None
        if codes:
            if levels is None:
                shares = [np.full(column.levels, 1 / column.levels) for column in codes]
                levels = LevelScaling.by_shares(np.concatenate(shares))
            self.levels = LevelEffects(codes, outputs, levels)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if self.levels is None:
            return self.linear(x)
        levels = self.levels(x[:, self.numbers :])
        if not self.numbers:
            return levels + self.linear.bias
        return self.linear(x[:, : self.numbers]) + levels

    def groups(self) -> list[Group]:
        decaying = [self.linear.weight, *([self.levels.weight] if self.levels else [])]
        return [Group([p for p in decaying if p.trainable]), Group([self.linear.bias], decay=0.0)]

    def line(self) -> tuple[Vector, float]:
        """(weights [D], bias) on its inputs, codes left out, of its first output."""
        weight = self.linear.weight.numpy().astype(np.float64)[: self.numbers, 0]
        return weight, float(self.linear.bias.numpy()[0])

    def effects(self) -> Vector:
        """What each level adds to its first output, [L]."""
        if self.levels is None:
            return np.zeros(0)
        with paddle.no_grad():
            tables = [table.numpy()[:, 0] for table in self.levels.tables()]
        return np.concatenate(tables).astype(np.float64)


class FusedLinear(nn.Layer):
    """Raw features float32 [N, P] -> float32 [N, 1] in the target's unit, by one product.

    `encode` makes encoded columns [N, D], of which `weights` [D] and `bias` are, and codes behind
    them, each level of which adds its number of `tables`; with `log_limits` they give log(1 + y),
    which stays between these. With `margins` -> [N, 3]: the prediction and both ends. In float64: a
    column far from zero would cost float32 the digits that its scaling had saved.
    """

    def __init__(
        self,
        encode: nn.Layer,
        weights: Vector,
        bias: float,
        margins: Margins | None = None,
        log_limits: tuple[float, float] | None = None,
        tables: Sequence[Vector] = (),
    ) -> None:
        super().__init__()
        self.encode, self.log_limits = encode, log_limits
        self.numbers, self.codes = len(weights), len(tables)
        if self.numbers:
            self.register_buffer("weights", paddle.to_tensor(weights[:, None]))
        self.register_buffer("bias", paddle.to_tensor(np.array([bias])))
        for index, table in enumerate(tables):
            self.register_buffer(f"table{index}", paddle.to_tensor(table[:, None]))
        # Ends have an offset anyway: where they add the bias, a row needs one kernel less.
        self.adds_bias = not (margins and self.numbers) or log_limits is not None
        center = 0.0 if self.adds_bias else bias
        self.ends = Ends(margins, center, scale=1.0) if margins else None

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        encoded, result = self.encode(features), self.bias
        if self.numbers:
            numbers = encoded[:, : self.numbers] if self.codes else encoded
            bias = self.bias if self.adds_bias else None
            result = F.linear(numbers.astype("float64"), self.weights, bias)
        for index in range(self.codes):
            code = encoded[:, self.numbers + index].astype("int64")
            result = result + F.embedding(code, getattr(self, f"table{index}"))
        if self.log_limits is not None:
            result = paddle.clip(result, *self.log_limits)
        if self.ends is not None:
            return self.ends(result).astype("float32")
        return (result if self.log_limits is None else paddle.expm1(result)).astype("float32")
