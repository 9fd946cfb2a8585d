"""Which two features do more together than each by itself.

The idea is that of FAST (Lou, Caruana, Gehrke and Hooker, "Accurate intelligible models with
pairwise interactions", KDD 2013): sums of what the main effects leave, by cells of two features,
tell for every pair how much a function of both would explain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reader.axes import Axis
from reader.design import Reduce
from reader.merge import add

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Rows = NDArray[np.float32]
Pair = tuple[int, int]
BINS = 8  # along a feature, and one for holes
REACH = 3.0  # bins over which a function is taken to be alike
STRENGTHS = (0.003, 0.03, 0.3)  # variances of a function, those of the noise being 1
TRIED = 300  # pairs that are looked at closely


def bins_of(axis: Axis, counts: NDArray[Any]) -> NDArray[np.intp]:
    """The bin [size + 1] of each place of an axis: neighbouring knots, or the levels that most
    rows have, and one for all others; the last is that of holes. `counts` [size + 1]: of rows."""
    bins = np.full(axis.size + 1, BINS, dtype=np.intp)
    if axis.is_number:
        bins[:-1] = np.arange(axis.size) * min(BINS, axis.size) // axis.size
    elif axis.size <= BINS:
        bins[:-1] = np.arange(axis.size)
    else:
        bins[:-1] = BINS - 1
        often = np.argsort(-counts[:-1], kind="stable")[: BINS - 1]
        bins[often] = np.arange(len(often))
    return bins


def cell_sums(
    reduced: Reduce,
    axes: Sequence[Axis],
    bins: Sequence[NDArray[np.intp]],
    pairs: Sequence[Pair],
    residual: Callable[[Rows], Vector],
) -> tuple[Matrix, Matrix]:
    """One pass over rows: by pair and cell how many there are, and the sum of
    the residual, both [pairs, BINS + 1, BINS + 1]."""
    width = BINS + 1
    shape = (len(pairs), width * width)

    def of_block(block: Rows) -> tuple[Matrix, Matrix]:
        counts, sums, rest = np.zeros(shape), np.zeros(shape), residual(block)
        at = [
            table[np.rint(axis.place(block[:, axis.position])).astype(np.intp)]
            for axis, table in zip(axes, bins, strict=True)
        ]
        for index, (a, b) in enumerate(pairs):
            cell = at[a] * width + at[b]
            counts[index] = np.bincount(cell, minlength=width * width)
            sums[index] = np.bincount(cell, rest, minlength=width * width)
        return counts, sums

    counts, sums = reduced(of_block, add, (np.zeros(shape), np.zeros(shape)), 0)
    return counts.reshape(-1, width, width), sums.reshape(-1, width, width)


def ranked(
    pairs: Sequence[Pair],
    counts: Matrix,
    sums: Matrix,
    variance: float,
    is_number: Sequence[bool],
) -> list[tuple[float, Pair]]:
    """The pairs that are looked at closely with their gain, the largest first.

    The gain is by how much the logarithm of the likelihood of the cells' sums rises, their noise
    having this `variance`, where a function of both features is added: normal, of the strength
    that suits best, and alike in neighbouring bins of numbers.
    """
    rows = np.maximum(counts, 1.0)
    rough = (np.square(sums) / rows / variance - (counts > 0)).sum(axis=(1, 2))
    close = np.argsort(-rough, kind="stable")[:TRIED]
    found = []
    for index in map(int, close):
        a, b = pairs[index]
        kernel: Any = np.kron(_kernel(is_number[a]), _kernel(is_number[b]))
        gain = _gain(counts[index].reshape(-1), sums[index].reshape(-1), kernel, variance)
        found.append((gain, pairs[index]))
    return sorted(found, key=lambda each: (-each[0], each[1]))


def _kernel(is_number: bool) -> Matrix:
    at = np.arange(BINS + 1)
    if not is_number:
        return np.eye(BINS + 1)
    kernel: Matrix = np.exp(-np.abs(at[:, None] - at) / REACH)
    kernel[-1, :-1] = kernel[:-1, -1] = 0.0  # holes are no neighbours
    return kernel


def _gain(counts: Vector, sums: Vector, kernel: Matrix, variance: float) -> float:
    seen = counts > 0
    root = np.sqrt(counts[seen])
    data = sums[seen] / root / np.sqrt(variance)
    alike = kernel[np.ix_(seen, seen)] * np.outer(root, root)
    best = -np.inf
    for strength in STRENGTHS:
        lower = np.linalg.cholesky(np.eye(len(data)) + strength * alike)
        left = np.linalg.solve(lower, data)
        gain = 0.5 * (data @ data - left @ left) - np.log(lower.diagonal()).sum()
        best = max(best, float(gain))
    return best


def all_pairs(numbers: Sequence[int]) -> list[Pair]:
    """Of these numbers, each pair once."""
    return list(combinations(numbers, 2))
