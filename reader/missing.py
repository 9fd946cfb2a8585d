"""What stands in for a missing number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reader.schema import TableError

Blocks = Callable[[], Iterable[NDArray[np.float32]]]


@dataclass(frozen=True)
class Filling:
    """`values` float64 [features] replace NaN; each column at `indicated` gets a 0/1 column beside.

    `counts`: how many training rows had none.
    """

    rule: str
    columns: tuple[str, ...]
    values: NDArray[np.float64]
    counts: NDArray[np.int64]
    indicated: NDArray[np.int64]

    @classmethod
    def of(
        cls, features: Sequence[str], blocks: Blocks, rule: str, constant: float, indicator: bool
    ) -> Filling:
        """Learn it from the training rows: `blocks` gives them, the target last, at each call.

        `rule`: error (nothing is missing), mean, median or constant. Raises TableError for a
        column without any value.
        """
        width = len(features)
        if rule == "error":
            none = np.zeros(width, dtype=np.int64)
            return cls(rule, tuple(features), np.zeros(width), none, none[:0])
        counts, rows = np.zeros(width, dtype=np.int64), 0
        sums = np.zeros(width)
        for block in blocks():
            missing = np.isnan(block[:, :-1])
            counts += missing.sum(axis=0)
            sums += np.where(missing, 0, block[:, :-1]).sum(axis=0, dtype=np.float64)
            rows += len(block)
        if (empty := counts == rows).any():
            names = ", ".join(np.array(list(features))[empty])
            raise TableError(f"no training row has a value of {names}; leave it out (data.exclude)")
        values = np.full(width, constant, dtype=np.float64)
        if rule == "mean":
            values = sums / (rows - counts)
        elif rule == "median":
            for index in range(width):
                column = np.concatenate([block[:, index] for block in blocks()])
                values[index] = np.nanmedian(column)
        indicated = np.flatnonzero(counts) if indicator else np.array([], dtype=np.int64)
        indicators = [f"{features[index]} is missing" for index in indicated]
        return cls(rule, (*features, *indicators), values, counts, indicated)

    def describe(self) -> list[str]:
        """For each column with holes: its name, how many, and what filled them."""
        return [
            f"{name} ({count:,}, by {value:g})"
            for name, count, value in zip(self.columns, self.counts, self.values, strict=False)
            if count
        ]

    def apply(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float64]]:
        """Rows [n, features + 1] -> float64 [n, features + indicators + 1], the target last."""
        if self.rule == "error":
            yield from (block.astype(np.float64) for block in blocks)
            return
        for block in blocks:
            missing = np.isnan(block[:, :-1])
            filled = np.where(missing, self.values, block[:, :-1])
            yield np.column_stack([filled, missing[:, self.indicated], block[:, -1:]])
