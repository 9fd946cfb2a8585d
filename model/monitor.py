"""What a model is asked to predict, held against what it was trained on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from display import short


class Monitor:
    """Counts what is unlike the training rows: values out of range, missing, of unknown level.

    `contract` is that of an exported model. One monitor may see any number of tables or requests:

        monitor.add(rows)                                   # float32 [N, D], as for `predict`
        monitor.count("town", missing=2, unknown=1)         # of the same rows, by column
        list(monitor.warnings())                            # a line for each thing unlike training
    """

    def __init__(self, contract: Mapping[str, Any]) -> None:
        self.names: tuple[str, ...] = tuple(contract["features"])
        self.shares: Mapping[str, Mapping[str, float]] = contract["shares"]
        trained = contract["statistics"]["columns"]
        anything = {"minimum": -np.inf, "maximum": np.inf}  # of codes
        self.low = np.array([trained.get(name, anything)["minimum"] for name in self.names])
        self.high = np.array([trained.get(name, anything)["maximum"] for name in self.names])
        self._origins = {  # of columns that count days
            f"{column.get('stem', column['name'])}.elapsed": (column["name"], column["origin"])
            for column in contract.get("schema", {}).get("columns", ())
            if "origin" in column
        }
        self.outside = np.zeros(len(self.names), dtype=np.int64)
        self.rows = 0
        self.counts: Counter[tuple[str, str]] = Counter()

    def add(self, features: NDArray[np.float32], wrong: int = 0) -> None:
        """Rows [N, D], in the order of the contract's features; `wrong`: others, that are none."""
        self.rows += len(features) + wrong
        self.outside += ((features < self.low) | (features > self.high)).sum(axis=0)

    def count(self, column: str, missing: int = 0, unknown: int = 0) -> None:
        """So many more cells of a column of the table are missing, or of no known level."""
        self.counts[column, "missing"] += missing
        self.counts[column, "unknown"] += unknown

    def warnings(self) -> Iterator[str]:
        """A line for each column, and each thing, that is unlike training."""
        for name, count, low, high in zip(
            self.names, self.outside, self.low, self.high, strict=True
        ):
            if count:
                column, what, shown = name, "values", f"{low:g} to {high:g}"
                if name in self._origins:
                    column, origin = self._origins[name]
                    days = (date.fromisoformat(origin) + timedelta(float(v)) for v in (low, high))
                    what, shown = "times", " to ".join(map(str, days))
                yield (
                    f"{short(column)}: {count:,} of {self.rows:,} {what} outside the range "
                    f"that the model was trained on, {shown}"
                )
        for column, shares in self.shares.items():
            for what in ("missing", "unknown"):
                if self._is_far_above(cells := self.counts[column, what], shares[what]):
                    yield (
                        f"{short(column)}: {cells:,} of {self.rows:,} values {what} "
                        f"({cells / self.rows:.1%}); in training {shares[what]:.1%}"
                    )

    def _is_far_above(self, count: int, share: float) -> bool:
        """More than half as much again as in training, and more than chance would explain: three
        standard deviations of a binomial count."""
        expected = self.rows * share
        chance = 3 * math.sqrt(expected * (1 - share))
        return count > max(1.5 * expected, expected + chance)
