"""Pictures of how predictions meet the truth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from bilingual import Text
from display import short
from report.charts import Scale, Steps, axis_over, cut
from report.diagnostics import histogram
from report.effect_charts import (
    DENSITY,
    SHADES,
    SURE,
    band_of,
    colour_ends,
    densities,
    edges_of,
    leading_levels,
    map_of,
    scale_of,
)
from report.effects import LONGEST, effect_name, place_name
from report.report import Effect, Report
from report.texts import texts
from run.curves import Curves

Picture = NDArray[np.uint8]
Vector = NDArray[np.float32]
WIDTH, HEIGHT = 480, 440
LEFT, TOP, RIGHT, BOTTOM = 76, 40, 456, 384
FINE = 2  # drawn so many times as large and reduced, which smooths the edges
BLUE, GREY, PALE, DARK = "#1d5f9e", "#9aa4af", "#e6e8ea", "#1c2127"
ORANGE, BAND = "#c25512", "#bed3e6"
TERMS = 8  # of an additive model, the strongest


def draw(folder: Path, report: Report) -> None:
    """Put the final figures and pictures into the VisualDL log in `folder`."""
    examples = report.examples
    actual, predicted = (np.array(v, np.float32) for v in (examples.actual, examples.predicted))
    with Curves(folder) as curves:
        curves.picture("predicted against actual", predicted_against_actual(actual, predicted))
        curves.picture("residuals", residuals(actual, predicted))
        effects = report.effects
        for rank, effect in enumerate(effects.terms[:TERMS] if effects else [], start=1):
            name = effect_name(effect).plain.replace("%", " ")  # which no tag may have
            curves.picture(f"term {rank}: {name}", term(effect, effects.of if effects else ""))
        curves.result(report.metrics[report.last_part].describe())


def predicted_against_actual(target: Vector, prediction: Vector) -> Picture:
    """A point a row, and the line on which a perfect model would put them all: uint8 [H, W, 3]."""
    both = np.concatenate([target, prediction])
    x, y = axis_over(both, LEFT, RIGHT), axis_over(both, BOTTOM, TOP)
    with _panel("Predicted against actual", x, y, ("actual", "predicted")) as (image, draw):
        draw.line(_pixels(x.at([x.low, x.high]), y.at([y.low, y.high])), GREY, FINE)
        _points(draw, x.at(target), y.at(prediction))
    return _reduced(image)


def residuals(target: Vector, prediction: Vector) -> Picture:
    """Predicted minus actual over the prediction, and their distribution: uint8 [H, W, 3]."""
    error = (prediction - target).astype(np.float64)
    x, y = axis_over(prediction, LEFT, RIGHT), axis_over([0.0, *error], BOTTOM, TOP)
    with _panel("Residuals", x, y, ("predicted", "predicted - actual")) as (over, draw):
        draw.line(_pixels([LEFT, RIGHT], y.at([0, 0])), GREY, FINE)
        _points(draw, x.at(prediction), y.at(error))
    counts, edges = histogram(error)
    x, y = axis_over(edges, LEFT, RIGHT), axis_over([0, *counts], BOTTOM, TOP)
    with _panel("Their distribution", x, y, ("predicted - actual", "rows")) as (spread, draw):
        sides, tops = x.at(edges), y.at(counts)
        for left, right, top in zip(sides[:-1], sides[1:], tops, strict=True):
            draw.rectangle(_pixels([left, right], [top, y.at(0)[0]]), BLUE)
    return np.hstack([_reduced(over), _reduced(spread)])


def term(effect: Effect, of: str) -> Picture:
    """A term of an additive model, and what it adds to `of`: uint8 [H, W, 3]."""
    if effect.kind == "curve":
        return _curve(effect, of)
    return _levels(effect, of) if effect.kind == "levels" else _map(effect)


def _curve(effect: Effect, of: str) -> Picture:
    """With its 95 % band, and the density of rows below."""
    x, at = scale_of(effect.places[0], LEFT, RIGHT)
    band = band_of(effect)
    y = axis_over([0.0, *band.low, *band.high], BOTTOM - DENSITY, TOP)
    edges = edges_of(x, at)
    heights = densities(effect, edges, DENSITY - 6)
    low, high, middle = (_pixels(at, y.at(each)) for each in (band.low, band.high, band.values))
    with _panel(
        effect_name(effect).plain, x, y, (short(effect.features[0], LONGEST), _adds(of))
    ) as (
        image,
        draw,
    ):
        for left, right, height in zip(edges[:-1], edges[1:], heights, strict=True):
            draw.rectangle(_pixels([left, right], [BOTTOM - height, BOTTOM]), GREY)
        draw.polygon([*high, *reversed(low)], BAND)
        draw.line(_pixels([LEFT, RIGHT], y.at([0, 0])), GREY, FINE)
        draw.line(middle, BLUE, 2 * FINE)
    return _reduced(image)


def _levels(effect: Effect, of: str) -> Picture:
    """Bars from zero with 95 % errors, the highest value first."""
    shown, _ = leading_levels(effect)
    values, reach = (
        np.nan_to_num([each[i] for i in shown]) for each in (effect.values, effect.errors)
    )
    reach = SURE * reach
    names = [cut(place_name(effect.places[0][i]), 9) for i in shown] or [Text("")]
    x = axis_over([0.0, *(values - reach), *(values + reach)], LEFT, RIGHT)
    y = Steps(names[::-1], BOTTOM, TOP)
    half, zero = abs(y.step) * 0.3, float(x.at(0)[0])
    ends = zip(x.at(values), x.at(values - reach), x.at(values + reach), strict=True)
    with _panel(effect_name(effect).plain, x, y, (_adds(of), "")) as (image, draw):
        for center, (end, low, high) in zip(y.centers()[::-1], ends, strict=False):
            draw.rectangle(_pixels(sorted([zero, end]), [center - half, center + half]), BLUE)
            draw.line(_pixels([low, high], [center, center]), DARK, FINE)
    return _reduced(image)


def _map(effect: Effect) -> Picture:
    """Cells from blue below 0 to orange above; white ones with a line are without rows."""
    shown = map_of(effect, RIGHT, (BOTTOM, TOP), LEFT)
    x, y = (short(name, LONGEST) for name in shown.names)
    low, high = (end.plain.lstrip("≤≥ ") for end in colour_ends(shown))  # not in the font
    colours = f"{x} (blue: {low}, orange: {high})"
    with _panel(effect_name(effect).plain, shown.x, shown.y, (colours, y)) as (image, draw):
        for cell in shown.cells:
            corners = _pixels([cell.left, cell.right], [cell.top, cell.bottom])
            if cell.shade is None:
                draw.line(corners, GREY, 1)
            else:
                draw.rectangle(corners, _blend(cell.shade / SHADES))
    return _reduced(image)


def _blend(share: float) -> tuple[int, ...]:
    """Of pale grey with blue below 0 or orange above."""
    ground, full = (np.array(ImageColor.getrgb(c)) for c in (PALE, BLUE if share < 0 else ORANGE))
    return tuple(np.rint(ground + abs(share) * (full - ground)).astype(int).tolist())


def _adds(of: str) -> str:
    return texts().effects.adds.fill(of=short(of, LONGEST)).plain


@contextmanager
def _panel(
    title: str, x: Scale, y: Scale, names: tuple[str, str]
) -> Iterator[tuple[Image.Image, ImageDraw.ImageDraw]]:
    """An empty chart to draw on: a grid with ticks, a title, and the names of both axes."""
    image = Image.new("RGB", (WIDTH * FINE, HEIGHT * FINE), "white")
    draw = ImageDraw.Draw(image)
    small, large = (ImageFont.load_default(size * FINE) for size in (12, 15))
    for label, at in x.labels():
        draw.line(_pixels([at, at], [TOP, BOTTOM]), PALE, FINE)
        draw.text(_pixels([at], [BOTTOM + 8])[0], label.plain, DARK, small, anchor="mt")
    for label, at in y.labels():
        draw.line(_pixels([LEFT, RIGHT], [at, at]), PALE, FINE)
        draw.text(_pixels([LEFT - 8], [at])[0], label.plain, DARK, small, anchor="rm")
    draw.text(_pixels([(LEFT + RIGHT) / 2], [BOTTOM + 32])[0], names[0], DARK, small, anchor="mt")
    draw.text(_pixels([8], [TOP - 12])[0], names[1], DARK, small, anchor="lb")
    draw.text(_pixels([(LEFT + RIGHT) / 2], [TOP - 12])[0], title, DARK, large, anchor="mb")
    yield image, draw


def _points(draw: ImageDraw.ImageDraw, x: ArrayLike, y: ArrayLike) -> None:
    for across, down in _pixels(x, y):
        draw.ellipse((across - 6, down - 6, across + 6, down + 6), BLUE, "white")


def _pixels(x: ArrayLike, y: ArrayLike) -> list[tuple[float, float]]:
    points = np.stack([np.asarray(x), np.asarray(y)], axis=1) * FINE
    return [(float(across), float(down)) for across, down in points]


def _reduced(image: Image.Image) -> Picture:
    return np.asarray(image.reduce(FINE))
