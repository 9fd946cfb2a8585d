"""What each term of an additive model adds to a prediction, from its contract alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.contract import Additive, AdditiveAxis

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Rows = NDArray[np.float32]
Index = NDArray[np.intp]
DIGITS = 9


class Between(NamedTuple):
    """Where rows [n] lie on an axis: a `share` of the way from place `low` to place `high`. Beyond
    the outer knots a share is below 0 or above 1."""

    low: Index
    high: Index
    share: Vector

    def flat(self) -> Between:
        return self._replace(share=self.share.clip(0, 1))


class Axis(NamedTuple):
    """The packed feature at `position` of a row; the rest is as in model.contract.AdditiveAxis."""

    position: int
    knots: tuple[float, ...]
    levels: int
    hole: float

    @property
    def size(self) -> int:
        return self.levels or len(self.knots)

    def places(self, rows: Rows) -> Between:
        cells = rows[:, self.position].astype(np.float64)
        missing = np.flatnonzero(np.isnan(cells))
        cells[missing] = 0
        if self.levels:
            low = cells.clip(0, self.levels - 1).astype(np.intp)
            share = np.zeros(len(cells))
        else:
            knots = np.array(self.knots)
            low = np.searchsorted(knots[1:-1], cells, side="right")
            share = (cells - knots[low]) / (knots[low + 1] - knots[low])
        low[missing] = int(self.hole)
        share[missing] = self.hole % 1
        return Between(low, np.minimum(low + 1, self.size), share)


class Contributions:
    """Of the terms of one model, to any number of batches; `additive` and `features` are those of
    its contract.

    Their `names` are such as `area` and `latitude x longitude`. Where the model has limits there is
    one more, `limits`: what these take off; in a blend one more, `network`: what its other part
    adds. All are in the target's unit or, where `log`, in that
    of log(1 + target). Told to so many `decimals`, they still add up as exactly as float32.

    >>> axis = {"feature": "area", "knots": [0.0, 2.0], "levels": 0, "hole": 2.0}
    >>> additive = {"center": 5.0, "log": False, "limits": None, "beyond": "flat"}
    >>> terms = [{"axes": [axis], "values": [-1.0, 1.0, 0.5]}]
    >>> contributions = Contributions({**additive, "terms": terms}, ["area"])
    >>> found = contributions.of(np.array([[0.5], [9.0], [np.nan]], dtype=np.float32))
    >>> found.tolist(), contributions.predict(found).tolist()
    ([[-0.5], [1.0], [0.5]], [4.5, 6.0, 5.5])
    """

    def __init__(self, additive: Additive, features: Sequence[str]) -> None:
        self.center: float = additive["center"]
        self.log: bool = additive["log"]
        self.limits: list[float] | None = additive["limits"]
        self._goes_on = additive["beyond"] == "line"
        positions = {name: position for position, name in enumerate(features)}
        self._terms: list[tuple[list[Axis], Matrix]] = []
        names = []
        for term in additive["terms"]:
            axes = [_axis(axis, positions) for axis in term["axes"]]
            values = np.array(term["values"]).reshape([axis.size + 1 for axis in axes])
            self._terms.append((axes, values))
            names.append(" x ".join(axis["feature"] for axis in term["axes"]))
        self.has_network: bool = additive.get("network", False)
        rest = ["network"] * self.has_network or ["limits"] * (self.limits is not None)
        self.names: tuple[str, ...] = (*names, *rest)
        largest = max([abs(self.center), *(np.abs(values).max() for _, values in self._terms)])
        self.decimals: int = DIGITS - int(np.log10(largest)) if largest else DIGITS

    def of(self, rows: Rows, predictions: NDArray[Any] | None = None) -> Matrix:
        """[n, names] to the `predictions` [n] of rows [n, features], which are as
        `Predictor.predict` takes them; of a blend the last is what is left for its network."""
        result = np.zeros((len(rows), len(self.names)))
        places: dict[Axis, Between] = {}
        for at, (axes, values) in enumerate(self._terms):
            for axis in axes:
                if axis not in places:
                    places[axis] = axis.places(rows)
            found = [places[axis] for axis in axes]
            if len(axes) == 2 or not self._goes_on:
                found = [place.flat() for place in found]
            result[:, at] = _interpolated(values, found)
        if self.has_network and predictions is not None:
            exact = np.asarray(predictions, dtype=np.float64)
            whole = np.log1p(exact) if self.log else exact
            result[:, -1] = whole - self.center - result.sum(axis=1)
        elif self.limits is not None:
            total = self.center + result.sum(axis=1)
            result[:, -1] = total.clip(*self.limits) - total
        return result

    def predict(self, contributions: Matrix) -> Vector:
        """The predictions [n], in the target's unit, that contributions [n, names] add up to."""
        total: Vector = self.center + contributions.sum(axis=1)
        return np.expm1(total) if self.log else total


def _axis(axis: AdditiveAxis, positions: dict[str, int]) -> Axis:
    return Axis(positions[axis["feature"]], tuple(axis["knots"]), axis["levels"], axis["hole"])


def _interpolated(values: Matrix, places: Sequence[Between], at: tuple[Index, ...] = ()) -> Vector:
    """[n], linear along one axis after the other, of those whose places are not yet in `at`."""
    if len(at) == len(places):
        return values[at]
    place = places[len(at)]
    low = _interpolated(values, places, (*at, place.low))
    high = _interpolated(values, places, (*at, place.high))
    return low + place.share * (high - low)
