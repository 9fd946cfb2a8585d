"""Inputs, network and objective as one layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from model.intervals import Margins
from model.network import Network
from model.objective import Objective


class Regressor(nn.Layer):
    """Raw features float32 [N, P] -> predictions float32 [N, outputs] in the target's unit.

    Training runs `network` alone, on rows that NumPy has transformed as `inputs` does.
    """

    def __init__(self, inputs: nn.Layer, network: Network, objective: Objective) -> None:
        super().__init__()
        self.inputs = inputs
        self.network = network
        self.objective = objective
        self.target = objective.target  # a layer of ours, whose buffers are exported
        self.ends = objective.ends

    def calibrate(self, margins: Margins) -> None:
        """Give each prediction an interval."""
        self.objective.calibrate(margins)
        self.ends = self.objective.ends

    def forward(self, features: paddle.Tensor) -> paddle.Tensor:
        return self.objective.finish(self.network(self.inputs(features))).astype("float32")

    def predict_inputs(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of rows as training sees them, transformed [N, len(columns)] -> [N, outputs], not yet
        rounded to float32: that would cost a target far from zero digits of its errors."""
        self.eval()
        with paddle.no_grad():
            return self.objective.finish(self.network(paddle.to_tensor(inputs))).numpy()

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of raw rows [N, P] -> [N, outputs], by the layers of the graph; without dropout."""
        self.eval()
        with paddle.no_grad():
            return self(paddle.to_tensor(features)).numpy()


def get_state(network: nn.Layer) -> dict[str, NDArray[np.float32]]:
    """The network's parameters and buffers by name."""
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def set_state(network: nn.Layer, state: Mapping[str, NDArray[np.float32]]) -> None:
    """Put back what `get_state` gave, all of it."""
    tensors = {name: paddle.to_tensor(values) for name, values in state.items()}
    missing, unexpected = network.set_state_dict(tensors)
    assert not [*missing, *unexpected], (missing, unexpected)
