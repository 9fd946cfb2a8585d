from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.contract import CALENDAR, Additive, AdditiveAxis
from model.contributions import Contributions
from reader.axes import Axis
from reader.moments import LEVELS

FEATURES = ("area", "latitude", "town", "sold.month", "rooms")


def number(feature: str, knots: list[float], hole: float | None = None) -> AdditiveAxis:
    place = float(len(knots)) if hole is None else hole
    return {"feature": feature, "knots": knots, "levels": 0, "hole": place}


def code(feature: str, levels: int, hole: float) -> AdditiveAxis:
    return {"feature": feature, "knots": [], "levels": levels, "hole": hole}


AREA = number("area", [-2.5, 0.0, 1.0, 8.0])
LATITUDE = number("latitude", [30.0, 40.0], hole=0.25)
TOWN = code("town", 4, 4.0)
MONTH = code("sold.month", 13, 6.0)


def additive(**changes: Any) -> Additive:
    """A model with random values of terms of every kind, the same each time."""
    random = np.random.default_rng(0)
    values: dict[str, Any] = {"center": 3.25, "log": False, "limits": None, "beyond": "flat"}
    terms = []
    axes = ([AREA], [LATITUDE], [TOWN], [MONTH], [AREA, LATITUDE], [TOWN, LATITUDE], [TOWN, MONTH])
    for pair in axes:
        size = math.prod((axis["levels"] or len(axis["knots"])) + 1 for axis in pair)
        terms.append({"axes": pair, "values": random.normal(size=size).tolist()})
    model: Additive = {**values, "terms": terms, **changes}  # type: ignore[typeddict-item]
    return model


def rows_of(n: int = 400) -> NDArray[np.float32]:
    """Random rows, the same each time."""
    random = np.random.default_rng(1)
    rows = np.stack(
        [
            random.normal(0, 6, n),
            random.normal(35, 5, n),
            random.integers(0, 4, n),
            random.integers(1, 13, n),
            random.normal(0, 1, n),
        ],
        axis=1,
    ).astype(np.float32)
    rows[random.random(n) < 0.2, 0] = np.nan
    rows[random.random(n) < 0.2, 1] = np.nan
    rows[random.random(n) < 0.2, 3] = np.nan
    knots = np.array([*AREA["knots"], 1e30, -1e30], dtype=np.float32)
    rows[: len(knots), 0] = knots
    return rows


def naive(model: Additive, row: NDArray[np.float32]) -> list[float]:
    """As the contract has it, one cell after the other."""
    found = []
    for term in model["terms"]:
        axes, places = term["axes"], []
        for axis in axes:
            cell = float(row[FEATURES.index(axis["feature"])])
            outside = len(axes) == 1 and model["beyond"] == "line"
            places.append(place_of(axis, cell, outside))
        size = (axes[-1]["levels"] or len(axes[-1]["knots"])) + 1
        total = 0.0
        for first, weight in places[0]:
            for second, other in places[1] if len(axes) == 2 else [(0, 1.0)]:
                at = first * size + second if len(axes) == 2 else first
                total += weight * other * term["values"][at]
        found.append(total)
    return found


def place_of(axis: AdditiveAxis, cell: float, outside: bool) -> list[tuple[int, float]]:
    """The places that a cell touches, and how much."""
    knots = axis["knots"]
    if math.isnan(cell):
        low = int(axis["hole"])
        share = axis["hole"] - low
        return [(low, 1 - share), *([(low + 1, share)] if share else [])]
    if axis["levels"]:
        return [(int(cell), 1.0)]
    if not outside:
        cell = min(max(cell, knots[0]), knots[-1])
    low = max(i for i in range(len(knots) - 1) if i == 0 or knots[i] <= cell)
    share = (cell - knots[low]) / (knots[low + 1] - knots[low])
    return [(low, 1 - share), (low + 1, share)]


@pytest.mark.parametrize("beyond", ["flat", "line"])
def test_each_is_what_a_loop_finds(beyond: str) -> None:
    model, rows = additive(beyond=beyond), rows_of()
    found = Contributions(model, FEATURES).of(rows)
    expected = np.array([naive(model, row) for row in rows])
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    far = np.abs(rows[:, 0]) == np.float32(1e30)
    assert (np.abs(found[far, 0]) > 1e28).all() == (beyond == "line")
    assert np.abs(found[:, 4:]).max() < 10  # pairs are flat


def test_places_are_those_that_training_used() -> None:
    axis = Axis("area", 0, np.array(AREA["knots"]), has_holes=True)
    model = additive(terms=[{"axes": [AREA], "values": [0.0, 1.0, 2.0, 3.0, 4.0]}])
    rows = rows_of()
    found = Contributions(model, FEATURES).of(rows)[:, 0]
    np.testing.assert_allclose(found, axis.place(rows[:, 0]), atol=1e-12)


def test_names_are_those_of_features() -> None:
    names = Contributions(additive(), FEATURES).names
    assert names[0] == "area"
    assert names[4] == "area x latitude"
    assert len(names) == 7
    assert Contributions(additive(limits=[0.0, 1.0]), FEATURES).names == (*names, "limits")


@pytest.mark.parametrize("log", [False, True])
def test_limits_are_a_contribution(log: bool) -> None:
    model, rows = additive(limits=[2.0, 4.0], log=log, beyond="line"), rows_of()
    contributions = Contributions(model, FEATURES)
    found = contributions.of(rows)
    total = np.array([model["center"] + sum(naive(model, row)) for row in rows])
    expected = np.clip(total, 2.0, 4.0)
    assert (expected != total).any()
    assert (found[expected == total, -1] == 0).any()
    near = np.abs(total) < 1e6
    predictions = contributions.predict(found)
    expected = np.expm1(expected) if log else expected
    np.testing.assert_allclose(predictions[near], expected[near], rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 99.0, 1e6, 1e35])
def test_they_add_up_as_they_are_told(scale: float) -> None:
    model = additive(center=scale)
    for term in model["terms"]:
        term["values"] = [value * scale for value in term["values"]]
    contributions, rows = Contributions(model, FEATURES), rows_of()
    found = contributions.of(rows)
    told = found.round(contributions.decimals)
    assert np.abs(told - found).max() > 0
    np.testing.assert_allclose(told.sum(axis=1), found.sum(axis=1), atol=1e-7 * scale)
    assert max(len(f"{abs(v):.9g}") for v in told.ravel() / scale) <= 15


def test_any_code_has_a_place() -> None:
    """Though no code of a table is beyond its levels."""
    rows = np.full((2, len(FEATURES)), [[-1e30], [1e30]], dtype=np.float32)
    found = Contributions(additive(), FEATURES).of(rows)
    assert np.isfinite(found).all()


def test_a_model_of_nothing_but_zeros() -> None:
    model = additive(center=0.0, terms=[{"axes": [TOWN], "values": [0.0] * 5}])
    contributions = Contributions(model, FEATURES)
    assert contributions.of(rows_of(9)).round(contributions.decimals).tolist() == [[0.0]] * 9
    assert contributions.of(rows_of(9)[:0]).shape == (0, 1)


def test_calendars_are_those_of_the_reader() -> None:
    assert {part: levels.stop for part, levels in LEVELS.items()} == CALENDAR
