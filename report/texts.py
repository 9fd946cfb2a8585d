"""The texts of the page and of the closing lines, in English and in Chinese, from texts.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from display import short

FILE = Path(__file__).parent / "texts.yaml"


@dataclass(frozen=True)
class Text:
    """A text in both languages; `zh` is empty where both read the same."""

    en: str
    zh: str = ""

    @property
    def both(self) -> str:
        """Both languages in one line, where markup cannot tell them apart."""
        return f"{self.en} · {self.zh}" if self.zh else self.en

    @property
    def plain(self) -> str:
        """In English, for a terminal: without the signs that some of them lack."""
        return self.en.translate({ord("−"): "-", ord("–"): "-", ord("²"): "2", ord("×"): "x"})

    def by_language(self) -> dict[str, str]:
        """By language; empty where both read the same."""
        return {"en": self.en, "zh": self.zh} if self.zh else {}

    def fill(self, **values: object) -> Text:
        """With its {placeholders} filled in: a value that is a Text speaks the same language, and
        another text, which is not ours, is cut."""
        texts = {key: Text(short(v)) if isinstance(v, str) else v for key, v in values.items()}
        english = {key: v.en if isinstance(v, Text) else v for key, v in texts.items()}
        chinese = {key: v.zh or v.en if isinstance(v, Text) else v for key, v in texts.items()}
        return Text(self.en.format(**english), self.zh.format(**chinese))

    def __html__(self) -> str:
        """What a template makes of it: a span a language, of which page.css shows one."""
        spans = [
            f'<span class="{language}" lang="{language}">{escape(words)}</span>'
            for language, words in self.by_language().items()
        ]
        return "".join(spans) or escape(self.en)


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C, where PyYAML was built with it


@cache
def texts() -> SimpleNamespace:
    """Every text, as `texts().section.name`."""
    text = FILE.read_text(encoding="utf-8")
    return _section(yaml.load(text, LOADER))  # noqa: S506, it is a safe one


def named(name: str, section: SimpleNamespace) -> Text:
    """The text that a section has for a name; the name itself where it has none."""
    text: Text = vars(section).get(name, Text(name))
    return text


def _section(values: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(**{name: _text(value) for name, value in values.items()})


def _text(value: Any) -> SimpleNamespace | Text:
    if isinstance(value, dict):
        return _section(value)
    return Text(*value) if isinstance(value, list) else Text(value)
