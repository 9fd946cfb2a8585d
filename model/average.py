"""Iterate averaging: the mean of the weights after each step of an epoch.

Polyak and Juditsky, "Acceleration of stochastic approximation by averaging" (1992).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

SUFFIX = "/average"


class Average:
    """Sums the parameters of a network, step by step; at the end of an epoch puts the mean in
    their place, for the next epoch to go on from."""

    def __init__(self, network: nn.Layer) -> None:
        self._parameters = dict(network.named_parameters())  # running statistics among them
        self._sums = {name: paddle.zeros_like(p) for name, p in self._parameters.items()}

    def add(self) -> None:
        """After each step of the optimizer."""
        with paddle.no_grad():
            for name, parameter in self._parameters.items():
                self._sums[name].add_(parameter)

    def end_epoch(self, steps: int) -> None:
        """After the last of the epoch's `steps`."""
        with paddle.no_grad():
            for name, parameter in self._parameters.items():
                parameter.set_value(self._sums[name] / steps)
                self._sums[name].zero_()

    def state(self) -> dict[str, NDArray[np.float32]]:
        """The sums so far, by parameter."""
        return {f"{name}{SUFFIX}": values.numpy() for name, values in self._sums.items()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Put back what `state` gave."""
        for name, values in self._sums.items():
            values.set_value(state[f"{name}{SUFFIX}"])
