"""The form, in Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.service.server import Served

pytestmark = pytest.mark.xdist_group("service")  # one worker makes what they share


@pytest.mark.slow
def test_the_form_predicts_as_one_types(served: Served, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request",
        lambda request: (
            problems.append(request.url)
            if served.url not in request.url and not request.url.startswith("data:")
            else None
        ),
    )
    page.goto(f"{served.url}/?lang=zh")
    output = page.locator("#prediction")
    expect(output).not_to_have_text("–")  # no expression: the page's policy lets none be evaluated
    before = output.inner_text()
    assert "至" in page.inner_text("#interval")
    area = page.locator('.field[data-name="area"] input')
    area.fill("9000")
    page.wait_for_selector('.field[data-name="area"] .warning:not([hidden])')
    assert page.inner_text('.field[data-name="area"] .warning') == "超出训练范围"
    assert output.inner_text() != before
    page.wait_for_selector("#chart svg .line")
    page.locator('.field[data-name="town"] select').focus()
    page.wait_for_selector("#chart svg .dot")
    assert 'e<b>"a"' in page.inner_text('.field[data-name="town"] select')
    area.fill("wide")
    page.wait_for_selector("#error:not([hidden])")
    assert "found 'wide', expected a number" in page.inner_text("#error")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.goto(f"{served.url}/models/boston?lang=en")
    assert page.inner_text("h1") == "Predict MEDV"
    # The wrong cell is refused with 400, of which the console tells.
    assert [each for each in problems if "400" not in each] == []
    page.close()
