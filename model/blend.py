"""An additive model and a network, whose predictions are averaged."""

from __future__ import annotations

from typing import Any

import paddle

from model.additive import Additive, Solution
from model.columns import Columns
from model.members import Masks
from model.network import Group, Network, Rows
from model.realmlp import RealMLP


class Blend(Network):
    """float32 [N, places + columns] -> [N, outputs]: `share` times the additive model of the first
    `places` numbers, and the rest of 1 times the mean of the members of a RealMLP of the others.

    The additive model is solved; training, in which the output is [N, members, outputs], is of the
    network alone, and until it ends `share` is 0, so that the epoch is the network's best: on few
    validation rows, a half of it may be at its best before the network has learned anything.
    Averaging helps because their errors differ.
    """

    fades = True

    def __init__(
        self,
        columns: Columns,
        outputs: int,
        masks: Masks,
        solution: Solution,
        places: int,
        **options: Any,
    ) -> None:
        super().__init__()
        self.places = places
        self.additive = Additive(columns[:places], outputs, solution)
        for parameter in self.additive.parameters():
            parameter.stop_gradient = True
        self.network = RealMLP(columns[places:], outputs, masks, **options)
        self.members, self.masks = self.network.members, masks
        self.widest = self.network.widest
        self.register_buffer("share", paddle.zeros([1]))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if self.training:
            return self.network(x[:, self.places :])
        additive, network = self.parts(x)
        return self.share * additive + (1 - self.share) * network

    def parts(self, x: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        """What both predict, [N, outputs] each."""
        output = self.network(x[:, self.places :])
        if output.ndim == 3:
            output = output.sum(axis=1) * (1 / output.shape[1])
        return self.additive(x[:, : self.places]), output

    def start(self, rows: Rows, seed: int) -> None:
        self.network.start(rows[:, self.places :], seed)

    def groups(self) -> list[Group]:
        return self.network.groups()
