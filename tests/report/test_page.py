"""The page of a run: what it says, that it is safe, and how a browser shows it."""

from __future__ import annotations

import json
import math
import re
import shutil
import struct
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from report.charts import Axis, bars, curve, histogram, scatter
from report.page import page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = "</style></svg><script>alert('\"&')</script>"
in_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")


def minimal() -> dict[str, Any]:
    """A report of only what every report has."""
    return {
        "metrics": {"train": {"mse": 4.0, "rmse": 2.0, "mae": 1.5, "r2": None, "rows": 3}},
        "data": {
            "path": "t.csv",
            "rows": 3,
            "sha256": "0" * 64,
            "target": "y",
            "features": ["x"],
        },
        "model": {"name": "linear", "parameters": 2},
    }


def full(features: int = 12) -> dict[str, Any]:
    """A report with every key, of a made-up run over house prices."""
    random = np.random.default_rng(0)
    names = [f"column_{i}" for i in range(features - 3)] + ["面积（平方米）", "NOX", "x" * 60]
    actual = random.lognormal(12.4, 0.4, 600)
    predicted = actual * random.normal(1, 0.12, 600)
    counts, edges = np.histogram(predicted - actual, 40)
    sizes = {"train": 2400, "validation": 300, "test": 600}
    error = {"mse": 9.1e8, "rmse": 30166.2, "mae": 21345.9, "r2": 0.871}
    levels = [
        {"level": level, "rows": 120, "mean": mean, "rmse": 31234.5}
        for level, mean in (("north", 1204.2), ("south", -2210.0), (None, 0.0))
    ]
    return {
        "metrics": {part: error | {"rows": rows} for part, rows in sizes.items()},
        "confidence": {
            part: {"mse": [8.2e8, 9.9e8], "rmse": [28635, 31464], "mae": [20000, 22000], "r2": None}
            for part in sizes
        },
        "data": {
            "path": "data/houses/a/rather/long/path/of/folders/houses_of_the_whole_country.csv",
            "rows": 3300,
            "sha256": "a36a40a5043cd447fcc26e830fc542286f8f547b61c85b6e72ca8f150a9f1f82",
            "target": "SalePrice",
            "features": names,
        },
        "split": {"method": "shuffled", "seed": 7, **sizes},
        "chosen": {"train.batch_size": {"value": 2400, "why": "all rows: the step is then exact"}},
        "model": {"name": "linear", "parameters": 14},
        "best": {"epoch": 61, "value": 9.2e8},
        "timing": {"total_s": 4.2, "train_s": 1.51, "rows_per_second": 182345.0},
        "parity": {"max_abs_difference": 0.0313, "rows": 3300, "tolerance": 0.5},
        "versions": {"python": "3.11.7", "paddle": "3.3.1"},
        "environment": {"platform": "Linux", "processor": "x86", "cores": 8, "device": "cpu"},
        "history": [
            {"epoch": i, "train": 9e8 + 4e10 / i**2, "validation": 9.3e8 + 3e10 / i**1.7}
            for i in range(1, 81)
        ],
        "optimum": {
            "train_mse": 8.97e8,
            "gap": 0.0032,
            "epochs": {"10%": 21, "1%": 66, "0.1%": None},
            "weight_decay": 0.01,
        },
        "best_line": {part: {"mse": 9.5e8, "improvement": 0.042} for part in sizes},
        "folds": {"count": 5, "rmse": {"mean": 30411.0, "deviation": 811.0}},
        "intervals": {
            "coverage": 0.9,
            "part": "test",
            "measured": 0.913,
            "mean_width": 99512.3,
            "rows": 600,
            "calibration_rows": 300,
        },
        "examples": {"part": "test", "actual": list(actual), "predicted": list(predicted)},
        "residuals": {
            "part": "test",
            "counts": [int(count) for count in counts],
            "edges": list(edges),
            "by_category": {"region": levels, "heating": levels[:2]},
        },
        "coefficients": {
            "intercept": -12345.6,
            "weights": [
                {"name": name, "weight": 3.2e3 / (i - 5.5), "standard_error": 41.7 + i}
                for i, name in enumerate(names)
            ],
        },
        "importance": {
            "part": "test",
            "rows": 600,
            "columns": [
                {"name": name, "mse_increase": 6e8 * 0.6**i - 2e6, "deviation": 3e7 * 0.8**i}
                for i, name in enumerate(names)
            ],
        },
        "worst": {
            "part": "test",
            "rows": [
                {
                    "row": 17 * i,
                    "ids": {"parcel": f"PX-{i:05}", "street and number": f"Long Street {i}"},
                    "actual": 755000.0,
                    "predicted": 431022.7,
                    "error": -323977.3,
                }
                for i in range(10)
            ],
        },
        "card": {"intended_use": "Estimates for a first talk with a seller.", "data": ""},
    }


def hostile(value: Any) -> Any:
    """The report with every text in it, and every name that data may choose, turned hostile."""
    if isinstance(value, dict):
        free = {"region", "heating", "parcel", "platform", "paddle", "0.1%"}
        return {k + HOSTILE if k in free else k: hostile(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(item) for item in value]
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
def test_is_whole_and_stands_alone(report: dict[str, Any]) -> None:
    html = page(json.loads(json.dumps(report)))
    seen = parsed(html).seen
    assert "script" not in seen
    assert seen.count("main") == 1
    assert not re.search(r"https?://|src=|url\(|@import", html)
    assert not re.search(r"\b(nan|inf|None)\b", html)


def test_nothing_is_said_that_is_not_known() -> None:
    html = page(minimal())
    headings = re.findall("<h2>(.*?) · ", html)
    assert headings == ["Errors", "Data and split"]
    assert "<svg" not in html


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
        "not stated in the recipe (card.data) · 未填写",
        "not stated in the recipe (card.known_bias) · 未填写",
        "(missing · 缺失)",
        "PX-00003",
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
    report = full()
    report["metrics"]["test"]["r2"] = value
    report["history"][3]["train"] = value
    report["examples"]["predicted"][0] = math.nan if value is None else value
    report["importance"]["columns"][0]["deviation"] = value
    html = page(report)
    assert "<dd>–</dd>" in html
    assert not re.search(r"\b(nan|inf|None)\b", html)


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
    found = Axis(low, high, 0, 100, log).ticks()
    assert found == pytest.approx(ticks)


@pytest.mark.parametrize("value", [0.0, 7.0, -3e-12, 1e15, 1e-300])
def test_one_value_draws(value: float) -> None:
    names = ("x", "y")
    for chart in (
        curve({"train": [(1, value)]}, value, title="t"),
        scatter([value], [value], title="t", names=names, diagonal=True),
        scatter([value], [value], title="t", names=names),
        histogram([1], [value, value + 1], title="t", names=names),
        bars(["a"], [value], [0.0], title="t", axis="x"),
    ):
        assert not re.search(r"\b(nan|inf)\b", chart)
        parsed(chart)


def test_no_value_draws() -> None:
    for chart in (
        curve({}, title="t"),
        scatter([], [], title="t", names=("x", "y")),
        bars([], [], [], title="t", axis="x"),
    ):
        parsed(chart)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


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


@in_chromium
@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("size", [(390, 844), (1200, 900)], ids=["phone", "desktop"])
def test_in_a_browser(name: str, size: tuple[int, int], browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page(REPORTS[name]), encoding="utf-8")
    shown, troubles = opened(browser, file, size)
    assert shown.evaluate("document.documentElement.scrollWidth") <= size[0]
    boxes = [svg.bounding_box() for svg in shown.locator("svg").all()]
    assert len(boxes) == (0 if name == "minimal" else 5)
    assert all(box and box["width"] > 200 and box["height"] > 100 for box in boxes)
    grounds = set()
    for scheme in ("light", "dark"):
        shown.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        grounds.add(shown.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert colours(shown.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)) > 50
    shown.close()
    assert len(grounds) == 2
    assert not troubles
