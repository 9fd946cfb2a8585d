"""Preprocessing, network and target inverse as one layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from model.embedding import Embedded
from model.linear import Linear
from model.mlp import MLP
from model.scale import LogScale, Scale

NETWORKS: dict[str, Callable[..., nn.Layer]] = {"linear": Linear, "mlp": MLP}


class Regressor(nn.Layer):
    """Raw features float32 [N, D] -> predictions float32 [N, 1] in the target's unit.

    With a `margin`, on the scaled target, -> [N, 3]: the prediction and both ends.
    Training runs `network` alone, on rows made ready beforehand as `prepare` and `scale_target` do.
    """

    def __init__(self, prepare: Any, network: nn.Layer, scale_target: Scale) -> None:
        super().__init__()
        self.prepare = prepare
        self.network = network
        self.scale_target = scale_target
        self.margin: float | None = None

    @property
    def outputs(self) -> list[str]:
        return ["prediction"] if self.margin is None else ["prediction", "lower", "upper"]

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        return self.finish(self.network(self.prepare(features)))

    def finish(self, scaled: paddle.Tensor) -> paddle.Tensor:
        """What the network says, on the scaled target, in the target's own unit."""
        if self.margin is not None:
            scaled = paddle.concat([scaled, scaled - self.margin, scaled + self.margin], axis=1)
        return self.scale_target.inverse(scaled)

    def predict_ready(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of rows as training sees them, prepared beforehand [N, D] -> [N, outputs]."""
        self.eval()
        with paddle.no_grad():
            return self.finish(self.network(paddle.to_tensor(features))).numpy()

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Arrays in, arrays out: [N, D] -> [N, outputs]; without dropout."""
        self.eval()
        with paddle.no_grad():
            return self(paddle.to_tensor(features)).numpy()


def build_network(
    name: str,
    features: int,
    seed: int,
    codes: Sequence[int] = (),
    embedding: int = 0,
    **options: Any,
) -> nn.Layer:
    """A network with first weights that depend on `seed` alone.

    `codes`: the number of codes of each column that follows the features, for an embedding.
    """
    paddle.seed(seed)
    if not codes:
        return NETWORKS[name](features, **options)
    network = NETWORKS[name](features + len(codes) * embedding, **options)
    return Embedded(network, codes, embedding)


def build_target(shift: float, spread: float, log: bool) -> Scale:
    """The target's scaling, of its logarithm with `log`."""
    return (LogScale if log else Scale)(np.array([shift]), np.array([spread]))


def get_weights(network: nn.Layer) -> dict[str, NDArray[np.float32]]:
    """The network's parameters by name."""
    return {name: parameter.numpy() for name, parameter in network.named_parameters()}


def set_weights(network: nn.Layer, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Put back what `get_weights` gave, all of it."""
    tensors = {name: paddle.to_tensor(values) for name, values in weights.items()}
    missing, unexpected = network.set_state_dict(tensors)
    assert not [*missing, *unexpected], (missing, unexpected)
