"""Nested sections as one level of keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def leaves(section: Mapping[str, Any], separator: str = ".") -> Iterator[tuple[str, Any]]:
    """The values of a section and of those inside it, by their joined keys; an empty section
    counts as a value."""
    for key, value in section.items():
        if isinstance(value, Mapping) and value:
            for rest, leaf in leaves(value, separator):
                yield f"{key}{separator}{rest}", leaf
        else:
            yield key, value
