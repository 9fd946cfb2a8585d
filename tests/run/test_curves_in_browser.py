"""A finished run, seen through VisualDL's own server in a real browser."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.conftest import free_ports, is_free, wait_for

# Pixels of a chart that are neither transparent nor grey: what a curve is drawn with.
COLOURED = """canvas => {
    const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 0; i < data.length; i += 4) {
        const [r, g, b, a] = data.subarray(i, i + 4);
        if (a > 100 && Math.max(r, g, b) - Math.min(r, g, b) > 60) count += 1;
    }
    return count;
}"""

# Asked for first, so that no run is trained where there is no browser.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("browser"),
    pytest.mark.xdist_group("curves"),  # one worker makes what they share
]


@pytest.fixture(scope="module")
def address(boston_run: Path) -> Iterator[str]:
    """VisualDL as `make curves` starts it, over the folder of a finished run."""
    (port,) = free_ports(1)
    options = ["--host", "127.0.0.1", "--port", str(port), "--language", "en"]
    server = subprocess.Popen(
        [Path(sys.executable).with_name("visualdl"), "--logdir", boston_run.parent, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: not is_free(port) or server.poll() is not None)
        assert server.poll() is None, "VisualDL ended"
        yield url
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    shown = browser.new_page(viewport={"width": 1400, "height": 1000}, locale="en-US")
    yield shown
    shown.close()


def test_curve_of_a_finished_run_is_drawn(address: str, page: Page) -> None:
    page.goto(f"{address}/app/scalar")
    page.get_by_text("epoch", exact=True).wait_for()
    chart = page.locator("canvas").first
    chart.wait_for()
    wait_for(lambda: chart.evaluate(COLOURED) >= 200)
    assert page.get_by_text("boston/curves/train").first.is_visible()
    assert page.get_by_text("boston/curves/validation").first.is_visible()


def test_hyper_parameters_stand_beside_the_result(address: str, page: Page) -> None:
    page.goto(f"{address}/app/hyper-parameter")
    page.get_by_text("Trial ID").wait_for()
    shown = page.inner_text("body")
    for name in ("optimizer/learning_rate", "0.08", "result/rmse"):
        assert name in shown


def test_pictures_are_shown(address: str, page: Page) -> None:
    page.goto(f"{address}/app/sample/image")
    page.get_by_text("result/residuals").first.wait_for()
    page.wait_for_function(
        "[...document.images].filter(image => image.naturalWidth > 300).length >= 2"
    )
