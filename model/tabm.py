"""TabM: one MLP that stands for k of them.

Gorishniy, Kotelnikov and Babenko, "TabM: advancing tabular deep learning with parameter-efficient
ensembling" (ICLR 2025), after "BatchEnsemble" (Wen, Tran and Ba 2020).
"""

from __future__ import annotations

from collections.abc import Sequence

import paddle
import paddle.nn.functional as F
from paddle import nn

from model.columns import Columns
from model.embedding import ColumnEmbeddings, Kind
from model.members import Masks, fuses
from model.network import Group, Network, Rows

LEVEL_WIDTH = 8


class Adapted(nn.Layer):
    """[k, n, width_in] -> [k, n, width_out]: (x * r) W * s + b, where W is one for all members, and
    r, s and b are their own.

    r and s are 1 at first, but r of the first layer is normal: that is what tells the members
    apart. (x * r) W * s is x (r W s), so that a product of the
    weights, and not of the rows, takes r and s.
    """

    def __init__(self, width_in: int, width_out: int, members: int, is_first: bool) -> None:
        super().__init__()
        self.fuses = fuses()
        near = width_in**-0.5
        uniform, one = nn.initializer.Uniform(-near, near), nn.initializer.Constant(1.0)
        self.weight = self.create_parameter([width_in, width_out], default_initializer=uniform)
        first = nn.initializer.Normal() if is_first else one
        self.r = self.create_parameter([members, width_in, 1], default_initializer=first)
        self.s = self.create_parameter([members, 1, width_out], default_initializer=one)
        self.bias = self.create_parameter([members, 1, width_out], default_initializer=uniform)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        weight = self.weight * self.r * self.s
        if self.training and self.fuses:
            return paddle.baddbmm(self.bias, x, weight)
        return paddle.matmul(x, weight) + self.bias


class TabM(Network):
    """float32 [N, len(columns)] -> [N, members, outputs]: embedded numbers, flags and levels
    through `hidden` layers of `Adapted` weights, and an output layer for each member."""

    def __init__(
        self,
        columns: Columns,
        outputs: int,
        masks: Masks,
        hidden: Sequence[int] = (256, 256, 256),
        numeric_embedding: Kind = "ple",
    ) -> None:
        super().__init__()
        self.masks, self.members, self.fuses = masks, len(masks.seeds), fuses()
        members = self.members
        self.columns = ColumnEmbeddings(columns, LEVEL_WIDTH, numeric_embedding)
        width = self.columns.width
        widths = [width, *hidden]
        self.layers = nn.LayerList(
            [
                Adapted(before, after, members, is_first=not index)
                for index, (before, after) in enumerate(zip(widths, hidden, strict=False))
            ]
        )
        near = nn.initializer.Uniform(-(widths[-1] ** -0.5), widths[-1] ** -0.5)
        self.weight = self.create_parameter(
            [members, widths[-1], outputs], default_initializer=near
        )
        self.bias = self.create_parameter([members, 1, outputs], default_initializer=near)
        self.widest = max(hidden)

    def start(self, rows: Rows, seed: int) -> None:
        self.columns.start(rows)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.columns(x).unsqueeze(0)
        x = paddle.concat([x] * self.members)
        for layer in self.layers:
            x = F.relu(layer(x))
            x = self.masks(x) if self.training and self.masks else x
        if self.training and self.fuses:
            x = paddle.baddbmm(self.bias, x, self.weight)
        else:
            x = paddle.matmul(x, self.weight) + self.bias
        return x.transpose([1, 0, 2])

    def groups(self) -> list[Group]:
        decaying = [self.weight, *(layer.weight for layer in self.layers)]
        decaying += [self.columns.levels.weight] if self.columns.levels else []
        return [Group(decaying), Group(self.others(decaying), decay=0.0)]
