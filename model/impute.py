"""Fill in missing numbers, as a layer, so that the exported graph does it too."""

from __future__ import annotations

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn


class Impute(nn.Layer):
    """float32 [N, D] with NaN where a number is missing -> [N, D + indicated], without NaN.

    `values` [D] stand in for NaN. The columns at `indicated` each add one that is 1 where their
    number was missing, else 0.
    """

    def __init__(self, values: NDArray[np.float64], indicated: NDArray[np.int64]) -> None:
        super().__init__()
        self.register_buffer("values", paddle.to_tensor(values.astype(np.float32)))
        self.register_buffer("indicated", paddle.to_tensor(indicated.astype(np.int64)))
        self.indicates = bool(len(indicated))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        missing = paddle.isnan(x)
        filled = paddle.where(missing, self.values.expand_as(x), x)
        if not self.indicates:
            return filled
        flags = paddle.index_select(missing.astype("float32"), self.indicated, axis=1)
        return paddle.concat([filled, flags], axis=1)
