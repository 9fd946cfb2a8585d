"""How far a figure can be believed, and what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]
MOST_LEVELS = 40


def bootstrap(
    target: Vector, prediction: Vector, seed: int = 0, resamples: int = 1_000, groups: int = 2_000
) -> dict[str, list[float] | None]:
    """95 % percentile intervals of mse, rmse, mae and r2 (None where the target is constant).

    Efron, "Bootstrap methods: another look at the jackknife" (1979). More than `groups` rows are
    dealt at random into so many groups of sums, and groups are drawn in place of rows.
    """
    random = np.random.default_rng(seed)
    error, centred = prediction - target, target - target.mean()
    columns = np.stack([np.ones_like(error), error**2, np.abs(error), centred, centred**2], axis=1)
    count = min(groups, len(target))
    sums = np.zeros((count, columns.shape[1]))
    np.add.at(sums, random.permutation(len(target)) % count, columns)
    drawn = random.multinomial(count, np.full(count, 1 / count), size=resamples) @ sums
    rows, squared, absolute, total, squares = drawn.T
    spread = squares - total**2 / rows
    found: dict[str, Vector] = {
        "mse": squared / rows,
        "rmse": np.sqrt(squared / rows),
        "mae": absolute / rows,
    }
    ends: dict[str, list[float] | None] = {
        name: np.quantile(values, [0.025, 0.975]).tolist() for name, values in found.items()
    }
    varies = spread > 0
    r2 = 1 - squared[varies] / spread[varies]
    ends["r2"] = np.quantile(r2, [0.025, 0.975]).tolist() if r2.size else None
    return ends


def permutation_importance(
    predict: Predict,
    rows: NDArray[np.float32],
    target: NDArray[np.float32],
    columns: Mapping[str, Sequence[int]],
    seed: int = 0,
    repeats: int = 5,
) -> list[dict[str, Any]]:
    """How much the MSE rises when the columns of one feature are shuffled, the largest first.

    `predict`: float32 [N, P] -> [N]; `columns`: positions by feature. Breiman, "Random forests"
    (2001); Fisher, Rudin and Dominici, "All models are wrong, but many are useful" (2019).
    """
    random = np.random.default_rng(seed)

    def mse(features: NDArray[np.float32]) -> float:
        return float(np.mean((predict(features).astype(np.float64) - target) ** 2))

    before, found = mse(rows), []
    for name, positions in columns.items():
        rises = []
        for _ in range(repeats):
            shuffled = rows.copy()
            order = random.permutation(len(rows))
            shuffled[:, positions] = rows[order][:, positions]
            rises.append(mse(shuffled) - before)
        found.append(
            {
                "name": name,
                "mse_increase": float(np.mean(rises)),
                "deviation": float(np.std(rises, ddof=1)),
            }
        )
    return sorted(found, key=lambda column: -float(column["mse_increase"]))


def standard_errors(covariance: NDArray[np.float64], mse: float, rows: int) -> Vector:
    """Of the weights [D] of a least-squares line with a bias, in raw units.

    sigma^2 (X'X)^-1 of the textbook, from the population covariance [D + 1, D + 1] of features and
    target. NaN for a column that is constant or follows from others, and with too few rows.
    """
    deviation = np.sqrt(np.diag(covariance)[:-1])
    scale = np.where(deviation > 0, deviation, 1.0)
    values, vectors = np.linalg.eigh(covariance[:-1, :-1] / np.outer(scale, scale))
    varies = values > values[-1] * len(values) * np.finfo(np.float64).eps
    free = rows - int(varies.sum()) - 1
    if free <= 0:
        return np.full(len(scale), np.nan)
    inverse = ((vectors[:, varies] ** 2) / values[varies]).sum(axis=1)
    determined = (vectors[:, ~varies] ** 2).sum(axis=1) < 1e-9
    errors = np.sqrt(inverse * mse / free) / scale
    return np.where(determined, errors, np.nan)


def histogram(residual: Vector, bins: int = 40) -> dict[str, Any]:
    """Counts between edges: JSON values."""
    low, high = float(residual.min()), float(residual.max())
    least = 1e-6 * max(abs(low), abs(high), 1e-30)  # bins narrower than rounding have no edges
    if high - low < least:
        low, high = low - least, high + least
    counts, edges = np.histogram(residual, bins=bins, range=(low, high))
    return {"counts": counts.tolist(), "edges": edges.tolist()}


def by_level(
    levels: Sequence[str | None], codes: NDArray[np.integer[Any]], residual: Vector
) -> list[dict[str, Any]]:
    """Mean residual and RMSE of each level, the commonest first; code 0 is an unknown one."""
    names = ["(other)", *levels]
    rows = np.bincount(codes, minlength=len(names))
    total = np.bincount(codes, weights=residual, minlength=len(names))
    squared = np.bincount(codes, weights=residual**2, minlength=len(names))
    often = np.argsort(-rows, kind="stable")[:MOST_LEVELS]
    return [
        {
            "level": names[code],
            "rows": int(rows[code]),
            "mean": float(total[code] / rows[code]),
            "rmse": float(np.sqrt(squared[code] / rows[code])),
        }
        for code in often
        if rows[code]
    ]


def worst(target: Vector, prediction: Vector, count: int = 20) -> NDArray[np.intp]:
    """Positions of the largest errors, the largest first."""
    return np.argsort(-np.abs(prediction - target), kind="stable")[:count]
