"""What one pass over the training rows tells of each column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from display import short
from errors import TableError
from factor import Factor, factor

Vector = NDArray[np.float64]
Rows = NDArray[np.float32]


class Moments(NamedTuple):
    """Of a batch: float64 [D], and the sums of products about the mean [D, D]."""

    rows: int
    mean: Vector
    minimum: Vector
    maximum: Vector
    products: NDArray[np.float64]


def moments(batch: NDArray[Any]) -> Moments:
    """Those of rows [n, D], n >= 1."""
    columns = np.array(batch.T, dtype=np.float64, order="C")  # sums along a row of memory are fast
    mean = columns.mean(axis=1)
    minimum, maximum = columns.min(axis=1), columns.max(axis=1)
    columns -= mean[:, None]
    return Moments(columns.shape[1], mean, minimum, maximum, columns @ columns.T)


NOTHING = Moments(0, np.zeros(0), np.zeros(0), np.zeros(0), np.zeros((0, 0)))
"""Of no rows."""


def merge(whole: Moments, part: Moments) -> Moments:
    """The moments of both; the products of one of them are used up.

    Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample
    variances" (1979), for means and sums of products about them.
    """
    if not whole.rows or not part.rows:
        return part if part.rows else whole
    difference = part.mean - whole.mean
    rows = whole.rows + part.rows
    apart = np.outer(difference, difference) * (whole.rows * part.rows / rows)
    return Moments(
        rows,
        whole.mean + difference * (part.rows / rows),
        np.minimum(whole.minimum, part.minimum),
        np.maximum(whole.maximum, part.maximum),
        np.add(np.add(whole.products, part.products, out=part.products), apart, out=apart),
    )


def rounding(rows: NDArray[Any]) -> Vector:
    """The variance [D] that float32 adds to the columns of rows [n, D]: its error is uniform
    between two numbers; whole ones have none."""
    near = np.abs(rows).astype(np.float32)
    apart = np.where(near == np.rint(near), np.float32(0), np.spacing(near))
    return np.square(apart, dtype=np.float64).mean(axis=0) / 12


@dataclass(frozen=True)
class Statistics:
    """Float64, over D columns: mean, minimum, maximum [D]; covariance [D, D], divided by count."""

    columns: tuple[str, ...]
    count: int
    mean: Vector
    minimum: Vector
    maximum: Vector
    covariance: NDArray[np.float64]

    @classmethod
    def of(cls, columns: Sequence[str], batches: Iterable[NDArray[Any]]) -> Statistics:
        """Merge the moments of batches [n, D], n >= 1, in one pass."""
        return cls.from_moments(columns, reduce(merge, map(moments, batches), NOTHING))

    @classmethod
    def from_moments(cls, columns: Sequence[str], whole: Moments) -> Statistics:
        """Of the moments of all rows, whose products, the largest array of a wide table, are used
        up."""
        if not whole.rows:
            raise ValueError("no rows")
        covariance = np.divide(whole.products, whole.rows, out=whole.products)
        return cls(tuple(columns), *whole[:-1], covariance)

    @cached_property
    def position(self) -> dict[str, int]:
        """Where each column is."""
        return {name: at for at, name in enumerate(self.columns)}

    @cached_property
    def deviation(self) -> Vector:
        """Population standard deviation [D]."""
        return np.sqrt(np.diag(self.covariance))

    def factor(self, rounding: Vector, covariance: NDArray[np.float64] | None = None) -> Factor:
        """Of the columns but the last, or of what of them has another `covariance`: a direction in
        which they vary little more than their `rounding` explains is left out."""
        scale = np.where(self.minimum == self.maximum, 1.0, self.deviation)[:-1]
        if covariance is None:
            covariance = self.covariance
        return factor(covariance[:-1, :-1], scale, rounding / scale**2)

    @property
    def constant(self) -> list[str]:
        """The columns that have one value throughout."""
        same = self.minimum == self.maximum
        return [name for name, one_value in zip(self.columns, same, strict=True) if one_value]

    def log1p(self, reduced: Callable[[Callable[[Rows], Moments]], Moments]) -> Statistics:
        """The statistics of log(1 + x) of the last column of the same rows, by a pass over them:
        `reduced(function)` merges what function(block) gives of each block.

        Raises TableError where it is not above -1.
        """
        if self.minimum[-1] <= -1:
            raise TableError(
                f"column {short(self.columns[-1])}: found {self.minimum[-1]:g}, expected values "
                "above -1 for data.scale.target=log1p; choose another scaling"
            )

        def of_block(block: Rows) -> Moments:
            return moments(np.log1p(block[:, -1:].astype(np.float64)))

        return Statistics.from_moments(self.columns[-1:], reduced(of_block))

    def scaling(self, method: str, least: Vector | float = 0.0) -> tuple[Vector, Vector]:
        """(center, scale), each [D]: (x - center) / scale is scaled; scale 1 where constant.

        `least`: bounds of the standard scale from below.
        """
        extent = self.maximum - self.minimum
        center, scale = {
            "min_max": (self.minimum, extent),
            "mean_range": (self.mean, extent),
            "standard": (self.mean, np.maximum(self.deviation, least)),
            "none": (np.zeros_like(self.mean), np.ones_like(self.mean)),
        }[method]
        return center, np.where(extent == 0, 1.0, scale)

    def describe(self) -> dict[str, Any]:
        """JSON values: the count, and each column's moments."""
        moments = {
            "mean": self.mean,
            "deviation": self.deviation,
            "minimum": self.minimum,
            "maximum": self.maximum,
        }
        return {
            "rows": self.count,
            "columns": {
                name: {moment: float(values[index]) for moment, values in moments.items()}
                for index, name in enumerate(self.columns)
            },
        }
