"""Each chapter's page: both languages, nothing from outside, and no sideways scrolling."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from lesson import chapter, command, terms
from lesson.markup import LANGUAGES, TEXT, Block, parse

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chapter")]

SIZES = [("en", 1280, 900), ("zh", 390, 844)]


WORDS = {"index.html": (2500, 4000), "curves.html": (1000, 1500)}  # at least, English and Chinese


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each chapter's page, written once, in whatever order tests come."""
    with pytest.MonkeyPatch.context() as patch:
        # Fewer folds and pairs than the lesson's own page, which take time and change figures only.
        patch.setattr(terms, "FOLDS", 2)
        patch.setattr(command, "OPTIONS", (*command.OPTIONS, "-o", "model.pairs=2"))
        folder = tmp_path_factory.mktemp("lesson")
        return {each.file: chapter.write(each, folder) for each in chapter.CHAPTERS}


@pytest.fixture(params=[each.file for each in chapter.CHAPTERS])
def page(request: pytest.FixtureRequest, pages: dict[str, Path]) -> Path:
    return pages[request.param]


class Reader(HTMLParser):
    """What the page refers to, and its text by language."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.ids: list[str] = []
        self.open: list[tuple[str, str | None]] = []
        self.text = {"en": "", "zh": ""}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        for name in ("src", "href", "xlink:href", "data", "action"):
            if values.get(name):
                self.references.append(values[name] or "")
        if values.get("id"):
            self.ids.append(values["id"] or "")
        if tag not in ("meta", "input", "img", "br"):
            self.open.append((tag, values.get("class")))

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        languages = [name for _, name in self.open if name in LANGUAGES]
        if languages:
            self.text[str(languages[-1])] += data


def test_nothing_comes_from_outside(page: Path) -> None:
    reader = Reader()
    text = page.read_text(encoding="utf-8")
    reader.feed(text)
    assert len(reader.references) > 20
    others = {each.file for each in chapter.CHAPTERS} - {page.name}
    assert others <= set(reader.references)
    for reference in set(reader.references) - others:
        assert reference.startswith(("#", "data:image/png;base64,")), reference[:80]
    assert not re.search(r"@import|url\((?!#)", text)
    assert len(reader.ids) == len(set(reader.ids))
    targets = {reference[1:] for reference in reader.references if reference[0] == "#"}
    assert targets <= set(reader.ids)


def test_both_languages_say_all_of_it(page: Path) -> None:
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    english, chinese = reader.text["en"], reader.text["zh"]
    assert "{{" not in english + chinese
    assert len(re.findall(r"[\u4e00-\u9fff]", chinese)) > WORDS[page.name][1]
    assert not re.findall(r"[\u4e00-\u9fff]", english)
    assert len(english.split()) > WORDS[page.name][0]
    # The same figures, in the same order of size, stand in both.
    numbers = [sorted(re.findall(r"\d+\.\d{2,}", text)) for text in (english, chinese)]
    assert numbers[0] == numbers[1]


def shape(block: Block) -> list[str]:
    """The headings, formulas, list items and table rows of a block, in order."""
    signs = ("## ", "### ", "$$", "- ", "|", ">")
    return [sign for line in block.text.splitlines() for sign in signs if line.startswith(sign)]


def test_every_block_stands_in_both_languages() -> None:
    for path in TEXT.rglob("*.md"):
        blocks = parse(path.read_text(encoding="utf-8"))
        prose = [block.kind for block in blocks if block.kind in LANGUAGES]
        assert prose == ["en", "zh"] * (len(prose) // 2), path
        english = [block for block in blocks if block.kind == "en"]
        chinese = [block for block in blocks if block.kind == "zh"]
        for ours, theirs in zip(english, chinese, strict=True):
            assert shape(ours) == shape(theirs), (path, ours.text[:40])


def blocks_of(page: Path) -> list[Block]:
    """All blocks of the chapter whose page this is."""
    texts = next(each.texts for each in chapter.CHAPTERS if each.file == page.name)
    return [
        block for path in texts.glob("*.md") for block in parse(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize(("language", "width", "height"), SIZES)  # the switch shows the other one
def test_it_looks_right_in_chromium(
    page: Path, browser: Browser, language: str, width: int, height: int
) -> None:
    locale = {"en": "en-US", "zh": "zh-CN"}[language]
    context = browser.new_context(viewport={"width": width, "height": height}, locale=locale)
    tab = context.new_page()
    problems: list[str] = []
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("request", lambda request: problems.append(request.url))
    tab.goto(page.as_uri())
    problems.remove(page.as_uri())
    assert [problem for problem in problems if not problem.startswith("data:")] == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.locator(f"h1 .{language}").is_visible()
    other = next(name for name in LANGUAGES if name != language)
    assert not tab.locator(f"h1 .{other}").is_visible()
    narrowest = tab.evaluate(
        "Math.min(...[...document.querySelectorAll('.pictures svg')]"
        ".map(picture => picture.getBoundingClientRect().width))"
    )
    assert narrowest >= 300
    drawn = [
        name
        for block in blocks_of(page)
        if block.kind == "picture"
        for name in block.argument.split()
    ]
    assert tab.locator(".pictures svg[role=img], .pictures img").count() == len(drawn) > 10
    tab.locator(f"label[for=show-{other}]").click()
    assert tab.locator(f"h1 .{other}").is_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
