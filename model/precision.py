"""The numbers that a training step computes in: float32, or 16 bits for the products of matrices.

Micikevicius and others, "Mixed precision training" (2018), by paddle.amp at level O1: parameters
stay float32, and so does what is not a product. Evaluation and export know none of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import _C_ops, nn

from errors import DivergedError

SCALE = "loss/scale"
FIRST, MOST, STEPS = 2.0**16, 2.0**24, 2_000  # as in paddle.amp.GradScaler, but for an upper end
NOTHING = nullcontext()


class Steps(Protocol):
    def step(self) -> None: ...


class Precision:
    """float32: nothing is cast, and no loss is scaled."""

    def casts(self) -> AbstractContextManager[None]:
        """Around the network and the loss of a mini-batch."""
        return NOTHING

    def backward(self, loss: paddle.Tensor) -> None:
        """Gradients of a scalar, which may be a multiple of what `step` then uses."""
        loss.backward()

    def step(self, optimizer: Steps) -> None:
        optimizer.step()

    def state(self) -> dict[str, NDArray[np.float32]]:
        """What a resumed run needs."""
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Put back what `state` gave."""


class BFloat16(Precision):
    """The range of float32 with 8 bits: no loss need be scaled."""

    dtype = "bfloat16"

    def casts(self) -> AbstractContextManager[None]:
        # The line that some networks start from is the one `linear`: evaluation sees it in float32.
        return paddle.amp.auto_cast(custom_black_list={"linear_v2"}, level="O1", dtype=self.dtype)  # type: ignore[arg-type]


class Float16(BFloat16):
    """11 bits, from 6e-8 to 65,504: the loss is scaled up so that small gradients are not 0.

    A step whose gradients are not finite is left out, and the scale halved; after STEPS others it
    is doubled. What is not finite is asked for after each step, which waits for the device. This is
    the rule of paddle.amp.GradScaler, by its kernel; GradScaler itself knows Paddle's optimizers
    alone, prints, and turns itself off on a CPU.

    A step raises DivergedError where gradients are not finite at scale 1 either.
    """

    dtype = "float16"

    def __init__(self, network: nn.Layer) -> None:
        self.parameters = [p for p in network.parameters() if not p.stop_gradient]
        self._set(FIRST, 0)

    def _set(self, scale: float, steps: int) -> None:
        self.scale, self.steps = scale, steps
        self._scale = paddle.full([1], scale)

    def backward(self, loss: paddle.Tensor) -> None:
        (loss * self.scale).backward()

    def step(self, optimizer: Steps) -> None:
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        _, found = _C_ops.check_finite_and_unscale_(gradients, self._scale)
        if bool(found):
            if self.scale <= 1:
                raise DivergedError(
                    "gradients in float16 are not finite, and the loss cannot be scaled down "
                    "further: training diverged; try -o train.precision=bfloat16 or float32, or a "
                    "smaller optimizer.learning_rate"
                )
            return self._set(self.scale / 2, 0)
        optimizer.step()
        self.steps += 1
        if self.steps == STEPS:
            self._set(min(2 * self.scale, MOST), 0)
        return None

    def state(self) -> dict[str, NDArray[np.float32]]:
        return {SCALE: np.array([self.scale, self.steps], dtype=np.float32)}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        scale, steps = np.nan_to_num(state[SCALE]).tolist()
        self._set(min(max(1.0, scale), MOST), int(min(max(0, steps), STEPS - 1)))


def build_precision(name: str, network: nn.Layer) -> Precision:
    """float32, bfloat16 or float16, for the steps of this network."""
    if name == "float16":
        return Float16(network)
    return BFloat16() if name == "bfloat16" else Precision()
