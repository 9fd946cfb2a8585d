"""Embeddings of numbers: each becomes several, so that a network sees where on its column it lies.

n rows, F columns, k members. All columns go through one batched product, a column after the other:
[F, n, width] or, of several members, [k F, n, width].
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from model.columns import Columns, split_columns
from model.members import LevelEmbeddings, for_all

Kind = Literal["pbld", "ple", "none"]
Rows = NDArray[np.float32]
FREQUENCIES, WIDTH, SIGMA = 16, 3, 0.3
BINS, PLE_WIDTH = 32, 8


class Embedding(nn.Layer):
    """float32 [n, F] -> [n, F `width`], or [k, n, F `width`] of several members."""

    width = 1

    def __init__(self, count: int, members: int = 1) -> None:
        super().__init__()
        self.count, self.members = count, members

    def start(self, rows: Rows) -> None:
        """Take from training rows [n, F] what first values depend on."""

    def by_column(self, x: paddle.Tensor) -> paddle.Tensor:
        """[n, F] -> [F, n, 1]."""
        return x.reshape([-1, self.count, 1]).transpose([1, 0, 2])

    def for_members(self, x: paddle.Tensor) -> paddle.Tensor:
        """[F, n, w] -> [k F, n, w]."""
        return paddle.concat([x] * self.members) if self.members > 1 else x

    def by_row(self, x: paddle.Tensor) -> paddle.Tensor:
        """[k F, n, w] -> [k, n, F w]."""
        width = x.shape[-1]
        if self.members == 1:
            return x.transpose([1, 0, 2]).reshape([-1, self.count * width])
        x = x.reshape([self.members, self.count, -1, width]).transpose([0, 2, 1, 3])
        return x.reshape([self.members, -1, self.count * width])


def batched(
    x: paddle.Tensor, weight: paddle.Tensor, bias: paddle.Tensor, training: bool
) -> paddle.Tensor:
    """x @ weight + bias of [b, n, in], [b, in, out] and [b, 1, out]."""
    if training:
        return paddle.baddbmm(bias, x, weight)
    return paddle.matmul(x, weight) + bias


class Periodic(Embedding):
    """x -> (x, cos(2 pi x f + b) W + c) with FREQUENCIES learned f: "PBLD", periodic with bias,
    linear, and x itself beside it.

    Holzmueller, Grinsztajn and Steinwart, "Better by default: strong pre-tuned MLPs and boosted
    trees on tabular data" (2024), after Gorishniy, Rubachev and Babenko, "On embeddings for
    numerical features in tabular deep learning" (2022). f begins normal with deviation SIGMA, b
    uniform on [-pi, pi], W and c uniform within 1 / sqrt(FREQUENCIES).
    """

    width = WIDTH + 1

    def __init__(self, count: int, members: int = 1) -> None:
        super().__init__(count, members)
        batch, normal, uniform = members * count, nn.initializer.Normal, nn.initializer.Uniform
        near = FREQUENCIES**-0.5
        # 2 pi stands in the weights, and so in the rate of their group: see `groups`.
        shapes: dict[str, tuple[list[int], nn.initializer.Initializer]] = {
            "frequency": ([batch, 1, FREQUENCIES], normal(std=2 * np.pi * SIGMA)),
            "phase": ([batch, 1, FREQUENCIES], uniform(-np.pi, np.pi)),
            "weight": ([batch, FREQUENCIES, WIDTH], uniform(-near, near)),
            "bias": ([batch, 1, WIDTH], uniform(-near, near)),
        }
        for name, (shape, first) in shapes.items():
            setattr(self, name, self.create_parameter(shape, default_initializer=first))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        columns = self.for_members(self.by_column(x))
        waves = paddle.cos(batched(columns, self.frequency, self.phase, self.training))
        found = batched(waves, self.weight, self.bias, self.training)
        return self.by_row(paddle.concat([found, columns], axis=2))


class PiecewiseLinear(Embedding):
    """x -> x w + c + r(x) W, where r has a ramp from 0 to 1 for each of up to BINS bins, the first
    going on below and the last above: "PLE", between quantiles of the training rows.

    Gorishniy, Rubachev and Babenko (2022), in the form with a linear part of "TabM" (2025), whose W
    begins at 0.
    """

    width = PLE_WIDTH

    def __init__(self, count: int, members: int = 1) -> None:
        super().__init__(count, members)
        batch = members * count
        self.linear = self.create_parameter(
            [batch, 1, PLE_WIDTH], default_initializer=nn.initializer.Uniform(-1.0, 1.0)
        )
        self.weight = self.create_parameter(
            [batch, BINS, PLE_WIDTH], default_initializer=nn.initializer.Constant(0.0)
        )
        self.bias = self.create_parameter(
            [batch, 1, PLE_WIDTH], default_initializer=nn.initializer.Uniform(-1.0, 1.0)
        )
        for name in ("start_of", "slope", "low", "high"):
            self.register_buffer(name, paddle.zeros([count, 1, BINS]))

    def start(self, rows: Rows) -> None:
        starts, slopes, lows = np.zeros((3, self.count, 1, BINS), dtype=np.float32)
        highs = np.ones_like(starts)
        for column in range(self.count):
            edges = np.unique(np.quantile(rows[:, column], np.linspace(0, 1, BINS + 1)))
            bins = len(edges) - 1
            if bins:
                starts[column, 0, :bins], slopes[column, 0, :bins] = edges[:-1], 1 / np.diff(edges)
                lows[column, 0, 0], highs[column, 0, bins - 1] = -1e6, 1e6
        for name, values in zip(
            ("start_of", "slope", "low", "high"), (starts, slopes, lows, highs), strict=True
        ):
            getattr(self, name).set_value(values)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        columns = self.by_column(x)
        ramps = (columns - self.start_of) * self.slope
        ramps = paddle.minimum(paddle.maximum(ramps, self.low), self.high)
        columns, ramps = self.for_members(columns), self.for_members(ramps)
        both = paddle.concat([ramps, columns], axis=2)
        weight = paddle.concat([self.weight, self.linear], axis=1)
        return self.by_row(batched(both, weight, self.bias, self.training))


def embedding_of(kind: Kind, count: int, members: int) -> Embedding | None:
    """The layer that a recipe names, None for none or where there are no numbers."""
    kinds = {"pbld": Periodic, "ple": PiecewiseLinear}
    return kinds[kind](count, members) if kind in kinds and count else None


class ColumnEmbeddings(nn.Layer):
    """float32 [n, len(columns)] -> [n, `width`], or [k, n, `width`] of several members: numbers
    embedded as `numbers` says, flags as they are, and of each code `levels` learned numbers."""

    def __init__(self, columns: Columns, levels: int, numbers: Kind, members: int = 1) -> None:
        super().__init__()
        self.members = members
        self.plain = sum(column.kind == "number" for column in columns)
        self.count, codes = split_columns(columns)
        self.numbers = embedding_of(numbers, self.plain, members)
        self.levels = LevelEmbeddings(codes, levels, members) if codes else None
        embedded = self.plain * self.numbers.width if self.numbers else self.plain
        self.width = embedded + self.count - self.plain + levels * len(codes)

    def start(self, rows: Rows) -> None:
        """Take from training rows [n, len(columns)] what first values depend on."""
        if self.numbers:
            self.numbers.start(rows[:, : self.plain])

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if not (self.numbers or self.levels):
            return x
        start = self.plain if self.numbers else 0
        parts = [self.numbers(x[:, : self.plain])] if self.numbers else []
        if start < self.count:
            parts.append(for_all(x[:, start : self.count], self.members))
        if self.levels:
            parts.append(self.levels(x[:, self.count :]))
        return paddle.concat(parts, axis=-1) if len(parts) > 1 else parts[0]
