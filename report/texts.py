"""The texts of the page and of the closing lines, in English and in Chinese, from texts.yaml."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from bilingual import Text

FILE = Path(__file__).parent / "texts.yaml"


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
