"""Which row belongs to which part."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reader.schema import TableError

Rows = NDArray[np.int64]
STRATUM = 20


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
    if method == "sequential":
        place = np.arange(rows, dtype=np.float64)
        bounds = [float(math.floor(rows * end + 1e-9)) for end in (train, train + validation)]
    else:
        place = _deal(rows, seed)
        bounds = [train, train + validation]
    part = np.searchsorted(bounds, place, side="right")
    if not test:
        part[part == 2] = 1 if validation else 0
    parts = Split(*(np.flatnonzero(part == index) for index in range(3)))
    for name, share, members in zip(Split._fields, (train, validation, test), parts, strict=True):
        if share and not len(members):
            raise TableError(
                f"{rows} rows are too few: the {name} part, {share:g} of them, gets none; "
                f"add rows, or change data.split"
            )
    return parts


def thin(rows: Rows, most: int) -> Rows:
    """At most `most` of the rows, evenly spaced."""
    return rows[:: max(1, -(-len(rows) // most))]


def _deal(rows: int, seed: int) -> NDArray[np.float64]:
    """A number in [0, 1) for each row, one in each STRATUM-th of the range in every stretch."""
    stretches = -(-rows // STRATUM)
    shape = (stretches, STRATUM)
    rank = np.random.default_rng([seed, 0]).random(shape).argsort(axis=1)
    within = np.random.default_rng([seed, 1]).random(shape)
    return ((rank + within) / STRATUM).ravel()[:rows]
