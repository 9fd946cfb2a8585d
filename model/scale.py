"""Shift and spread columns, as a layer, so that what training uses is what is exported."""

from __future__ import annotations

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn


class Scale(nn.Layer):
    """(x - shift) / spread on float32 [N, D]; `shift` and `spread` are [D], kept as buffers."""

    def __init__(self, shift: NDArray[np.float64], spread: NDArray[np.float64]) -> None:
        super().__init__()
        self.register_buffer("shift", paddle.to_tensor(shift.astype(np.float32)))
        self.register_buffer("spread", paddle.to_tensor(spread.astype(np.float32)))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return (x - self.shift) / self.spread

    def inverse(self, z: paddle.Tensor) -> paddle.Tensor:
        """From scaled values back to the columns' own units."""
        return z * self.spread + self.shift


class LogScale(Scale):
    """(log(1 + y) - shift) / spread, for values above -1."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return super().forward(paddle.log1p(x))

    def inverse(self, z: paddle.Tensor) -> paddle.Tensor:
        return paddle.expm1(super().inverse(z))
