"""Residual blocks for tables: each adds a little to what the one before it knows.

Gorishniy, Rubachev, Khrulkov and Babenko, "Revisiting deep learning models for tabular data"
(2021), the network ResNet there.
"""

from __future__ import annotations

from typing import Literal

import paddle
import paddle.nn.functional as F
from paddle import nn

from model.columns import Columns
from model.members import Dense, Masks
from model.network import Embedded

FEWEST_ROWS, EMBEDDING = 8, 8
Normalization = Literal["batch", "layer"]


class BatchNorm(nn.BatchNorm1D):
    """paddle.nn.BatchNorm1D; of fewer than FEWEST_ROWS rows, as an epoch's last mini-batch may
    have, it takes neither mean nor variance, but those of the rows before. Of several members,
    [k, n, width], each has its own."""

    def __init__(self, width: int, members: int = 1) -> None:
        super().__init__(members * width)
        self.members, self.width = members, width

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if self.members > 1:
            x = x.transpose([1, 0, 2]).reshape([-1, self.members * self.width])
        x = F.batch_norm(
            x,
            self._mean,
            self._variance,
            self.weight,
            self.bias,
            training=self.training and x.shape[0] >= FEWEST_ROWS,
            momentum=self._momentum,
            epsilon=self._epsilon,
        )
        if self.members > 1:
            x = x.reshape([-1, self.members, self.width]).transpose([1, 0, 2])
        return x


class LayerNorm(nn.Layer):
    """paddle.nn.LayerNorm, of each member with a weight and bias of its own."""

    def __init__(self, width: int, members: int = 1) -> None:
        super().__init__()
        shape = [members, 1, width] if members > 1 else [width]
        ones = nn.initializer.Constant(1.0)
        self.width = width
        self.register_buffer("one", paddle.ones([width]), persistable=False)
        self.register_buffer("zero", paddle.zeros([width]), persistable=False)
        self.weight = self.create_parameter(shape, default_initializer=ones)
        self.bias = self.create_parameter(shape, is_bias=True)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if self.weight.ndim == 1:
            return F.layer_norm(x, self.width, self.weight, self.bias)
        return F.layer_norm(x, self.width, self.one, self.zero) * self.weight + self.bias


class Block(nn.Layer):
    """x [N, width] -> x + drop(linear(drop(relu(linear(norm(x)))))), twice as wide inside."""

    def __init__(self, width: int, normalization: Normalization, masks: Masks) -> None:
        super().__init__()
        members = len(masks.seeds)
        self.norm = _normalize(normalization, width, members)
        self.first = Dense(width, 2 * width, members)
        self.second = Dense(2 * width, width, members)
        self.masks = masks

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        inside = self.drop(F.relu(self.first(self.norm(x))))
        return x + self.drop(self.second(inside))

    def drop(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.masks(x) if self.training else x


class ResNet(Embedded):
    """float32 [N, len(columns)] -> [N, outputs] through `blocks` of `width` numbers.

    linear -> blocks -> norm -> relu -> linear. Each level of a code column is EMBEDDING learned
    numbers, beside the others. They add to a line: see Embedded.
    """

    def __init__(
        self,
        columns: Columns,
        outputs: int,
        masks: Masks,
        width: int = 128,
        blocks: int = 2,
        normalization: Normalization = "batch",
    ) -> None:
        members = len(masks.seeds)

        def body(numbers: int) -> nn.Sequential:
            inside = [Block(width, normalization, masks) for _ in range(blocks)]
            last = [_normalize(normalization, width, members), nn.ReLU()]
            end = Dense(width, outputs, members)
            return nn.Sequential(Dense(numbers, width, members), *inside, *last, end)

        super().__init__(columns, outputs, masks, body, EMBEDDING)
        self.widest = 2 * width
        self.fewest_rows = FEWEST_ROWS if normalization == "batch" else 1


def _normalize(normalization: Normalization, width: int, members: int) -> nn.Layer:
    return BatchNorm(width, members) if normalization == "batch" else LayerNorm(width, members)
