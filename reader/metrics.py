"""Errors in the target's unit, summed over every row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Metrics:
    """In the target's unit, mse in its square; r2 is None where the target is constant."""

    mse: float
    rmse: float
    mae: float
    r2: float | None
    rows: int

    def describe(self) -> dict[str, Any]:
        """JSON values by name."""
        return asdict(self)

    def __str__(self) -> str:
        r2 = "" if self.r2 is None else f"   R2 {self.r2:.4f}"
        errors = f"MSE {self.mse:.6g}   RMSE {self.rmse:.5g}   MAE {self.mae:.5g}{r2}"
        return f"{errors}   ({self.rows:,} rows)"


def mean_and_deviation(folds: Sequence[Metrics]) -> dict[str, Any]:
    """Each metric's mean and standard deviation over folds, and each fold's: JSON values."""
    each = [fold.describe() for fold in folds]
    found: dict[str, Any] = {"count": len(folds), "each": each}
    for name in ("mse", "rmse", "mae", "r2"):
        values = [fold[name] for fold in each if fold[name] is not None]
        if values:
            deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
            found[name] = {"mean": float(np.mean(values)), "deviation": deviation}
    return found


class Sums:
    """Running sums, in float64, from which the metrics of any number of rows follow."""

    def __init__(self) -> None:
        self.rows = 0
        self.squared = self.absolute = self.mean = self.spread = 0.0

    def add(self, target: NDArray[Any], prediction: NDArray[Any]) -> None:
        """Add rows; both are [n] or [n, 1], of one shape."""
        assert target.shape == prediction.shape, (target.shape, prediction.shape)
        if not target.size:
            return
        actual = target.astype(np.float64)
        error = prediction.astype(np.float64) - actual
        found = Sums()
        found.rows, found.mean = actual.size, float(actual.mean())
        found.squared = float(np.square(error).sum())
        found.absolute = float(np.abs(error).sum())
        found.spread = float(np.square(actual - found.mean).sum())
        self.merge(found)

    def merge(self, other: Sums) -> None:
        """Add the rows of the other one."""
        if not other.rows:
            return
        total = self.rows + other.rows
        between = (other.mean - self.mean) ** 2 * self.rows * other.rows / total
        self.squared += other.squared
        self.absolute += other.absolute
        self.spread += other.spread + between
        self.mean += (other.mean - self.mean) * other.rows / total
        self.rows = total

    def metrics(self) -> Metrics:
        mse = self.squared / self.rows
        r2 = 1 - self.squared / self.spread if self.spread else None
        return Metrics(mse, math.sqrt(mse), self.absolute / self.rows, r2, self.rows)
