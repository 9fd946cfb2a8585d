"""What every network is: a layer from the columns of its inputs to numbers for each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import nn


class InputColumn(Protocol):
    """One column of a network's input: a number, a 0/1 flag, or a code below `levels`; codes come
    last."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def levels(self) -> int: ...


Columns = Sequence[InputColumn]


class Network(nn.Layer):
    """float32 [N, len(columns)] -> [N, outputs], which is the width of the objective.

    `fewest_rows`: of a mini-batch, below which it cannot learn.
    """

    fewest_rows = 1

    def penalty(self) -> paddle.Tensor | None:
        """What is added to the loss of each mini-batch, a scalar; None for nothing."""
        return None

    def decaying(self) -> list[paddle.Tensor]:
        """The parameters that weight decay pulls towards zero: the weights of linear layers and
        embeddings, and no bias or normalisation."""
        kinds = (nn.Linear, nn.Embedding)
        return [layer.weight for layer in self.sublayers() if isinstance(layer, kinds)]


class Embeddings(nn.Layer):
    """Codes float32 [N, C] -> for each column its learned numbers, [N, width] each."""

    def __init__(self, columns: Columns, width: int, first: nn.initializer.Initializer) -> None:
        super().__init__()
        attribute = paddle.ParamAttr(initializer=first)
        self.tables = nn.LayerList(
            [nn.Embedding(column.levels, width, weight_attr=attribute) for column in columns]
        )

    def forward(self, codes: paddle.Tensor) -> list[paddle.Tensor]:
        codes = codes.astype("int64")
        return [table(codes[:, index]) for index, table in enumerate(self.tables)]


def split_columns(columns: Columns) -> tuple[int, Columns]:
    """How many columns are numbers or flags, and those behind them that are codes."""
    codes = [column for column in columns if column.kind == "code"]
    return len(columns) - len(codes), codes


class Embedded(Network):
    """A network of numbers, between which and the codes stand embeddings of `width` numbers.

    `body` makes the layers [N, numbers] -> [N, outputs] for so many numbers. Parameters draw their
    first values in the order body, embeddings. A line on the numbers, which training does not
    change, is added to what the layers give, whose last weights are 0 at first: the network starts
    as this line, and learns what it leaves.
    """

    def __init__(
        self,
        columns: Columns,
        outputs: int,
        body: Callable[[int], nn.Sequential],
        width: int,
    ) -> None:
        super().__init__()
        self.numbers, codes = split_columns(columns)
        self.layers = body(self.numbers + width * len(codes))
        if self.numbers:
            self.register_buffer("line_weight", paddle.zeros([self.numbers, outputs]))
            self.register_buffer("line_bias", paddle.zeros([outputs]))
        last = self.layers[-1]
        last.weight.set_value(paddle.zeros_like(last.weight))
        self.embeddings = (
            Embeddings(codes, width, nn.initializer.Normal(std=0.1)) if codes else None
        )

    def set_line(self, weights: NDArray[np.float64], bias: float) -> None:
        """The line, weights [numbers] on scaled inputs, for each output."""
        outputs = self.line_bias.shape[0]
        columns = np.repeat(weights[:, None], outputs, axis=1).astype(np.float32)
        self.line_weight.set_value(columns)
        self.line_bias.set_value(np.full(outputs, bias, dtype=np.float32))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        numbers = x[:, : self.numbers] if self.embeddings else x
        if self.embeddings:
            parts = [numbers] if self.numbers else []
            x = paddle.concat([*parts, *self.embeddings(x[:, self.numbers :])], axis=1)
        output = self.layers(x)
        if self.numbers:
            output = output + F.linear(numbers, self.line_weight, self.line_bias)
        return output
