"""The chapter's text files: Markdown in both languages, side by side, between directives.

@en, @zh    the paragraphs that follow, in that language
@code       lesson.data:load_data, a piece of source
@output     data: Title, a block that a page printed, found by its first line
@picture    files side by side, with a caption in each language
@question   an exercise by number, in each language
@answer     its answer, folded away until it is asked for

{{name:.2f}} stands for a figure that the pages compute.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEXT = Path(__file__).parent / "text"
LANGUAGES = ("en", "zh")
DIRECTIVES = (*LANGUAGES, "code", "output", "picture", "question", "answer")
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
FIGURE = re.compile(r"\{\{(\w+)(?::([^}]+))?\}\}")
MARK = r"[\u3000-\u303f\uff00-\uffef]"
CHINESE = r"[\u3000-\u9fff\uff00-\uffef]"
NO_SPACE = re.compile(rf"(?<={CHINESE})\n(?={CHINESE})|(?<={MARK})\n|\n(?={MARK})")


@dataclass(frozen=True)
class Block:
    """A directive, what follows it on its line, and the text below."""

    kind: str
    argument: str
    text: str


def parse(text: str) -> list[Block]:
    """The blocks of a text file, in order."""
    blocks = []
    for part in re.split(r"^@", text, flags=re.MULTILINE)[1:]:
        first, _, rest = part.partition("\n")
        kind, _, argument = first.partition(" ")
        if kind not in DIRECTIVES:
            raise ValueError(f"@{kind} is no directive; they are {', '.join(DIRECTIVES)}")
        blocks.append(Block(kind, argument.strip(), rest.strip()))
    return blocks


def by_language(text: str) -> dict[str, str]:
    """What follows `en: ` and `zh: ` at a line's start, each as one run of prose."""
    parts = re.split(r"^(en|zh): ", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], map(join, parts[1::2]), strict=True))


def join(text: str) -> str:
    """Lines as one run of prose. Chinese has no spaces between words, so a line's end is none."""
    lines = re.sub(r"\s*\n\s*", "\n", text.strip())
    return NO_SPACE.sub("", lines).replace("\n", " ")


def fill(text: str, facts: Mapping[str, Any]) -> str:
    """Put the computed figures into their places."""
    return FIGURE.sub(lambda match: _figure(format(facts[match[1]], match[2] or "")), text)


def _figure(text: str) -> str:
    """A formatted number as print sets it: 7.1e-06 becomes 7.1 × 10⁻⁶."""
    if text.startswith("-"):
        return f"−{_figure(text[1:])}"
    mantissa, e, exponent = text.partition("e")
    if not (e and exponent.lstrip("+-").isdigit()):
        return text
    power = str(int(exponent)).translate(SUPERSCRIPT)
    return f"{mantissa}\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}10{power}"


def plain(text: str) -> str:
    """One run of prose for a terminal, without the signs of Markdown."""
    return re.sub(r"[`*$]", "", text)


def exercises() -> tuple[dict[int, str], dict[int, str]]:
    """The text of each question and of each answer, by the exercise's number."""
    blocks = parse((TEXT / "8_exercises.md").read_text(encoding="utf-8"))
    questions = {int(b.argument): b.text for b in blocks if b.kind == "question"}
    answers = {int(b.argument): b.text for b in blocks if b.kind == "answer"}
    return questions, answers
