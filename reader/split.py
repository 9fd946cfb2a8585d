"""Which row belongs to which part."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reader.schema import TableError

Rows = NDArray[np.int32]  # half the memory of int64, and enough for 2,147,483,647 rows
STRATUM = 20
CHUNK = 1_000 * STRATUM


class Split(NamedTuple):
    """Row indices of each part, ascending; together every row once."""

    train: Rows
    validation: Rows
    test: Rows


def split(rows: int, method: str, train: float, validation: float, test: float, seed: int) -> Split:
    """Divide `rows` rows; the three shares make 1.

    sequential: training rows first, then validation, then test; each boundary is rounded down.
    random: every stretch of STRATUM rows is dealt out in an order of its own, so that the parts
    keep their shares in any stretch of the table, and a row keeps its part when rows are appended.
    Raises TableError where a part with a share gets no row.
    """
    part = np.empty(rows, dtype=np.int8)
    ends = np.array([train, train + validation])
    if method == "sequential":
        bounds = [math.floor(rows * end + 1e-9) for end in ends]
        for index, section in enumerate(np.split(part, bounds)):
            section[:] = index
    else:
        for start, places in zip(range(0, rows, CHUNK), _deal(seed), strict=False):
            chunk = part[start : start + CHUNK]
            chunk[:] = np.searchsorted(ends, places[: len(chunk)], side="right")
    if not test:  # what rounding left over
        part[part == 2] = 1 if validation else 0
    parts = Split(*(_members(part, index) for index in range(3)))
    for name, share, members in zip(Split._fields, (train, validation, test), parts, strict=True):
        if share and not len(members):
            raise TableError(
                f"{rows} rows are too few: the {name} part, {share:g} of them, gets none; "
                f"add rows, or change data.split"
            )
    return parts


def evenly(rows: int, most: int) -> NDArray[np.int64]:
    """At most `most` of the indices of `rows` rows, evenly spaced."""
    return np.arange(0, rows, max(1, -(-rows // most)))


def _members(part: NDArray[np.int8], index: int) -> Rows:
    """Where `part` is `index`; piece by piece, for np.flatnonzero takes 8 bytes a row."""
    members = np.empty(np.count_nonzero(part == index), dtype=np.int32)
    end = 0
    for start in range(0, len(part), CHUNK):
        found = np.flatnonzero(part[start : start + CHUNK] == index) + start
        members[end : end + len(found)] = found
        end += len(found)
    return members


def _deal(seed: int) -> Iterator[NDArray[np.float64]]:
    """CHUNK numbers in [0, 1) at a time, one in each STRATUM-th of the range in every stretch."""
    order, within = (np.random.default_rng([seed, stream]) for stream in (0, 1))
    shape = (CHUNK // STRATUM, STRATUM)
    while True:
        rank = order.random(shape).argsort(axis=1)
        yield ((rank + within.random(shape)) / STRATUM).ravel()
