"""Figures as people read them: four digits, shares in per cent, and words where a share has no
sense."""

from __future__ import annotations

import math
from collections.abc import Mapping

from bilingual import Text
from display import short
from reader.fitting import MISSING, OTHER
from report.report import (
    BestLine,
    Blend,
    Interval,
    Members,
    Optimum,
    Processes,
    Refit,
    Report,
)
from report.texts import named, texts

MOST_TIMES = 10  # as high: beyond it, per cent tell nothing
MOST_EXACT_TIMES = 100  # beyond it, a power of ten tells enough
MOST_LISTED = 8  # processes
NEARLY_EXACT = 1e-6  # of the target's variance, which float32 cannot tell from 0


def number(value: float | None) -> str:
    """Four significant digits, all of a whole number; a dash for what is not a number."""
    if value is None or not math.isfinite(value):
        return "–"
    if isinstance(value, int) or value == 0:
        text = f"{value:,.0f}"
    elif 1e-4 <= abs(value) < 1e9:
        text = f"{value:,.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"
    else:
        text = f"{value:.3e}"
    return text.replace("-", "−")


def cell(value: float | str | None) -> str:
    """A number as a table has it, with up to 7 digits; a text as it is."""
    return value if isinstance(value, str) else f"{value:.7g}".replace("-", "−")


def level_name(level: str | None) -> Text:
    """A level of a category; that of empty cells, and all that have no code, in our words."""
    text = texts().categories
    ours: dict[str | None, Text] = {None: text.missing, MISSING: text.missing, OTHER: text.other}
    return ours.get(level) or Text(short(str(level)))


def percent(share: float, digits: int = 1) -> str:
    if not math.isfinite(share):
        return "–"
    return f"{share:.{digits}%}".replace("%", " %").replace("-", "−")


def probability(p: float | None) -> str:
    """A p to three digits, without those that no decision needs."""
    if p is None or not math.isfinite(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def interval(ends: Interval | None) -> str:
    """Both ends of an interval; nothing if it is not known."""
    return "\u00a0– ".join(map(number, ends)) if ends else ""


def reached(epochs: Mapping[str, int | None]) -> str:
    """The epoch in which each gap was reached."""
    return ", ".join(number(epoch) for epoch in epochs.values())


def change(ratio: float, digits: int = 1) -> str:
    """By what share something is above or below what it is compared with, `ratio` times which it
    is.

    >>> change(0.824), change(1.5), change(12), change(1.0)
    ('−17.6 %', '+50.0 %', '> 10 ×', '0.0 %')
    """
    if not math.isfinite(ratio):
        return "–"
    if ratio > MOST_TIMES:
        return f"> {MOST_TIMES} ×"
    share = percent(ratio - 1, digits)
    is_zero = not any(digit in share for digit in "123456789")
    return share.lstrip("−") if is_zero else f"{'+' if ratio > 1 else ''}{share}"


def apart(ratio: float, digits: int = 1) -> Text:
    """The same in words: 17.6 % lower."""
    text, share = texts().figures, change(ratio, digits).lstrip("+−")
    if not math.isfinite(ratio):
        return Text(share)
    if ratio > MOST_TIMES:
        return text.beyond
    if not any(digit in share for digit in "123456789"):
        return text.same
    return (text.lower if ratio < 1 else text.higher).fill(share=share)


def times(ratio: float) -> Text:
    """How many times one number is another.

    >>> times(2.04).en, times(1127049.6).en
    ('2.0 times', 'over 1,000,000 times')
    """
    text = texts().figures
    if ratio < MOST_EXACT_TIMES:
        return text.times.fill(count=f"{ratio:.1f}")
    return text.over.fill(count=f"{10 ** min(9, math.floor(math.log10(ratio))):,}")


def is_nearly_exact(report: Report) -> bool:
    """Whether what a model leaves of the training rows' variance is too little for comparisons."""
    r2 = report.metrics["train"].r2
    return r2 is not None and r2 > 1 - NEARLY_EXACT


def in_unit(metric: str, value: float) -> tuple[str, float]:
    """A metric in the target's own unit where it has one: of the MSE, its root.

    >>> in_unit("mse", 4.0), in_unit("mae", 4.0)
    (('rmse', 2.0), ('mae', 4.0))
    """
    return ("rmse", math.sqrt(value)) if metric == "mse" and value >= 0 else (metric, value)


def baseline(line: BestLine) -> tuple[str, float, float]:
    """(metric, its value for the linear baseline, how many times this the model's is), in the
    target's unit."""
    metric, value = in_unit(line.metric, line.value)
    ratio = max(0.0, 1 - line.improvement) if line.value else math.nan
    return metric, value, math.sqrt(ratio) if metric != line.metric else ratio


def worse_than_mean(metric: str, r2: float | None) -> Text | None:
    """What must be said first of a model that predicts its training rows worse than their mean
    does, by the squared error: where another `metric` is minimised, that leaves some room."""
    if r2 is None or r2 > (-1e-3 if metric == "mse" else -0.1):
        return None
    return texts().warning.worse_than_mean.fill(r2=number(r2))


def least_of(report: Report, optimum: Optimum) -> Text:
    """What has the least loss."""
    text = texts().curves
    if report.effects:
        return text.penalised
    return text.least_squares if optimum.metric == "mse" else text.best_line


def distance(report: Report, optimum: Optimum, in_target_unit: bool = False) -> Text:
    """How far a line is from the least loss of any; of an MSE, or `in_target_unit` of its root."""
    text = texts().curves
    if optimum.gap is None:
        return text.exact
    if is_nearly_exact(report):
        return text.nearly_exact
    ratio = 1 + optimum.gap
    ratio = math.sqrt(ratio) if in_target_unit and optimum.metric == "mse" else ratio
    share = change(ratio, 2)
    return text.gap.fill(change=share if share.startswith(("+", "−", ">")) else f"+{share}")


def members_told(members: Members) -> Text:
    """How many there are, and how good each of them is alone."""
    return texts().training.alone.fill(
        count=len(members.rmse),
        low=number(min(members.rmse)),
        high=number(max(members.rmse)),
        part=named(members.part, texts().parts),
        spread=number(members.spread),
    )


def blend_told(blend: Blend) -> Text:
    """What its parts predict alone and together, on the part that says most of new rows."""
    part = "test" if "test" in blend.rmse else "validation"
    found = blend.rmse[part]
    return texts().training.together.fill(
        part=named(part, texts().parts),
        additive=number(found.additive),
        network=number(found.network),
        together=number(found.together),
        share=number(blend.share),
    )


def processes_told(processes: Processes) -> Text:
    """How many trained together, on how many hosts, and the rows of each, of many the range."""
    rows = processes.rows
    each = ", ".join(map(number, rows))
    if len(rows) > MOST_LISTED:
        each = f"{number(min(rows))} – {number(max(rows))}"
    return texts().training.side_by_side.fill(
        count=number(processes.count), hosts=number(processes.hosts), rows=each
    )


def refit_told(refit: Refit) -> Text:
    """What the exported model was trained on."""
    return texts().training.again.fill(rows=number(refit.rows), epochs=number(refit.epochs))
