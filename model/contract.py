"""What contract.json says: every key, its type and its bounds, and how its parts agree.

Whoever can write an export can also write its sums, so all of it is checked before it is used.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from datetime import date, timedelta
from itertools import pairwise
from math import prod
from typing import Annotated, Any, Literal, NotRequired, TypedDict, cast

from model.conform import Rule, UnsoundError, agree, conform, shown

FORMAT = 6
WITH_ONNX = 7
"""The format of an export that has model.onnx too."""
MOST_ROWS = 2**53
MOST_TERMS = 2**16
LARGEST = 3.4028234663852886e38  # of float32
CALENDAR = {"month": 13, "day_of_week": 8, "hour": 24}
"""How many codes the parts of a time have, from 0; as reader.moments.LEVELS."""
Part = Literal["month", "day_of_week", "hour", "elapsed"]
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


Files = TypedDict(
    "Files", {"model.json": Sum, "model.pdiparams": Sum, "model.onnx": NotRequired[Sum]}
)
Sizes = TypedDict(
    "Sizes", {"model.json": Size, "model.pdiparams": Size, "model.onnx": NotRequired[Size]}
)


class AdditiveAxis(TypedDict):
    """What a term sees of a packed feature: its places 0 to size - 1, which are `knots` of a number
    or the `levels` of a code, and `hole`, the place of a missing number; `size` is that of no
    other."""

    feature: str
    knots: list[float]
    levels: Annotated[int, Rule(0)]
    hole: Annotated[float, Rule(0)]


class AdditiveTerm(TypedDict):
    """A function of one feature or two: its values at size + 1 places an axis, row by row."""

    axes: Annotated[list[AdditiveAxis], Rule(1, 2)]
    values: list[float]


class Additive(TypedDict):
    """What the graph of an additive model computes: `center` and the terms, held within `limits`;
    all of log(1 + target) where `log`. `network`: whether that is a part of what a blend computes,
    to which a network adds the rest. `beyond`: how curves go on outside their knots."""

    center: float
    log: bool
    limits: Annotated[list[float], Rule(2, 2)] | None
    network: NotRequired[bool]
    beyond: Literal["flat", "line"]
    terms: Annotated[list[AdditiveTerm], Rule(1, MOST_TERMS)]


class Contract(TypedDict):
    """All of contract.json: no key is beside these, and none is missing but `additive`, which only
    an additive model has, and `onnx`, the parity of model.onnx where there is one."""

    format: Literal[6, 7]
    features: list[str]
    target: str
    schema: Schema
    reading: Reading
    may_be_empty: bool
    statistics: Statistics
    shares: dict[str, Shares]
    versions: Annotated[dict[str, str], Rule(0, 20)]
    parity: Parity
    onnx: NotRequired[Parity]
    inference: Inference
    outputs: Annotated[list[Literal["prediction", "lower", "upper"]], Rule(1, 3)]
    golden: Golden
    additive: NotRequired[Additive]
    sizes: Sizes
    files: Files
    sha256: Sum


def check_contract(values: Any) -> Contract:
    """JSON values as a contract. Raises UnsoundError."""
    if isinstance(values, dict) and values.get("format", FORMAT) not in (FORMAT, WITH_ONNX):
        raise UnsoundError(
            f"exported in format {shown(values['format'])}, but this version reads format "
            f"{FORMAT} and {WITH_ONNX}; train the model again, or predict with the version that "
            "exported it"
        )
    conform(values, Contract)
    contract = cast(Contract, values)
    _check_columns(contract)
    _check_statistics(contract)
    _check_golden(contract)
    has_onnx = contract["format"] == WITH_ONNX
    for key, names in (
        ("onnx", contract),
        ("files", contract["files"]),
        ("sizes", contract["sizes"]),
    ):
        found = ("onnx" if key == "onnx" else "model.onnx") in names
        agree(key, found == has_onnx, f"model.onnx in format {WITH_ONNX} alone")
    if "additive" in contract:
        _check_additive(contract["additive"], _levels(contract))
    if name := contract["reading"]["encoding"]:
        try:
            "".encode(name)
        except (LookupError, ValueError):
            raise UnsoundError(
                f"found {shown(name)}, which is unknown", "reading.encoding"
            ) from None
    return contract


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
    agree("schema.columns", len(set(names)) == len(names), "each name once")
    targets = [column["name"] for column in columns if column["kind"] == "target"]
    agree("target", targets == [contract["target"]], "the one target of schema.columns")
    wanted = [name for column in features for name in packed(column)]
    agree("features", contract["features"] == wanted, "what schema.columns become")
    agree("features", 0 < len(wanted) == len(set(wanted)), "one or more, each name once")
    agree("shares", contract["shares"].keys() == {c["name"] for c in features}, "each feature")
    outputs = (["prediction"], ["prediction", "lower", "upper"])
    agree("outputs", contract["outputs"] in outputs, "prediction, or lower and upper behind it")
    for index, column in enumerate(columns):
        _check_column(column, f"schema.columns.{index}")


def _check_column(column: Column, place: str) -> None:
    belongs = {"levels": ["categorical"], "parts": ["time"], "origin": ["time"], "stem": ["time"]}
    belongs["format"] = ["time", "numeric", "target"]
    for key, kinds in belongs.items():
        agree(place, key not in column or column["kind"] in kinds, f"{key} of {' or '.join(kinds)}")
    levels = column.get("levels", [])
    agree(place, len(set(levels)) == len(levels), "each level once")
    if column["kind"] == "time":
        keys = {"format", "parts", "origin"}
        agree(place, keys <= column.keys(), "a time with format, parts and origin")
        parts = column["parts"]
        agree(place, len(set(parts)) == len(parts), "each part once")
        agree(f"{place}.origin", _day(column["origin"], 0), "a day")


def _check_statistics(contract: Contract) -> None:
    described = contract["statistics"]["columns"]
    agree("statistics.columns", contract["target"] in described, "the target among them")
    for name, of in described.items():
        place = f"statistics.columns.{shown(name)}"
        agree(place, of["minimum"] <= of["maximum"], "a minimum up to the maximum")
    for column in features_of(contract):
        name = f"{column.get('stem', column['name'])}.elapsed"
        if column["kind"] == "time" and name in described:
            ends = (described[name]["minimum"], described[name]["maximum"])
            sound = all(_day(column["origin"], end) for end in ends)
            agree(f"statistics.columns.{shown(name)}", sound, "days of the years 1 to 9999")


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
    agree("golden", len(counts) == 1, "as many kinds and predictions as rows")
    agree("golden.rows", all(len(r) == width for r in golden["rows"]), f"{width} numbers each")
    columns = [column for column in features_of(contract) for _ in packed(column)]
    for position, column in enumerate(columns):
        if column["kind"] == "categorical":
            codes, most = (row[position] for row in golden["rows"]), len(column.get("levels", []))
            sound = all(code is not None and 0 <= code <= most for code in codes)
            agree("golden.rows", sound, f"codes of 0 to {most} for {shown(column['name'])}")


def _levels(contract: Contract) -> dict[str, int]:
    """Of each packed feature, how many codes it has: none where it is a number."""
    found: dict[str, int] = {}
    for column in features_of(contract):
        codes = len(column.get("levels", [])) + 1 if column["kind"] == "categorical" else 0
        for name, part in zip(packed(column), column.get("parts", [""]), strict=True):
            found[name] = CALENDAR.get(part, codes)
    return found


def _check_additive(additive: Additive, levels: Mapping[str, int]) -> None:
    limits = additive["limits"] or [-1.0, 1.0]
    agree("additive.limits", limits[0] < limits[1], "a lower and a higher one")
    bounds = [additive["center"], *limits]
    agree("additive", _are_small(bounds), "a center and limits that float32 has")
    seen: set[frozenset[str]] = set()
    for index, term in enumerate(additive["terms"]):
        place = f"additive.terms.{index}"
        for number, axis in enumerate(term["axes"]):
            _check_axis(axis, levels, f"{place}.axes.{number}")
        features = frozenset(axis["feature"] for axis in term["axes"])
        agree(place, len(features) == len(term["axes"]), "two features")
        agree(place, features not in seen, "a term of other features than those before it")
        seen.add(features)
        size = prod((axis["levels"] or len(axis["knots"])) + 1 for axis in term["axes"])
        agree(f"{place}.values", len(term["values"]) == size, f"{size:,}, one a place")
        agree(f"{place}.values", _are_small(term["values"]), "numbers that float32 has")


def _check_axis(axis: AdditiveAxis, levels: Mapping[str, int], place: str) -> None:
    agree(f"{place}.feature", axis["feature"] in levels, "one of the features")
    knots, codes = axis["knots"], levels[axis["feature"]]
    agree(f"{place}.levels", axis["levels"] == codes, f"{codes} of {shown(axis['feature'])}")
    of_codes = "no knots beside levels" if codes else "2 or more knots"
    agree(f"{place}.knots", not knots if codes else len(knots) >= 2, of_codes)
    agree(f"{place}.knots", all(a < b for a, b in pairwise(knots)), "each above the one before")
    agree(f"{place}.knots", array("f", knots).tolist() == knots, "numbers that float32 has exactly")
    agree(f"{place}.hole", axis["hole"] <= (codes or len(knots)), "a place")


def _are_small(values: list[float]) -> bool:
    return max(map(abs, values)) <= LARGEST
