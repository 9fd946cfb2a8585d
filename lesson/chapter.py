"""Each chapter of the lesson as one page, English and Chinese, that opens offline.

python -m lesson.chapter      runs every page; writes runs/lesson/index.html and curves.html
"""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lesson import (
    backpropagation,
    command,
    data,
    descent,
    exercises,
    network,
    one_step,
    paddle_twin,
    purchase,
    smoothness,
    stochastic,
    tensors,
    tents,
    terms,
)
from lesson.markup import TEXT, Block, by_language, fill, parse
from lesson.typeset import drawing, inline, listing, prose

Answers = tuple[Callable[[], data.Facts], ...]


@dataclass(frozen=True)
class Chapter:
    """Its file, the folder of its texts, the `pages` that run, and its name and title by language;
    `answers` to its exercises."""

    file: str
    texts: Path
    pages: tuple[ModuleType, ...]
    name: dict[str, str]
    title: dict[str, str]
    answers: Answers = ()


NEURON = Chapter(
    "index.html",
    TEXT,
    (data, network, descent, stochastic, purchase, backpropagation, paddle_twin, tensors),
    {"en": "Chapter 1", "zh": "第一章"},
    {"en": "A neuron, by hand and in Paddle", "zh": "一个神经元：先手写，再用飞桨"},
    exercises.ANSWERS,
)
CURVES = Chapter(
    "curves.html",
    TEXT / "curves",
    (tents, smoothness, terms, one_step, command),
    {"en": "Chapter 2", "zh": "第二章"},
    {"en": "From a line to curves", "zh": "从直线到曲线"},
)
CHAPTERS = (NEURON, CURVES)


@dataclass(frozen=True)
class Results:
    """What the pages left: their pictures, what they printed, by page, and their figures."""

    folder: Path
    printed: dict[str, str]
    facts: data.Facts

    def filled(self, text: str) -> str:
        """The text with its figures."""
        return fill(text, self.facts)

    def output(self, argument: str) -> str:
        """The block that a page printed under a title, as `page: title` names it."""
        page, _, title = argument.partition(": ")
        for block in self.printed[page].split("\n\n"):
            if block.startswith(title):
                return block.strip()
        raise ValueError(f"lesson/{page}.py prints nothing under {title!r}")

    def drawing(self, name: str, alt: str) -> Markup:
        """A picture by its file's name."""
        return drawing(self.folder / name, alt)


def run(chapter: Chapter, folder: Path) -> Results:
    """Run every page of a chapter and every answer."""
    printed: dict[str, str] = {}
    facts: data.Facts = {}

    def keep(name: str, run_page: Callable[[], data.Facts]) -> None:
        with redirect_stdout(io.StringIO()) as output:
            found = run_page()
        assert all(facts.get(key, value) == value for key, value in found.items()), name
        facts.update(found)
        printed[name] = output.getvalue()

    for page in chapter.pages:
        keep(page.__name__.removeprefix("lesson."), partial(page.main, folder))
    for number, answer in enumerate(chapter.answers, start=1):
        keep(f"answer {number}", answer)
    return Results(folder, printed, facts)


def titles(blocks: list[Block]) -> dict[str, str]:
    """A section's title in each language, from its first two blocks; the opening has none."""
    lines = {block.kind: block.text.partition("\n")[0] for block in blocks[:2]}
    return {language: line[3:] for language, line in lines.items() if line.startswith("## ")}


def build(chapter: Chapter, folder: Path) -> str:
    """The page, from the text files and from what running the pages gave."""
    paths = sorted(chapter.texts.glob("*.md"))
    sections = {path.stem: parse(path.read_text(encoding="utf-8")) for path in paths}
    jinja = Environment(
        loader=FileSystemLoader(TEXT),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters |= {f.__name__: f for f in (by_language, inline, listing, prose, titles)}
    results = run(chapter, folder)
    return jinja.get_template("page.html").render(
        sections=sections, results=results, chapter=chapter, chapters=CHAPTERS
    )


def write(chapter: Chapter, folder: Path) -> Path:
    """Write a chapter to its file in `folder`, beside its pictures; the file."""
    page = build(chapter, folder)
    path = folder / chapter.file
    path.write_text(page, encoding="utf-8")
    print(f"{path}: {len(page) / 1e6:.1f} MB, opens offline")
    return path


def main(folder: Path = data.PICTURES) -> list[Path]:
    """Write all chapters; their files."""
    return [write(chapter, folder) for chapter in CHAPTERS]


if __name__ == "__main__":
    main()
