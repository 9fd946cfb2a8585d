"""The line that a network starts from: ridge regression, as strong as the rows ask for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
MOST_COLUMNS = 2_048  # the time of eigenvalues grows with the cube of their number


def ridge(mean: Vector, covariance: Matrix, rows: int) -> tuple[Vector, float]:
    """(weights [D], bias), from the mean [D + 1] and covariance [D + 1, D + 1] of columns and
    target (last) over so many rows.

    The penalty, on standardised columns, is the one of least generalised cross-validation error:
    what each row would miss if the others alone had taught the line (Golub, Heath and Wahba,
    "Generalized cross-validation as a method for choosing a good ridge parameter", 1979). Of more
    than MOST_COLUMNS columns there is no line: all weights are 0.

    >>> x = np.array([[0.0, 1.0], [1.0, 3.0], [2.0, 5.0]])
    >>> weights, bias = ridge(x.mean(axis=0), np.cov(x.T, bias=True), 3)
    >>> round(float(weights[0]), 4), round(bias, 4)
    (2.0, 1.0)
    """
    columns = len(mean) - 1
    if not columns or columns > MOST_COLUMNS:
        return np.zeros(columns), float(mean[-1])
    deviation = np.sqrt(np.diag(covariance)[:-1])
    scale = np.where(deviation > 0, deviation, 1.0)
    values, vectors = np.linalg.eigh(covariance[:-1, :-1] / np.outer(scale, scale))
    varies = values > max(values[-1], 0) * columns * np.finfo(np.float64).eps
    values, vectors = values[varies], vectors[:, varies]
    along = vectors.T @ (covariance[:-1, -1] / scale)
    penalties = np.array([0.0, *np.geomspace(1e-8, 1e2, 41)])
    shrunk = values + penalties[:, None]
    missed = covariance[-1, -1] - (along**2 * (shrunk + penalties[:, None]) / shrunk**2).sum(axis=1)
    free = 1 - (1 + (values / shrunk).sum(axis=1)) / rows
    errors = np.where(free > 0, np.maximum(missed, 0) / np.maximum(free, 1e-12) ** 2, np.inf)
    penalty = penalties[int(np.argmin(errors))]
    weights = vectors @ (along / (values + penalty)) / scale
    return weights, float(mean[-1] - mean[:-1] @ weights)
