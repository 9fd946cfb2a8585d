"""The terms of an additive model, in words and as pictures."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bilingual import Text
from report import pictures
from report.charts import Axis, Steps
from report.effect_charts import (
    SHADES,
    band_of,
    densities,
    edges_of,
    effect_chart,
    leading_levels,
    map_of,
    scale_of,
)
from report.effects import strongest
from report.report import Effect, Effects
from tests.report.samples import additive


def curve(values: list[float], places: list[Any] | None = None, **others: Any) -> Effect:
    rows = [10.0] * len(values)
    places = places or [float(i) for i in range(len(values))]
    effect = Effect(["x"], "curve", 2.0, 0.5, [places], values, [0.1] * len(values), rows)
    return replace(effect, **others)


def pair(values: Any, rows: Any, places: list[list[Any]]) -> Effect:
    flat, near = np.ravel(values).tolist(), np.ravel(rows).tolist()
    return Effect(["a", "b"], "map", 2.0, 0.5, places, flat, [0.1] * len(flat), near)


def told(effect: Effect) -> Text:
    return strongest(Effects("y", 3, 2.0, 1.0, [effect]))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0, 1, 5], "x: from 0 to 2, +5.000"),
        ([4, 1, 0], "x: from 0 to 2, −4.000"),
        ([2, 0, 2], "x: from 0 to 1, −2.000, from 1 to 2, +2.000"),
        ([0, 9, 1, 10], "x: from 0 to 3, +10.00"),
        ([0, -0.1, 9, 10], "x: from 1 to 3, +10.10"),  # a small dip is not told
        ([3, 3], "x: from 0 to 1, 0"),
    ],
)
def test_a_curve_in_words(values: list[float], words: str) -> None:
    assert told(curve([float(value) for value in values])).en == words


def test_the_tails_of_a_curve_are_not_told() -> None:
    effect = curve([90.0, 0.0, 1.0, -90.0], rows=[1.0, 500.0, 500.0, 1.0])
    assert told(effect) == Text("x: from 1 to 2, +1.000", "x：从 1 到 2，+1.000")


def test_levels_and_pairs_in_words() -> None:
    levels = curve([3.0, -2.0, -9.0], ["gas", None, "oil"], kind="levels", rows=[5.0, 5.0, 0.0])
    assert told(levels) == Text(
        "x: −2.000 ((missing)) to +3.000 (gas)", "x：−2.000（（缺失））至 +3.000（gas）"
    )
    both = pair([[1, 2], [3, -99]], [[1, 1], [1, 0]], [[0.5, 0.7], ["n", "s"]])
    assert told(both).en == "a × b: +1.000 (0.5, n) to +3.000 (0.7, n)"


@pytest.mark.parametrize(
    ("knots", "kind"),
    [
        ([1.0, 2.0, 3.0, 4.0], "linear"),
        ([1.0, 10.0, 100.0, 1e3, 1e4, 1e5], "log"),
        ([0.0, 1.0, 2.0, 3.0, 4.0, 1e5], "steps"),
        (["a", "b"], "steps"),
        ([0.0, None], "steps"),
        ([1e30, 1e30], "steps"),
    ],
)
def test_the_scale_shows_most_knots_apart(knots: list[Any], kind: str) -> None:
    scale, at = scale_of(knots, 50.0, 250.0)
    found = "steps" if isinstance(scale, Steps) else "log" if scale.log else "linear"  # type: ignore[attr-defined]
    assert found == kind
    assert all(np.diff(at) > 0)
    assert at[0] >= 50
    assert at[-1] <= 250 + 1e-9
    edges = edges_of(scale, at)
    assert (edges[0], edges[-1], len(edges)) == (50, 250, len(at) + 1)


def test_names_are_as_many_as_there_is_room_for() -> None:
    few = Steps([Text("a" * 60), Text("b", "乙")], 0.0, 200.0).labels()
    assert [at for _, at in few] == [50.0, 150.0]
    assert len(few[0][0].en) == 14
    assert few[1][0] == Text("b", "乙")
    many = Steps([Text(str(i)) for i in range(100)], 200.0, 0.0).labels()
    assert len(many) == 15
    assert many[1][1] == pytest.approx(200 - 2 * 7.5)


def test_the_band_is_95_percent_and_does_not_flatten_the_curve() -> None:
    band = band_of(curve([0.0, 1.0, 2.0], errors=[0.1, 0.2, 500.0]))
    assert band.high[:2] == pytest.approx([0.196, 1.392])
    assert band.low[:2] == pytest.approx([-0.196, 0.608])
    assert (band.low[2], band.high[2]) == (-2.0, 4.0)


def test_bars_below_a_curve_have_areas_in_proportion_to_rows() -> None:
    edges = np.array([0.0, 10.0, 30.0, 40.0])
    heights = densities(curve([0.0] * 3, rows=[10.0, 40.0, 5.0]), edges, 30.0)
    assert heights == pytest.approx([15, 30, 7.5])


def test_the_largest_levels_are_shown_in_order_and_the_rest_counted() -> None:
    values = [float(i * (-1) ** i) for i in range(40)]
    effect = curve(values, [f"l{i}" for i in range(40)], kind="levels", rows=[0.0] * 2 + [1.0] * 38)
    shown, rest = leading_levels(effect)
    assert rest == 8
    assert shown[0] == 38
    assert shown[-1] == 39
    assert sorted(shown) == list(range(10, 40))
    assert [values[i] for i in shown] == sorted((values[i] for i in shown), reverse=True)


def test_a_map_has_its_values_where_they_belong() -> None:
    """The first feature upwards, the second to the right; full colours for the largest."""
    values, rows = [[0, 2, -4], [1, 4, 9]], [[5, 5, 5], [5, 5, 0]]
    shown = map_of(pair(values, rows, [[0.0, 1.0], [0.0, 1.0, 2.0]]), 350.0, (200.0, 0.0), 50.0)
    assert shown.names == ("b", "a")
    assert (shown.limit, shown.is_cut) == (4.0, False)
    assert [cell.shade for cell in shown.cells] == [0, 5, -SHADES, 2, SHADES, None]
    third = shown.cells[2]
    assert (third.left, third.right, third.bottom, third.top) == (250, 350, 200, 100)


def test_names_are_beside_a_map() -> None:
    names: list[Any] = ["n", "s", None]
    numbers: list[Any] = [1.0, 2.0]
    for places, values in (
        ([numbers, names], [[1, 2, 3], [4, 5, 6]]),
        ([names, numbers], [[1, 4], [2, 5], [3, 6]]),
    ):
        effect = pair(values, np.ones(6), places)
        shown = map_of(effect, 350.0, (200.0, 0.0))
        assert shown.names == (("a", "b") if places[0] is numbers else ("b", "a"))
        assert [name.en for name, _ in shown.y.labels()] == ["n", "s", "(missing)"]
        assert [cell.shade for cell in shown.cells] == [2, 7, 3, 8, 5, 10]


def test_few_extreme_rows_do_not_take_all_the_colour() -> None:
    values, rows = [[1, 2], [2, 1000]], [[500, 500], [500, 1]]
    shown = map_of(pair(values, rows, [[0.0, 1.0], [0.0, 1.0]]), 350.0, (200.0, 0.0))
    assert (shown.limit, shown.is_cut) == (2.0, True)
    assert shown.cells[3].shade == SHADES
    assert "≥ +2" in effect_chart(pair(values, rows, [[0.0, 1.0], [0.0, 1.0]]), "y")


BAD = [math.nan, math.inf, -math.inf, 0.0, 1e300]


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("effect", additive().effects.terms, ids=lambda e: e.features)  # type: ignore[union-attr]
def test_odd_values_draw(effect: Effect, value: float) -> None:
    many = [value] * len(effect.values)
    for changed in ({"values": many}, {"errors": many}, {"rows": many}):
        chart = effect_chart(replace(effect, **changed), "y")  # type: ignore[arg-type]
        assert not re.search(r"\b(nan|inf)\b", chart)


class Log:
    """Takes pictures where VisualDL would."""

    taken: dict[str, Any]

    def __init__(self, folder: Path) -> None:
        Log.taken = {}

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None: ...

    def picture(self, name: str, picture: Any) -> None:
        Log.taken[name] = picture

    def result(self, values: Any) -> None: ...


def test_pictures_of_the_strongest_terms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    report = additive()
    assert report.effects
    percent = replace(report.effects.terms[0], features=["% of rooms"])
    effects = replace(report.effects, terms=[percent, *report.effects.terms[1:]])
    monkeypatch.setattr(pictures, "Curves", Log)
    pictures.draw(tmp_path, replace(report, effects=effects))
    terms = {name: value for name, value in Log.taken.items() if name.startswith("term ")}
    assert list(terms)[:2] == ["term 1:   of rooms", "term 2: latitude x longitude"]
    assert len(terms) == 8
    for picture in terms.values():
        assert picture.shape == (440, 480, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 5


def test_a_map_is_drawn_in_two_colours() -> None:
    effect = pair([[-1, 1], [0, 1]], [[1, 1], [1, 0]], [[0.0, 1.0], [0.0, 1.0]])
    picture = pictures.term(effect, "y")
    below, above, zero, empty = (
        picture[300, 150],
        picture[300, 390],
        picture[120, 150],
        picture[70, 440],
    )
    assert tuple(below) == (0x1D, 0x5F, 0x9E)
    assert tuple(above) == (0xC2, 0x55, 0x12)
    assert tuple(zero) == (0xE6, 0xE8, 0xEA)
    assert tuple(empty) == (255, 255, 255)


def test_an_axis_names_its_ticks() -> None:
    assert Axis(0, 2, 0, 100, whole=True).labels() == [
        (Text("0"), 0.0),
        (Text("1"), 50.0),
        (Text("2"), 100.0),
    ]
