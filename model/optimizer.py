"""Optimizers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from paddle import nn, optimizer

OPTIMIZERS: dict[str, Callable[..., optimizer.Optimizer]] = {
    "sgd": optimizer.SGD,
    "momentum": optimizer.Momentum,
    "adam": optimizer.Adam,
    "adamw": partial(optimizer.AdamW, weight_decay=0.0),  # Paddle's own default is 0.01
}

Schedule = Callable[[int], float]


def build_optimizer(
    name: str, network: nn.Layer, learning_rate: float, weight_decay: float, **options: Any
) -> optimizer.Optimizer:
    """A Paddle optimizer of the network's parameters; biases, being vectors, do not decay."""
    parameters: list[Any] = network.parameters()
    if weight_decay:
        parameters = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
        ]
    return OPTIMIZERS[name](learning_rate=learning_rate, parameters=parameters, **options)


def build_schedule(
    name: str, learning_rate: float, steps_per_epoch: int, epochs: int, **options: Any
) -> Schedule:
    """The learning rate as a pure function of the step, counted from 0 over the whole run."""
    if name == "constant":
        return lambda step: learning_rate
    if name == "step":
        every, gamma = options["every"] * steps_per_epoch, options["gamma"]
        return lambda step: learning_rate * gamma ** (step // every)
    last = steps_per_epoch * epochs
    return lambda step: learning_rate * 0.5 * (1 + math.cos(math.pi * step / last))
