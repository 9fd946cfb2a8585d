"""What training rows tell of categories that a line takes as codes, as if each level were a flag.

L: the levels of all code columns, one column's after the other; D: the encoded features, codes left
out. Everything is float64, of training rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from factor import Factor, conjugate_gradients, factor
from reader.merge import add

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Codes = NDArray[np.intp]
Reduce = Callable[[Callable[[NDArray[np.float32]], Any], Callable[[Any, Any], Any], Any], Any]
"""(function, merge, start) -> what merges function(block) of all blocks of training rows."""
MOST_REST = 4_096  # levels beside those of the first column, for a matrix of all pairs
MOST_PAIRS = 1 << 24  # of a level of the first column and one of another


@dataclass(frozen=True, eq=False)
class Levels:
    """`sizes`: the levels of each column; `shares` [L] of the rows; `sums` [L, D + 1]: by level the
    mean, over all rows, of features and target (last) less their own means.

    `pairs` [L, L - sizes[0]]: shares of the rows that have two levels, the second of which is not
    of the first column; None where these are too many.
    """

    sizes: tuple[int, ...]
    shares: Vector
    sums: Matrix
    pairs: Matrix | None

    @property
    def spans(self) -> list[slice]:
        """Where the levels of each column stand among all."""
        return [slice(a, b) for a, b in pairwise(np.cumsum([0, *self.sizes]).tolist())]

    def centred(self, tables: NDArray[np.float64]) -> NDArray[np.float64]:
        """[L, n] less the mean of each column's levels over the rows; 0 for a level without rows,
        so that it moves no prediction away from the average row's."""
        shares = self.shares[:, None]
        means = [(shares[at] * tables[at]).sum(axis=0) for at in self.spans]
        return np.where(shares > 0, tables - np.repeat(means, self.sizes, axis=0), 0.0)

    def variance(self, tables: Vector) -> float:
        """Of the sum that levels add to a row, `tables` [L], over the rows; the pairs are known."""
        centred = self.centred(tables[:, None])[:, 0]
        value = float(self.shares @ centred**2)
        if len(self.sizes) > 1 and self.pairs is not None:
            others, spans = centred[self.sizes[0] :], self.spans
            met = self.pairs @ others
            # Of columns beside the first, pairs were counted both ways round.
            value = float(self.shares[spans[0]] @ centred[spans[0]] ** 2)
            value += float(2 * centred[spans[0]] @ met[spans[0]])
            value += float(others @ met[self.sizes[0] :])
        return value


@dataclass(frozen=True, eq=False)
class Absorbed:
    """Features and target, and what is left of them when the levels have said all they can: in
    econometrics the within transformation, here for several columns of levels.

    `by_level` [L, D + 1]: the least squares of features and target, less their means, on all
    levels, centred; `covariance` [D + 1, D + 1]: of what that leaves. With more than one column:
    `rest`, of the other levels within those of the first column, and `conditional` [sizes[0],
    L - sizes[0]]: the share of each of them in the rows of a first one. `rank`: how many
    independent columns the levels give a line beside its bias.
    """

    by_level: Matrix
    covariance: Matrix
    rank: int
    rest: Factor | None = None
    conditional: Matrix | None = None


def measure(
    reduced: Reduce,
    encode: Callable[[NDArray[np.float32]], Matrix],
    mean: Vector,
    sizes: Sequence[int],
) -> Levels:
    """Pass over the training rows: `encode` gives the encoded features [n, D] and the codes
    [n, len(sizes)] of float32 rows [n, P + 1]; `mean` is that of features and target [D + 1]."""
    starts = np.cumsum([0, *sizes])[:-1]
    total, first = int(sum(sizes)), sizes[0]
    fits = total - first <= MOST_REST and total * (total - first) <= MOST_PAIRS
    pairs = np.zeros((total, total - first if fits else 0))

    def of_block(block: NDArray[np.float32]) -> _Block:
        encoded = encode(block)
        codes = encoded[:, len(mean) - 1 :].astype(np.intp) + starts
        values = np.column_stack([encoded[:, : len(mean) - 1], block[:, -1]]) - mean
        return _Block([_sums(values, codes[:, k]) for k in range(len(sizes))], codes)

    def merge(whole: _Sums, part: _Sums | _Block) -> _Sums:
        if isinstance(part, _Sums):
            return add(whole, part)
        for level, count, values in part.sums:
            whole.counts[level] += count
            whole.sums[level] += values
        if fits:
            _count_pairs(whole.pairs, part.codes, first)
        return whole._replace(rows=whole.rows + len(part.codes))

    start = _Sums(0, np.zeros(total), np.zeros((total, len(mean))), pairs)
    rows, counts, sums, pairs = reduced(of_block, merge, start)
    return Levels(tuple(sizes), counts / rows, sums / rows, pairs / rows if fits else None)


class _Block(NamedTuple):
    """Of a block by code column: its levels, how many rows have each, and the sums of these rows'
    values; and all codes [n, columns]."""

    sums: list[tuple[Codes, Any, Matrix]]
    codes: Codes


class _Sums(NamedTuple):
    """Over rows: how many have each level [L], the sums of these rows' values [L, D + 1], and how
    many have a pair [L, L - sizes[0]], of no column where they are not counted."""

    rows: int
    counts: Vector
    sums: Matrix
    pairs: Matrix


def _sums(values: Matrix, codes: Codes) -> tuple[Codes, Any, Matrix]:
    """The levels that there are, the rows of each, and the sum of these rows' `values`."""
    order = np.argsort(codes, kind="stable")
    levels, starts, counts = np.unique(codes[order], return_index=True, return_counts=True)
    return levels, counts, np.add.reduceat(values[order], starts, axis=0)


def _count_pairs(pairs: Matrix, codes: Codes, first: int) -> None:
    """Add the rows' pairs of levels: of any column, and of another than the first."""
    width = pairs.shape[1]
    for other in range(codes.shape[1]):
        for k in range(1, codes.shape[1]):
            np.add.at(pairs.reshape(-1), codes[:, other] * width + codes[:, k] - first, 1.0)


def absorb(levels: Levels, covariance: Matrix) -> Absorbed | None:
    """None where the levels' pairs are not known.

    By blocks: the flags of the first column are orthogonal to each other, so what they say is a
    mean by level; the other levels' flags are solved for within them (a Schur complement). So the
    first column may have any number of levels.
    """
    if levels.pairs is None:
        return None
    first = levels.sizes[0]
    shares = levels.shares[:first, None]
    inverse = np.divide(1.0, shares, out=np.zeros_like(shares), where=shares > 0)
    by_first = levels.sums[:first] * inverse
    within = covariance - levels.sums[:first].T @ by_first
    rank = int((shares > 0).sum()) - 1
    if len(levels.sizes) == 1:
        return Absorbed(levels.centred(by_first), within, rank)
    across, between = levels.pairs[:first], levels.pairs[first:]
    conditional = across * inverse
    variance = levels.shares[first:] * (1 - levels.shares[first:])
    scale = np.sqrt(np.where(variance > 0, variance, 1.0))
    rest = factor(between - across.T @ conditional, scale)
    right = levels.sums[first:] - across.T @ by_first
    by_rest = rest.solve(right)
    within = within - right.T @ by_rest
    by_level = np.concatenate([by_first - conditional @ by_rest, by_rest])
    return Absorbed(levels.centred(by_level), within, rank + rest.rank, rest, conditional)


@dataclass(frozen=True, eq=False)
class Iterated:
    """The line of least squares where levels are too many to be absorbed: `weights` [D] in raw
    units, and what `levels` [L] add. `largest`: about the largest eigenvalue of the covariance of
    whitened features and of flags, each divided by the root of its share."""

    weights: Vector
    levels: Vector
    largest: float


def iterate(
    reduced: Reduce,
    encode: Callable[[NDArray[np.float32]], Matrix],
    levels: Levels,
    mean: Vector,
    covariance: Matrix,
    root: Matrix,
) -> Iterated:
    """By conjugate gradients on scaled columns, a pass over the training rows for each step.

    `mean` [D + 1] and `covariance` [D + 1, D + 1] of features and target; `root` [D, r] whitens the
    features.
    """
    size, rank = root.shape
    shares = levels.shares
    scale = np.divide(1.0, np.sqrt(shares), out=np.zeros_like(shares), where=shares > 0)
    starts = [at.start for at in levels.spans]

    def tables(learned: Vector) -> Vector:
        return levels.centred((scale * learned)[:, None])[:, 0]

    def learned(sums: Vector) -> Vector:
        """The transpose of `tables`."""
        whole = np.repeat([sums[at].sum() for at in levels.spans], levels.sizes)
        return scale * (sums - shares * whole)

    def multiply(x: Vector) -> Vector:
        weights, added = root @ x[:rank], tables(x[rank:])

        def of_block(block: NDArray[np.float32]) -> tuple[int, Vector, Vector]:
            encoded = encode(block)
            centred = encoded[:, :size] - mean[:size]
            codes = encoded[:, size:].astype(np.intp) + starts
            result = centred @ weights + added[codes].sum(axis=1)
            sums = [np.bincount(c, result, minlength=len(shares)) for c in codes.T]
            return len(block), centred.T @ result, np.sum(sums, axis=0)

        start = (0, np.zeros(size), np.zeros(len(shares)))
        rows, features, sums = reduced(of_block, add, start)
        return np.concatenate([root.T @ features, learned(sums)]) / rows

    right = np.concatenate([root.T @ covariance[:-1, -1], learned(levels.sums[:, -1])])
    found, largest = conjugate_gradients(multiply, right)
    return Iterated(root @ found[:rank], tables(found[rank:]), largest)
