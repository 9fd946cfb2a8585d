"""RealMLP: an MLP whose details were tuned on many tables.

Holzmueller, Grinsztajn and Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees
on tabular data" (NeurIPS 2024), appendix A; RealMLP-TD there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import numpy as np
import paddle
from paddle import nn

from model.columns import Columns
from model.embedding import ColumnEmbeddings, Kind
from model.members import Dense, Masks
from model.mlp import ACTIVATIONS
from model.network import Group, Network, Rows

LEVEL_WIDTH = 8
FEW, LEAST = 5, 1e-6  # rows that a bias is drawn from; a deviation
EMBEDDING_RATE, SCALE_RATE, BIAS_RATE = 0.1, 6.0, 0.1


class RealMLP(Network):
    """float32 [N, len(columns)] -> [N, outputs], of several members [N, members, outputs].

    Embedded numbers, flags and levels, each multiplied by a learned scale, go through layers
    x -> activation(x W / sqrt(width of x) + b): the neural tangent parametrisation, in which W is
    standard normal at first. `start` then divides each column of W by the deviation of what it
    gives on training rows, and sets b so that a random mean of a few of these rows is 0 ("he+5").
    The scale learns 6 times as fast, biases and embeddings of numbers a tenth as fast. Decay goes
    with the square of these factors; biases have none.
    """

    fades = True

    def __init__(
        self,
        columns: Columns,
        outputs: int,
        masks: Masks,
        hidden: Sequence[int] = (256, 256, 256),
        activation: str = "swish",
        numeric_embedding: Kind = "pbld",
    ) -> None:
        super().__init__()
        self.masks, self.members = masks, len(masks.seeds)
        members = self.members
        self.columns = ColumnEmbeddings(columns, LEVEL_WIDTH, numeric_embedding, members)
        width = self.columns.width
        self.scale = self.create_parameter(
            [members, width, 1] if members > 1 else [width, 1],
            default_initializer=nn.initializer.Constant(1.0),
        )
        widths = [width, *hidden, outputs]
        self.layers = nn.LayerList(
            [Dense(before, after, members, gain=before**-0.5) for before, after in pairwise(widths)]
        )
        self.activation = ACTIVATIONS[activation]
        self.widest = max(hidden)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        first, *others = self.layers
        x = first.product(self.columns(x), first.weight * self.scale)
        for layer in others:
            x = self.activation(x)
            x = layer(self.masks(x) if self.training and self.masks else x)
        return x if self.members == 1 else x.transpose([1, 0, 2])

    def start(self, rows: Rows, seed: int) -> None:
        assert self.members == 1, "members start alone"
        self.columns.start(rows)
        random = np.random.default_rng(seed)
        self.eval()
        with paddle.no_grad():
            x = self.columns(paddle.to_tensor(rows))
            for layer in self.layers:
                self._start_layer(cast(Dense, layer), x.numpy(), random)
                x = self.activation(layer(x))

    @staticmethod
    def _start_layer(layer: Dense, x: Rows, random: np.random.Generator) -> None:
        width_in, width_out = layer.weight.shape
        weight = random.standard_normal((width_in, width_out), dtype=np.float32)
        product = x @ weight * layer.gain
        deviation = np.maximum(product.std(axis=0), LEAST)
        few = random.integers(0, len(x), (FEW, width_out))
        shares = random.standard_exponential((FEW, width_out), dtype=np.float32)
        mean = (product[few, np.arange(width_out)] * shares / shares.sum(axis=0)).sum(axis=0)
        layer.weight.set_value((weight / deviation).astype(np.float32))
        layer.bias.set_value((-mean / deviation).astype(np.float32))

    def groups(self) -> list[Group]:
        numbers, levels = self.columns.numbers, self.columns.levels
        embedding = numbers.parameters() if numbers else []
        weights = [layer.weight for layer in self.layers]
        weights += [levels.weight] if levels else []
        biases = self.others([*embedding, *weights, self.scale])
        return [
            Group(weights),
            Group(biases, BIAS_RATE, 0.0),
            Group([self.scale], SCALE_RATE, SCALE_RATE**2),
            Group(embedding, EMBEDDING_RATE, EMBEDDING_RATE**2),
        ]
