"""Residual blocks for tables: each adds a little to what the one before it knows.

Gorishniy, Rubachev, Khrulkov and Babenko, "Revisiting deep learning models for tabular data"
(2021), the network ResNet there.
"""

from __future__ import annotations

from typing import Literal

import paddle
import paddle.nn.functional as F
from paddle import nn

from model.network import Columns, Embedded

FEWEST_ROWS, EMBEDDING = 8, 8
Normalization = Literal["batch", "layer"]


class BatchNorm(nn.BatchNorm1D):
    """paddle.nn.BatchNorm1D; of fewer than FEWEST_ROWS rows, as an epoch's last mini-batch may
    have, it takes neither mean nor variance, but those of the rows before."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return F.batch_norm(
            x,
            self._mean,
            self._variance,
            self.weight,
            self.bias,
            training=self.training and x.shape[0] >= FEWEST_ROWS,
            momentum=self._momentum,
            epsilon=self._epsilon,
        )


class Block(nn.Layer):
    """x [N, width] -> x + drop(linear(drop(relu(linear(norm(x)))))), twice as wide inside."""

    def __init__(self, width: int, normalization: Normalization, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _normalize(normalization, width),
            nn.Linear(width, 2 * width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return x + self.layers(x)


class ResNet(Embedded):
    """float32 [N, len(columns)] -> [N, outputs] through `blocks` of `width` numbers.

    linear -> blocks -> norm -> relu -> linear. Each level of a code column is EMBEDDING learned
    numbers, beside the others. They add to a line: see Embedded.
    """

    def __init__(
        self,
        columns: Columns,
        outputs: int = 1,
        width: int = 128,
        blocks: int = 2,
        normalization: Normalization = "batch",
        dropout: float = 0.1,
    ) -> None:
        def body(numbers: int) -> nn.Sequential:
            inside = [Block(width, normalization, dropout) for _ in range(blocks)]
            last = [_normalize(normalization, width), nn.ReLU(), nn.Linear(width, outputs)]
            return nn.Sequential(nn.Linear(numbers, width), *inside, *last)

        super().__init__(columns, outputs, body, EMBEDDING)
        self.fewest_rows = FEWEST_ROWS if normalization == "batch" else 1


def _normalize(normalization: Normalization, width: int) -> nn.Layer:
    return BatchNorm(width) if normalization == "batch" else nn.LayerNorm(width)
