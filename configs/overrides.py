"""`-o key=value` as a shell hands it over: words put together again, values read by their key."""

from __future__ import annotations

import re
from collections.abc import Sequence
from types import NoneType
from typing import Any

from configs.keys import Key, by_path
from configs.yaml_text import DEEPEST, HALF, parse
from display import short
from errors import ConfigError

PATHS = ("data.path", "run.dir")  # whose files say themselves that they cannot be
OPENING, CLOSING = "[{", "]}"
LEADS_ON = re.compile(r"[=,:]\s*$")  # a text that cannot end here


def joined(words: Sequence[str]) -> list[str]:
    """The overrides that the words of one -o make: `model.hidden=[32,` and `16]` are one, a shell
    having divided it at its space."""
    overrides: list[str] = []
    for word in words:
        if overrides and _goes_on(overrides[-1], word):
            overrides[-1] += f" {word}"
        else:
            overrides.append(word)
    return overrides


def _goes_on(override: str, word: str) -> bool:
    """Whether a word belongs to the override before it."""
    if sum(map(override.count, OPENING)) > sum(map(override.count, CLOSING)):
        return True
    key, equals, value = override.partition("=")
    if not equals or re.match(r"[A-Za-z_][\w.]*=", word):
        return False
    return bool(LEADS_ON.search(override)) or (bool(value) and _is_text(by_path().get(key, [])))


def apply(values: dict[str, Any], override: str) -> None:
    """Set one dotted key of `values`; the text after the first = is read as the key's type asks.
    What follows a key of names, as in data.kinds.zip=categorical, is such a name, dots and all.

    Raises ConfigError.
    """
    key, equals, text = override.partition("=")
    steps, known = key.strip().split("."), by_path()
    if not equals or not all(steps) or len(steps) > DEEPEST:
        raise ConfigError(f"-o {short(override)}: expected key=value, as in -o train.epochs=20")
    if HALF.search(override) and key not in PATHS:
        raise ConfigError(f"-o {short(override)}: holds what is no text in UTF-8")
    entry, text = known.get(".".join(steps), []), text.strip()
    for length in range(1, len(steps)):
        if dict in _types(known.get(".".join(steps[:length]), [])):
            steps = [*steps[:length], ".".join(steps[length:])]
            break
    is_plain = len(steps) > 1 and dict in _types(known.get(".".join(steps[:-1]), []))
    source = f"-o {short(override)}"
    value = text if is_plain and text[:1] not in "'\"" else _value(entry, text, source)
    *parents, last = steps
    for parent in parents:
        inner = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            inner = values[parent] = {}
        values = inner
    values[last] = value


def _value(entry: list[Key], text: str, source: str) -> Any:
    """What a text stands for: for a key of texts itself, for one of lists also without brackets,
    else as YAML."""
    if _is_text(entry) and not _is_yaml(entry, text):
        return text
    if list not in _types(entry) or text[:1] in ("", "[", "~") or text in ("null", "auto"):
        return parse(text, source)
    items = [item.strip() for item in text.split(",")]
    plain = any(key.is_list_of_texts for key in entry) and not set(text) & set("'\"")
    return items if plain else parse(f"[{text}]", source)


def _is_yaml(entry: list[Key], text: str) -> bool:
    """Whether a key of texts is given something else: nothing, quotes, or a mapping."""
    if text in ("", "~", "null"):
        return NoneType in _types(entry) or not text
    quoted = len(text) > 1 and text[0] in "\"'" and text[-1] == text[0]
    return quoted or (text[0] == "{" and dict in _types(entry))


def _is_text(entry: list[Key]) -> bool:
    return str in _types(entry)


def _types(entry: list[Key]) -> set[type]:
    return {kind for key in entry for kind in key.types}
