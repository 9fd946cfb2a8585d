"""The small notations of the chapter."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ElementTree

import pytest

from lesson.formula import to_mathml
from lesson.listing import highlight, source
from lesson.markup import TEXT, by_language, fill, inline, join, parse, plain, prose


def test_a_formula_becomes_mathml() -> None:
    assert to_mathml("w_5 = -2.5") == (
        '<math display="inline"><mrow><msub><mi>w</mi><mn>5</mn></msub>'
        "<mo>=</mo><mn>−2.5</mn></mrow></math>"
    )
    block = to_mathml(r"L = \frac{1}{N} \sum_{i=1}^{N} (z_i - y_i)^2", display=True)
    assert "<munderover><mo>∑</mo>" in block
    assert "<mfrac>" in block


@pytest.mark.parametrize("formula", ["{x", "x}", r"\unknown"])
def test_a_broken_formula_is_an_error(formula: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        to_mathml(formula)


def test_every_formula_of_the_chapter_is_well_formed() -> None:
    formulas = [
        formula
        for path in TEXT.glob("*.txt")
        for formula in re.findall(r"\$+([^$]+)\$+", path.read_text(encoding="utf-8"))
    ]
    assert len(formulas) > 50
    for formula in formulas:
        ElementTree.fromstring(to_mathml(re.sub(r"\{\{.*?\}\}", "1", formula)))  # noqa: S314


def test_figures_are_set_as_in_print() -> None:
    facts = {"small": 7.1e-6, "below": -2.5, "many": 7084, "name": "TAX"}
    text = fill("{{small:.1e}} {{below:.1f}} {{many:,}} {{name}}", facts)
    assert text.replace("\N{NO-BREAK SPACE}", " ") == "7.1 × 10⁻⁶ −2.5 7,084 TAX"
    with pytest.raises(KeyError):
        fill("{{missing}}", facts)


def test_prose() -> None:
    assert prose(("# One", "", "A `b < c`", "and *d*.", "", "- e", "- f")) == (
        "<h2>One</h2>\n<p>A <code>b &lt; c</code> and <em>d</em>.</p>\n"
        "<ul><li>e</li><li>f</li></ul>"
    )
    assert "<td><code>x</code></td>" in prose(("| a | b |", "| `x` | y |"))
    assert inline("a $x$。b").startswith('a <span class="keep"><math')
    assert plain("say `copy()`, then *go*.") == "say copy(), then go."


def test_lines_join_as_their_language_asks() -> None:
    assert join(["one", "two"]) == "one two"
    assert join(["先把每一列", "都映射"]) == "先把每一列都映射"
    assert join(["用 NumPy", "手写，", "再用 Paddle"]) == "用 NumPy 手写，再用 Paddle"


def test_blocks_and_captions() -> None:
    blocks = parse("@picture a.svg b.svg\nen: one\n    two\nzh: 一\n@code m:f\n")
    assert [(block.kind, block.argument) for block in blocks] == [
        ("picture", "a.svg b.svg"),
        ("code", "m:f"),
    ]
    assert by_language(blocks[0].lines) == {"en": "one two", "zh": "一"}


@pytest.mark.parametrize(
    "name",
    ["lesson.network:Network", "lesson.descent:descend_on_two", "lesson.exercises:main"],
)
def test_coloured_code_is_the_code(name: str) -> None:
    shown = html.unescape(re.sub(r"<[^>]+>", "", highlight(source(name))))
    assert shown == source(name)
    assert '<b class="keyword">' in highlight(source(name))
