"""Covariances factored once: whitening, least squares and standard errors all follow from that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
PANEL = 64  # columns between two updates of the whole matrix, which are products of matrices
EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Factor:
    """A covariance [D, D] as far as its columns are independent.

    `scale` [D]: what the columns were divided by before. `kept`: the columns that all others follow
    from; `inverse` [r, len(kept)]: r rows of the inverse of their lower Cholesky factor; `others`
    [D - len(kept), len(kept)]: what the columns of `left_out` are made of; `exact`
    [D - len(kept)]: which of them are that and nothing else. Many weights then give one line: the
    shortest are found, of scaled columns, so that copies share a weight. What is not exact has
    weight 0: it would add its rounding.
    """

    scale: Vector
    kept: NDArray[np.intp]
    inverse: Matrix
    left_out: NDArray[np.intp]
    others: Matrix
    exact: NDArray[np.bool_]

    @property
    def rank(self) -> int:
        return len(self.inverse)

    def root(self) -> Matrix:
        """W [D, r] with W' A W = 1; where all of `left_out` is exact, W W' is the pseudoinverse of
        A, both of scaled columns."""
        return self._shortest(self.inverse.T)

    def solve(self, right: NDArray[np.float64]) -> NDArray[np.float64]:
        """The shortest x of A x = right, [D, n], in scaled columns."""
        scaled = right[self.kept] / self.scale[self.kept, None]
        return self._shortest(self.inverse.T @ (self.inverse @ scaled))

    def _shortest(self, weights: Matrix) -> Matrix:
        """[len(kept), n] of scaled columns -> [D, n] of raw ones that make the same of each row.

        Weights v of the columns left out take T' v off the others, where T is what they are made
        of; the sum of squares is least for v = (1 + T T')^-1 T weights.
        """
        found = np.empty((len(self.scale), weights.shape[1]))
        found[self.left_out] = moved = self._share @ weights
        found[self.kept] = weights - self.others.T @ moved
        return found / self.scale[:, None]

    @cached_property
    def _share(self) -> NDArray[np.floating[Any]]:
        """(1 + T T')^-1 T = T (1 + T' T)^-1, by the smaller matrix."""
        t, (left_out, kept) = self.others * self.exact[:, None], self.others.shape
        if left_out <= kept:
            return np.linalg.solve(np.eye(left_out) + t @ t.T, t)
        return np.linalg.solve(np.eye(kept) + t.T @ t, t.T).T


def factor(
    covariance: Matrix, scale: Vector | None = None, rounding: Vector | float = 0.0
) -> Factor:
    """Cholesky with complete pivoting (Higham, "Analysis of the Cholesky decomposition of a
    semi-definite matrix", 1990), of columns divided by their `scale` [D], or by their deviation.

    A column follows from those before it where these leave no more of it than twice `rounding`,
    the variance [D] of the scaled columns that is not meant, and than the rounding of the factors
    themselves; a direction of which half is rounding is left out.

    >>> found = factor(np.array([[4.0, 2.0, 6.0], [2.0, 5.0, 7.0], [6.0, 7.0, 13.0]]))
    >>> found.rank, found.left_out.tolist()
    (2, [1])
    """
    size = len(covariance)
    if scale is None:
        deviation = np.sqrt(np.maximum(covariance.diagonal(), 0.0))
        scale = np.where(deviation > 0, deviation, 1.0)
    a = covariance / np.outer(scale, scale)
    noise = np.broadcast_to(np.asarray(rounding, dtype=np.float64), size)
    nothing = 4 * max(size, 8) * EPSILON
    left, least = a.diagonal().copy(), np.maximum(2 * noise, nothing)
    order, rank = np.arange(size), 0
    for start in range(0, size, PANEL):
        end = min(start + PANEL, size)
        rank = _panel(a, left, least, order, (start, end))
        if rank < end:
            break
        a[end:, end:] -= a[end:, start:end] @ a[end:, start:end].T
    kept, left_out = order[:rank], order[rank:]
    inverse = _inverse(np.tril(a[:rank, :rank]))
    others = a[rank:, :rank] @ inverse
    inverse = inverse[2 * np.square(inverse) @ noise[kept] < 1]
    return Factor(scale, kept, inverse, left_out, others, left[rank:] <= nothing)


def _panel(
    a: Matrix, left: Vector, least: Vector, order: NDArray[np.intp], ends: tuple[int, int]
) -> int:
    """Factor the columns between both `ends` in place; how many columns are factored then."""
    start, end = ends
    for k in range(start, end):
        pivot = k + int(np.argmax(np.where(left[k:] > least[k:], left[k:], 0.0)))
        if left[pivot] <= least[pivot]:
            return k
        if pivot != k:
            a[[k, pivot]] = a[[pivot, k]]
            a[:, [k, pivot]] = a[:, [pivot, k]]
            for each in (left, least, order):
                each[[k, pivot]] = each[[pivot, k]]
        a[k, k] = np.sqrt(left[k])
        column = a[k + 1 :, k] - a[k + 1 :, start:k] @ a[k, start:k]
        a[k + 1 :, k] = column / a[k, k]
        left[k + 1 :] -= np.square(a[k + 1 :, k])
    return end


def _inverse(lower: Matrix) -> Matrix:
    """Of a lower triangular matrix, by halves."""
    size = len(lower)
    if size <= PANEL:
        return np.tril(np.linalg.inv(lower))
    half = size // 2
    first, last = _inverse(lower[:half, :half]), _inverse(lower[half:, half:])
    inverse = np.zeros_like(lower)
    inverse[:half, :half], inverse[half:, half:] = first, last
    inverse[half:, :half] = -last @ (lower[half:, :half] @ first)
    return inverse


def largest_eigenvalue(matrix: Matrix) -> float:
    """Of a positive semidefinite matrix [D, D], from below and within 1 % (power iteration; by
    eigenvalues where it is small)."""
    if len(matrix) <= PANEL:
        return float(np.linalg.eigvalsh(matrix)[-1]) if len(matrix) else 0.0
    x = matrix[:, [int(np.argmax(matrix.diagonal()))]].sum(axis=1) + matrix.sum(axis=1)
    value = 0.0
    for _ in range(1_000):
        length = float(np.linalg.norm(x))
        if not length:
            return value
        x = matrix @ (x / length)
        if (last := value) and (value := float(np.linalg.norm(x))) <= last * (1 + 1e-4):
            break
        value = float(np.linalg.norm(x))
    return value


def conjugate_gradients(
    multiply: Callable[[Vector], Vector], right: Vector, most: int = 200
) -> tuple[Vector, float]:
    """x of A x = right, where A, positive semidefinite, is known by its products alone, and about
    the largest eigenvalue of A (from below, by the Lanczos matrix that the steps make).

    Hestenes and Stiefel (1952). Ends where the residual is 1e-10 of what it was, or after `most`
    products.

    >>> matrix = np.diag([1.0, 2.0, 3.0])
    >>> found, largest = conjugate_gradients(matrix.__matmul__, np.ones(3))
    >>> found.round(6).tolist(), round(largest, 6)
    ([1.0, 0.5, 0.333333], 3.0)
    """
    x, residual = np.zeros_like(right), right.copy()
    direction, square = residual.copy(), float(residual @ residual)
    least = 1e-20 * square
    diagonal, beside, last = list[float](), list[float](), (0.0, 0.0)
    for _ in range(most):
        product = multiply(direction)
        steep = float(direction @ product)
        if square <= least or steep <= 0:
            break
        step = square / steep
        x += step * direction
        residual -= step * product
        ratio = float(residual @ residual) / square
        diagonal.append(1 / step + (last[1] / last[0] if last[0] else 0.0))
        beside.append(float(np.sqrt(ratio)) / step)
        last = (step, ratio)
        square *= ratio
        direction = residual + ratio * direction
    lanczos = np.diag(diagonal) + np.diag(beside[:-1], 1) + np.diag(beside[:-1], -1)
    return x, float(np.linalg.eigvalsh(lanczos)[-1]) if diagonal else 0.0
