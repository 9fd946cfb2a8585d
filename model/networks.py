"""The networks by the names that recipes give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import paddle

from model.additive import Additive
from model.linear import Linear
from model.mlp import MLP
from model.network import Columns, Network
from model.resnet import ResNet

NETWORKS: dict[str, Callable[..., Network]] = {
    "linear": Linear,
    "additive": Additive,
    "mlp": MLP,
    "resnet": ResNet,
}


def build_network(
    name: str, columns: Columns, seed: int, outputs: int = 1, **options: Any
) -> Network:
    """A network of so many numbers a row, with first weights that depend on `seed` alone."""
    paddle.seed(seed)
    return NETWORKS[name](columns, outputs, **options)
