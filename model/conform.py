"""JSON values of others, held against types: a typed dictionary is all that may be there."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NotRequired,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from display import short

SCALARS = (str, int, float, bool, NoneType)
UNIONS = (Union, UnionType)


class Rule(NamedTuple):
    """Beyond the type: a number from `low` to `high`, of a text or list the length, and a text
    that `pattern` matches."""

    low: float = -math.inf
    high: float = math.inf
    pattern: str = ""

    def __str__(self) -> str:
        if self.pattern:
            return f"a text like {self.pattern}"
        return (
            f"{self.low:g} or more" if self.high == math.inf else f"{self.low:g} to {self.high:g}"
        )

    def holds(self, value: Any) -> bool:
        if self.pattern:
            return re.fullmatch(self.pattern, value) is not None
        return self.low <= (value if isinstance(value, int | float) else len(value)) <= self.high


class UnsoundError(ValueError):
    """A contract, a graph or weights are not what an export of this version has: `what` is wrong,
    at `place`, a dotted key."""

    def __init__(self, what: str, place: str = "") -> None:
        super().__init__(f"{place}: {what}" if place else what)
        self.what, self.place = what, place

    def within(self, key: str | int) -> UnsoundError:
        inner = f".{self.place}" if self.place else ""
        return UnsoundError(self.what, f"{shown(key)}{inner}")


def shown(value: Any) -> str:
    """A foreign value as a message shows it: of a list or mapping its size."""
    if isinstance(value, list | dict):
        return f"a {'list' if isinstance(value, list) else 'mapping'} of {len(value):,}"
    if isinstance(value, int) and abs(value) >= 2**64:
        return "a number of more than 19 digits"
    return short(value if isinstance(value, str) else str(value)) or "nothing"


def agree(place: str, holds: bool, expected: str) -> None:
    if not holds:
        raise UnsoundError(f"expected {expected}", place)


def conform(value: Any, kind: Any) -> None:
    """Raises UnsoundError where a JSON value is not of this type: a typed dictionary, whose keys
    are all there and no others, dict, list, Literal, `X | None`, and scalars. Numbers are finite,
    texts can be encoded."""
    if is_typeddict(kind):
        _conform_keys(value, kind)
    elif check := CHECKS.get(get_origin(kind)):
        check(value, *get_args(kind))
    else:
        _expect(value, kind)


def _conform_rule(value: Any, kind: Any, rule: Rule) -> None:
    conform(value, kind)
    if not rule.holds(value):
        length = "" if rule.pattern or isinstance(value, int | float) else "a length of "
        raise UnsoundError(f"found {shown(value)}, expected {length}{rule}")


def _conform_choice(value: Any, *choices: Any) -> None:
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise UnsoundError(f"found {shown(value)}, expected {', '.join(map(str, choices))}")


def _conform_optional(value: Any, kind: Any, none: Any) -> None:
    assert none is NoneType
    if value is not None:
        conform(value, kind)


def _conform_dict(value: Any, key_kind: Any, kind: Any) -> None:
    _expect(value, dict)
    for key, member in value.items():
        _conform_member(key, key, key_kind)
        _conform_member(member, key, kind)


def _conform_keys(value: Any, kind: Any) -> None:
    _expect(value, dict)
    hints = _keys(kind)
    for key in value:
        if key not in hints:
            raise UnsoundError(f"found the unknown key {shown(key)}")
    for key, hint in hints.items():
        if get_origin(hint) is NotRequired:
            (hint,) = get_args(hint)
        elif key not in value:
            raise UnsoundError(f"found no key {key}")
        if key in value:
            _conform_member(value[key], key, hint)


@cache
def _keys(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _conform_list(value: Any, kind: Any) -> None:
    _expect(value, list)
    kinds = get_args(kind) if get_origin(kind) in UNIONS else (kind,)
    if all(inner in SCALARS for inner in kinds) and _all_conform(value, kinds):
        return
    for index, member in enumerate(value):
        _conform_member(member, index, kind)


def _all_conform(values: Sequence[Any], kinds: tuple[Any, ...]) -> bool:
    """Whether all values are sound scalars of these kinds, of which there may be millions."""
    found = set(map(type, values))
    known = [value for value in values if value is not None] if NoneType in found else values
    if not found <= set(kinds):
        return False
    return is_text("".join(known)) if str in found else all(map(math.isfinite, known))


def _conform_member(value: Any, key: str | int, kind: Any) -> None:
    try:
        conform(value, kind)
    except UnsoundError as error:
        raise error.within(key) from None


def _expect(value: Any, kind: Any) -> None:
    names = {str: "a text", int: "a whole number", float: "a finite number with a point"}
    names |= {bool: "true or false", dict: "a mapping", list: "a list"}
    sound = type(value) is kind
    if sound and kind is float:
        sound = math.isfinite(value)
    elif sound and kind is str:
        sound = is_text(value)
    if not sound:
        raise UnsoundError(f"found {shown(value)}, expected {names[kind]}")


CHECKS: dict[Any, Callable[..., None]] = {
    Annotated: _conform_rule,
    Literal: _conform_choice,
    Union: _conform_optional,
    UnionType: _conform_optional,
    list: _conform_list,
    dict: _conform_dict,
}
"""By the origin of a type."""


def is_text(value: str) -> bool:
    """Whether it can be written as UTF-8: half of a surrogate pair can not."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
