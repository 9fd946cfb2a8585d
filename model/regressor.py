"""Preprocessing, network and target inverse as one layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from model.impute import Impute
from model.linear import Linear
from model.mlp import MLP
from model.scale import LogScale, Scale

Scaling = tuple[NDArray[np.float64], NDArray[np.float64]]
NETWORKS: dict[str, Callable[..., nn.Layer]] = {"linear": Linear, "mlp": MLP}


class Regressor(nn.Layer):
    """Raw features float32 [N, D] -> predictions float32 [N, 1] in the target's unit.

    Training runs `network` alone, on rows that `prepare` and `scale_target` have made ready.
    Without `impute` the features have no NaN.
    """

    def __init__(
        self,
        scale_features: Scale,
        network: nn.Layer,
        scale_target: Scale,
        impute: nn.Layer | None = None,
    ) -> None:
        super().__init__()
        self.impute = impute or nn.Identity()
        self.scale_features = scale_features
        self.network = network
        self.scale_target = scale_target

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        return self.scale_target.inverse(self.network(self.prepare(features)))

    def prepare(self, features: paddle.Tensor) -> paddle.Tensor:
        """What the network sees of raw features."""
        return self.scale_features(self.impute(features))

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Arrays in, arrays out: [N, D] -> [N, 1]; without dropout."""
        self.eval()
        with paddle.no_grad():
            return self(paddle.to_tensor(features)).numpy()


def build_network(name: str, features: int, seed: int, **options: Any) -> nn.Layer:
    """A network with first weights that depend on `seed` alone."""
    paddle.seed(seed)
    return NETWORKS[name](features, **options)


def build_regressor(
    seed: int,
    features: Scaling,
    target: Scaling,
    log_target: bool,
    impute: Impute | None,
    name: str,
    **options: Any,
) -> Regressor:
    """The network `name` with its options, between the two scalings.

    A scaling is (shift, spread) of columns; of the target's, the last counts.
    """
    shift, spread = features
    target_shift, target_spread = target
    scale_target = LogScale if log_target else Scale
    return Regressor(
        Scale(shift[:-1], spread[:-1]),
        build_network(name, len(shift) - 1, seed, **options),
        scale_target(target_shift[-1:], target_spread[-1:]),
        impute,
    )


def get_weights(network: nn.Layer) -> dict[str, NDArray[np.float32]]:
    """The network's parameters by name."""
    return {name: parameter.numpy() for name, parameter in network.named_parameters()}


def set_weights(network: nn.Layer, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Put back what `get_weights` gave, all of it."""
    tensors = {name: paddle.to_tensor(values) for name, values in weights.items()}
    missing, unexpected = network.set_state_dict(tensors)
    assert not [*missing, *unexpected], (missing, unexpected)
