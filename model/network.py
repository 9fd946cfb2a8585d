"""What every network is: a layer from the columns of its inputs to numbers for each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import paddle
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

    `body` makes the layer [N, numbers] -> [N, outputs] for so many numbers. Parameters draw their
    first values in the order body, embeddings.
    """

    def __init__(self, columns: Columns, body: Callable[[int], nn.Layer], width: int) -> None:
        super().__init__()
        self.numbers, codes = split_columns(columns)
        self.layers = body(self.numbers + width * len(codes))
        self.embeddings = (
            Embeddings(codes, width, nn.initializer.Normal(std=0.1)) if codes else None
        )

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if self.embeddings is None:
            return self.layers(x)
        learned = self.embeddings(x[:, self.numbers :])
        numbers = [x[:, : self.numbers]] if self.numbers else []
        return self.layers(paddle.concat([*numbers, *learned], axis=1))
