"""Shift and spread columns, as a layer, so that what training uses is what is exported."""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
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


class Whiten(nn.Layer):
    """(x - shift) @ matrix on float32 [N, D] -> float32 [N, K]; `shift` [D], `matrix` [D, K].

    In float64: where columns nearly follow from each other, the matrix takes small differences of
    large numbers.
    """

    def __init__(self, shift: NDArray[np.float64], matrix: NDArray[np.float64]) -> None:
        super().__init__()
        self.register_buffer("matrix", paddle.to_tensor(matrix))
        self.register_buffer("bias", paddle.to_tensor(-shift @ matrix))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return F.linear(x.astype("float64"), self.matrix, self.bias).astype("float32")


class LogScale(Scale):
    """(log(1 + y) - shift) / spread, for values above -1."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return super().forward(paddle.log1p(x))

    def inverse(self, z: paddle.Tensor) -> paddle.Tensor:
        return paddle.expm1(super().inverse(z))
