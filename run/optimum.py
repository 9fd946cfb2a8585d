"""The best straight line through the training rows, in closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Optimum:
    """Least squares: `weights` [D] and `bias` in raw units, `mse` in the target's unit squared."""

    weights: Vector
    bias: float
    mse: float

    def excess(
        self,
        weights: Vector,
        bias: float,
        mean: Vector,
        covariance: NDArray[np.float64],
        penalty: Vector | float = 0.0,
    ) -> float:
        """By how much the loss of another line on the same rows is above this one: that of all
        rows, from their moments alone (see least_squares for these and for `penalty`)."""
        apart = weights - self.weights
        shifted = bias - self.bias + mean[:-1] @ apart
        curvature = covariance[:-1, :-1] + ridge(penalty, len(apart))
        return float(apart @ curvature @ apart + shifted**2)

    def describe(self, mse: float) -> dict[str, float | None]:
        """The optimum, and by what share `mse` is above it: the gap, None if the fit is exact."""
        return {"train_mse": self.mse, "gap": mse / self.mse - 1 if self.mse else None}


GAPS = {"10%": 0.1, "1%": 0.01, "0.1%": 0.001}


def epochs_to_gap(optimum: float, history: Sequence[Mapping[str, float]]) -> dict[str, int | None]:
    """For each gap the first epoch whose training MSE was no further above the optimum."""
    return {
        name: next((int(e["epoch"]) for e in history if e["train"] <= optimum * (1 + gap)), None)
        for name, gap in GAPS.items()
    }


def ridge(penalty: Vector | float, columns: int) -> NDArray[np.float64]:
    """A penalty for all columns, for each, or for each pair of them, as a matrix [D, D]."""
    values = np.asarray(penalty, dtype=np.float64)
    return values if values.ndim == 2 else np.diag(np.broadcast_to(values, columns))


def least_squares(
    mean: Vector, covariance: NDArray[np.float64], penalty: Vector | float = 0.0
) -> Optimum:
    """Solve from the mean [D + 1] and covariance [D + 1, D + 1] of features and target (last).

    `penalty` (a number, [D] or [D, D]) is added to the features' variances, or covariances: ridge
    regression, with the bias left alone (Hoerl and Kennard, 1970). `mse` is then that of the
    penalised solution.

    The normal equations of standardised features, by eigenvalues; directions in which the
    features do not vary (a constant column, a column that is the sum of others) get weight 0.
    """
    deviation = np.sqrt(np.diag(covariance)[:-1])
    scale = np.where(deviation > 0, deviation, 1.0)
    correlation = covariance[:-1, :-1] / np.outer(scale, scale)
    with_target = covariance[:-1, -1] / scale
    penalised = correlation + ridge(penalty, len(scale)) / np.outer(scale, scale)
    values, vectors = np.linalg.eigh(penalised)
    varies = values > values[-1] * len(values) * np.finfo(np.float64).eps
    basis = vectors[:, varies]
    standardised = basis @ ((basis.T @ with_target) / values[varies])
    residual = covariance[-1, -1] - standardised @ (2 * with_target - correlation @ standardised)
    # Below this the difference of two nearly equal numbers is rounding, and the fit is exact.
    exact = covariance[-1, -1] * 1e-12
    weights = standardised / scale
    return Optimum(
        weights=weights,
        bias=float(mean[-1] - mean[:-1] @ weights),
        mse=float(residual) if residual > exact else 0.0,
    )
