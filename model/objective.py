"""What training minimises, what it watches, and what a prediction is made of.

The loss is computed on the scaled target, so that a learning rate does not depend on the target's
unit. Importing this file does not import Paddle: a recipe's choice is known before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import paddle

    from model.input_layers import TargetScale
    from model.intervals import Ends, Margins

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


class Objective:
    """The base of all: a network gives `width` numbers a row on the scaled target, each of its
    members, if it has several, so many.

    `watched`: the metric, of reader.metrics.Metrics, whose best epoch is exported, and whether a
    smaller one is better; "loss" is what `measure` says. `margins`: of intervals; None: there are
    none, until `calibrate` sets them.
    """

    watched: ClassVar[str]
    smaller_is_better: ClassVar[bool] = True
    quadratic: ClassVar[bool] = False
    """whether the loss of a line is a parabola, whose curvature its moments tell"""

    def __init__(self, target: TargetScale) -> None:
        from paddle.nn import functional

        self.target, self.functional = target, functional
        self.margins: Margins | None = None
        self.ends: Ends | None = None
        self.width = self.width_of()

    def calibrate(self, margins: Margins) -> None:
        """Give each prediction an interval."""
        from model.intervals import Ends

        center, scale = self.target.center.item(), self.target.scale.item()
        self.margins, self.ends = margins, Ends(margins, center, scale)

    @classmethod
    def width_of(cls, **options: Any) -> int:
        """The numbers that a network gives a row, with these keys of the recipe."""
        return 1

    @property
    def outputs(self) -> list[str]:
        """The columns of a prediction."""
        return ["prediction"] if self.margins is None else ["prediction", "lower", "upper"]

    def is_better(self, value: float, best: float | None) -> bool:
        """Whether a watched value is better than the best so far, None before the first."""
        if best is None:
            return True
        return value < best if self.smaller_is_better else value > best

    def loss(self, output: paddle.Tensor, target: paddle.Tensor) -> paddle.Tensor:
        """Of a network's output [n, width], or [n, members, width], and the scaled target [n, 1],
        the mean over rows and members: a scalar."""
        if output.ndim == 3:
            target = target.unsqueeze(1).expand([-1, output.shape[1], -1])
        return self.mean_loss(output, target)

    def mean_loss(self, output: paddle.Tensor, target: paddle.Tensor) -> paddle.Tensor:
        """The mean of the loss of output [..., width] and target [..., 1]."""
        raise NotImplementedError

    def finish(self, output: paddle.Tensor) -> paddle.Tensor:
        """[n, width], or [n, members, width], of which the mean is taken -> [n, len(outputs)] in
        the target's unit, float64."""
        if output.ndim == 3:
            output = output.sum(axis=1) * (1 / output.shape[1])
        if self.ends is not None:
            return self.ends(self.target.limited(output))
        return self.target.inverse(output)

    def check_shapes(self, output: paddle.Tensor, target: paddle.Tensor) -> None:
        """A loss of [n, 1] and [n] would be that of all n^2 pairs: raises AssertionError."""
        rows, width = target.shape[0], self.width
        assert target.shape == [rows, 1], target.shape
        is_right = output.ndim in (2, 3) and output.shape[0] == rows and output.shape[-1] == width
        assert is_right, (output.shape, target.shape)

    def measure(self, output: Matrix, target: Matrix) -> Vector:
        """The loss [n] of each row, of predictions [n, k] and targets [n, 1] on the scaled
        target."""
        raise NotImplementedError

    def reweight(self, residual: Vector, smoothing: float) -> Vector:
        """For residuals [n], on the scaled target, the weights [n] of the least squares that have
        the loss's slope there; a corner of the loss is rounded off over `smoothing`."""
        raise NotImplementedError


class SquaredError(Objective):
    """The mean of (output - target)^2."""

    watched = "mse"
    quadratic = True

    def mean_loss(self, output: paddle.Tensor, target: paddle.Tensor) -> paddle.Tensor:
        return self.functional.mse_loss(output, target)

    def measure(self, output: Matrix, target: Matrix) -> Vector:
        return np.square(output[:, 0] - target[:, 0])

    def reweight(self, residual: Vector, smoothing: float) -> Vector:
        return np.ones_like(residual)


class AbsoluteError(Objective):
    """The mean of |output - target|: a line of it goes through the middle of the rows, and a few
    far ones pull it no more than near ones."""

    watched = "mae"

    def mean_loss(self, output: paddle.Tensor, target: paddle.Tensor) -> paddle.Tensor:
        return self.functional.l1_loss(output, target)

    def measure(self, output: Matrix, target: Matrix) -> Vector:
        return np.abs(output[:, 0] - target[:, 0])

    def reweight(self, residual: Vector, smoothing: float) -> Vector:
        return 1 / np.hypot(residual, smoothing)


class Huber(Objective):
    """Half the squared error up to `delta`, and beyond it a line of the same slope; `delta` counts
    on the scaled target. Huber, "Robust estimation of a location parameter" (1964)."""

    watched = "loss"

    def __init__(self, target: TargetScale, delta: float = 1.0) -> None:
        super().__init__(target)
        self.delta = delta

    def mean_loss(self, output: paddle.Tensor, target: paddle.Tensor) -> paddle.Tensor:
        return self.functional.smooth_l1_loss(output, target, delta=self.delta)

    def measure(self, output: Matrix, target: Matrix) -> Vector:
        error = np.abs(output[:, 0] - target[:, 0])
        near = np.minimum(error, self.delta)
        return near * (error - 0.5 * near)

    def reweight(self, residual: Vector, smoothing: float) -> Vector:
        return self.delta / np.maximum(np.abs(residual), self.delta)


OBJECTIVES: dict[str, type[Objective]] = {
    "mse": SquaredError,
    "mae": AbsoluteError,
    "huber": Huber,
}
