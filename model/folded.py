"""A line with its scaling folded into its weights: what is exported of a linear model."""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import nn

from model.preprocess import Preprocess


class Folded(nn.Layer):
    """Raw features float32 [N, P] -> float32 [N, 1] in the target's unit, by one product.

    `weights` [D] and `bias` are those of the encoded columns; with `log` they give log(1 + y). With
    a `margin`, in the same unit, -> [N, 3]: the prediction and both ends. In float64: a column far
    from zero would cost float32 the digits that its scaling had saved.
    """

    def __init__(
        self,
        prepare: Preprocess,
        weights: NDArray[np.float64],
        bias: float,
        margin: float | None = None,
        log: bool = False,
    ) -> None:
        super().__init__()
        offsets = np.array([0.0] if margin is None else [0.0, -margin, margin])
        self.prepare = prepare
        columns = np.repeat(weights[:, None], len(offsets), axis=1)
        self.register_buffer("weights", paddle.to_tensor(columns))
        self.register_buffer("bias", paddle.to_tensor(bias + offsets))
        self.log = log

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        encoded = self.prepare.encode(features).astype("float64")
        found = F.linear(encoded, self.weights, self.bias)
        return (paddle.expm1(found) if self.log else found).astype("float32")
