"""The whole lesson as one page, English and Chinese, that opens offline.

python -m lesson.chapter      runs every page and writes runs/lesson/index.html
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from string import Template

from lesson import (
    backpropagation,
    data,
    descent,
    exercises,
    network,
    paddle_twin,
    purchase,
    stochastic,
    tensors,
)
from lesson.drawing import INK
from lesson.listing import highlight, source
from lesson.markup import LANGUAGES, TEXT, Block, by_language, fill, inline, parse, prose

PAGES = (data, network, descent, stochastic, purchase, backpropagation, paddle_twin, tensors)


@dataclass(frozen=True)
class Results:
    """What the pages left: their pictures, what they printed, by page, and their figures."""

    folder: Path
    printed: dict[str, str]
    facts: data.Facts


def run(folder: Path) -> Results:
    """Run every page and every answer."""
    printed: dict[str, str] = {}
    facts: data.Facts = {}

    def keep(name: str, run_page: Callable[[], data.Facts]) -> None:
        with redirect_stdout(io.StringIO()) as output:
            found = run_page()
        assert all(facts.get(key, value) == value for key, value in found.items()), name
        facts.update(found)
        printed[name] = output.getvalue()

    for page in PAGES:
        keep(page.__name__.removeprefix("lesson."), partial(page.main, folder))
    for number, answer in enumerate(exercises.ANSWERS, start=1):
        keep(f"answer {number}", answer)
    return Results(folder, printed, facts)


def render(block: Block, results: Results) -> str:
    """One block of a text file as HTML."""
    renderers: dict[str, Callable[[Block, Results], str]] = {
        "code": render_code,
        "output": render_output,
        "picture": render_pictures,
        "question": render_question,
        "answer": render_answer,
    }
    if block.kind in LANGUAGES:
        text = tuple(fill("\n".join(block.lines), results.facts).splitlines())
        return f'<div class="{block.kind}" lang="{block.kind}">\n{prose(text)}\n</div>'
    return renderers[block.kind](block, results)


def render_code(block: Block, results: Results) -> str:
    file = block.argument.partition(":")[0].replace(".", "/") + ".py"
    code = highlight(source(block.argument))
    return f'<figure class="code"><figcaption>{file}</figcaption><pre>{code}</pre></figure>'


def render_output(block: Block, results: Results) -> str:
    page, _, title = block.argument.partition(": ")
    for printed in results.printed[page].split("\n\n"):
        if printed.startswith(title):
            return (
                f'<figure class="output"><pre>{escape(printed.strip(), quote=False)}</pre></figure>'
            )
    raise ValueError(f"lesson/{page}.py prints nothing under {title!r}")


def render_pictures(block: Block, results: Results) -> str:
    captions = by_language(block.lines)
    pictures = "".join(
        inline_picture(results.folder / name, alt=captions["en"]) for name in block.argument.split()
    )
    caption = f"<figcaption>{spans(captions)}</figcaption>"
    return f'<figure class="pictures"><div>{pictures}</div>{caption}</figure>'


def render_question(block: Block, results: Results) -> str:
    question = spans(by_language(block.lines))
    return f'<details class="exercise"><summary>{question}</summary>'


def render_answer(block: Block, results: Results) -> str:
    evidence = escape(results.printed[f"answer {block.argument}"].strip(), quote=False)
    answers = by_language(block.lines)
    texts = "".join(
        f'<p class="{language}" lang="{language}">{inline(fill(text, results.facts))}</p>'
        for language, text in answers.items()
    )
    return f'{texts}<figure class="output"><pre>{evidence}</pre></figure></details>'


def spans(texts: dict[str, str]) -> str:
    """One run of prose in both languages, of which the page shows one."""
    return "".join(
        f'<span class="{language}" lang="{language}">{inline(text)}</span>'
        for language, text in texts.items()
    )


def inline_picture(path: Path, alt: str) -> str:
    """The picture itself, so that the page needs no other file."""
    if path.suffix == ".png":
        encoded = base64.b64encode(path.read_bytes()).decode()
        return f'<img alt="{escape(alt)}" src="data:image/png;base64,{encoded}">'
    svg = path.read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    # Ids need to differ between the pictures of one page.
    stem = path.stem
    svg = re.sub(r'id="([^"]+)"', rf'id="{stem}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{stem}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{stem}-\1)", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1)


def build(folder: Path) -> str:
    """The page, from the text files and from what running the pages gave."""
    results = run(folder)
    sections, entries = [], []
    for path in sorted(TEXT.glob("*.txt")):
        blocks = parse(path.read_text(encoding="utf-8"))
        body = "\n".join(render(block, results) for block in blocks)
        sections.append(f'<section id="{path.stem}">\n{body}\n</section>')
        titles = {b.kind: b.lines[0][2:] for b in blocks if b.lines and b.lines[0][:2] == "# "}
        if titles:
            entries.append(f'<li><a href="#{path.stem}">{spans(titles)}</a></li>')
    page = Template((TEXT / "page.html").read_text(encoding="utf-8"))
    return page.substitute(
        style=(TEXT / "style.css").read_text(encoding="utf-8"),
        contents="\n".join(entries),
        sections="\n".join(sections),
    )


def main(folder: Path = data.PICTURES) -> Path:
    """Write the chapter to index.html in `folder`, beside its pictures; the file."""
    page = build(folder)
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    print(f"{path}: {len(page) / 1e6:.1f} MB, opens offline")
    return path


if __name__ == "__main__":
    main()
