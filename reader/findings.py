"""What a run says of its table, as values that console, report and page show."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from bilingual import Text
from display import short, visible
from errors import MOST
from reader.schema import is_number

KINDS = (
    *("leak", "extreme", "numbers", "dates", "codes", "marks", "target", "digits", "few_rows"),
    *("copied_rows", "constant", "missing", "copied_column", "row_number", "levels"),
)
"""What is found, the most pressing first."""
PLAIN = re.compile(r"[^\W\d][\w.-]*( [\w.-]+)*")
WORDS = ("true", "false", "yes", "no", "on", "off", "null")


@dataclass(frozen=True)
class Finding:
    """Something about a table that a person should know.

    `kind` is one of KINDS; `message` is a sentence, in both languages; `key` what it advises to
    write into the recipe, "" where that is nothing.
    """

    kind: str
    columns: tuple[str, ...]
    message: Text
    key: str = ""

    def __post_init__(self) -> None:
        """A message is one line, which is not longer than that of an error."""
        line = Text(short(self.message.en, MOST), short(self.message.zh, MOST))
        object.__setattr__(self, "message", line)

    @classmethod
    def of_column(cls, kind: str, name: str, message: Text, key: str = "") -> Finding:
        """Of one column; the message goes on with the key."""
        english = f"column {short(name)}: {message.en}{key and f' {key}'}"
        return cls(kind, (name,), Text(english, f"{short(name)} 列：{message.zh}{key}"), key)


def exclude(*names: str) -> str:
    """The key that leaves columns out."""
    return f"data.exclude: [{', '.join(map(in_yaml, names))}]"


def as_kind(name: str, kind: str) -> str:
    """The key that makes a column one of a kind."""
    return f"data.kinds: {{{in_yaml(name)}: {kind}}}"


def in_yaml(name: str) -> str:
    """A name as a recipe has it: in quotes where YAML would read something else, with escapes for
    what is not visible."""
    plain = PLAIN.fullmatch(name) and name.lower() not in WORDS and not is_number(name)
    return name if plain else visible(json.dumps(name, ensure_ascii=False))


def listed(names: Sequence[str], most: int = 6) -> Text:
    """`a, b and c`; of many names the first, and how many more there are."""
    *first, last = shown = [short(name) for name in names[:most]]
    if more := max(0, len(names) - most):
        english = f"{', '.join(shown)} and {more:,} more"
        return Text(english, f"{'、'.join(shown)} 等 {len(names):,} 项")
    if not first:
        return Text(last, last)
    return Text(f"{', '.join(first)} and {last}", f"{'、'.join(first)} 和 {last}")
