"""Errors in the target's unit, summed over every row."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

METRICS = ("mse", "rmse", "mae", "r2", "loss")


def title(metric: str) -> str:
    """A metric's name as people write it.

    >>> title("rmse"), title("r2"), title("loss")
    ('RMSE', 'R2', 'loss')
    """
    return metric if metric == "loss" else metric.upper()


@dataclass(frozen=True)
class Metrics:
    """In the target's unit, mse in its square; r2 is None where the target is constant. `loss`: the
    objective's own on the scaled target, where it is none of these."""

    mse: float
    rmse: float
    mae: float
    r2: float | None
    rows: int
    loss: float | None = None

    def describe(self) -> dict[str, Any]:
        """JSON values by name; a loss that is none is left out."""
        return {k: v for k, v in asdict(self).items() if v is not None or k != "loss"}

    def __str__(self) -> str:
        r2 = "" if self.r2 is None else f"   R2 {self.r2:.4f}"
        loss = "" if self.loss is None else f"   loss {self.loss:.5g}"
        errors = f"MSE {self.mse:.6g}   RMSE {self.rmse:.5g}   MAE {self.mae:.5g}{r2}{loss}"
        return f"{errors}   ({self.rows:,} rows)"


@dataclass
class Sums:
    """Running sums, in float64, from which the metrics of any number of rows follow."""

    rows: int = 0
    squared: float = 0.0
    absolute: float = 0.0
    mean: float = 0.0
    variation: float = 0.0
    loss: float | None = None

    @classmethod
    def of(
        cls, target: NDArray[Any], prediction: NDArray[Any], losses: NDArray[Any] | None = None
    ) -> Sums:
        """Of these rows alone: see `add`."""
        sums = cls()
        sums.add(target, prediction, losses)
        return sums

    def add(
        self, target: NDArray[Any], prediction: NDArray[Any], losses: NDArray[Any] | None = None
    ) -> None:
        """Add rows; both are [n] or [n, 1], of one shape. `losses`: those of the objective."""
        assert target.shape == prediction.shape, (target.shape, prediction.shape)
        if not target.size:
            return
        actual = target.astype(np.float64)
        error = prediction.astype(np.float64) - actual
        batch = Sums()
        batch.rows, batch.mean = actual.size, float(actual.mean())
        batch.squared = float(np.square(error).sum())
        batch.absolute = float(np.abs(error).sum())
        batch.variation = float(np.square(actual - batch.mean).sum())
        batch.loss = None if losses is None else float(losses.sum())
        self.merge(batch)

    def merge(self, other: Sums) -> Sums:
        """Add the rows of the other one."""
        if not other.rows:
            return self
        total = self.rows + other.rows
        between = (other.mean - self.mean) ** 2 * self.rows * other.rows / total
        if other.loss is not None:
            self.loss = (self.loss or 0.0) + other.loss
        self.squared += other.squared
        self.absolute += other.absolute
        self.variation += other.variation + between
        self.mean += (other.mean - self.mean) * other.rows / total
        self.rows = total
        return self

    def metrics(self) -> Metrics:
        mse = self.squared / self.rows
        r2 = 1 - self.squared / self.variation if self.variation else None
        mae = self.absolute / self.rows
        loss = None if self.loss is None else self.loss / self.rows
        return Metrics(mse, math.sqrt(mse), mae, r2, self.rows, loss)
