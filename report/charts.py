"""Charts as inline SVG: what is drawn scales with the page and takes its colours from page.css."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bilingual import Text
from display import short, width

WIDTH, HEIGHT = 400.0, 280.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 388.0, 30.0, 238.0
NAME_WIDTH, BAR = 26, 22.0
NOTHING = Text("")
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Axis:
    """Where the values from `low` to `high` lie between two pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    whole: bool = False
    """ticks at whole numbers only"""

    def at(self, values: ArrayLike) -> NDArray[np.float64]:
        points = np.array([self.low, self.high, *np.ravel(np.asarray(values, np.float64))])
        if self.log:
            points = np.log10(points)
        share = (points[2:] - points[0]) / (points[1] - points[0])
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            powers = [10.0**i for i in decades if self.low <= 10.0**i <= self.high]
            if len(powers) > 2:
                return powers[:: -(-len(powers) // 6)]
            steps = [m * 10.0**i for i in decades for m in (1, 2, 5)]
            if len(inside := [step for step in steps if self.low <= step <= self.high]) > 2:
                return inside
        rough = (self.high - self.low) / 7
        power = 10.0 ** math.floor(math.log10(rough))
        step = power * next(m for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
        step = max(step, 1.0) if self.whole else step
        return [i * step for i in range(math.ceil(self.low / step), int(self.high // step) + 1)]


def curve(
    series: Mapping[Text, Sequence[tuple[float, float]]],
    line: float | None = None,
    *,
    title: Text,
    names: tuple[Text, Text],
    line_name: Text = NOTHING,
) -> str:
    """Up to three named curves, the y axis logarithmic where all is above zero; `line`: a level
    to compare them with, and its name."""
    points = {name: _finite(pairs) for name, pairs in series.items() if len(_finite(pairs))}
    every = np.concatenate([np.empty((0, 2)), *points.values()])
    log = bool(len(every)) and bool((every[:, 1] > 0).all())
    level = [] if line is None or not math.isfinite(line) or (log and line <= 0) else [line]
    x = axis_over(every[:, 0], LEFT, RIGHT, whole=True)
    y = axis_over([*every[:, 1], *level], BOTTOM, TOP, log=log)
    marks = [_line(LEFT, at, RIGHT, at) for at in y.at(level)]
    legend = []
    for i, (name, pairs) in enumerate(points.items()):
        thin = [*pairs[:: -(-len(pairs) // 1000)], pairs[-1]]
        px, py = x.at([a for a, _ in thin]), y.at([b for _, b in thin])
        path = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(px, py, strict=True))
        marks.append(f'<path class="curve c{i % 3}" d="M{path}"/>')
        if len(pairs) == 1:
            marks.append(
                f'<circle class="curve c{i % 3}" cx="{px[0]:.1f}" cy="{py[0]:.1f}" r="3"/>'
            )
        legend.append((name, f"curve c{i % 3}"))
    legend += [(line_name, "guide") for _ in level]
    return _frame(x, y, names, [*marks, *_legend(legend)], title)


def scatter(
    x: Sequence[float],
    y: Sequence[float],
    *,
    title: Text,
    names: tuple[Text, Text],
    diagonal: bool = False,
) -> str:
    """A point a pair, with the line y = x (both axes then span the same values) or y = 0."""
    points = _finite(list(zip(x, y, strict=True)))
    across = axis_over(points if diagonal else points[:, 0], LEFT, RIGHT)
    up = axis_over(points if diagonal else [*points[:, 1], 0.0], BOTTOM, TOP)
    pixels = list(zip(across.at(points[:, 0]), up.at(points[:, 1]), strict=True))
    ends = (up.low, up.high) if diagonal else (0.0, 0.0)
    low, high = up.at(ends)
    # One path's points do not darken each other: a few paths show where the points are dense.
    paths = ["".join(f"M{a:.1f} {b:.1f}h0" for a, b in pixels[i::8]) for i in range(8)]
    marks = [f'<path class="points" d="{path}"/>' for path in paths if path]
    return _frame(across, up, names, [*marks, _line(LEFT, low, RIGHT, high)], title)


def histogram(
    counts: Sequence[int], edges: Sequence[float], *, title: Text, names: tuple[Text, Text]
) -> str:
    """Bars between the edges, and a line at zero."""
    x = axis_over(edges, LEFT, RIGHT)
    y = Axis(0, max([1.0, *counts]) * 1.05, BOTTOM, TOP, whole=True)
    at, tops = x.at(edges), y.at(counts)
    marks = [
        f'<rect class="bar" x="{left:.1f}" y="{top:.1f}" height="{BOTTOM - top:.1f}" '
        f'width="{max(right - left - 0.6, 0.6):.1f}"/>'
        for left, right, top in zip(at[:-1], at[1:], tops, strict=True)
    ]
    if x.low < 0 < x.high:
        marks.append(_line(x.at(0)[0], TOP, x.at(0)[0], BOTTOM))
    return _frame(x, y, names, marks, title)


def bars(
    names: Sequence[str],
    values: Sequence[float],
    spread: Sequence[float],
    *,
    title: Text,
    axis: Text,
) -> str:
    """A horizontal bar a name, from zero, with a whisker of one `spread` to either side."""
    size, reach = np.nan_to_num(
        [np.asarray(values, float), np.asarray(spread, float)], posinf=0, neginf=0
    )
    shown = [short(name, NAME_WIDTH) for name in names]
    left = 16 + 6.4 * max((width(name) for name in shown), default=0)
    bottom = 8 + BAR * len(names)
    x = axis_over([0.0, *(size - reach), *(size + reach)], left, RIGHT)
    zero, marks = x.at(0)[0], []
    for i, (label, name) in enumerate(zip(shown, names, strict=True)):
        (end, low, high), y = x.at([size[i], size[i] - reach[i], size[i] + reach[i]]), 8 + BAR * i
        marks += [
            f'<text class="name" x="{left - 8:.1f}" y="{y + 15:.1f}" text-anchor="end">'
            f"<title>{escape(short(name))}</title>{escape(label)}</text>",
            f'<rect class="bar" x="{min(zero, end):.1f}" y="{y + 4:.1f}" '
            f'width="{max(abs(end - zero), 0.6):.1f}" height="{BAR - 8:.1f}"/>',
        ]
        if reach[i]:
            marks.append(_line(low, y + BAR / 2, high, y + BAR / 2, "whisker"))
    return _svg(title, bottom + 42, [*_across(x, axis, 8, bottom), *marks])


def axis_over(
    values: ArrayLike, start: float, end: float, *, log: bool = False, whole: bool = False
) -> Axis:
    """An axis on which the values lie, a little inside both ends."""
    flat = np.ravel(np.asarray(values, np.float64))
    low, high = (float(flat.min()), float(flat.max())) if len(flat) else (0.0, 1.0)
    if log:
        room = max(math.log10(high / low) * 0.05, 0.05)
        return Axis(low / 10**room, high * 10**room, start, end, log=True)
    span = high - low
    room = span * 0.04 if span > 1e-9 * abs(high) else abs(high) * 0.1 or 1.0
    return Axis(low - room, high + room, start, end, whole=whole)


def _finite(pairs: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    points = np.asarray(pairs, np.float64).reshape(-1, 2)
    return points[np.isfinite(points).all(axis=1)]


def _frame(x: Axis, y: Axis, names: tuple[Text, Text], marks: Iterable[str], title: Text) -> str:
    """The marks on a grid, with ticks and the names of both axes."""
    ticks = y.ticks()
    grid = [_words(4, 14, names[1])]
    for label, at in zip(labels_of(ticks, y.log), y.at(ticks), strict=True):
        grid.append(_line(LEFT, at, RIGHT, at, "grid"))
        grid.append(f'<text x="{LEFT - 7}" y="{at + 4:.1f}" text-anchor="end">{label}</text>')
    return _svg(title, HEIGHT, [*grid, *_across(x, names[0], TOP, BOTTOM), *marks])


def _across(x: Axis, name: Text, top: float, bottom: float) -> list[str]:
    """The ticks of a horizontal axis, and its name below them."""
    ticks = x.ticks()
    parts = [_words((x.start + x.end) / 2, bottom + 36, name, "middle")]
    for label, at in zip(labels_of(ticks), x.at(ticks), strict=True):
        parts.append(_line(at, top, at, bottom, "grid"))
        parts.append(f'<text x="{at:.1f}" y="{bottom + 17}" text-anchor="middle">{label}</text>')
    return parts


def _words(x: float, y: float, text: Text, anchor: str = "start") -> str:
    """A text in each of its languages, of which page.css shows one."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return "".join(
        f'<text class="{language}" lang="{language}" {place}>{escape(words)}</text>'
        for language, words in text.by_language().items()
    ) or (f"<text {place}>{escape(text.en)}</text>")


def _legend(entries: Sequence[tuple[Text, str]]) -> list[str]:
    """Names beside samples of their lines, flush right above the chart, in each language."""
    groups = []
    for language in ("en", "zh"):
        parts, x = [], RIGHT
        for text, line in reversed(entries):
            name = text.by_language().get(language, text.en)
            x -= 6.4 * width(name)
            parts.append(f'<text x="{x:.1f}" y="14">{escape(name)}</text>')
            parts.append(_line(x - 22, 10, x - 5, 10, line))
            x -= 36
        groups.append(f'<g class="{language}" lang="{language}">{"".join(parts)}</g>')
    return groups


def labels_of(ticks: Sequence[float], each: bool = False) -> list[str]:
    """Short texts of the ticks: in thousands, millions, … by the largest, or `each` by itself."""
    largest, texts = max((abs(tick) for tick in ticks), default=0.0), []
    for tick in ticks:
        size = abs(tick) if each else largest
        unit, letter = next(((u, s) for u, s in UNITS if size >= max(u, 1e4)), (1.0, ""))
        number = f"{tick / unit:.3g}" if size >= 1e15 else f"{tick / unit:,.10g}"
        texts.append(f"{number}{letter if tick else ''}".replace("-", "−"))
    return texts


def _line(x1: float, y1: float, x2: float, y2: float, kind: str = "guide") -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _svg(title: Text, height: float, parts: Iterable[str]) -> str:
    box = f"0 0 {WIDTH:.0f} {height:.0f}"
    return (
        f'<svg role="img" aria-label="{escape(title.both)}" viewBox="{box}">{"".join(parts)}</svg>'
    )
