"""What the chapter's packages are asked for, and what is added to it."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from lesson.markup import LANGUAGES, TEXT, by_language, parse
from lesson.typeset import drawing, inline, listing, prose, source


def test_prose_is_markdown_with_lines_joined() -> None:
    assert prose("## 一\n\n先把\n每列 `b < c`，\n*都*映射。\n\n- 一\n- 二\n  三") == (
        "<h2>一</h2>\n<p>先把每列 <code>b &lt; c</code>，<em>都</em>映射。</p>\n"
        "<ul>\n<li>一</li>\n<li>二三</li>\n</ul>\n"
    )
    assert "<td><code>x</code></td>" in prose("| a | b |\n|---|---|\n| `x` | y |")
    assert inline("<script> & *so*") == "&lt;script&gt; &amp; <em>so</em>"


def test_a_mark_stays_with_its_formula() -> None:
    assert re.fullmatch(r'a <span class="keep"><math.*</math>。</span>b', inline("a $x$。b"))
    assert "keep" not in inline("a $x$ 。b")


def test_every_formula_of_the_chapter_is_set() -> None:
    texts = [
        text
        for path in TEXT.glob("*.md")
        for block in parse(path.read_text(encoding="utf-8"))
        for text in ([block.text] if block.kind in LANGUAGES else by_language(block.text).values())
    ]
    page = "".join(prose(re.sub(r"\{\{.*?\}\}", "−1", text)) for text in texts)
    formulas = re.findall(r"<math.*?</math>", page)
    assert len(formulas) > 50
    # Braces closed, commands known, no formula left as it was written.
    for formula in formulas:
        ElementTree.fromstring(formula)  # noqa: S314
    assert not re.search(r"[\\$]", page)


@pytest.mark.parametrize(
    "name",
    ["lesson.network:Network", "lesson.descent:descend_on_two", "lesson.exercises:main"],
)
def test_coloured_code_is_the_code(name: str) -> None:
    shown = html.unescape(re.sub(r"<[^>]+>", "", listing(name)))
    assert shown == source(name)


def test_code_is_coloured_by_the_classes_that_the_style_knows() -> None:
    classes = set(re.findall(r'class="(\w+)"', listing("lesson.network:Network")))
    assert {"k", "sd", "c1", "mi", "nf", "fm", "nc"} <= classes


def test_pictures_stand_in_the_page_and_share_no_ids(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    path.write_text(
        '<?xml version="1.0"?>\n<svg width="9pt" height="9pt"><metadata>x</metadata>'
        '<g id="p" clip-path="url(#q)"><use xlink:href="#r"/></g></svg>'
    )
    assert drawing(path, 'a "b"') == (
        '<svg role="img" aria-label="a &#34;b&#34;">'
        '<g id="a-p" clip-path="url(#a-q)"><use xlink:href="#a-r"/></g></svg>'
    )
    (tmp_path / "b.png").write_bytes(b"png")
    assert drawing(tmp_path / "b.png", "c") == '<img alt="c" src="data:image/png;base64,cG5n">'
