"""What every network is: a layer from the columns of its inputs to numbers for each row."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import nn

from model.columns import Columns, split_columns
from model.embedding import ColumnEmbeddings, Kind
from model.members import Dense, LevelEmbeddings, Masks

Rows = NDArray[np.float32]


class Group(NamedTuple):
    """Parameters that learn at `rate` times the learning rate, and decay at `decay` times the
    weight decay."""

    parameters: list[paddle.Tensor]
    rate: float = 1.0
    decay: float = 1.0


class Network(nn.Layer):
    """float32 [N, len(columns)] -> [N, outputs], which is the width of the objective; of several
    `members`, which learn side by side, [N, members, outputs].

    `fewest_rows`: of a mini-batch, below which it cannot learn. `masks`: of dropout. `fades`:
    whether dropout and weight decay follow `flat_cosine` over the run.
    """

    fewest_rows = 1
    members = 1
    fades = False
    widest = 1
    """the largest layer that dropout works on"""
    masks: Masks | None = None

    def penalty(self) -> paddle.Tensor | None:
        """What is added to the loss of each mini-batch, a scalar; None for nothing."""
        return None

    def start(self, rows: Rows, seed: int) -> None:
        """Take from some training rows [n, len(columns)] what first weights depend on; what is
        drawn follows from the seed."""

    def groups(self) -> list[Group]:
        """All parameters. The weights of linear layers and embeddings decay, no bias or
        normalisation does."""
        kinds = (nn.Linear, Dense, LevelEmbeddings)
        decaying = [layer.weight for layer in self.sublayers() if isinstance(layer, kinds)]
        return [Group(decaying), Group(self.others(decaying), decay=0.0)]

    def others(self, parameters: Sequence[paddle.Tensor]) -> list[paddle.Tensor]:
        """All parameters but these."""
        taken = {id(parameter) for parameter in parameters}
        return [p for p in self.parameters() if id(p) not in taken and p.trainable]

    def begin_block(self, seed: int, done: float, rows: int) -> None:
        """Before a block of mini-batches of so many rows, when a share of the run is `done`: all
        that is drawn at random in it follows from the seed."""
        if self.masks:
            share = self.masks.share * (flat_cosine(done) if self.fades else 1.0)
            self.masks.begin(seed, share, rows * self.widest)


def flat_cosine(done: float) -> float:
    """1 over the first half of a run, then half a cosine down to 0 (Holzmueller and others
    2024)."""
    return 1.0 if done < 0.5 else 0.5 * (1 + math.cos(math.pi * (2 * done - 1)))


class Embedded(Network):
    """A network whose layers take embedded columns.

    `body` makes the layers [N, numbers] -> [N, outputs] for so many numbers. A line on the numbers
    and flags, which training does not change, is added to what they give, and their last weights
    are 0 at first: the network starts as this line, and learns what it leaves.
    """

    def __init__(
        self,
        columns: Columns,
        outputs: int,
        masks: Masks,
        body: Callable[[int], nn.Sequential],
        embedding: int = 8,
        numeric_embedding: Kind = "none",
    ) -> None:
        super().__init__()
        self.masks, self.members = masks, len(masks.seeds)
        self.numbers, _ = split_columns(columns)
        self.columns = ColumnEmbeddings(columns, embedding, numeric_embedding, self.members)
        self.layers = body(self.columns.width)
        if self.numbers:
            self.register_buffer("line_weight", paddle.zeros([self.numbers, outputs]))
            self.register_buffer("line_bias", paddle.zeros([outputs]))
        last = self.layers[-1]
        last.weight.set_value(paddle.zeros_like(last.weight))

    def set_line(self, weights: NDArray[np.float64], bias: float) -> None:
        """The line, weights [numbers] on scaled inputs, for each output."""
        outputs = self.line_bias.shape[0]
        columns = np.repeat(weights[:, None], outputs, axis=1).astype(np.float32)
        self.line_weight.set_value(columns)
        self.line_bias.set_value(np.full(outputs, bias, dtype=np.float32))

    def start(self, rows: Rows, seed: int) -> None:
        self.columns.start(rows)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        output = self.layers(self.columns(x))
        if self.numbers:
            numbers = x[:, : self.numbers] if x.shape[1] > self.numbers else x
            output = output + F.linear(numbers, self.line_weight, self.line_bias)
        return output if self.members == 1 else output.transpose([1, 0, 2])
