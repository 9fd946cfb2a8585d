"""The lesson's network: one linear layer."""

from __future__ import annotations

import paddle
from paddle import nn


class Linear(nn.Layer):
    """float32 [N, features] -> [N, 1]."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.linear(x)
