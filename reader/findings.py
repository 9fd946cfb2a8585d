"""What a run says of its table, as values that console, report and page show."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from display import short, visible
from errors import MOST
from reader.schema import is_number

KINDS = (
    *("leak", "numbers", "dates", "codes", "marks", "target", "copied_rows", "constant"),
    *("missing", "copied_column", "row_number", "levels"),
)
"""What is found, the most pressing first."""
PLAIN = re.compile(r"[^\W\d][\w.-]*( [\w.-]+)*")
WORDS = ("true", "false", "yes", "no", "on", "off", "null")


@dataclass(frozen=True)
class Finding:
    """Something about a table that a person should know.

    `kind` is one of KINDS; `message` is a sentence; `key` what it advises to write into the recipe,
    "" where that is nothing.
    """

    kind: str
    columns: tuple[str, ...]
    message: str
    key: str = ""

    def __post_init__(self) -> None:
        """A message is one line, which is not longer than that of an error."""
        object.__setattr__(self, "message", short(self.message, MOST))

    @classmethod
    def of_column(cls, kind: str, name: str, message: str, key: str = "") -> Finding:
        """Of one column; the message goes on with the key."""
        return cls(kind, (name,), f"column {short(name)}: {message}{key and f' {key}'}", key)


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


def listed(names: Sequence[str], most: int = 6) -> str:
    """`a, b and c`; of many names the first, and how many more there are."""
    names = [short(name) for name in names]
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most:,} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
