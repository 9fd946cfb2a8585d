"""The networks by the names that recipes give them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import paddle

from model.additive import Additive
from model.blend import Blend
from model.linear import Linear
from model.mlp import MLP
from model.network import Columns, Network, Rows
from model.realmlp import RealMLP
from model.resnet import ResNet
from model.tabm import TabM

NETWORKS: dict[str, Callable[..., Network]] = {
    "linear": Linear,
    "additive": Additive,
    "mlp": MLP,
    "resnet": ResNet,
    "realmlp": RealMLP,
    "tabm": TabM,
    "blend": Blend,
}


def build_network(
    name: str, columns: Columns, seed: int, outputs: int = 1, **options: Any
) -> Network:
    """A network of so many numbers a row, with first weights that depend on `seed` alone."""
    paddle.seed(seed)
    return NETWORKS[name](columns, outputs, **options)


def build_members(
    name: str, columns: Columns, seeds: Sequence[int], rows: Rows, outputs: int = 1, **options: Any
) -> Network:
    """A network of a member for each seed, each with the first weights that it would have alone;
    `rows` [n, len(columns)]: some training rows."""
    alone = []
    for seed in seeds:
        alone.append(build_network(name, columns, seed, outputs, seeds=[seed], **options))
        alone[-1].start(rows, seed)
    if len(alone) == 1:
        return alone[0]
    packed = NETWORKS[name](columns, outputs, seeds=seeds, **options)
    states = [network.state_dict() for network in alone]
    for key, tensor in packed.state_dict().items():
        values = np.stack([state[key].numpy() for state in states])
        shared = values.size > tensor.size  # a buffer, which is the same for all
        tensor.set_value(values[0] if shared else values.reshape(tensor.shape))
    return packed
