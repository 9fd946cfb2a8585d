"""The lesson's next step: hidden layers with an activation between two linear ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import paddle
import paddle.nn.functional as F
from paddle import nn

from model.columns import Columns
from model.members import Dense, Masks
from model.network import Embedded

ACTIVATIONS: dict[str, Callable[[paddle.Tensor], paddle.Tensor]] = {
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "relu": F.relu,
    "swish": F.swish,
    "mish": F.mish,
}


class Hidden(nn.Layer):
    """activation(x W + b), some of which `masks` drop in training."""

    def __init__(self, dense: Dense, activation: str, masks: Masks) -> None:
        super().__init__()
        self.dense, self.masks = dense, masks
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.activation(self.dense(x))
        return self.masks(x) if self.training else x


class MLP(Embedded):
    """float32 [N, len(columns)] -> [N, outputs] through layers of the `hidden` widths.

    Each level of a code column is a few learned numbers, beside the others, and numbers are
    embedded, as `embedding` says. They add to a line: see Embedded.
    """

    def __init__(
        self,
        columns: Columns,
        outputs: int,
        masks: Masks,
        hidden: Sequence[int] = (128, 128),
        activation: str = "relu",
        **embedding: Any,
    ) -> None:
        members = len(masks.seeds)

        def body(numbers: int) -> nn.Sequential:
            widths = zip([numbers, *hidden], hidden, strict=False)
            layers = [Hidden(Dense(*width, members), activation, masks) for width in widths]
            return nn.Sequential(*layers, Dense(hidden[-1], outputs, members))

        super().__init__(columns, outputs, masks, body, **embedding)
        self.widest = max(hidden)
