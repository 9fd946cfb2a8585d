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

from report.charts import Axis, bars, curve, histogram, scatter
from report.page import charts, page
from report.report import Best, BestLine, Model, Optimum, Report
from tests.report.samples import full, minimal

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
    return value + HOSTILE if isinstance(value, str) else value


class Balance(HTMLParser):
    """Fails where tags do not nest; collects their names and the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(html: str) -> Balance:
    parser = Balance()
    parser.feed(html)
    parser.close()
    assert not parser.open
    return parser


REPORTS = {"minimal": minimal(), "full": full(), "wide": full(90), "hostile": hostile(full())}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_is_whole_and_stands_alone(report: Report) -> None:
    html = page(report)
    seen = parsed(html).seen
    assert "script" not in seen
    assert seen.count("main") == 1
    assert not re.search(r"https?://|src=|url\(|@import", html)
    assert not re.search(r"\b(nan|inf|None)\b", html)


def test_nothing_is_said_that_is_not_known() -> None:
    headings = re.findall("<h2>(.*?) · ", page(minimal()))
    assert headings == [
        "Errors",
        "Model card",
        "Learning curves",
        "Predicted against actual",
        "Residuals",
        "Worst rows",
        "Data and split",
        "Proofs",
        "Time and environment",
    ]


def test_says_what_the_report_says() -> None:
    text = parsed(page(full())).text
    for said in (
        "SalePrice",
        "30,166",
        "28,635 – 31,464",
        "4.2 %",
        "0.32 % above it",
        "0.1% – –",
        "Estimates for a first talk with a seller.",
        "not stated in the recipe (card.data) · 配置中未填写（card.data）",
        "not stated in the recipe (card.known_bias) · 配置中未填写（card.known_bias）",
        "(missing · 缺失)",
        "PX-00051",
        "−323,977",
        "91.3 %",
        "holds · 通过",
    ):
        assert said in text


def test_order() -> None:
    headings = re.findall("<h2>(.*?) · ", page(full()))
    assert headings == [
        "Errors",
        "Model card",
        "Learning curves",
        "Predicted against actual",
        "Residuals",
        "Residuals by category",
        "Coefficients",
        "Importance of columns",
        "Prediction intervals",
        "Worst rows",
        "Worth a look in the table",
        "Data and split",
        "Chosen by auto",
        "Proofs",
        "Time and environment",
    ]


def test_long_tables_are_cut_and_say_so() -> None:
    html = page(full(90))
    assert "And 51 more, all in report.json." in html  # 90 weights and the intercept
    assert "and 50 more in report.json" in html
    rows = re.findall("<tbody>(.*?)</tbody>", html, re.DOTALL)
    assert max(body.count("<tr>") for body in rows) == 40


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
    report = replace(minimal(), best=best, optimum=optimum, best_line=lines)
    name, text = metric.upper(), parsed(page(report)).text
    for said in (
        f"{name} by epoch · 各轮次的 {name}",
        f"Best epoch: 1, {name} 4.000.",
        f"Optimum: {name} 5.000 on train",
        "this run is 1.00 % below it",
        f"{name} above the best straight line's · 高于最佳直线",
        f"best line's {name}",
    ):
        assert said in text
    assert ("exact least squares" in text) == (metric == "mse")
    assert 'class="guide"' in report_curve(report)
    other = replace(report, best=Best(epoch=1, value=4.0, metric="huber"))
    assert 'class="guide"' not in report_curve(other)


def report_curve(report: Report) -> str:
    """The chart of the learning curve."""
    return charts(report)["curve"]


def test_one_column_and_one_parameter() -> None:
    report = replace(minimal(), model=Model("linear", parameters=1))
    text = parsed(page(report)).text
    assert "predicted from 1 column of t.csv by a model linear of 1 parameter" in text
    assert "由模型 linear（1 个参数）根据 t.csv 的 1 列预测" in text


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
    names = ("x", "y")
    for chart in (
        curve({"train": [(1, value)]}, value, title="t", names=names),
        scatter([value], [value], title="t", names=names, diagonal=True),
        scatter([value], [value], title="t", names=names),
        histogram([1], [value, value + 1], title="t", names=names),
        bars(["a"], [value], [0.0], title="t", axis="x"),
    ):
        assert not re.search(r"\b(nan|inf)\b", chart)
        parsed(chart)


def test_no_value_draws() -> None:
    for chart in (
        curve({}, title="t", names=("x", "y")),
        scatter([], [], title="t", names=("x", "y")),
        bars([], [], [], title="t", axis="x"),
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


@pytest.mark.slow
@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("size", [(390, 844), (1200, 900)], ids=["phone", "desktop"])
def test_in_a_browser(name: str, size: tuple[int, int], browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page(REPORTS[name]), encoding="utf-8")
    shown, troubles = opened(browser, file, size)
    assert shown.evaluate("document.documentElement.scrollWidth") <= size[0]
    boxes = [svg.bounding_box() for svg in shown.locator("svg").all()]
    assert len(boxes) == (4 if name == "minimal" else 5)
    assert all(box and box["width"] > 200 and box["height"] > 100 for box in boxes)
    grounds = set()
    for scheme in ("light", "dark"):
        shown.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        grounds.add(shown.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert colours(shown.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)) > 50
    shown.close()
    assert len(grounds) == 2
    assert not troubles
