"""Charts as inline SVG: what is drawn scales with the page and takes its colours from page.css."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bilingual import Text
from display import LONGEST, short, width

WIDTH, HEIGHT = 400.0, 280.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 388.0, 30.0, 238.0
NAME_WIDTH, BAR, LETTER = 26, 22.0, 6.4
NOTHING = Text("")
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


class Scale(Protocol):
    """Where values lie between two pixels, and which of them are named there."""

    @property
    def start(self) -> float: ...

    @property
    def end(self) -> float: ...

    def labels(self) -> list[tuple[Text, float]]:
        """Names, and the pixels where they stand."""


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

    def labels(self) -> list[tuple[Text, float]]:
        ticks = self.ticks()
        names = map(Text, labels_of(ticks, self.log))
        return list(zip(names, self.at(ticks).tolist(), strict=True))


@dataclass(frozen=True)
class Steps:
    """Names at equal distances between two pixels, each of them in the middle of its step."""

    names: Sequence[Text]
    start: float
    end: float

    @property
    def step(self) -> float:
        return (self.end - self.start) / len(self.names)

    def centers(self) -> NDArray[np.float64]:
        return self.start + self.step * (np.arange(len(self.names), dtype=np.float64) + 0.5)

    def labels(self) -> list[tuple[Text, float]]:
        """As many names as there is room for, cut to that room."""
        upright = self.end < self.start
        every = math.ceil((14 if upright else 36) / abs(self.step))
        most = NAME_WIDTH if upright else int(abs(self.step) * every / LETTER) - 1
        centers = self.centers().tolist()
        return [
            (cut(name, most), at)
            for name, at in zip(self.names[::every], centers[::every], strict=True)
        ]


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
    marks = [stroke(LEFT, at, RIGHT, at) for at in y.at(level)]
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
    return frame(x, y, names, [*marks, *_legend(legend)], title)


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
    return frame(across, up, names, [*marks, stroke(LEFT, low, RIGHT, high)], title)


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
        marks.append(stroke(x.at(0)[0], TOP, x.at(0)[0], BOTTOM))
    return frame(x, y, names, marks, title)


def bars(
    names: Sequence[Text],
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
    left = room_for(names)
    bottom = 8 + BAR * len(names)
    x = axis_over([0.0, *(size - reach), *(size + reach)], left, RIGHT)
    zero, marks = x.at(0)[0], []
    for i, name in enumerate(names):
        (end, low, high), y = x.at([size[i], size[i] - reach[i], size[i] + reach[i]]), 8 + BAR * i
        marks += [
            f'<g class="name"><title>{escape(cut(name).both)}</title>'
            f"{words(left - 8, y + 15, cut(name, NAME_WIDTH), 'end')}</g>",
            f'<rect class="bar" x="{min(zero, end):.1f}" y="{y + 4:.1f}" '
            f'width="{max(abs(end - zero), 0.6):.1f}" height="{BAR - 8:.1f}"/>',
        ]
        if reach[i]:
            marks.append(stroke(low, y + BAR / 2, high, y + BAR / 2, "whisker"))
    return _svg(
        title,
        bottom + 42,
        [*_across(x, cut(axis, int((RIGHT - left) / LETTER)), 8, bottom), *marks],
    )


def room_for(names: Sequence[Text]) -> float:
    """Where a chart begins that has names to its left."""
    shown = [cut(name, NAME_WIDTH) for name in names]
    return 16 + LETTER * max(
        (width(each) for name in shown for each in (name.en, name.zh)), default=0
    )


def cut(text: Text, most: int = LONGEST) -> Text:
    """In at most so many columns."""
    return Text(short(text.en, most), short(text.zh, most))


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


def frame(
    x: Scale,
    y: Scale,
    names: tuple[Text, Text],
    marks: Iterable[str],
    title: Text,
    height: float = HEIGHT,
) -> str:
    """The marks on a grid, with ticks and the names of both axes."""
    grid = [words(4, 14, names[1])]
    for label, at in y.labels():
        grid.append(stroke(x.start, at, x.end, at, "grid"))
        grid.append(words(x.start - 7, at + 4, label, "end"))
    return _svg(title, height, [*grid, *_across(x, names[0], TOP, BOTTOM), *marks])


def _across(x: Scale, name: Text, top: float, bottom: float) -> list[str]:
    """The ticks of a horizontal axis, and its name below them."""
    parts = [words((x.start + x.end) / 2, bottom + 36, name, "middle")]
    for label, at in x.labels():
        parts.append(stroke(at, top, at, bottom, "grid"))
        parts.append(words(at, bottom + 17, label, "middle"))
    return parts


def words(x: float, y: float, text: Text, anchor: str = "start") -> str:
    """A text in each of its languages, of which page.css shows one."""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return "".join(
        f'<text class="{language}" lang="{language}" {place}>{escape(said)}</text>'
        for language, said in text.by_language().items()
    ) or (f"<text {place}>{escape(text.en)}</text>")


def _legend(entries: Sequence[tuple[Text, str]]) -> list[str]:
    """Names beside samples of their lines, flush right above the chart, in each language."""
    groups = []
    for language in ("en", "zh"):
        parts, x = [], RIGHT
        for text, line in reversed(entries):
            name = text.by_language().get(language, text.en)
            x -= LETTER * width(name)
            parts.append(f'<text x="{x:.1f}" y="14">{escape(name)}</text>')
            parts.append(stroke(x - 22, 10, x - 5, 10, line))
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


def stroke(x1: float, y1: float, x2: float, y2: float, kind: str = "guide") -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _svg(title: Text, height: float, parts: Iterable[str]) -> str:
    box = f"0 0 {WIDTH:.0f} {height:.0f}"
    return (
        f'<svg role="img" aria-label="{escape(title.both)}" viewBox="{box}">{"".join(parts)}</svg>'
    )
