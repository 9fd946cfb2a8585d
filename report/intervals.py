"""Intervals that hold a share of the true values, by split conformal prediction.

Papadopoulos et al., "Inductive confidence machines for regression" (2002); Lei et al.,
"Distribution-free predictive inference for regression" (2018).
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


class TargetScale(Protocol):
    """How the target is scaled, and back."""

    def transform(self, y: Vector) -> Vector: ...

    def inverse(self, z: Vector) -> NDArray[np.float64]: ...


def calibrate(scale: TargetScale, target: Vector, prediction: Vector, coverage: float) -> float:
    """The margin on the scaled target that holds ceil((n + 1) coverage) of the n validation rows,
    of which target and prediction [n] are in the target's unit."""
    errors = np.abs(scale.transform(prediction) - scale.transform(target))
    rank = math.ceil((len(errors) + 1) * coverage - 1e-9)
    return float(np.partition(errors, rank - 1)[rank - 1])


def measure(
    scale: TargetScale, target: Vector, prediction: Vector, margin: float
) -> tuple[float, float]:
    """(the share of the true values [n] that the intervals hold, their mean width)."""
    scaled = scale.transform(prediction)
    lower, upper = scale.inverse(scaled - margin), scale.inverse(scaled + margin)
    return float(np.mean((lower <= target) & (target <= upper))), float(np.mean(upper - lower))
