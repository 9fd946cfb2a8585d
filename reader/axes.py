"""What an additive model sees of a feature: its place among knots, or its level."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Cells = NDArray[np.float32]
NO_KNOTS: Vector = np.zeros(0)


@dataclass(frozen=True, eq=False)
class Axis:
    """A packed column, at `position` of a row, as places 0 to `size` - 1.

    A number's place is where it lies among `knots` [size], float32 values in ascending order:
    2.5 is half way between the third and the fourth; beyond the last ones it is the nearest end. A
    code is its own place, one of `levels`. A hole has the place `size`, or that of the number
    `fill`. `is_cyclic`: whether the first level follows the last one, as in the months of a year;
    `has_holes`: whether training rows have holes that are not filled; `codes`: the places of codes,
    where rare ones share place 0 with what is unknown.

    >>> axis = Axis("area", 0, np.array([1.0, 2.0, 4.0]))
    >>> axis.place(np.array([0.0, 1.5, 3.0, np.nan], dtype=np.float32))
    array([0. , 0.5, 1.5, 3. ])
    """

    name: str
    position: int
    knots: Vector = field(default_factory=lambda: NO_KNOTS)
    levels: int = 0
    is_cyclic: bool = False
    has_holes: bool = False
    fill: float | None = None
    codes: NDArray[np.intp] | None = None

    @property
    def size(self) -> int:
        return self.levels or len(self.knots)

    @property
    def is_number(self) -> bool:
        return not self.levels

    def place(self, cells: NDArray[Any]) -> Vector:
        """float [n] -> float64 [n]."""
        values = cells.astype(np.float64)
        if self.levels:
            hole = np.isnan(values)
            if self.codes is not None:
                values = self.codes[np.where(hole, 0, values).astype(np.intp)].astype(np.float64)
            return np.where(hole, self.levels, values)
        hole = np.isnan(values)
        if any_hole := hole.any():
            values[hole] = self.knots[0] if self.fill is None else self.fill
        knots = self.knots
        np.clip(values, knots[0], knots[-1], out=values)
        low = np.searchsorted(knots[1:-1], values, side="right")
        start = knots[low]
        places: Vector = low + (values - start) / (knots[low + 1] - start)
        if any_hole and self.fill is None:
            places[hole] = len(knots)
        return places

    @classmethod
    def of_codes(cls, name: str, position: int, counts: NDArray[Any], most: int) -> Axis:
        """Of codes, of which so many rows have each; at most `most` have places of their own."""
        if len(counts) <= most:
            return cls(name, position, levels=len(counts))
        often = np.sort(1 + np.argsort(-counts[1:], kind="stable")[: most - 1])
        codes = np.zeros(len(counts), dtype=np.intp)
        codes[often] = np.arange(1, most)
        return cls(name, position, levels=most, codes=codes)

    def with_knots(self, knots: Vector) -> Axis:
        """The same column among other knots."""
        return replace(self, knots=knots)

    @property
    def hole(self) -> float:
        """The place of a hole."""
        return float(self.place(np.array([np.nan]))[0])


def quantile_knots(values: NDArray[Any], most: int) -> Vector:
    """At most `most` knots, at least two: every value where there are as few, else quantiles at
    equal distances, which are values themselves, so that as many rows lie between any two.

    >>> quantile_knots(np.array([3.0, 1.0, 1.0, 2.0]), 5)
    array([1., 2., 3.])
    """
    known = np.sort(values[~np.isnan(values)]).astype(np.float64)
    if not len(known):
        return np.array([0.0, 1.0])
    different = known[np.flatnonzero(np.diff(known, prepend=-np.inf))]
    if len(different) > most:
        at = np.rint(np.linspace(0, len(known) - 1, most)).astype(np.intp)
        different = np.unique(known[at])
    if len(different) == 1:
        only = float(different[0])
        above = float(np.nextafter(np.float32(only), np.float32(np.inf)))
        different = np.array([only, max(above, only + 1.0)])
    return different


def thinned(knots: Vector, most: int) -> Vector:
    """At most `most` of the knots, the first and the last among them."""
    if len(knots) <= most:
        return knots
    return knots[np.unique(np.rint(np.linspace(0, len(knots) - 1, most)).astype(np.intp))]
