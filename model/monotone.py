"""The weights of an additive model of which some terms may only rise, or only fall, along an axis.

They minimise 1/2 w'Aw - c'w where each step w[high] - w[low] >= 0. With forces f >= 0, one for each
step, Aw = c + G'f, where Gw are the steps: so f minimises 1/2 f'Hf + f'Gw0 with H = G A^-1 G' and
w0 = A^-1 c, a non-negative least squares problem as large as there are steps. It is solved by the
method of Lawson and Hanson ("Solving Least Squares Problems", 1974), but with many steps taken in
at a time as long as that helps. Weights joined by steps with a force are equal, a pool; a step
within a pool needs no force of its own, and without it the equations stay solvable.
D: weights; m: steps. Everything is float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.smoothing import Matrix, Vector, cholesky

Index = NDArray[np.intp]
Flags = NDArray[np.bool_]
PRECISION = 1e-12  # of a step, as a share of the longest
REFINEMENTS = 3


class Direction(NamedTuple):
    """The weights `at`, of this shape of one axis or two, rise along `axis` where `sign` is 1, and
    fall where it is -1; or stay."""

    at: slice
    shape: tuple[int, ...]
    axis: int
    sign: int


class _Steps(NamedTuple):
    """From the weights `low` [m] up to the weights `high` [m], of `width` weights in all."""

    low: Index
    high: Index
    width: int

    def of(self, weights: Vector) -> Vector:
        return weights[self.high] - weights[self.low]

    def transposed(self, forces: Vector) -> Vector:
        sums = np.zeros(self.width)
        np.add.at(sums, self.high, forces)
        np.subtract.at(sums, self.low, forces)
        return sums

    def join(self, pools: Index, order: Index) -> Index:
        """Of the steps `order`, one after the other, those that join two of the `pools` [D], which
        are joined in place."""
        joining = []
        for step in order.tolist():
            one, other = pools[self.low[step]], pools[self.high[step]]
            if one != other:
                pools[pools == other] = one
                joining.append(step)
        return np.array(joining, np.intp)

    def pools(self, forces: Vector) -> Index:
        """The number [D] of each weight's pool."""
        pools = np.arange(self.width)
        self.join(pools, np.flatnonzero(forces))
        return pools


def constrained(
    matrix: Matrix, cross: Vector, directions: Sequence[Direction], inverse: Matrix | None = None
) -> Vector:
    """The weights [D] that minimise 1/2 w'Aw - c'w under the directions, which they keep to the
    last bit. `matrix` [D, D]: A, positive definite; `cross` [D]: c; `inverse` [D, D]: of the lower
    factor of A, as `Smooth.inverse`."""
    if inverse is None:
        inverse = cholesky(matrix)[1]
    weights = inverse.T @ (inverse @ cross)
    steps = _steps(directions, len(cross))
    if (steps.of(weights) >= 0).all():
        return weights
    normals = inverse[:, steps.high] - inverse[:, steps.low]
    scale = 1 / np.sqrt(np.einsum("ij,ij->j", normals, normals))
    normals *= scale
    gram = normals.T @ normals
    forces = np.zeros(len(scale))
    for _ in range(REFINEMENTS):  # the inverse of a stiff matrix is not exact, the matrix is
        rest = cross + steps.transposed(scale * forces) - matrix @ weights
        weights = weights + inverse.T @ (inverse @ rest)
        free = scale * steps.of(weights) - gram @ forces
        found = _forces(gram, free, steps, forces)
        weights += inverse.T @ (normals @ (found - forces))
        forces = found
    pools = steps.pools(forces)
    means = np.bincount(pools, weights) / np.maximum(np.bincount(pools), 1)
    return _exact(means[pools], directions)


def held(weights: Vector, directions: Sequence[Direction]) -> tuple[Index, Index]:
    """(low, high) [k]: the steps of length 0 that these weights stand on, as few as say so."""
    steps = _steps(directions, len(weights))
    order = np.flatnonzero(steps.of(weights) == 0)
    joining = steps.join(np.arange(len(weights)), order)
    return steps.low[joining], steps.high[joining]


def _steps(directions: Sequence[Direction], width: int) -> _Steps:
    low, high = [np.zeros(0, np.intp)], [np.zeros(0, np.intp)]
    for at, shape, axis, sign in directions:
        places = np.moveaxis(np.arange(at.start, at.stop).reshape(shape), axis, 0)[::sign]
        low.append(places[:-1].reshape(-1))
        high.append(places[1:].reshape(-1))
    return _Steps(np.concatenate(low), np.concatenate(high), width)


def _forces(gram: Matrix, free: Vector, steps: _Steps, start: Vector) -> Vector:
    """The forces [m] under which no step goes down, where `free` [m] are the steps without any and
    `gram` [m, m] what forces add to them."""
    tolerance = PRECISION * np.abs(free).max()
    forces = _positive(gram, free, start > 0)
    most = len(free)
    for _ in range(10 * len(free)):
        now = free + gram @ forces
        pools = steps.pools(forces)
        wrong = np.flatnonzero((now < -tolerance) & (pools[steps.low] != pools[steps.high]))
        if not len(wrong):
            break
        added = steps.join(pools, wrong[np.argsort(now[wrong])][:most])
        if len(added) == 1:
            found = _one_more(gram, free, forces, int(added[0]))
            if not found[added[0]]:  # as near as rounding lets
                break
            most = 2
        else:
            chosen = forces > 0
            chosen[added] = True
            found = _positive(gram, free, chosen)
            if free @ found >= free @ forces:  # twice what is minimised
                most = max(1, len(added) // 4)
                continue
            most = 2 * len(added)
        forces = found
    return forces


def _solved(gram: Matrix, free: Vector, chosen: Flags) -> Vector:
    """The forces [m] that make the chosen steps zero, by themselves."""
    forces, index = np.zeros(len(free)), np.flatnonzero(chosen)
    forces[index] = np.linalg.solve(gram[np.ix_(index, index)], -free[index])
    return forces


def _positive(gram: Matrix, free: Vector, chosen: Flags) -> Vector:
    """The same, without the steps that would pull."""
    while True:
        forces = _solved(gram, free, chosen)
        if (forces[chosen] > 0).all():
            return forces
        chosen = forces > 0


def _one_more(gram: Matrix, free: Vector, forces: Vector, added: int) -> Vector:
    """Lawson and Hanson's own move, which always helps: towards the solution with the step `added`,
    as far as no force pulls, without those that would."""
    chosen = forces > 0
    chosen[added] = True
    while True:
        found = _solved(gram, free, chosen)
        pulling = np.flatnonzero(chosen & (found <= 0))
        if not len(pulling):
            return found
        shares = forces[pulling] / np.maximum(forces[pulling] - found[pulling], 1e-300)
        forces = np.maximum(forces + shares.min() * (found - forces), 0.0)
        chosen[pulling[shares == shares.min()]] = False


def _exact(weights: Vector, directions: Sequence[Direction]) -> Vector:
    """Lifts what rounding has put too low. To lift along one axis keeps the order along another."""
    for at, shape, axis, sign in directions:
        values = np.moveaxis(weights[at].reshape(shape), axis, 0)[::sign]
        lifted = np.maximum.accumulate(values, axis=0)[::sign]
        weights[at] = np.moveaxis(lifted, 0, axis).reshape(-1)
    return weights
