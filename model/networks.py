"""The networks by the names that recipes give them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import numpy as np
import paddle

from model.additive import Additive
from model.blend import Blend
from model.columns import Columns
from model.linear import Linear
from model.members import Masks
from model.mlp import MLP
from model.network import Network, Rows
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
WITH_MEMBERS = NETWORKS.keys() - {"linear", "additive"}
SHARING = {"tabm"}  # whose members are no copies side by side
_DRAWING = Lock()  # first weights come from one generator, which all threads share


def build_network(
    name: str, columns: Columns, seed: int, outputs: int = 1, **options: Any
) -> Network:
    """A network of so many numbers a row, with first weights that depend on `seed` alone."""
    if name in WITH_MEMBERS:
        return _build(name, columns, [seed], outputs, **options)
    with _DRAWING:
        paddle.seed(seed)
        return NETWORKS[name](columns, outputs, **options)


def _build(
    name: str,
    columns: Columns,
    seeds: Sequence[int],
    outputs: int,
    dropout: float = 0.0,
    **options: Any,
) -> Network:
    with _DRAWING:
        paddle.seed(seeds[0])
        return NETWORKS[name](columns, outputs, Masks(dropout, seeds), **options)


def build_members(
    name: str, columns: Columns, seeds: Sequence[int], rows: Rows, outputs: int = 1, **options: Any
) -> Network:
    """A network of a member for each seed, each with the first weights that it would have alone;
    `rows` [n, len(columns)]: some training rows."""
    if len(seeds) == 1 or name in SHARING:
        network = _build(name, columns, seeds, outputs, **options)
        network.start(rows, seeds[0])
        return network
    alone = [build_members(name, columns, [seed], rows, outputs, **options) for seed in seeds]
    packed = _build(name, columns, seeds, outputs, **options)
    states = [network.state_dict() for network in alone]
    for key, tensor in packed.state_dict().items():
        values = np.stack([state[key].numpy() for state in states])
        shared = values.size > tensor.size  # a buffer, which is the same for all
        tensor.set_value(values[0] if shared else values.reshape(tensor.shape))
    return packed
