"""What a form asks for: the columns of a model, their ranges in training, and a typical row."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from reader.moments import YEAR_FIRST
from reader.schema import Column
from service.models import Model

DIGITS = 4  # of a mean, which nobody asked for exactly
STARTS_WITH_YEAR = ("%Y", "%G", "%F")


@dataclass(frozen=True)
class Field:
    """One column. `kind`: number, flag, choice, date, moment or text; `low` and `high`: its range
    in training, as numbers or as ISO times, None where there is none; `value`: a typical one;
    `choices`: known levels; `whole`: numbers are whole; `may_be_empty`: an empty one is known."""

    name: str
    kind: str
    value: Any
    low: Any = None
    high: Any = None
    choices: tuple[str, ...] = ()
    whole: bool = False
    may_be_empty: bool = False


def fields(model: Model) -> list[Field]:
    """A field a column, in the order of the table."""
    samples = _samples(model)
    return [_field(model, column, samples) for column in model.columns]


def typical_row(model: Model) -> dict[str, Any]:
    """A row by name, as a request has it."""
    return {field.name: field.value for field in fields(model)}


def _samples(model: Model) -> dict[str, list[float]]:
    """By feature, the values in rows of training that the contract has for its check."""
    golden = model.contract["golden"]
    real = [
        row for row, kind in zip(golden["rows"], golden["kinds"], strict=True) if kind == "real"
    ]
    columns = zip(*real, strict=True) if real else ([] for _ in model.features)
    return {
        name: [value for value in values if value is not None]
        for name, values in zip(model.features, columns, strict=True)
    }


def _field(model: Model, column: Column, samples: Mapping[str, list[float]]) -> Field:
    if column.kind == "time":
        return _time(model, column)
    if column.kind == "numeric":
        return _number(model, column, samples[column.name])
    common = Counter(samples[column.name]).most_common(1)
    code = int(common[0][0]) if common else 1
    if column.kind == "boolean":
        return Field(column.name, "flag", bool(code), may_be_empty=model.may_be_empty)
    value = column.levels[code - 1] if 0 < code <= len(column.levels) else None
    texts = tuple(text for text in column.levels if text is not None)
    return Field(column.name, "choice", value, choices=texts, may_be_empty=None in column.levels)


def _number(model: Model, column: Column, sample: list[float]) -> Field:
    of = model.contract["statistics"]["columns"].get(column.name)
    if of is None:
        return Field(column.name, "number", 0.0, may_be_empty=model.may_be_empty)
    low, high = plain(of["minimum"]), plain(of["maximum"])
    whole = all(value == round(value) for value in (*sample, low, high))
    mean = round(of["mean"]) if whole else float(f"{of['mean']:.{DIGITS}g}")
    return Field(
        column.name,
        "number",
        min(max(mean, low), high),
        low,
        high,
        whole=whole,
        may_be_empty=model.may_be_empty,
    )


def _time(model: Model, column: Column) -> Field:
    """The middle of the range in training, as an ISO time, or in a format of its own that has the
    year first, since another one would be taken for it."""
    of = model.contract["statistics"]["columns"].get(f"{column.stem or column.name}.elapsed")
    origin = datetime.fromisoformat(column.origin)
    ends = (of["minimum"], of["maximum"]) if of else (0.0, 9_000.0)
    low, high = (origin + timedelta(days=math.floor(end)) for end in ends)
    middle = low + timedelta(days=(high - low).days // 2, hours=12)
    is_moment = "hour" in column.parts
    pattern, kind = ("%Y-%m-%dT%H:%M", "moment") if is_moment else ("%Y-%m-%d", "date")
    if column.format not in YEAR_FIRST and column.format.startswith(STARTS_WITH_YEAR):
        pattern, kind = column.format.replace("%.f", ".%f"), "text"
    texts = [moment.strftime(pattern) for moment in (low, middle, high)]
    first, last = (texts[0], texts[2]) if of else (None, None)
    return Field(column.name, kind, texts[1], first, last, may_be_empty=model.may_be_empty)


def plain(value: float) -> float:
    """A float32 as the shortest decimal that is read as the same."""
    return float(str(np.float32(value)))
