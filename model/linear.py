"""The lesson's network, one linear layer; and the same line as one product on raw columns.

All that is known of a line in closed form is in model/line.py.
"""

from __future__ import annotations

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import nn

from model.network import Columns, Embeddings, Network, split_columns

STEP = 10.0  # how far one step moves a level: as a flag of share 1 % scaled to deviation 1


class Linear(Network):
    """float32 [N, len(columns)] -> [N, outputs].

    Each level of a code column adds a number of its own: that is a flag for each level, without
    the zeros.
    """

    def __init__(self, columns: Columns, outputs: int = 1) -> None:
        super().__init__()
        self.numbers, codes = split_columns(columns)
        self.linear = nn.Linear(self.numbers, outputs)
        self.levels = Embeddings(codes, outputs, nn.initializer.Constant(0.0)) if codes else None

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if self.levels is None:
            return self.linear(x)
        levels = self.levels(x[:, self.numbers :])
        return self.linear(x[:, : self.numbers]) + STEP * paddle.add_n(levels)

    def line(self) -> tuple[NDArray[np.float64], float]:
        """(weights [D], bias) on its inputs, codes left out, of its first output."""
        weight = self.linear.weight.numpy().astype(np.float64)[:, 0]
        return weight, float(self.linear.bias.numpy()[0])


class FusedLinear(nn.Layer):
    """Raw features float32 [N, P] -> float32 [N, 1] in the target's unit, by one product.

    `encode` makes encoded columns [N, D], of which `weights` [D] and `bias` are; with `log` they
    give log(1 + y). With a `margin`, in the same unit, -> [N, 3]: the prediction and both ends. In
    float64: a column far from zero would cost float32 the digits that its scaling had saved.
    """

    def __init__(
        self,
        encode: nn.Layer,
        weights: NDArray[np.float64],
        bias: float,
        margin: float | None = None,
        log: bool = False,
    ) -> None:
        super().__init__()
        offsets = np.array([0.0] if margin is None else [0.0, -margin, margin])
        self.encode = encode
        columns = np.repeat(weights[:, None], len(offsets), axis=1)
        self.register_buffer("weights", paddle.to_tensor(columns))
        self.register_buffer("bias", paddle.to_tensor(bias + offsets))
        self.log = log

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        encoded = self.encode(features).astype("float64")
        result = F.linear(encoded, self.weights, self.bias)
        return (paddle.expm1(result) if self.log else result).astype("float32")
