"""Learned numbers for the levels of a category, before or beside a network."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from paddle import nn

SPREAD = 10.0  # how far one step moves a level: as a flag of share 1 % scaled to deviation 1


class Embedded(nn.Layer):
    """float32 [N, D + C], the last C columns codes -> [N, 1].

    Each code column, of `codes[c]` codes, has an embedding of `width` numbers that `network` sees
    beside the D features. With `width` 0 the network sees only these, and each level adds a number
    of its own to the prediction: that is a flag for each level, without the zeros.
    """

    def __init__(self, network: nn.Layer, codes: Sequence[int], width: int) -> None:
        super().__init__()
        self.network = network
        self.width = width
        first = nn.initializer.Normal(std=0.1) if width else nn.initializer.Constant(0.0)
        attribute = paddle.ParamAttr(initializer=first)
        self.levels = nn.LayerList(
            [nn.Embedding(count, width or 1, weight_attr=attribute) for count in codes]
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        count = len(self.levels)
        features, codes = x[:, :-count], x[:, -count:].astype("int64")
        found = [layer(codes[:, index]) for index, layer in enumerate(self.levels)]
        if self.width:
            return self.network(paddle.concat([features, *found], axis=1))
        return self.network(features) + SPREAD * paddle.add_n(found)
