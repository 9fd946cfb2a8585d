"""How far a figure can be believed, and what it rests on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reader.fitting import OTHER
from report.report import ColumnImportance, Confidence, Interval, Level, Pattern

Vector = NDArray[np.float64]
Matrix = NDArray[np.float32]
Predict = Callable[[Matrix], NDArray[np.float32]]
MOST_LEVELS = 40
BINS = 10
LEAST_SHARE = 0.03  # of the variance of residuals: below it a curve is not worth another model


def bootstrap(
    target: Vector, prediction: Vector, seed: int = 0, resamples: int = 1_000, groups: int = 2_000
) -> Confidence:
    """95 % percentile intervals of the metrics of `prediction` [N] against `target` [N], float64.

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
    varies = spread > 0
    return Confidence(
        mse=_middle(squared / rows),
        rmse=_middle(np.sqrt(squared / rows)),
        mae=_middle(absolute / rows),
        r2=_middle(1 - squared[varies] / spread[varies]) if varies.any() else None,
    )


def _middle(values: Vector) -> Interval:
    """The interval that holds 95 % of the values, and leaves as many below it as above."""
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def permutation_importance(
    predict: Predict,
    rows: Matrix,
    target: NDArray[np.float32],
    prediction: NDArray[np.float32],
    columns: Mapping[str, Sequence[int]],
    repeats: int = 5,
) -> list[ColumnImportance]:
    """How much the RMSE rises when the values of one feature are shuffled, the largest rise first.

    `predict`: float32 [n, D] -> [n]; `rows`: float32 [N, D], with `target` and `prediction` float32
    [N]; `columns`: the positions of each feature among the D. Breiman, "Random forests" (2001);
    Fisher, Rudin and Dominici, "All models are wrong, but many are useful" (2019).
    """
    random = np.random.default_rng(0)

    def rmse(predicted: NDArray[np.float32]) -> float:
        return math.sqrt(float(np.mean((predicted.astype(np.float64) - target) ** 2)))

    before, importances = rmse(prediction), []
    for name, positions in columns.items():
        rises = []
        for _ in range(repeats):
            shuffled = rows.copy()
            order = random.permutation(len(rows))
            shuffled[:, positions] = rows[order][:, positions]
            rises.append(rmse(predict(shuffled)) - before)
        rise, deviation = float(np.mean(rises)), float(np.std(rises, ddof=1))
        importances.append(ColumnImportance(name, rise, deviation))
    return sorted(importances, key=lambda column: -column.rmse_increase)


def histogram(residual: Vector, bins: int = 40) -> tuple[list[int], list[float]]:
    """Counts [bins] of the residuals float64 [N], and the edges [bins + 1] between them."""
    low, high = float(residual.min()), float(residual.max())
    least = 1e-6 * max(abs(low), abs(high), 1e-30)  # bins narrower than rounding have no edges
    if high - low < least:
        low, high = low - least, high + least
    counts, edges = np.histogram(residual, bins=bins, range=(low, high))
    return counts.tolist(), edges.tolist()


def by_level(
    levels: Sequence[str | None], codes: NDArray[np.integer[Any]], residual: Vector
) -> list[Level]:
    """Mean residual and RMSE of each level, the commonest first.

    `codes` [N] count the levels from 1, and 0 is an unknown one; `residual`: float64 [N].
    """
    names = [OTHER, *levels]
    rows = np.bincount(codes, minlength=len(names))
    total = np.bincount(codes, weights=residual, minlength=len(names))
    squared = np.bincount(codes, weights=residual**2, minlength=len(names))
    often = np.argsort(-rows, kind="stable")[:MOST_LEVELS]
    return [
        Level(
            level=names[code],
            rows=int(rows[code]),
            mean=float(total[code] / rows[code]),
            rmse=float(np.sqrt(squared[code] / rows[code])),
        )
        for code in often
        if rows[code]
    ]


def patterns(columns: Mapping[str, Matrix], residual: Vector) -> list[Pattern]:
    """The columns, float32 [N] each, by whose value the residuals float64 [N] still follow a curve.

    Of each column, the share of their variance that the means of ten bins of equally many rows
    explain, adjusted for the number of bins (a one-way analysis of variance: Fisher, "Statistical
    Methods for Research Workers", 1925). Named is what explains a share worth having, and four
    deviations more than noise would.
    """
    found = []
    for name, values in columns.items():
        known = np.isfinite(values)
        rows, left = int(known.sum()), residual[known]
        if rows < 2 * BINS:
            continue
        edges = np.unique(np.quantile(values[known], np.linspace(0, 1, BINS + 1)[1:-1]))
        bins = np.searchsorted(edges, values[known], side="right")
        counts = np.bincount(bins)
        groups = int((counts > 0).sum())
        if rows < 10 * groups or groups < 2 or not left.var():
            continue
        means = np.bincount(bins, weights=left) / np.maximum(counts, 1)
        within = float(((left - means[bins]) ** 2).sum()) / (rows - groups)
        share = 1 - within / float(left.var(ddof=1))
        if share > max(LEAST_SHARE, 4 * math.sqrt(2 * (groups - 1)) / rows):
            found.append(Pattern(name, share))
    return sorted(found, key=lambda pattern: -pattern.share)[:BINS]


def worst(target: Vector, prediction: Vector, count: int = 20) -> NDArray[np.intp]:
    """Positions [count] of the largest errors among float64 [N], the largest first."""
    return np.argsort(-np.abs(prediction - target), kind="stable")[:count]
