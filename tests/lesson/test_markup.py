"""The notation of the chapter's text files, read without any extra package."""

from __future__ import annotations

import pytest

from lesson.markup import Block, by_language, fill, join, parse, plain


def test_figures_are_set_as_in_print() -> None:
    facts = {"small": 7.1e-6, "below": -2.5, "many": 7084, "name": "TAX"}
    text = fill("{{small:.1e}} {{below:.1f}} {{many:,}} {{name}}", facts)
    assert text.replace("\N{NO-BREAK SPACE}", " ") == "7.1 × 10⁻⁶ −2.5 7,084 TAX"
    with pytest.raises(KeyError):
        fill("{{missing}}", facts)


def test_lines_join_as_their_language_asks() -> None:
    assert join("one\n  two\n") == "one two"
    assert join("先把每一列\n都映射") == "先把每一列都映射"
    assert join("用 NumPy\n手写，\n再用 Paddle") == "用 NumPy 手写，再用 Paddle"
    assert join("叫作\n`copy()`，\nNumPy 说\n（见上）") == "叫作 `copy()`，NumPy 说（见上）"


def test_blocks_and_captions() -> None:
    blocks = parse(
        "@picture a.svg b.svg\nen: one\n    two\nzh: 一\n二\n@code m:f\n@en\n\n## A\n\nb\n"
    )
    assert blocks == [
        Block("picture", "a.svg b.svg", "en: one\n    two\nzh: 一\n二"),
        Block("code", "m:f", ""),
        Block("en", "", "## A\n\nb"),
    ]
    assert by_language(blocks[0].text) == {"en": "one two", "zh": "一二"}


def test_a_mistyped_directive_is_an_error() -> None:
    with pytest.raises(ValueError, match="@pictrue is no directive; they are en, zh, code, "):
        parse("@pictrue a.svg\n")


def test_plain_prose_for_a_terminal() -> None:
    assert plain("say `copy()`, then *go*.") == "say copy(), then go."
