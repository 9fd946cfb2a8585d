"""Errors in the target's unit, summed over every row."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Metrics:
    """mse in the target's unit squared, rmse and mae in its unit; r2 is None for a constant target."""

    mse: float
    rmse: float
    mae: float
    r2: float | None
    rows: int

    def describe(self) -> dict[str, Any]:
        return asdict(self)


class Sums:
    """Running sums, in float64, from which the metrics of any number of rows follow."""

    def __init__(self) -> None:
        self.rows = 0
        self.squared = self.absolute = self.mean = self.spread = 0.0

    def add(self, target: NDArray[Any], prediction: NDArray[Any]) -> None:
        """Add rows; both are [n] or [n, 1], n >= 1, of one shape."""
        assert target.shape == prediction.shape, (target.shape, prediction.shape)
        actual = target.astype(np.float64)
        error = prediction.astype(np.float64) - actual
        self.squared += float(np.sum(error**2))
        self.absolute += float(np.sum(np.abs(error)))
        count, mean = actual.size, float(actual.mean())
        total = self.rows + count
        self.spread += float(np.sum((actual - mean) ** 2))
        self.spread += (mean - self.mean) ** 2 * self.rows * count / total
        self.mean += (mean - self.mean) * count / total
        self.rows = total

    def metrics(self) -> Metrics:
        mse = self.squared / self.rows
        r2 = 1 - self.squared / self.spread if self.spread else None
        return Metrics(mse, math.sqrt(mse), self.absolute / self.rows, r2, self.rows)
