"""The chapter's text files as HTML: both languages of a paragraph stand together in one file.

@en, @zh    the paragraphs that follow, in that language
@code       lesson.data:load_data, a piece of source
@output     data: Title, a block that a page printed, found by its first line
@picture    files side by side, with a caption in each language
@question   an exercise by number, in each language
@answer     its answer, folded away until it is asked for

In a paragraph: `code`, *emphasis*, $formula$, {{figure:.2f}}; a line of $$...$$ is a formula by
itself. A line that starts with # is a heading, with - a list item, with > a remark, with | a row
of a table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from lesson.formula import to_mathml

TEXT = Path(__file__).parent / "text"
LANGUAGES = ("en", "zh")
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
INLINE = re.compile(r"(?:`([^`]+)`|\$([^$]+)\$|\*([^*]+)\*)([,.;:)，。、；：）]?)")
FIGURE = re.compile(r"\{\{(\w+)(?::([^}]+))?\}\}")


@dataclass(frozen=True)
class Block:
    """A directive, what follows it on its line, and the lines below."""

    kind: str
    argument: str
    lines: tuple[str, ...]


def parse(text: str) -> list[Block]:
    """The blocks of a text file, in order."""
    blocks = []
    for part in re.split(r"^@", text, flags=re.MULTILINE)[1:]:
        first, *rest = part.rstrip().splitlines()
        kind, _, argument = first.partition(" ")
        blocks.append(Block(kind, argument.strip(), tuple(rest)))
    return blocks


def exercises() -> tuple[dict[int, tuple[str, ...]], dict[int, tuple[str, ...]]]:
    """The lines of each question and of each answer, by the exercise's number."""
    blocks = parse((TEXT / "8_exercises.txt").read_text(encoding="utf-8"))
    questions = {int(b.argument): b.lines for b in blocks if b.kind == "question"}
    answers = {int(b.argument): b.lines for b in blocks if b.kind == "answer"}
    return questions, answers


def plain(text: str) -> str:
    """One run of prose for a terminal."""
    return INLINE.sub(lambda match: next(part for part in match.groups() if part) + match[4], text)


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


def inline(text: str) -> str:
    """One run of prose as HTML."""
    pieces, end = [], 0
    for match in INLINE.finditer(text):
        pieces.append(escape(text[end : match.start()], quote=False))
        code, formula, emphasis, mark = match.groups()
        if code:
            piece = f"<code>{escape(code, quote=False)}</code>"
        elif formula:
            piece = to_mathml(formula)
        else:
            piece = f"<em>{inline(emphasis)}</em>"
        # No line may start with the mark that follows, which browsers allow after a formula.
        pieces.append(
            f'<span class="keep">{piece}{mark}</span>' if formula and mark else piece + mark
        )
        end = match.end()
    return "".join(pieces) + escape(text[end:], quote=False)


def prose(lines: tuple[str, ...]) -> str:
    """Paragraphs, headings, lists, remarks, tables and formulas as HTML."""
    groups = re.split(r"\n\s*\n", "\n".join(lines).strip())
    return "\n".join(_group(group.splitlines()) for group in groups)


def _group(lines: list[str]) -> str:
    starts: dict[str, Callable[[list[str]], str]] = {
        "#": _heading,
        "-": _list,
        "|": _table,
        ">": lambda rows: f"<aside>{inline(join([row.lstrip('> ') for row in rows]))}</aside>",
        "$$": lambda rows: to_mathml(" ".join(rows).strip("$ "), display=True),
    }
    for start, render in starts.items():
        if lines[0].startswith(start):
            return render([line.strip() for line in lines])
    return f"<p>{inline(join(lines))}</p>"


def join(lines: list[str]) -> str:
    """One run of prose. Chinese has no spaces between words, so a line's end is none either."""
    text = " ".join(line.strip() for line in lines)
    text = re.sub(r"(?<=[\u3000-\u9fff\uff00-\uffef]) (?=[\u3000-\u9fff\uff00-\uffef])", "", text)
    return re.sub(r"(?<=[\u3000-\u303f\uff00-\uffef]) | (?=[\u3000-\u303f\uff00-\uffef])", "", text)


def by_language(lines: tuple[str, ...]) -> dict[str, str]:
    """Lines that start with `en: ` or `zh: `, and those that continue them, by language."""
    found: dict[str, list[str]] = {}
    for line in lines:
        language, colon, rest = line.partition(": ")
        if colon and language in LANGUAGES:
            current = found[language] = [rest]
        else:
            current.append(line)
    return {language: join(rest) for language, rest in found.items()}


def _heading(lines: list[str]) -> str:
    marks, _, title = lines[0].partition(" ")
    level = len(marks) + 1
    return f"<h{level}>{inline(title)}</h{level}>"


def _list(lines: list[str]) -> str:
    items = re.split(r"^- ", "\n".join(lines), flags=re.MULTILINE)[1:]
    return f"<ul>{''.join(f'<li>{inline(join(item.splitlines()))}</li>' for item in items)}</ul>"


def _table(lines: list[str]) -> str:
    rows = [[inline(cell.strip()) for cell in line.strip("|").split("|")] for line in lines]
    head = "".join(f"<th>{cell}</th>" for cell in rows[0])
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows[1:])
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'
