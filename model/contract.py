"""What contract.json says: every key, its type and its bounds, and how its parts agree.

Whoever can write an export can also write its sums, so all of it is checked before it is used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NotRequired,
    TypedDict,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

from display import short

FORMAT = 5
MOST_ROWS = 2**53
SCALARS = (str, int, float, bool, NoneType)
UNIONS = (Union, UnionType)
Part = Literal["month", "day_of_week", "hour", "elapsed"]


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


Rows = Annotated[int, Rule(0, MOST_ROWS)]
Share = Annotated[float, Rule(0, 1)]
Size = Annotated[int, Rule(0, MOST_ROWS)]
Distance = Annotated[float, Rule(0)]
Sum = Annotated[str, Rule(pattern="[0-9a-f]{64}")]
Text = Annotated[str, Rule(1)]


class Column(TypedDict):
    """A column of the table, as reader.schema.Column describes it."""

    name: str
    kind: Literal["numeric", "categorical", "boolean", "time", "id", "ignored", "target"]
    levels: NotRequired[list[str | None]]
    format: NotRequired[str]
    parts: NotRequired[Annotated[list[Part], Rule(1, 4)]]
    origin: NotRequired[Annotated[str, Rule(pattern=r"\d{4}-\d\d-\d\d")]]
    stem: NotRequired[Text]


class Schema(TypedDict):
    columns: list[Column]
    has_header: bool


class Reading(TypedDict):
    """How the table was read, as reader.formats.Reading."""

    format: Literal["csv", "tsv", "white_space", "parquet", "arrow", "jsonl", "json"] | None
    separator: Annotated[str, Rule(1, 1)] | None
    comment: Text | None
    decimal_comma: bool
    missing: list[str]
    encoding: Annotated[str, Rule(pattern=r"[\w.-]{1,40}")] | None
    sheet: Text | None
    unpack_limit: Annotated[int, Rule(1)]


class Moments(TypedDict):
    mean: float
    deviation: Distance
    minimum: float
    maximum: float


class Statistics(TypedDict):
    rows: Rows
    columns: dict[str, Moments]


class Shares(TypedDict):
    missing: Share
    unknown: Share


class Parity(TypedDict):
    max_abs_difference: Distance
    rows: Rows
    tolerance: Distance


class Inference(TypedDict):
    onednn: bool
    fused: bool


class Golden(TypedDict):
    kinds: Annotated[list[Literal["real", "extreme", "missing", "unknown"]], Rule(0, 100)]
    rows: Annotated[list[list[float | None]], Rule(0, 100)]
    predictions: Annotated[list[float], Rule(0, 100)]
    tolerance: Distance


Files = TypedDict("Files", {"model.json": Sum, "model.pdiparams": Sum})
Sizes = TypedDict("Sizes", {"model.json": Size, "model.pdiparams": Size})


class Contract(TypedDict):
    """All of contract.json: no key is missing, and none is beside these."""

    format: Literal[5]
    features: list[str]
    target: str
    schema: Schema
    reading: Reading
    may_be_empty: bool
    statistics: Statistics
    shares: dict[str, Shares]
    versions: Annotated[dict[str, str], Rule(0, 20)]
    parity: Parity
    inference: Inference
    outputs: Annotated[list[Literal["prediction", "lower", "upper"]], Rule(1, 3)]
    golden: Golden
    sizes: Sizes
    files: Files
    sha256: Sum


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


def check_contract(values: Any) -> Contract:
    """JSON values as a contract. Raises UnsoundError."""
    if isinstance(values, dict) and values.get("format", FORMAT) != FORMAT:
        raise UnsoundError(
            f"exported in format {shown(values['format'])}, but this version reads format "
            f"{FORMAT}; train the model again, or predict with the version that exported it"
        )
    conform(values, Contract)
    contract = cast(Contract, values)
    _check_columns(contract)
    _check_statistics(contract)
    _check_golden(contract)
    if name := contract["reading"]["encoding"]:
        try:
            "".encode(name)
        except (LookupError, ValueError):
            raise UnsoundError(
                f"found {shown(name)}, which is unknown", "reading.encoding"
            ) from None
    return contract


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


def packed(column: Column) -> list[str]:
    """The names of the numbers that a cell becomes."""
    stem = column.get("stem", column["name"])
    return [f"{stem}.{part}" for part in column.get("parts", [])] or [column["name"]]


def features_of(contract: Contract) -> list[Column]:
    others = ("id", "ignored", "target")
    return [c for c in contract["schema"]["columns"] if c["kind"] not in others]


def _check_columns(contract: Contract) -> None:
    columns, features = contract["schema"]["columns"], features_of(contract)
    names = [column["name"] for column in columns]
    _agree("schema.columns", len(set(names)) == len(names), "each name once")
    targets = [column["name"] for column in columns if column["kind"] == "target"]
    _agree("target", targets == [contract["target"]], "the one target of schema.columns")
    wanted = [name for column in features for name in packed(column)]
    _agree("features", contract["features"] == wanted, "what schema.columns become")
    _agree("features", 0 < len(wanted) == len(set(wanted)), "one or more, each name once")
    _agree("shares", contract["shares"].keys() == {c["name"] for c in features}, "each feature")
    outputs = (["prediction"], ["prediction", "lower", "upper"])
    _agree("outputs", contract["outputs"] in outputs, "prediction, or lower and upper behind it")
    for index, column in enumerate(columns):
        _check_column(column, f"schema.columns.{index}")


def _check_column(column: Column, place: str) -> None:
    belongs = {"levels": ["categorical"], "parts": ["time"], "origin": ["time"], "stem": ["time"]}
    belongs["format"] = ["time", "numeric", "target"]
    for key, kinds in belongs.items():
        _agree(
            place, key not in column or column["kind"] in kinds, f"{key} of {' or '.join(kinds)}"
        )
    levels = column.get("levels", [])
    _agree(place, len(set(levels)) == len(levels), "each level once")
    if column["kind"] == "time":
        keys = {"format", "parts", "origin"}
        _agree(place, keys <= column.keys(), "a time with format, parts and origin")
        parts = column["parts"]
        _agree(place, len(set(parts)) == len(parts), "each part once")
        _agree(f"{place}.origin", _day(column["origin"], 0), "a day")


def _check_statistics(contract: Contract) -> None:
    described = contract["statistics"]["columns"]
    _agree("statistics.columns", contract["target"] in described, "the target among them")
    for name, of in described.items():
        place = f"statistics.columns.{shown(name)}"
        _agree(place, of["minimum"] <= of["maximum"], "a minimum up to the maximum")
    for column in features_of(contract):
        name = f"{column.get('stem', column['name'])}.elapsed"
        if column["kind"] == "time" and name in described:
            ends = (described[name]["minimum"], described[name]["maximum"])
            sound = all(_day(column["origin"], end) for end in ends)
            _agree(f"statistics.columns.{shown(name)}", sound, "days of the years 1 to 9999")


def _day(origin: str, elapsed: float) -> bool:
    """Whether there is a day so many after the ISO date `origin`."""
    try:
        date.fromisoformat(origin) + timedelta(elapsed)
    except (ValueError, OverflowError):
        return False
    return True


def _check_golden(contract: Contract) -> None:
    golden, width = contract["golden"], len(contract["features"])
    counts = {len(golden["kinds"]), len(golden["rows"]), len(golden["predictions"])}
    _agree("golden", len(counts) == 1, "as many kinds and predictions as rows")
    _agree("golden.rows", all(len(r) == width for r in golden["rows"]), f"{width} numbers each")
    columns = [column for column in features_of(contract) for _ in packed(column)]
    for position, column in enumerate(columns):
        if column["kind"] == "categorical":
            codes, most = (row[position] for row in golden["rows"]), len(column.get("levels", []))
            sound = all(code is not None and 0 <= code <= most for code in codes)
            _agree("golden.rows", sound, f"codes of 0 to {most} for {shown(column['name'])}")


def _agree(place: str, holds: bool, expected: str) -> None:
    if not holds:
        raise UnsoundError(f"expected {expected}", place)
