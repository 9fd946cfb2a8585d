"""Pictures of how predictions meet the truth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from report.charts import Axis, axis_over, labels_of
from report.diagnostics import histogram
from report.report import Report
from run.curves import Curves

Picture = NDArray[np.uint8]
Vector = NDArray[np.float32]
WIDTH, HEIGHT = 480, 440
LEFT, TOP, RIGHT, BOTTOM = 76, 40, 456, 384
FINE = 2  # drawn so many times as large and reduced, which smooths the edges
BLUE, GREY, PALE, DARK = "#1d5f9e", "#9aa4af", "#e6e8ea", "#1c2127"


def draw(folder: Path, report: Report) -> None:
    """Put the final figures and pictures into the VisualDL log in `folder`."""
    examples = report.examples
    actual, predicted = (np.array(v, np.float32) for v in (examples.actual, examples.predicted))
    with Curves(folder) as curves:
        curves.picture("predicted against actual", predicted_against_actual(actual, predicted))
        curves.picture("residuals", residuals(actual, predicted))
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


@contextmanager
def _panel(
    title: str, x: Axis, y: Axis, names: tuple[str, str]
) -> Iterator[tuple[Image.Image, ImageDraw.ImageDraw]]:
    """An empty chart to draw on: a grid with ticks, a title, and the names of both axes."""
    image = Image.new("RGB", (WIDTH * FINE, HEIGHT * FINE), "white")
    draw = ImageDraw.Draw(image)
    small, large = (ImageFont.load_default(size * FINE) for size in (12, 15))
    ticks_x, ticks_y = x.ticks(), y.ticks()
    for label, at in zip(labels_of(ticks_x), x.at(ticks_x), strict=True):
        draw.line(_pixels([at, at], [TOP, BOTTOM]), PALE, FINE)
        draw.text(_pixels([at], [BOTTOM + 8])[0], _plain(label), DARK, small, anchor="mt")
    for label, at in zip(labels_of(ticks_y), y.at(ticks_y), strict=True):
        draw.line(_pixels([LEFT, RIGHT], [at, at]), PALE, FINE)
        draw.text(_pixels([LEFT - 8], [at])[0], _plain(label), DARK, small, anchor="rm")
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


def _plain(label: str) -> str:
    """With a hyphen for the minus sign, which the font lacks."""
    return label.replace("−", "-")


def _reduced(image: Image.Image) -> Picture:
    return np.asarray(image.reduce(FINE))
