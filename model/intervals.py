"""The ends of an interval around a prediction: in NumPy, and as a layer of the exported graph.

Both work on y, or where the target is scaled by its logarithm on log(1 + y), in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import nn

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
STEEPEST = 50.0


class Hinges(NamedTuple):
    """A piecewise linear function of z: max(z * gain + offset, 0) @ weights, of [H], [H] and
    [H, 3]."""

    gain: Vector
    offset: Vector
    weights: Matrix


@dataclass(frozen=True, eq=False)
class Margins:
    """How far an interval reaches `below` and `above` a prediction, [K] each, at `knots` [K] of the
    prediction, which increase: linear between two knots, constant beyond the last ones. With `log`
    all are of log(1 + y).

    >>> margins = Margins(np.array([0.0, 10.0]), np.array([1.0, 3.0]), np.array([1.0, 3.0]))
    >>> margins.ends(np.array([-5.0, 5.0, 20.0]))
    (array([-6.,  3., 17.], dtype=float32), array([-4.,  7., 23.], dtype=float32))
    """

    knots: Vector
    below: Vector
    above: Vector
    log: bool = False

    def ends(self, prediction: NDArray[np.floating]) -> tuple[NDArray[np.float32], ...]:
        """(lower [n], upper [n]) of predictions [n], all in the target's unit."""
        z = self.straighten(prediction)
        lower = z - np.interp(z, self.knots, self.below)
        upper = z + np.interp(z, self.knots, self.above)
        ends = np.stack([lower, upper])
        lower, upper = (np.expm1(ends) if self.log else ends).astype(np.float32)
        return lower, upper

    def straighten(self, values: NDArray[np.floating]) -> Vector:
        """y, or log(1 + y), in float64."""
        exact = values.astype(np.float64)
        return np.log1p(exact) if self.log else exact

    def eased(self) -> Margins:
        """Where a margin changes by more than STEEPEST times the prediction, the smaller one grows:
        an end would else amplify the rounding of its prediction."""
        apart = STEEPEST * np.abs(self.knots[:, None] - self.knots)
        below, above = ((side - apart).max(axis=1) for side in (self.below, self.above))
        return Margins(self.knots, below, above, self.log)

    def within(self, low: float, high: float) -> Margins:
        """No end leaves [low, high], on the scale of the knots, unless the prediction does; it then
        is the prediction. Below some prediction every lower end is `low`, above some other every
        upper end is `high`: to the bit, for many targets may lie there, such as counts of 0."""
        first = _last_touch(self.knots, self.below, low)
        last = -_last_touch(-self.knots[::-1], self.above[::-1], -high)
        bounds = np.array([low, first, last, high])
        every = np.union1d(self.knots, bounds[np.isfinite(bounds)])
        below, above = (np.interp(every, self.knots, side) for side in (self.below, self.above))
        return Margins(
            every,
            np.where(every <= first, np.maximum(every - low, 0), below),
            np.where(every >= last, np.maximum(high - every, 0), above),
            self.log,
        )

    def hinges(self) -> Hinges:
        """Of the prediction and both ends."""
        sides = np.stack([-self.below, self.above])
        slopes = np.diff(sides) / np.diff(self.knots)
        bends = np.diff(np.pad(slopes, ((0, 0), (1, 1)))).T
        bends[np.abs(bends) < 1e-9] = 0  # rounding, which an end must not add up
        kept = bends.any(axis=1)
        knots, bends = self.knots[kept], bends[kept]
        return Hinges(
            gain=np.array([1.0, -1.0, 0.0, *np.ones_like(knots)]),
            offset=np.array([0.0, 0.0, 1.0, *-knots]),
            weights=np.vstack(
                [[[1, 1, 1], [-1, -1, -1], [0, *sides[:, 0]]], np.pad(bends, ((0, 0), (1, 0)))]
            ),
        )


def _last_touch(knots: Vector, reach: Vector, low: float) -> float:
    """The largest prediction whose lower end, by its `reach`, is not above `low`."""
    if not np.isfinite(low):
        return low
    grid = np.union1d(knots, [low, low + reach.max()])
    gap = np.interp(grid, knots, reach) - (grid - low)
    at = np.flatnonzero(gap >= 0)[-1]
    if at + 1 == len(grid):
        return float(grid[at])
    share = gap[at] / (gap[at] - gap[at + 1])
    return float(grid[at] + share * (grid[at + 1] - grid[at]))


class Ends(nn.Layer):
    """[n, 1], of which `scale` times and `center` more is what `margins` are of -> prediction,
    lower and upper end in the target's unit: float64 [n, 3]."""

    def __init__(self, margins: Margins, center: float, scale: float) -> None:
        super().__init__()
        gain, offset, weights = margins.hinges()
        self.register_buffer("gain", paddle.to_tensor(scale * gain[None]))
        self.register_buffer("offset", paddle.to_tensor(center * gain + offset))
        self.register_buffer("weights", paddle.to_tensor(weights))
        self.log = margins.log

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        hinges = F.relu(F.linear(x.astype("float64"), self.gain, self.offset))
        ends = F.linear(hinges, self.weights)
        return paddle.expm1(ends) if self.log else ends
