"""The order of an epoch: a pure function of (seed, epoch) that costs hardly any memory per row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

GROUP = 65_536
RUN = 16
Rows = NDArray[np.integer[Any]]


class InOrder:
    """`rows` as they stand."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def take(self, start: int, stop: int) -> Rows:
        """Those at the places from `start` to `stop`: [stop - start]."""
        return self._rows[start:stop]


class Order:
    """`rows` in an order in which each comes once.

    Up to GROUP of them it is a permutation. Of more, runs of RUN neighbours are put in random
    order, and the rows of each GROUP are then shuffled among themselves: a group is made of 4,096
    runs from all over the table, which reads memory and disks by pages and not by rows, and whose
    cost a row is the same for a table of any size.

    >>> order = Order(np.arange(6), seed=0, epoch=1)
    >>> sorted(order.take(0, 6).tolist())
    [0, 1, 2, 3, 4, 5]
    >>> bool((order.take(2, 4) == Order(np.arange(6), seed=0, epoch=1).take(2, 4)).all())
    True
    """

    def __init__(self, rows: Rows, seed: int, epoch: int) -> None:
        random = np.random.default_rng([seed, epoch])
        run = RUN if len(rows) > GROUP else 1
        whole = len(rows) // run * run
        self._rows, self._left_over = rows[:whole].reshape(-1, run), rows[whole:]
        self._runs = random.permutation(len(self._rows)).astype(np.int32)
        self._within = random.permutation(GROUP).astype(np.int32) if run > 1 else None
        self._known: dict[int, Rows] = {}

    def __len__(self) -> int:
        return self._rows.size + len(self._left_over)

    def take(self, start: int, stop: int) -> Rows:
        """Those at the places from `start` to `stop`: [stop - start]."""
        wanted = range(start // GROUP, -(-stop // GROUP))
        # Two blocks in a row may share a group.
        self._known = {n: self._known[n] if n in self._known else self._group(n) for n in wanted}
        first = wanted.start * GROUP
        groups = list(self._known.values())
        group = groups[0] if len(groups) == 1 else np.concatenate(groups)
        return group[start - first : stop - first]

    def _group(self, number: int) -> Rows:
        run = self._rows.shape[1]
        runs = self._runs[number * GROUP // run : (number + 1) * GROUP // run]
        rows = self._rows.take(runs, axis=0).ravel()
        if self._within is None:
            return rows
        if len(rows) == GROUP:
            return rows.take(self._within)
        rows = np.concatenate([rows, self._left_over])
        return rows.take(self._within[self._within < len(rows)])
