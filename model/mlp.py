"""The lesson's next step: hidden layers with an activation between two linear ones."""

from __future__ import annotations

from collections.abc import Sequence

from paddle import nn

from model.network import Columns, Embedded

ACTIVATIONS: dict[str, type[nn.Layer]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
}


class MLP(Embedded):
    """float32 [N, len(columns)] -> [N, outputs] through layers of the `hidden` widths.

    Each level of a code column is `embedding` learned numbers, beside the others. They add to a
    line: see Embedded.
    """

    def __init__(
        self,
        columns: Columns,
        outputs: int = 1,
        hidden: Sequence[int] = (128, 128),
        activation: str = "relu",
        dropout: float = 0.1,
        embedding: int = 8,
    ) -> None:
        def body(numbers: int) -> nn.Sequential:
            layers: list[nn.Layer] = []
            for width_in, width_out in zip([numbers, *hidden], hidden, strict=False):
                layers += [nn.Linear(width_in, width_out), ACTIVATIONS[activation]()]
                if dropout:
                    layers.append(nn.Dropout(dropout))
            return nn.Sequential(*layers, nn.Linear(hidden[-1], outputs))

        super().__init__(columns, outputs, body, embedding)
