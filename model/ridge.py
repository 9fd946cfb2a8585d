"""The line that a network starts from: ridge regression, as strong as the rows ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
FOLDS = 5
MOST_COLUMNS = 1_024  # the time of eigenvalues grows with the cube of their number
PENALTIES = np.array([0.0, *np.geomspace(1e-7, 10, 17)])  # on standardised columns


class Fold(NamedTuple):
    """Some of the rows: how many, and the mean [D + 1] and covariance [D + 1, D + 1] of columns and
    target (last)."""

    rows: int
    mean: Vector
    covariance: Matrix


def ridge(folds: Sequence[Fold]) -> tuple[Vector, float]:
    """(weights [D], bias) of the line over all folds.

    Its penalty is the one of PENALTIES with the least error in cross-validation: of the lines that
    all folds but one teach, on that one. All of it follows from the moments. Without a second fold,
    or with more than MOST_COLUMNS columns, all weights are 0.
    """
    whole = _merged(folds)
    columns = len(whole.mean) - 1
    if len(folds) < 2 or not 0 < columns <= MOST_COLUMNS:
        return np.zeros(columns), float(whole.mean[-1])
    errors = np.zeros(len(PENALTIES))
    for index, fold in enumerate(folds):
        others = _merged([*folds[:index], *folds[index + 1 :]])
        residual = np.hstack([-_lines(others), np.ones((len(PENALTIES), 1))])
        spread = np.einsum("pd,pd->p", residual @ fold.covariance, residual)
        errors += fold.rows * (spread + (residual @ (fold.mean - others.mean)) ** 2)
    weights = _lines(whole)[int(np.argmin(errors))]
    return weights, float(whole.mean[-1] - whole.mean[:-1] @ weights)


def _lines(fold: Fold) -> Matrix:
    """The weights for each penalty [len(PENALTIES), D]; a direction in which the columns do not
    vary has weight 0."""
    covariance = fold.covariance
    deviation = np.sqrt(np.maximum(np.diag(covariance)[:-1], 0))
    scale = np.where(deviation > 0, deviation, 1.0)
    values, vectors = np.linalg.eigh(covariance[:-1, :-1] / np.outer(scale, scale))
    varies = values > max(values[-1], 0) * len(values) * np.finfo(np.float64).eps
    values, vectors = values[varies], vectors[:, varies]
    along = vectors.T @ (covariance[:-1, -1] / scale)
    return (along / (values + PENALTIES[:, None])) @ vectors.T / scale


def _merged(folds: Sequence[Fold]) -> Fold:
    """The moments of all their rows."""
    rows = sum(fold.rows for fold in folds)
    mean = np.sum([fold.rows * fold.mean for fold in folds], axis=0) / rows
    covariance = np.zeros_like(folds[0].covariance)
    for fold in folds:
        apart = fold.mean - mean
        covariance += fold.rows / rows * (fold.covariance + np.outer(apart, apart))
    return Fold(rows, mean, covariance)
