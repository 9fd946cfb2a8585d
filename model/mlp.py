"""The lesson's next step: hidden layers with an activation between two linear ones."""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from paddle import nn

ACTIVATIONS: dict[str, type[nn.Layer]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
}


class MLP(nn.Layer):
    """float32 [N, features] -> [N, 1] through layers of the `hidden` widths."""

    def __init__(
        self, features: int, hidden: Sequence[int], activation: str, dropout: float
    ) -> None:
        super().__init__()
        layers: list[nn.Layer] = []
        for width_in, width_out in zip([features, *hidden], hidden, strict=False):
            layers += [nn.Linear(width_in, width_out), ACTIVATIONS[activation]()]
            if dropout:
                layers.append(nn.Dropout(dropout))
        self.layers = nn.Sequential(*layers, nn.Linear(hidden[-1], 1))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.layers(x)
