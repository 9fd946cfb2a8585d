"""The page of a run: what it says, that it is safe, and how a browser shows it."""

from __future__ import annotations

import math
import re
import struct
import zlib
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from pydantic import TypeAdapter

from bilingual import Text
from report.charts import Axis, bars, curve, histogram, scatter
from report.figures import level_name
from report.page import charts, page, weight_name
from report.report import Best, BestLine, Model, Optimum, Report, Worst
from tests.report.samples import additive, full, minimal

NAME = Text("name", "名称")
NAMES = (NAME, Text("RMSE"))
HOSTILE = "</style></svg><script>alert('\"&')</script>"


def hostile(report: Report) -> Report:
    """The report with every text in it, and every name that data may choose, turned hostile."""
    return TypeAdapter(Report).validate_python(altered(asdict(report)))


def altered(value: Any) -> Any:
    if isinstance(value, dict):
        free = {"region", "heating", "parcel", "platform", "paddle", "0.1%"}
        return {k + HOSTILE if k in free else k: altered(v) for k, v in value.items()}
    if isinstance(value, list):
        return [altered(item) for item in value]
    if value in ("curve", "levels", "map"):
        return value
    return value + HOSTILE if isinstance(value, str) else value


class Balance(HTMLParser):
    """Fails where tags do not nest; collects their names, and the text in each language."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.languages: list[str] = []
        self.texts = {"en": "", "zh": ""}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag not in ("meta", "input"):
            self.open.append(tag)
            self.languages.append(dict(attrs).get("class") or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.languages.pop()

    def handle_data(self, data: str) -> None:
        for language, other in (("en", "zh"), ("zh", "en")):
            if other not in self.languages:
                self.texts[language] += data


def said(report: Report, language: str = "en") -> str:
    """What the page says in one language."""
    return parsed(page(report)).texts[language]


def headings(report: Report, language: str = "en") -> list[str]:
    return re.findall(f'<h2>.*?<span class="{language}" lang="..">(.*?)</span>', page(report))


def parsed(html: str) -> Balance:
    parser = Balance()
    parser.feed(html)
    parser.close()
    assert not parser.open
    return parser


REPORTS = {
    "minimal": minimal(),
    "full": full(),
    "wide": full(90),
    "hostile": hostile(full()),
    "additive": additive(9),
    "hostile additive": hostile(additive(9)),
}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_is_whole_and_stands_alone(report: Report) -> None:
    html = page(report)
    seen = parsed(html).seen
    assert seen.count("script") == seen.count("main") == 1  # that of the language, by its hash
    assert not re.search(r"https?://|src=|url\(|@import", html)
    assert not re.search(r"\b(nan|inf|None)\b", html)


def test_nothing_is_said_that_is_not_known() -> None:
    assert headings(minimal()) == [
        "Metrics",
        "Learning curves",
        "Predicted against actual",
        "Residuals",
        "Worst rows",
        "Data and split",
        "Training",
        "Export check",
        "Time and environment",
    ]
    assert len(headings(minimal(), "zh")) == 9


def test_says_what_the_report_says() -> None:
    text = said(full())
    for words in (
        "SalePrice",
        "30,166",
        "28,635\u00a0– 31,464",
        "this run: +0.16 %",
        "21, 66, – (– means never)",
        "Estimates for a first talk with a seller.",
        "(missing)",
        "PX-00051",
        "line 52",
        "面积（平方米） 71.5",
        "−323,977",
        "91.3 %",
        "passed",
        "sgd",
        "0.5, schedule cosine",
        "80 of at most 100",
        "Linear 13 × 1",
        "python train.py -c houses.yaml -o train.epochs=80",
        "epochs: 80",
        "< 0.001",
        "NOX (12 %)",
    ):
        assert words in text
    assert "Known bias" not in text
    assert not re.search("测试|系数", text)
    assert "Coefficients" not in said(full(), "zh")


def test_levels_without_a_text_are_named_in_both_languages() -> None:
    assert level_name("north") == Text("north")
    assert level_name(None) == level_name("(missing)") == Text("(missing)", "（缺失）")
    assert weight_name("a = b = (other)") == Text("a = b = (other)", "a = b = （其他）")
    assert weight_name("a = b") == Text("a = b")
    assert weight_name("面积") == Text("面积")


def test_one_epoch_makes_no_curve() -> None:
    assert "of y by epoch" not in said(minimal())
    assert "Best epoch: 1 of 1" in said(minimal())


def test_a_model_that_is_worse_than_the_mean_says_so_first() -> None:
    metrics = {"train": replace(minimal().metrics["train"], r2=-38.2)}
    html = page(replace(minimal(), metrics=metrics))
    assert html.index("worse than their mean does (R² −38.20)") < html.index("<h1>")
    assert "their mean" not in page(minimal())


def test_order() -> None:
    assert headings(full()) == [
        "Metrics",
        "Worth a look in the table",
        "Model card",
        "Learning curves",
        "Predicted against actual",
        "Residuals",
        "Residuals by category",
        "Coefficients",
        "Importance of columns",
        "Prediction intervals",
        "Worst rows",
        "Data and split",
        "Training",
        "Export check",
        "Time and environment",
    ]


def test_long_tables_are_cut_and_say_so() -> None:
    html = page(full(90))
    assert "The 39 coefficients with the largest |t|, out of 90" in html
    assert "50 more in report.json." in html  # columns by importance
    assert "and 50 more in report.json" in html
    rows = re.findall("<tbody>(.*?)</tbody>", html, re.DOTALL)
    assert max(body.count("<tr>") for body in rows) == 40


def test_rows_of_many_columns_show_the_most_important() -> None:
    report = full(90)
    assert report.importance
    values: dict[str, float | str | None] = {f"c{i}": float(i) for i in range(60)}
    row = replace(report.worst.rows[0], values=values)
    first = [replace(report.importance.columns[0], name=f"c{i}") for i in reversed(range(60))]
    importance = replace(report.importance, columns=first)
    text = said(replace(report, worst=Worst("test", [row]), importance=importance))
    assert "c59 59" in text
    assert "c30 30" not in text
    assert "and 36 more" in text


def test_an_additive_model_shows_its_terms_in_place_of_coefficients() -> None:
    shown, english = headings(additive()), said(additive())
    at = shown.index("What each term adds")
    assert shown[at - 1 : at + 2] == [
        "Residuals by category",
        "What each term adds",
        "Importance of columns",
    ]
    for words in (
        "23.1 % of the variance of SalePrice; 9.6 degrees of freedom.",
        "4 curves, 2 categories, 4 pairs; 1,626 columns, 420 degrees of freedom",
        "A missing cell: −1,234.",
        "16 more levels, nearer to 0",
        "training MSE +1.23 %",
        "and 22 more",  # layers
        "standard deviation 26,833",
    ):
        assert words in english
    assert "log" not in said(additive())
    assert "The other" not in english
    assert "What each term adds" not in said(full())
    assert "各项的作用" in said(additive(), "zh")


def test_terms_beyond_the_first_are_folded_and_many_are_cut() -> None:
    html = page(additive(40))
    section = html[html.index("What each term adds") : html.index("Importance of columns")]
    first, rest = section.split("<details>")
    assert (first.count("<svg"), rest.count("<svg")) == (12, 28)
    assert "The other 38 terms" in rest
    assert "10 more in report.json." in rest


def test_terms_of_a_logarithm_say_so() -> None:
    report = additive()
    assert report.effects
    effects = replace(report.effects, of="log(1 + SalePrice)", constraint=None)
    text = said(replace(report, effects=effects))
    assert "In log(1 + SalePrice), +0.1 is about 10 % more" in text
    assert "of the variance of log(1 + SalePrice)" in text
    assert "model.monotone" not in text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_what_is_not_a_number_is_a_dash(value: float | None) -> None:
    report, bad = full(), math.nan if value is None else value
    report.metrics["test"] = replace(report.metrics["test"], r2=value)
    report.history[3]["train"] = bad
    report.examples.predicted[0] = bad
    assert report.importance
    report.importance.columns[0] = replace(report.importance.columns[0], deviation=bad)
    html = page(report)
    assert "<dd>–</dd>" in html
    assert not re.search(r"\b(nan|inf|None)\b", html)


@pytest.mark.parametrize("metric", ["mse", "mae", "rmse"])
def test_the_watched_metric_is_named(metric: str) -> None:
    """In the curve, and wherever a line is set against the model."""
    optimum = Optimum(metric, 5.0, -0.01, {})
    lines = {"train": BestLine(metric, 6.0, improvement=-0.2)}
    best = Best(epoch=1, value=4.0, metric=metric)
    history = [{"epoch": 1, "train": 9.0}, {"epoch": 2, "train": 4.0}]
    report = replace(minimal(), best=best, optimum=optimum, best_line=lines, history=history)
    name, text = {"mse": "RMSE"}.get(metric, metric.upper()), said(report)
    value = {"mse": "2.236"}.get(metric, "5.000")
    for words in (
        f"{name} of y by epoch",
        f"{name} {2 if metric == 'mse' else 4}.000 on train",
        f"Optimum: {name} {value} on train",
        f"this run: −{0.5 if metric == 'mse' else 1:.2f} %",
        f"{name} vs linear baseline",
        f"{name} of linear baseline",
    ):
        assert words in text
    assert ("exact least squares" in text) == (metric == "mse")
    assert 'class="guide"' in report_curve(report)
    other = replace(report, best=Best(epoch=1, value=4.0, metric="huber"))
    assert 'class="guide"' not in report_curve(other)


def report_curve(report: Report) -> str:
    """The chart of the learning curve."""
    return charts(report)["curve"]


def test_one_column_and_one_parameter() -> None:
    report = replace(minimal(), model=Model("linear", parameters=1))
    assert "Predicted from 1 column of t.csv. Model: linear, 1 parameter." in said(report)
    assert "根据 t.csv 的 1 列预测。模型：linear，1 个参数。" in said(report, "zh")


@pytest.mark.parametrize(
    ("low", "high", "log", "ticks"),
    [
        (0, 10, False, [0, 2, 4, 6, 8, 10]),
        (-0.3, 0.71, False, [-0.2, 0, 0.2, 0.4, 0.6]),
        (0.5, 2e4, True, [1, 10, 100, 1000, 10000]),
        (8, 90, True, [10, 20, 50]),
        (21, 24.1, True, [21, 21.5, 22, 22.5, 23, 23.5, 24]),
        (1e-3, 2e3, True, [1e-3, 0.1, 10, 1000]),
    ],
)
def test_ticks(low: float, high: float, log: bool, ticks: list[float]) -> None:
    assert Axis(low, high, 0, 100, log).ticks() == pytest.approx(ticks)


@pytest.mark.parametrize("value", [0.0, 7.0, -3e-12, 1e15, 1e-300])
def test_one_value_draws(value: float) -> None:
    for chart in (
        curve({NAME: [(1, value)]}, value, title=NAME, names=NAMES),
        scatter([value], [value], title=NAME, names=NAMES, diagonal=True),
        scatter([value], [value], title=NAME, names=NAMES),
        histogram([1], [value, value + 1], title=NAME, names=NAMES),
        bars([NAME], [value], [0.0], title=NAME, axis=NAME),
    ):
        assert not re.search(r"\b(nan|inf)\b", chart)
        parsed(chart)


def test_no_value_draws() -> None:
    for chart in (
        curve({}, title=NAME, names=NAMES),
        scatter([], [], title=NAME, names=NAMES),
        bars([], [], [], title=NAME, axis=NAME),
    ):
        parsed(chart)


def colours(png: bytes) -> int:
    """How many different bytes the image data of a PNG holds, unpacked."""
    at, packed = 8, b""
    while at < len(png):
        size, kind = struct.unpack_from(">I4s", png, at)
        packed += png[at + 8 : at + 8 + size] if kind == b"IDAT" else b""
        at += 12 + size
    return len(set(zlib.decompress(packed)))


def opened(browser: Browser, file: Path, size: tuple[int, int]) -> tuple[Page, list[str]]:
    """The file in the browser, and a list of what the browser complains of."""
    shown, troubles = browser.new_page(viewport={"width": size[0], "height": size[1]}), []
    shown.on("console", lambda message: troubles.append(message.text))
    shown.on("pageerror", lambda error: troubles.append(str(error)))
    shown.goto(file.as_uri())
    return shown, troubles


CUT = """width => [...document.querySelectorAll("body *")].filter(element => {
  const box = element.getBoundingClientRect(), svg = element.closest("svg");
  const edge = svg && element !== svg ? svg.getBoundingClientRect().right : width;
  return box.width && box.right > edge + 1 && !element.closest(".scroll");
}).map(element => element.outerHTML.slice(0, 80))"""
"""What ends right of the window, or of the chart that it is in, and cannot be scrolled to."""


@pytest.mark.slow
@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("size", [(390, 844), (1200, 900)], ids=["phone", "desktop"])
def test_in_a_browser(name: str, size: tuple[int, int], browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page(REPORTS[name]), encoding="utf-8")
    shown, troubles = opened(browser, file, size)
    shown.evaluate("document.querySelectorAll('details').forEach(part => { part.open = true })")
    for language in ("en", "zh"):
        shown.locator(f'label[for="show-{language}"]').click()
        assert shown.evaluate("document.documentElement.lang") == language
        assert shown.evaluate(CUT, size[0]) == []
        other = shown.locator(".zh" if language == "en" else ".en")
        assert not any(text.is_visible() for text in other.all()[:20])
    boxes = [svg.bounding_box() for svg in shown.locator("svg").all()]
    assert len(boxes) == {"minimal": 3}.get(name, 24 if "additive" in name else 5)
    assert all(box and box["width"] > 200 and box["height"] > 100 for box in boxes)
    grounds = set()
    for scheme in ("light", "dark"):
        shown.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        grounds.add(shown.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert colours(shown.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)) > 50
    shown.close()
    assert len(grounds) == 2
    assert not troubles
