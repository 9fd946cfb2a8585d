"""The order of an epoch: a pure function of (seed, epoch) that costs no memory per row."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

GROUP = 65_536
RUN = 16


class Order:
    """An order of `rows` rows in which each comes once.

    Up to GROUP rows it is a permutation. Of more rows, runs of RUN neighbours are put in random
    order, and the rows of each GROUP are then shuffled among themselves: a group is made of 4,096
    runs from all over the table, which reads memory and disks by pages and not by rows, and whose
    cost a row is the same for a table of any size.
    """

    def __init__(self, rows: int, seed: int, epoch: int) -> None:
        random = np.random.default_rng([seed, epoch])
        self.rows, self.run = rows, RUN if rows > GROUP else 1
        self.turn = int(random.integers(rows))  # which rows are left over after the last whole run
        self.runs = random.permutation(rows // self.run).astype(np.int32)
        self.within = random.permutation(min(rows, GROUP)).astype(np.int32)
        self._known: dict[int, NDArray[np.int32]] = {}

    def places(self, start: int, stop: int) -> NDArray[np.int32]:
        """Which rows stand at `start` to `stop` of the order: int32 [stop - start]."""
        first, last = start // GROUP, -(-stop // GROUP)
        # Two blocks in a row may share a group.
        wanted = range(first, last)
        self._known = {n: self._known[n] if n in self._known else self._group(n) for n in wanted}
        found = np.concatenate(list(self._known.values()))
        return found[start - first * GROUP : stop - first * GROUP]

    def _group(self, number: int) -> NDArray[np.int32]:
        start, stop = number * GROUP, min((number + 1) * GROUP, self.rows)
        runs = self.runs[start // self.run : stop // self.run]
        rows = (runs[:, None] * self.run + np.arange(self.run, dtype=np.int32)).ravel()
        left_over = np.arange(start + len(rows), stop, dtype=np.int32)
        within = self.within if stop - start == GROUP else self.within[self.within < stop - start]
        rows = np.concatenate([rows, left_over])[within] - np.int32(self.rows - self.turn)
        wrapped: NDArray[np.int32] = np.where(rows < 0, rows + np.int32(self.rows), rows)
        return wrapped
