"""How smooth each term of an additive model is, and its weights, from moments alone.

The target is bias + X w + noise of variance sigma^2. Each weight has a penalty, w' S w in all, with
S = sum_j lambda_j S_j, as if w came from a normal distribution of covariance sigma^2 S^-1. The
lambda are those under which the target is likeliest once all weights are integrated out
(restricted maximum likelihood), found by the generalised Fellner-Schall update of Wood and Fasiolo,
"A generalized Fellner-Schall method for smoothing parameter optimization" (Biometrics, 2017).
D: columns of X, centred; J: penalties. Everything is float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
MOST_STEPS = 60
LEAF = 128  # columns below which LAPACK takes over
MOST_SMOOTHING = 1e4  # times the rows
FURTHEST = 8.0  # that the logarithm of a lambda moves in a step
LONGEST = 4.0  # times the update, where it goes on in one direction


class Moments(NamedTuple):
    """Of `rows` rows: the sums of products of centred columns [D, D], of these with the centred
    target [D], and of the centred target's squares."""

    rows: int
    gram: Matrix
    cross: Vector
    total: float


class Marginal(NamedTuple):
    """The penalty [k, k] along one axis, and orthonormal directions [k, m] that it leaves free: the
    constant, the straight line, and the line in the places."""

    matrix: Matrix
    free: Matrix


Kind = Literal["curve", "line", "places", "levels", "hole"]


class Penalty(NamedTuple):
    """`matrix` [k, k] on the columns `at`, of this rank; of term `term`. `log_determinant`: of what
    is not zero."""

    kind: Kind
    term: int
    at: slice
    matrix: Matrix
    rank: int
    log_determinant: float


@dataclass(frozen=True, eq=False)
class Smooth:
    """`weights` [D] with the smoothing `parameters` [J]; `inverse` [D, D], lower triangular, of the
    factor of A = X'X + S: inverse' inverse = A^-1. `freedom` [J]: effective degrees of freedom by
    penalty; `variance`: of the noise; `likelihood`: the logarithm of the restricted one."""

    weights: Vector
    parameters: Vector
    inverse: Matrix
    freedom: Vector
    variance: float
    likelihood: float


def curvature(places: Vector, is_cyclic: bool = False) -> Marginal:
    """Of values at `places` [k], in ascending order: the sum of squared second differences, which
    lets lines be, both those in the places and those in their numbers 0 to k - 1; on a circle
    constants alone."""
    size = len(places)
    unit = np.eye(size)
    if is_cyclic and size > 2:
        differences = np.roll(unit, 1, axis=1) - 2 * unit + np.roll(unit, -1, axis=1)
        return Marginal(differences.T @ differences, np.full((size, 1), size**-0.5))
    scaled = (places - places[0]) / (places[-1] - places[0])
    lines = np.column_stack([np.ones(size), scaled, np.linspace(0, 1, size)])
    basis, upper = np.linalg.qr(lines)
    free = basis[:, np.abs(upper.diagonal()) > 1e-3][:, :size]
    differences = np.diff(unit, 2, axis=0)
    differences = differences - differences @ free @ free.T
    return Marginal(differences.T @ differences, free)


def shrinkage(size: int) -> Marginal:
    """Of values in no order: the sum of their squares."""
    return Marginal(np.eye(size), np.zeros((size, 0)))


def penalties(
    term: int,
    start: int,
    marginals: Sequence[Marginal],
    hole: bool,
    kept: NDArray[np.intp] | None = None,
) -> list[Penalty]:
    """Of a term of one axis or two, whose columns begin at `start`: its curvature, what that leaves
    free, so that a term may be smooth without being flat, and the hole's weight, each with a
    smoothing parameter of its own. `kept`: the columns that there are, of two axes."""
    matrix, free = marginals[0]
    values = _spectrum(matrix)
    kind: Kind = "curve" if free.size else "levels"
    groups: list[tuple[Kind, Any]] = [("line", free[:, :2]), ("places", free[:, 2:])]
    if len(marginals) == 2:
        other = marginals[1]
        values = np.add.outer(values, _spectrum(other.matrix)).reshape(-1)
        size = len(matrix)
        matrix = np.kron(matrix, np.eye(len(other.matrix))) + np.kron(np.eye(size), other.matrix)
        kind, groups = "curve", [("places", np.kron(free, other.free))]
    if kept is not None:
        matrix = matrix[kept] @ extension(marginals, kept)
        matrix = (matrix + matrix.T) / 2
        values = _spectrum(matrix)
        groups = [(name, np.linalg.qr(group[kept])[0]) for name, group in groups]
    at = slice(start, start + len(matrix))
    bent = values > 1e-9 * max(values.max(initial=0.0), 1e-9)
    found = []
    if rank := int(bent.sum()):
        logs = float(np.log(values[bent]).sum())
        found.append(Penalty(kind, term, at, matrix, rank, logs))
    for name, group in groups:
        if group.shape[1]:
            found.append(Penalty(name, term, at, group @ group.T, group.shape[1], 0.0))
    if hole:
        one = slice(at.stop, at.stop + 1)
        found.append(Penalty("hole", term, one, np.ones((1, 1)), 1, 0.0))
    return found


def extension(marginals: Sequence[Marginal], kept: NDArray[np.intp]) -> Matrix:
    """[places, kept]: the smoothest function of two axes with given values at the `kept` places.

    Of least curvature w'Sw, it has S_oo w_o = -S_ok w_k at the others; then w'Sw is the quadratic
    form of the Schur complement of S_oo.
    """
    first, second = (marginal.matrix for marginal in marginals)
    matrix = np.kron(first, np.eye(len(second))) + np.kron(np.eye(len(first)), second)
    others = np.setdiff1d(np.arange(len(matrix)), kept)
    whole = np.zeros((len(matrix), len(kept)))
    whole[kept, np.arange(len(kept))] = 1.0
    if len(others):
        across = matrix[np.ix_(others, others)]
        whole[others] = -np.linalg.solve(across, matrix[np.ix_(others, kept)])
    return whole


def _spectrum(matrix: Matrix) -> Vector:
    values: Vector = np.maximum(np.linalg.eigvalsh(matrix), 0.0)
    return values


def penalty_matrix(parts: Sequence[Penalty], parameters: Vector, width: int) -> Matrix:
    """S [D, D]."""
    whole = np.zeros((width, width))
    for part, parameter in zip(parts, parameters, strict=True):
        whole[part.at, part.at] += parameter * part.matrix
    return whole


def solve(moments: Moments, parts: Sequence[Penalty], parameters: Vector, least: float) -> Smooth:
    """The weights for given smoothing parameters; `least` is added to the diagonal of S."""
    matrix = moments.gram.copy()
    for part, parameter in zip(parts, parameters, strict=True):
        matrix[part.at, part.at] += parameter * part.matrix
    matrix[np.diag_indices_from(matrix)] += least
    try:
        logarithm, inverse = cholesky(matrix)
    except np.linalg.LinAlgError:
        return solve(moments, parts, parameters, 100 * least)
    weights = inverse.T @ (inverse @ moments.cross)
    traces, squares = np.zeros(len(parts)), np.zeros(len(parts))
    block, of = np.zeros((0, 0)), slice(0, 0)
    for index, part in enumerate(parts):
        if part.at != of:
            columns = inverse[part.at.start :, part.at]
            block, of = columns.T @ columns, part.at
        traces[index] = np.vdot(block, part.matrix)
        squares[index] = weights[part.at] @ part.matrix @ weights[part.at]
    ranks = np.array([part.rank for part in parts])
    freedom = np.clip(ranks - parameters * traces, 1e-9, ranks)
    errors = moments.total + weights @ (moments.gram @ weights - 2 * moments.cross)
    squared = max(float(errors), 1e-13 * moments.total)
    rest = moments.rows - 1
    scale = (squared + float(parameters @ squares)) / rest
    known = sum(part.log_determinant for part in parts) + float(ranks @ np.log(parameters))
    return Smooth(
        weights,
        parameters,
        inverse,
        freedom,
        squared / max(rest - float(freedom.sum()), 0.05 * moments.rows),
        -0.5 * (rest * (math.log(scale) if scale else -1e3) + logarithm - known),
    )


class End(NamedTuple):
    """When to stop: where a plain update gains less than `tolerance` in the logarithm of the
    likelihood; `check` is called before each step, and may raise."""

    tolerance: float = 1e-2
    check: Callable[[], object] | None = None


def smooth(
    moments: Moments,
    parts: Sequence[Penalty],
    start: Vector | None = None,
    groups: NDArray[np.intp] | None = None,
    precision: float = 1e-10,
    end: End | None = None,
) -> Smooth:
    """The weights, and the smoothing parameters by the update
    lambda_j <- sigma^2 (rank_j - lambda_j tr(A^-1 S_j)) / w' S_j w, which never leaves the positive
    numbers; it is lengthened as long as that makes the target likelier. `groups` [J]: the numbers
    of those that share a parameter, None for one each. `precision`: of the gram, as a share of the
    rows; below it a lambda counts as none."""
    end = end or End()
    least, most = precision * moments.rows, MOST_SMOOTHING * moments.rows
    parameters = np.ones(len(parts)) if start is None else start
    best = solve(moments, parts, np.clip(parameters, least, most), least)
    length = 1.0
    for step in range(MOST_STEPS):
        if end.check:
            end.check()
        squares = np.array([best.weights[p.at] @ p.matrix @ best.weights[p.at] for p in parts])
        both = np.stack([best.freedom, squares])
        if groups is not None:
            both = np.stack([np.bincount(groups, each)[groups] for each in both])
        wanted = both[0] * best.variance / np.maximum(both[1], 1e-300)
        move = np.log(wanted / best.parameters)
        logs = np.log(best.parameters) + np.clip(length * move, -FURTHEST, FURTHEST)
        next_one = np.clip(np.exp(logs), least, most)
        found = solve(moments, parts, next_one, least)
        gain = found.likelihood - best.likelihood
        if gain > 0:
            best = found
        if length > 1 and gain < end.tolerance:
            length = 1.0
        elif gain < end.tolerance:
            break
        elif step >= 2:
            length = min(1.5 * length, LONGEST)
    return best


def cholesky(matrix: Matrix) -> tuple[float, Matrix]:
    """(the logarithm of the determinant, the inverse of the lower factor) of a positive definite
    matrix [D, D], by halves: most of it is products of matrices."""
    size = len(matrix)
    if size <= LEAF:
        lower = np.linalg.cholesky(matrix)
        return 2 * float(np.log(lower.diagonal()).sum()), np.tril(np.linalg.inv(lower))
    half = size // 2
    first, upper = cholesky(matrix[:half, :half])
    below = matrix[half:, :half] @ upper.T
    second, lower = cholesky(matrix[half:, half:] - below @ below.T)
    inverse = np.zeros_like(matrix)
    inverse[:half, :half], inverse[half:, half:] = upper, lower
    inverse[half:, :half] = -lower @ (below @ upper)
    return first + second, inverse
