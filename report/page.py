"""The report of a run as one HTML page, for a reader without a network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from reader.metrics import title
from report.charts import bars, curve, histogram, scatter
from report.report import PARTS, Importance, Interval, Report
from report.texts import Text, texts

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
MOST_ROWS = 40


def page(report: Report) -> str:
    """report.json for people: a whole document that asks nothing of a network."""
    return _environment().get_template("page.html").render(report=report, charts=charts(report))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # once a run, at its end

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        optimized=False,  # a page is made once a process: to fold constants takes longer
    )
    environment.globals |= {"text": texts(), "parts": PARTS, "most_rows": MOST_ROWS}
    environment.filters |= {
        "interval": interval,
        "named": named,
        "number": number,
        "percent": percent,
        "reached": reached,
        "title": title,
    }
    return environment


def charts(report: Report) -> dict[str, str]:
    """Each chart of the page as SVG."""
    text, examples, residuals = texts().predictions, report.examples, report.residuals
    errors = [p - a for p, a in zip(examples.predicted, examples.actual, strict=True)]
    about = {"target": report.data.target, "part": named(examples.part, texts().parts)}
    svg = {
        "curve": _learning_curve(report),
        "against": scatter(
            examples.actual,
            examples.predicted,
            diagonal=True,
            title=text.against.fill(**about).both,
            names=(text.actual.both, text.predicted.both),
        ),
        "over": scatter(
            examples.predicted,
            errors,
            title=text.over.fill(**about).both,
            names=(text.predicted.both, text.residual.both),
        ),
        "residuals": histogram(
            residuals.counts,
            residuals.edges,
            title=texts().residuals.chart.fill(part=named(residuals.part, texts().parts)).both,
            names=(text.residual.both, texts().residuals.rows.both),
        ),
    }
    return svg | ({"importance": _importances(report.importance)} if report.importance else {})


def _learning_curve(report: Report) -> str:
    """The watched metric by epoch, and the optimum where it is one of that metric."""
    text, metric, optimum = texts().curves, report.best.metric, report.optimum
    series = {
        named(part, texts().parts).en: [(e["epoch"], e[part]) for e in report.history if part in e]
        for part in PARTS
    }
    shown = optimum and optimum.metric == metric and optimum.gap is not None
    return curve(
        series,
        optimum.value if optimum and shown else None,
        title=text.chart.fill(metric=title(metric)).both,
        names=(text.epoch.both, title(metric)),
        line_name=text.optimum_line.en,
    )


def _importances(importance: Importance) -> str:
    text, columns = texts().importance, importance.columns[:MOST_ROWS]
    return bars(
        [column.name for column in columns],
        [column.mse_increase for column in columns],
        [column.deviation for column in columns],
        title=text.chart.both,
        axis=text.axis.both,
    )


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


def percent(share: float, digits: int = 1) -> str:
    if not math.isfinite(share):
        return "–"
    return f"{share:.{digits}%}".replace("%", " %").replace("-", "−")


def interval(ends: Interval | None) -> str:
    """Both ends of an interval; nothing if it is not known."""
    return " – ".join(map(number, ends)) if ends else ""


def reached(epochs: Mapping[str, int | None]) -> str:
    """The epoch in which each gap was reached."""
    return ", ".join(f"{gap} – {number(epoch)}" for gap, epoch in epochs.items())


def named(name: str, section: SimpleNamespace) -> Text:
    """The text that a section has for a name; the name itself where it has none."""
    text: Text = vars(section).get(name, Text(name))
    return text
