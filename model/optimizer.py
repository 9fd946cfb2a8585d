"""Optimizers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import _C_ops, nn, optimizer

from model.average import SUFFIX
from model.network import Network


class SGD(optimizer.SGD):
    """paddle.optimizer.SGD, to the bit, with a step of half its cost.

    Of all that `step` looks after (clipping, sharding, master weights, regularization, static
    graphs) a plain run needs one call of the same kernel a parameter. Parameter groups, which carry
    weight decay, go the long way.
    """

    def step(self) -> None:
        rate = self._global_learning_rate()  # None before the first step
        if rate is None or isinstance(self._param_groups[0], dict):
            return super().step()
        for parameter in self._parameter_list:
            if (gradient := parameter.grad) is not None:
                _C_ops.sgd_(parameter, rate, gradient, None, False)  # type: ignore[arg-type]
        return None


OPTIMIZERS: dict[str, Callable[..., optimizer.Optimizer]] = {
    "sgd": SGD,
    "momentum": optimizer.Momentum,
    "adam": optimizer.Adam,
    "adamw": partial(optimizer.AdamW, weight_decay=0.0),  # Paddle's own default is 0.01
}

ADAM = ("moment1", "moment2", "beta1_pow_acc", "beta2_pow_acc")
MEANS: dict[type, tuple[str, ...]] = {
    optimizer.Momentum: ("velocity",),
    optimizer.Adam: ADAM,
    optimizer.AdamW: ADAM,
}
"""What an optimizer keeps of each parameter, by Paddle's names."""

Schedule = Callable[[int], float]
STAIRS = 200


def build_optimizer(
    name: str, network: Network, learning_rate: float, weight_decay: float, **options: Any
) -> optimizer.Optimizer:
    """A Paddle optimizer of the network's parameters; those decay of which the network says so."""
    parameters: list[Any] = network.parameters()
    if weight_decay:
        decaying = {id(parameter) for parameter in network.decaying()}
        parameters = [
            {"params": [p for p in parameters if id(p) in decaying], "weight_decay": weight_decay},
            {"params": [p for p in parameters if id(p) not in decaying], "weight_decay": 0.0},
        ]
    return OPTIMIZERS[name](learning_rate=learning_rate, parameters=parameters, **options)


def get_optimizer_state(
    optimizer: optimizer.Optimizer, network: nn.Layer
) -> dict[str, NDArray[Any]]:
    """The optimizer's running means by parameter, as in `linear.weight/moment1_0`.

    Paddle names them after parameters that it numbers over the life of a process.
    """
    values = optimizer.state_dict()
    return {
        f"{name}/{key.removeprefix(f'{parameter.name}_')}": value.numpy()
        for name, parameter in network.named_parameters()
        for key, value in values.items()
        if key.startswith(f"{parameter.name}_")
    }


def first_optimizer_state(
    optimizer: optimizer.Optimizer, network: nn.Layer
) -> dict[str, NDArray[np.float32]]:
    """Zeros of the names and shapes of what `get_optimizer_state` gives after a step."""
    means = next((means for kind, means in MEANS.items() if isinstance(optimizer, kind)), ())
    return {
        f"{name}/{mean}_0": np.zeros(
            [1] if mean.endswith("_pow_acc") else parameter.shape, dtype=np.float32
        )
        for name, parameter in network.named_parameters()
        for mean in means
        if not parameter.stop_gradient
    }


def set_optimizer_state(
    optimizer: optimizer.Optimizer, network: nn.Layer, state: Mapping[str, NDArray[Any]]
) -> None:
    """Put back what `get_optimizer_state` gave, into an optimizer that has made no step."""
    names = {name: parameter.name for name, parameter in network.named_parameters()}
    tensors = {}
    for key, value in state.items():
        name, _, kind = key.rpartition("/")
        if f"/{kind}" == SUFFIX:
            continue
        tensors[f"{names[name]}_{kind}"] = paddle.to_tensor(value)
    optimizer.set_state_dict(tensors)


def build_schedule(
    name: str, learning_rate: float, steps_per_epoch: int, epochs: int, **options: Any
) -> Schedule:
    """The learning rate as a pure function of the step, counted from 0 over the whole run.

    cosine: falls to 0 in STAIRS stairs, for setting a rate costs a tenth of a step.
    inverse: 1 / (1 / learning_rate + 2 k) at step k of each epoch, the gain of Robbins and Monro
    (1951) for a mean squared error of curvature 2: that of whitened features. An epoch's last
    weights are then the average of what its mini-batches ask for.
    """
    if name == "constant":
        return lambda step: learning_rate
    if name == "step":
        every, gamma = options["every"] * steps_per_epoch, options["gamma"]
        return lambda step: learning_rate * gamma ** (step // every)
    if name == "inverse":
        return lambda step: learning_rate / (1 + 2 * learning_rate * (step % steps_per_epoch))
    last = steps_per_epoch * epochs
    stair = -(-last // STAIRS)
    return lambda step: learning_rate * 0.5 * (1 + math.cos(math.pi * (step - step % stair) / last))
