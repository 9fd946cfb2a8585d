"""The report of a run as one HTML page, for a reader without a network."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bilingual import Text
from configs.yaml_text import dump
from display import short, visible
from reader.metrics import title
from report import effects, figures
from report.advice import advice
from report.charts import bars, curve, histogram, scatter
from report.effect_charts import effect_chart, leading_levels
from report.report import PARTS, Coefficients, Effect, Importance, Report, Weight
from report.texts import named, texts

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
MOST_ROWS = 40  # of a table
FEW_ROWS = 10  # of each of many tables, and of these
MOST_CELLS = 24  # of a row of the table
FIRST_TERMS = 12  # of an additive model, before the fold
HEIGHT = 720  # pixels, in a notebook
LONGEST = 30  # columns of a name in a chart


def page(report: Report) -> str:
    """report.json for people: a whole document that asks nothing of a network."""
    script = (TEMPLATES / "language.js").read_text(encoding="utf-8")
    text = (
        _environment()
        .get_template("page.html")
        .render(
            report=report,
            advice=advice(report),
            warning=figures.worse_than_mean(report.best.metric, report.metrics["train"].r2),
            charts=charts(report),
            cells=most_telling(report),
            recipe=dump(report.config),
            script=script,
            script_hash=b64encode(sha256(script.encode()).digest()).decode(),
        )
    )
    return "\n".join(map(visible, text.split("\n")))


def framed(report: Report) -> str:
    """The page in a frame of its own, inside another document: it can run its script, and reach
    nothing outside."""
    return (
        f'<iframe srcdoc="{escape(page(report))}" sandbox="allow-scripts" title="report" '
        f'style="width: 100%; height: {HEIGHT}px; border: 0"></iframe>'
    )


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
        finalize=_shown,
        optimized=False,  # a page is made once a process: to fold constants takes longer
    )
    limits = {"most_rows": MOST_ROWS, "few_rows": FEW_ROWS, "first_terms": FIRST_TERMS}
    environment.globals |= {"text": texts(), "parts": PARTS, "shown": shown, **limits}
    environment.globals |= {
        "baseline": figures.baseline,
        "distance": figures.distance,
        "least_of": figures.least_of,
    }
    filters = ("apart", "cell", "change", "interval", "number", "percent", "probability", "reached")
    environment.filters |= {name: getattr(figures, name) for name in filters}
    of_networks = ("members_told", "blend_told", "refit_told", "processes_told")
    environment.filters |= {name: getattr(figures, name) for name in of_networks}
    told = ("cost", "effect_name", "missing", "share_and_freedom", "size", "strongest")
    environment.filters |= {name: getattr(effects, name) for name in told}
    environment.filters |= {"effect_chart": effect_chart, "levels_left_out": levels_left_out}
    environment.filters |= {"in_unit": in_unit, "named": named, "title": metric_name}
    environment.filters |= {"level": figures.level_name, "weight": weight_name}
    environment.filters |= {"joined": joined, "line": line, "short": short, "whole": Text}
    return environment


def _shown(value: Any) -> Any:
    """What a template puts into the page: a text that is not ours is cut, unless the template has
    it as a `line`, `joined` or `whole`."""
    return short(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def line(text: str) -> Text:
    """A text on one line, of any length."""
    return Text(visible(text))


def joined(names: Iterable[str]) -> Text:
    """Names after commas, each of them cut."""
    return Text(", ".join(map(short, names)))


def levels_left_out(effect: Effect) -> int:
    """How many levels its chart has no room for."""
    return leading_levels(effect)[1] if effect.kind == "levels" else 0


def weight_name(name: str) -> Text:
    """What a coefficient belongs to: a column, or `column = level`."""
    column, equals, level = name.rpartition(" = ")
    if not equals:
        return Text(short(name))
    named, last = short(column), figures.level_name(level)
    return Text(f"{named} = {last.en}", last.zh and f"{named} = {last.zh}")


def metric_name(metric: str) -> Text:
    """A metric as people write it."""
    return texts().errors.loss if metric == "loss" else Text(title(metric))


def in_unit(value: float, metric: str) -> float:
    """A metric's value in the target's own unit."""
    return figures.in_unit(metric, value)[1]


def shown(coefficients: Coefficients) -> list[Weight]:
    """The coefficients that the page has room for: all, or those of the largest |t|."""
    weights = coefficients.weights
    if len(weights) < MOST_ROWS:
        return weights
    return sorted(weights, key=lambda weight: -abs(weight.t or 0.0))[: MOST_ROWS - 1]


def most_telling(report: Report) -> list[str]:
    """The columns whose cells a row is shown with: all, or those of the greatest importance."""
    names = list(report.worst.rows[0].values) if report.worst.rows else []
    if len(names) > MOST_CELLS and report.importance:
        first = [column.name for column in report.importance.columns]
        names = [name for name in first if name in names] or names
    return names[:MOST_CELLS]


def charts(report: Report) -> dict[str, str]:
    """Each chart of the page as SVG."""
    text, examples, residuals = texts().predictions, report.examples, report.residuals
    errors = [p - a for p, a in zip(examples.predicted, examples.actual, strict=True)]
    target = short(report.data.target, LONGEST)
    about = {"target": target, "part": named(examples.part, texts().parts)}
    actual, predicted, residual = (
        each.fill(target=target) for each in (text.actual, text.predicted, text.residual)
    )
    part = named(residuals.part, texts().parts)
    svg = {
        "curve": _learning_curve(report),
        "against": scatter(
            examples.actual,
            examples.predicted,
            diagonal=True,
            title=text.against.fill(**about),
            names=(actual, predicted),
        ),
        "over": scatter(
            examples.predicted,
            errors,
            title=text.over.fill(**about),
            names=(predicted, residual),
        ),
        "residuals": histogram(
            residuals.counts,
            residuals.edges,
            title=texts().residuals.chart.fill(target=target, part=part),
            names=(residual, texts().residuals.rows),
        ),
    }
    if report.importance:
        svg["importance"] = _importances(report.importance, target)
    return svg


def _learning_curve(report: Report) -> str:
    """The watched metric by epoch, in the target's unit where it has one, and the optimum where it
    is one of that metric."""
    text, metric, optimum = texts().curves, report.best.metric, report.optimum
    name = metric_name(figures.in_unit(metric, 0.0)[0])
    series = {
        named(part, texts().parts): [
            (e["epoch"], in_unit(e[part], metric)) for e in report.history if part in e
        ]
        for part in PARTS
    }
    is_drawn = optimum and optimum.metric == metric and optimum.gap is not None
    return curve(
        series,
        in_unit(optimum.value, metric) if optimum and is_drawn else None,
        title=text.chart.fill(metric=name),
        names=(text.epoch, name),
        line_name=text.optimum_line,
    )


def _importances(importance: Importance, target: str) -> str:
    text, columns = texts().importance, importance.columns[:MOST_ROWS]
    return bars(
        [Text(column.name) for column in columns],
        [column.rmse_increase for column in columns],
        [column.deviation for column in columns],
        title=text.chart.fill(target=target),
        axis=text.axis,
    )
