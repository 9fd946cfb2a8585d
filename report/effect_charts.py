"""The terms of an additive model as SVG: curves with bands, categories as bars, pairs as maps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bilingual import Text
from display import short
from report.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    Axis,
    Scale,
    Steps,
    axis_over,
    bars,
    cut,
    frame,
    labels_of,
    room_for,
    stroke,
    words,
)
from report.effects import LONGEST, NEAR, effect_name, place_name
from report.report import Effect
from report.texts import texts

Vector = NDArray[np.float64]
Places = Sequence[float | str | None]
SURE = 1.96  # standard errors to either side of a value: 95 % of a normal distribution
MOST_LEVELS = 30
SHADES = 10  # of either colour
FEW = 4  # knots, which a map shows at equal distances
CENTRAL = (0.15, 0.85)  # where the middle knot lies on an axis that shows all of them
DENSITY = 34.0  # pixels of its highest bar
MOST_DRAWN = 1e100
EXTREME = 0.01  # of the rows, in cells beyond the ends of a map's colours


class Band(NamedTuple):
    """A curve [n] with the ends of its 95 % band, no wider than would flatten the curve."""

    values: Vector
    low: Vector
    high: Vector


class Cell(NamedTuple):
    """A cell of a map in pixels; `shade`: from -SHADES to SHADES, None where there are no rows."""

    left: float
    right: float
    bottom: float
    top: float
    shade: int | None


class Map(NamedTuple):
    """A pair as cells: `limit` is the size of a value that has the full colour, `is_cut` whether
    some are beyond it; `names`: of the features along x and y."""

    x: Scale
    y: Scale
    names: tuple[str, str]
    cells: list[Cell]
    limit: float
    is_cut: bool


def effect_chart(effect: Effect, of: str) -> str:
    """A term as SVG; `of`: what it adds to."""
    if effect.kind == "curve":
        return _curve(effect, of)
    return _levels(effect, of) if effect.kind == "levels" else _map(effect)


def scale_of(places: Places, start: float, end: float) -> tuple[Scale, Vector]:
    """An axis between two pixels and the places on it [n]: linear or logarithmic, where that shows
    most knots apart, else one step after the other."""
    knots = [place for place in places if isinstance(place, float)]
    if len(knots) == len(places) and knots[0] < knots[-1]:
        for log in (False, True)[: 2 if knots[0] > 0 else 1]:
            axis = Axis(knots[0], knots[-1], start, end, log=log)
            at = axis.at(knots)
            middle = (at[len(at) // 2] - start) / (end - start)
            if len(knots) < 3 or CENTRAL[0] <= middle <= CENTRAL[1]:
                return axis, at
    steps = Steps([place_name(place) for place in places], start, end)
    return steps, steps.centers()


def edges_of(scale: Scale, at: Vector) -> Vector:
    """Between neighbouring places [n] on an axis, and its ends: [n + 1]."""
    return np.concatenate([[scale.start], (at[1:] + at[:-1]) / 2, [scale.end]])


def band_of(effect: Effect) -> Band:
    values, reach = _drawn(effect.values), SURE * _drawn(effect.errors)
    room = max(float(np.ptp(values)), 2 * float(np.median(reach)))
    low, high = float(values.min()) - room, float(values.max()) + room
    return Band(values, np.maximum(values - reach, low), np.minimum(values + reach, high))


def _drawn(values: Sequence[float]) -> Vector:
    """Numbers that a picture can have, whatever a report has."""
    return np.clip(np.nan_to_num(np.array(values)), -MOST_DRAWN, MOST_DRAWN)


def densities(effect: Effect, edges: Vector, height: float) -> Vector:
    """Heights of bars [n] whose areas are in proportion to the rows."""
    rows = _drawn(effect.rows)
    dense = rows / np.maximum(np.abs(np.diff(edges)), 4.0)
    return height * dense / max(float(dense.max()), 1e-300)


def leading_levels(effect: Effect) -> tuple[list[int], int]:
    """The levels with the largest values, from the highest to the lowest, and how many more have
    rows."""
    known = [i for i, rows in enumerate(effect.rows) if rows > 0]
    first = sorted(known, key=lambda i: -abs(effect.values[i]))[:MOST_LEVELS]
    return sorted(first, key=lambda i: -effect.values[i]), len(known) - len(first)


def map_of(effect: Effect, right: float, ends: tuple[float, float], left: float = 0.0) -> Map:
    """The cells of a pair between pixels: the second feature is along x, unless its names have more
    room beside the map. `ends`: bottom and top; `left`: where it begins, 0: beside its names."""
    shape = [len(places) for places in effect.places]
    values, rows = (_drawn(each).reshape(shape) for each in (effect.values, effect.rows))
    (first, second), (up, across) = effect.features, effect.places
    if not isinstance(across[0], float) and (isinstance(up[0], float) or len(across) > len(up)):
        first, second, up, across, values, rows = second, first, across, up, values.T, rows.T
    most = int((left or 120.0) / 8)  # columns of a name beside the map
    names = [cut(place_name(place), most) for place in up]
    start = left or (LEFT if isinstance(up[0], float) else max(LEFT, room_for(names)))
    (x, at_x), (y, at_y) = _of_a_map(across, start, right), _of_a_map(up, *ends, names)
    limit = _limit(np.abs(values).ravel(), rows.ravel())
    shades = np.rint(SHADES * np.clip(values / limit, -1, 1)).astype(int)
    columns, lines = (list(pairwise(edges_of(*axis).tolist())) for axis in ((x, at_x), (y, at_y)))
    cells = [
        Cell(*columns[j], *lines[i], shade=int(shades[i, j]) if rows[i, j] >= NEAR else None)
        for i, j in np.ndindex(*values.shape)
    ]
    largest = float(np.abs(values[rows >= NEAR]).max(initial=0.0))
    return Map(x, y, (second, first), cells, limit, largest > limit * (1 + 1e-9))


def _of_a_map(
    places: Places, start: float, end: float, names: Sequence[Text] = ()
) -> tuple[Scale, Vector]:
    if len(places) >= FEW and isinstance(places[0], float):
        return scale_of(places, start, end)
    steps = Steps(names or [place_name(place) for place in places], start, end)
    return steps, steps.centers()


def _limit(sizes: Vector, rows: Vector) -> float:
    """The size that all but a few of the rows are within."""
    order = np.argsort(sizes)
    below = np.cumsum(rows[order])
    if not below[-1]:
        return float(sizes.max()) or 1.0
    at = int(np.searchsorted(below, (1 - EXTREME) * below[-1]))
    return float(sizes[order[at]]) or 1.0


def _curve(effect: Effect, of: str) -> str:
    x, at = scale_of(effect.places[0], LEFT, RIGHT)
    band = band_of(effect)
    y = axis_over([0.0, *band.low, *band.high], BOTTOM - DENSITY - 4, TOP)
    edges = edges_of(x, at)
    bars = "".join(
        f"M{left:.1f} {BOTTOM}V{BOTTOM - height:.1f}H{right:.1f}V{BOTTOM}z"
        for left, right, height in zip(
            edges[:-1], edges[1:], densities(effect, edges, DENSITY), strict=True
        )
    )
    low, high, middle = (_points(at, y.at(each)) for each in (band.low, band.high, band.values))
    zero = y.at(0)[0]
    marks = [
        f'<path class="rows" d="{bars}"/>',
        f'<path class="band" d="M{"L".join([*high, *reversed(low)])}z"/>',
        stroke(x.start, zero, x.end, zero),
        f'<path class="curve c0" d="M{"L".join(middle)}"/>',
    ]
    names = (_short(effect.features[0]), _adds(of))
    return frame(x, y, names, marks, effect_name(effect))


def _points(x: Vector, y: Vector) -> list[str]:
    return [f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True)]


def _levels(effect: Effect, of: str) -> str:
    shown, _ = leading_levels(effect)
    return bars(
        [place_name(effect.places[0][i]) for i in shown],
        [effect.values[i] for i in shown],
        [SURE * effect.errors[i] for i in shown],
        title=effect_name(effect),
        axis=_adds(of),
    )


def _map(effect: Effect) -> str:
    shown = map_of(effect, RIGHT, (BOTTOM, TOP))
    empty = [
        f"M{cell.left:.1f} {cell.bottom:.1f}L{cell.right:.1f} {cell.top:.1f}"
        for cell in shown.cells
        if cell.shade is None
    ]
    marks = [*_filled(shown.cells), *_legend(shown, bool(empty))]
    if empty:
        marks.append(f'<path class="empty" d="{"".join(empty)}"/>')
    x, y = map(_short, shown.names)
    return frame(shown.x, shown.y, (x, y), marks, effect_name(effect), HEIGHT + 22)


def _legend(shown: Map, has_empty: bool) -> list[str]:
    """What the colours stand for, below the map."""
    y, wide, left = HEIGHT + 4, 5.0, LEFT + 12
    low, high = colour_ends(shown)
    shades = range(-SHADES, SHADES + 1)
    cells = [
        Cell(left + wide * i, left + wide * (i + 1), y + 11, y, shade)
        for i, shade in enumerate(shades)
    ]
    marks = [
        *_filled(cells),
        words(left - 6, y + 10, low, "end"),
        words(cells[-1].right + 6, y + 10, high),
    ]
    if has_empty:
        marks.append(f'<path class="empty" d="M{RIGHT - 84} {y + 11}l14 -11"/>')
        marks.append(words(RIGHT - 64, y + 10, texts().effects.empty))
    return marks


def colour_ends(shown: Map) -> tuple[Text, Text]:
    """The values of the full colours below and above 0."""
    (size,) = labels_of([float(f"{shown.limit:.3g}")])
    low, high = f"−{size}", f"+{size}"
    return (Text(f"≤ {low}"), Text(f"≥ {high}")) if shown.is_cut else (Text(low), Text(high))


def _filled(cells: Sequence[Cell]) -> list[str]:
    """Cells with rows, a path a shade, over a ground that hides the grid."""
    boxes: dict[int, list[str]] = {}
    for cell in cells:
        if cell.shade is not None:
            box = f"M{cell.left:.1f} {cell.bottom:.1f}H{cell.right:.1f}V{cell.top:.1f}"
            boxes.setdefault(cell.shade, []).append(f"{box}H{cell.left:.1f}z")
    ground = "".join("".join(some) for some in boxes.values())
    shades = [
        f'<path class="{"below" if shade < 0 else "above"}" fill-opacity="{abs(shade) / SHADES}" '
        f'd="{"".join(some)}"/>'
        for shade, some in sorted(boxes.items())
        if shade
    ]
    return [f'<path class="cell" d="{ground}"/>', *shades]


def _short(text: str) -> Text:
    return Text(short(text, LONGEST))


def _adds(of: str) -> Text:
    return texts().effects.adds.fill(of=_short(of))
