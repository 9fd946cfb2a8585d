"""Optimizers and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import _C_ops, nn, optimizer

from model.average import SUFFIX
from model.network import Group, Network
from model.precision import SCALE


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


class Adam:
    """paddle.optimizer.Adam and AdamW in one kernel call for all parameters.

    Kingma and Ba, "Adam: a method for stochastic optimization" (2015). `decoupled`: decay shrinks
    the weights themselves (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019),
    else it is added to the gradient. `clip`: gradients whose norm, over all parameters, is larger
    are scaled down to it; 0: none. Empty groups are left out.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        learning_rate: float,
        weight_decay: float = 0.0,
        decoupled: bool = False,
        betas: tuple[float, float] = (0.9, 0.999),
        clip: float = 0.0,
    ) -> None:
        self.groups = [group for group in groups if group.parameters]
        self.parameters = [p for group in self.groups for p in group.parameters]
        self.weight_decay, self.decoupled, self.clip = weight_decay, decoupled, clip
        self.betas, self.fade = betas, 1.0
        self.rates = [paddle.zeros([1]) for _ in self.groups]
        self._rates = [
            r for r, g in zip(self.rates, self.groups, strict=True) for _ in g.parameters
        ]
        self.means = {
            "moment1": [paddle.zeros_like(p) for p in self.parameters],
            "moment2": [paddle.zeros_like(p) for p in self.parameters],
            "beta1_pow_acc": [paddle.full([1], betas[0]) for _ in self.parameters],
            "beta2_pow_acc": [paddle.full([1], betas[1]) for _ in self.parameters],
        }
        self.set_lr(learning_rate)

    def set_lr(self, value: float) -> None:
        self.rate = value
        for rate, group in zip(self.rates, self.groups, strict=True):
            rate.fill_(value * group.rate)

    def get_lr(self) -> float:
        return self.rate

    def clear_grad(self, set_to_zero: bool = True) -> None:
        for parameter in self.parameters:
            parameter.clear_gradient(set_to_zero)

    @paddle.no_grad()
    def step(self) -> None:
        """One step; `fade` times the weight decay."""
        gradients = [cast(paddle.Tensor, p.grad) for p in self.parameters]
        if self.clip:
            norm = paddle.add_n([paddle.square(g).sum() for g in gradients]).sqrt()
            factor = self.clip / paddle.maximum(norm, paddle.full_like(norm, self.clip))
            gradients = [g * factor for g in gradients]
        if decay := self.weight_decay * self.fade:
            gradients = self._decay(gradients, decay)
        means = self.means
        arguments: list[Any] = [
            *(self.parameters, gradients, self._rates, means["moment1"], means["moment2"], None),
            *(means["beta1_pow_acc"], means["beta2_pow_acc"], None),
            *(*self.betas, EPSILON, False, False, False),
        ]
        _C_ops.merged_adam_(*arguments)

    def _decay(self, gradients: list[paddle.Tensor], decay: float) -> list[paddle.Tensor]:
        """Decay the weights, or what the gradients are with it."""
        changed, at = list(gradients), 0
        for group in self.groups:
            for parameter in group.parameters:
                if group.decay and self.decoupled:
                    parameter.scale_(1 - self.rate * decay * group.decay)
                elif group.decay:
                    changed[at] = gradients[at] + parameter * (decay * group.decay)
                at += 1
        return changed


EPSILON = 1e-8
PADDLE: dict[str, Callable[..., optimizer.Optimizer]] = {
    "sgd": SGD,
    "momentum": optimizer.Momentum,
}
MEANS: dict[type, tuple[str, ...]] = {optimizer.Momentum: ("velocity",)}
"""What an optimizer of Paddle's keeps of each parameter, by Paddle's names."""

Optimizer: TypeAlias = Adam | optimizer.Optimizer
Schedule = Callable[[int], float]
STAIRS = 200


def build_optimizer(
    name: str, network: Network, learning_rate: float, weight_decay: float, **options: Any
) -> Optimizer:
    """Of the network's parameters; those decay of which the network says so."""
    groups = network.groups()
    if name in ("adam", "adamw"):
        betas = options.get("beta1", 0.9), options.get("beta2", 0.999)
        decoupled, clip = name == "adamw", options.get("clip", 0.0)
        return Adam(groups, learning_rate, weight_decay, decoupled, betas, clip)
    if clip := options.pop("clip", 0.0):
        options["grad_clip"] = nn.ClipGradByGlobalNorm(clip)
    parameters: list[Any] = network.parameters()
    if weight_decay or any(group.rate != 1 for group in groups):
        parameters = [
            {
                "params": group.parameters,
                "learning_rate": group.rate,
                "weight_decay": weight_decay * group.decay,
            }
            for group in groups
            if group.parameters
        ]
    return PADDLE[name](learning_rate=learning_rate, parameters=parameters, **options)


def get_optimizer_state(optimizer: Optimizer, network: nn.Layer) -> dict[str, NDArray[Any]]:
    """The optimizer's running means by parameter, as in `linear.weight/moment1_0`.

    Paddle names them after parameters that it numbers over the life of a process.
    """
    if isinstance(optimizer, Adam):
        return {key: tensor.numpy() for key, tensor in _means_of(optimizer, network).items()}
    values = optimizer.state_dict()
    return {
        f"{name}/{key.removeprefix(f'{parameter.name}_')}": value.numpy()
        for name, parameter in network.named_parameters()
        for key, value in values.items()
        if key.startswith(f"{parameter.name}_")
    }


def _means_of(optimizer: Adam, network: nn.Layer) -> dict[str, paddle.Tensor]:
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {
        f"{names[id(parameter)]}/{mean}_0": tensor
        for mean, tensors in optimizer.means.items()
        for parameter, tensor in zip(optimizer.parameters, tensors, strict=True)
    }


def first_optimizer_state(
    optimizer: Optimizer, network: nn.Layer
) -> dict[str, NDArray[np.float32]]:
    """What `get_optimizer_state` gives after a step has these names and shapes."""
    if isinstance(optimizer, Adam):
        return get_optimizer_state(optimizer, network)
    means = next((means for kind, means in MEANS.items() if isinstance(optimizer, kind)), ())
    return {
        f"{name}/{mean}_0": np.zeros(parameter.shape, dtype=np.float32)
        for name, parameter in network.named_parameters()
        for mean in means
        if not parameter.stop_gradient
    }


def set_optimizer_state(
    optimizer: Optimizer, network: nn.Layer, state: Mapping[str, NDArray[Any]]
) -> None:
    """Put back what `get_optimizer_state` gave, into an optimizer that has made no step."""
    if isinstance(optimizer, Adam):
        for key, tensor in _means_of(optimizer, network).items():
            tensor.set_value(state[key])
        return
    names = {name: parameter.name for name, parameter in network.named_parameters()}
    tensors = {}
    for key, value in state.items():
        name, _, kind = key.rpartition("/")
        if f"/{kind}" == SUFFIX or key == SCALE:
            continue
        tensors[f"{names[name]}_{kind}"] = paddle.to_tensor(value)
    optimizer.set_state_dict(tensors)


def build_schedule(
    name: str, learning_rate: float, steps_per_epoch: int, epochs: int, **options: Any
) -> Schedule:
    """The learning rate as a pure function of the step, counted from 0 over the whole run.

    cosine, coslog4 and one_cycle change in STAIRS stairs, for setting a rate costs a tenth of a
    step. cosine: rises over `warm_up` of the run, then falls to 0. coslog4: four cosines, each of a
    longer time, 0.5 (1 - cos(2 pi log2(1 + 15 t))) at share t (Holzmueller and others 2024).
    one_cycle: up from a 25th in half a cosine over `warm_up`, then down to 0 in another (Smith and
    Topin, "Super-convergence", 2019).
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
    stair, shape = -(-last // STAIRS), SHAPES[name]
    return lambda step: learning_rate * shape((step - step % stair) / last, **options)


def cosine(share: float, warm_up: float = 0.0) -> float:
    if share < warm_up:
        return share / warm_up
    return 0.5 * (1 + math.cos(math.pi * (share - warm_up) / (1 - warm_up)))


def coslog4(share: float) -> float:
    return 0.5 * (1 - math.cos(2 * math.pi * math.log2(1 + 15 * share)))


def is_settled(schedule: str, share: float) -> bool:
    """Whether weights are at rest at this share of a run: with coslog4 where its rate has fallen
    to a tenth, after the first cycle, for what larger steps leave is mostly noise."""
    return schedule != "coslog4" or (share > FIRST_CYCLE and coslog4(share) <= AT_REST)


def one_cycle(share: float, warm_up: float = 0.25) -> float:
    if share < warm_up:
        return LOWEST + (1 - LOWEST) * 0.5 * (1 - math.cos(math.pi * share / warm_up))
    return cosine((share - warm_up) / (1 - warm_up))


SHAPES: dict[str, Callable[..., float]] = {
    "cosine": cosine,
    "coslog4": coslog4,
    "one_cycle": one_cycle,
}
FIRST_CYCLE, AT_REST = 0.1, 0.1  # a share of the run; of the learning rate
LOWEST = 0.04  # of the learning rate, where one cycle begins
