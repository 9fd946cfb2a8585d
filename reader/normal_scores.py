"""What quantiles of training rows say of a column: the normal scores of its values."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
MOST_KNOTS = 256


def normal_scores(values: NDArray[np.float32]) -> tuple[Vector, Vector]:
    """(knots [K], scores [K]) of a column's values [n] without NaN: a value whose rank, ties
    sharing theirs, is a share p of all has the p-quantile of the standard normal distribution. At
    most MOST_KNOTS of the distinct values, those spaced evenly by rank.

    >>> knots, scores = normal_scores(np.array([3, 1, 1, 5], dtype=np.float32))
    >>> knots.tolist(), scores.round(2).tolist()
    ([1.0, 3.0, 5.0], [-0.67, 0.32, 1.15])
    """
    knots, counts = np.unique(values.astype(np.float64), return_counts=True)
    ends = np.cumsum(counts)
    shares = (ends - counts / 2) / max(1, len(values))
    if len(knots) > MOST_KNOTS:
        at = np.searchsorted(shares, np.linspace(shares[0], shares[-1], MOST_KNOTS))
        kept = np.unique(np.minimum(at, len(knots) - 1))
        knots, shares = knots[kept], shares[kept]
    inverse = NormalDist().inv_cdf
    return knots, np.array([inverse(share) for share in shares])


def quartiles(rows: NDArray[np.float32]) -> tuple[Vector, Vector]:
    """(median [D], distance of the quartiles [D]) of columns [n, D]; half the range where both
    quartiles are one value, and 1 for a constant."""
    low, median, high = np.quantile(rows.astype(np.float64), [0.25, 0.5, 0.75], axis=0)
    half = 0.5 * (rows.max(axis=0).astype(np.float64) - rows.min(axis=0))
    scale = np.where(high > low, high - low, np.where(half > 0, half, 1.0))
    return median, scale
