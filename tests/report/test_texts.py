"""The texts of the page: both languages say the same, and each of them is said."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest
import yaml

from bilingual import Text
from configs.flatten import leaves
from reader.findings import KINDS
from report import advice, console, effect_charts, effects, figures, page, texts
from report.page import TEMPLATES

TEXTS = dict(leaves(yaml.safe_load(texts.FILE.read_text(encoding="utf-8"))))
TEMPLATE_SOURCES = "".join(path.read_text(encoding="utf-8") for path in TEMPLATES.rglob("*.html"))
SOURCES = "".join(
    Path(str(module.__file__)).read_text(encoding="utf-8")
    for module in (advice, console, effect_charts, effects, figures, page)
)
LOOKED_UP = ("parts", "card", "environment.names", "findings.kinds")  # named by the report


def placeholders(text: str) -> set[str | None]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("key", TEXTS)
def test_is_in_both_languages(key: str) -> None:
    if isinstance(text := TEXTS[key], str):  # the same in both
        assert text.isascii()
        return
    english, chinese = text
    assert not re.search("[\u4e00-\u9fff]", english)
    assert re.search("[\u4e00-\u9fff]", chinese) or re.fullmatch(r"(\{\w+\}[ ：]?)+", chinese)
    assert placeholders(english) == placeholders(chinese)


@pytest.mark.parametrize("key", TEXTS)
def test_is_used(key: str) -> None:
    section, name = key.rsplit(".", 1)
    if section in LOOKED_UP:
        assert f"text.{section}" in TEMPLATE_SOURCES
    else:
        assert f"text.{key}" in TEMPLATE_SOURCES or re.search(rf"\.{name}\b", SOURCES)


def test_each_kind_of_finding_has_a_name() -> None:
    assert {key.rsplit(".", 1)[1] for key in TEXTS if "findings.kinds." in key} == set(KINDS)


def test_no_language_is_written_into_a_template() -> None:
    for path in TEMPLATES.rglob("*.html"):
        assert path.read_text(encoding="utf-8").replace("·", "").replace("²", "").isascii(), path


def test_a_template_has_a_span_for_each_language() -> None:
    assert Text("a < b", "甲").__html__() == (
        '<span class="en" lang="en">a &lt; b</span><span class="zh" lang="zh">甲</span>'
    )
    assert Text("R²").__html__() == "R²"


def test_a_text_is_filled_in_its_own_language() -> None:
    text = Text("{count} rows of {part}", "{part}部分 {count} 行").fill(
        count="3", part=Text("test", "测试")
    )
    assert text == Text("3 rows of test", "测试部分 3 行")
    assert text.both == "3 rows of test · 测试部分 3 行"
    assert Text("{part}", "{part}").fill(part=Text("R²")) == Text("R²", "R²")
    assert Text("SHA-256").both == "SHA-256"
