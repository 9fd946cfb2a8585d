"""The texts of the page, in English and in Chinese, from texts.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

FILE = Path(__file__).parent / "texts.yaml"


@dataclass(frozen=True)
class Text:
    """A text in both languages; `zh` is empty where both read the same."""

    en: str
    zh: str = ""

    @property
    def both(self) -> str:
        """Both languages in one line."""
        return f"{self.en} · {self.zh}" if self.zh else self.en

    def fill(self, **values: object) -> Text:
        """With its {placeholders} filled in; a value that is a Text speaks the same language."""
        english = {key: v.en if isinstance(v, Text) else v for key, v in values.items()}
        chinese = {key: v.zh or v.en if isinstance(v, Text) else v for key, v in values.items()}
        return Text(self.en.format(**english), self.zh.format(**chinese))


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C, where PyYAML was built with it


@cache
def texts() -> SimpleNamespace:
    """Every text, as `texts().section.name`."""
    text = FILE.read_text(encoding="utf-8")
    return _section(yaml.load(text, LOADER))  # noqa: S506, it is a safe one


def _section(values: dict[str, Any]) -> SimpleNamespace:
    return SimpleNamespace(**{name: _text(value) for name, value in values.items()})


def _text(value: Any) -> SimpleNamespace | Text:
    if isinstance(value, dict):
        return _section(value)
    return Text(*value) if isinstance(value, list) else Text(value)
