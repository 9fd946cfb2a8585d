"""Tables of JSON: an object a line, or one array of objects."""

from __future__ import annotations

import glob
import json
from collections.abc import Container, Iterable, Iterator
from math import isfinite
from typing import Any

import polars as pl

from errors import TableError
from reader.decode import Plain, as_utf8, copied, whole
from reader.formats import POLARS_ERRORS, Reading, TypedFile
from reader.schema import abridged
from reader.text import is_blank

DIGITS = 19  # that a whole number of 64 bits may not have
EXPECTED = (
    "expected one object per line, or one array of objects, as pandas writes with orient='records'"
)


def scan_lines(plain: Plain, reading: Reading) -> TypedFile:
    """Open a file with an object a line; its columns and their types are those of all lines.

    Raises TableError for a line that is not an object, and where there is none.
    """
    plain = as_utf8(plain, None, without_mark=True)
    try:
        return _scan(plain, reading)
    except POLARS_ERRORS:
        # Python's own json module copes with more: NaN, and nested values of several shapes.
        plain = whole(plain)
        nested = _nested(_objects(plain))
        return _scan(copied(plain, _written(_objects(plain), nested)), reading)


def read_array(plain: Plain, reading: Reading) -> TypedFile:
    """Open a file that is one array of objects; all of it is read into memory."""
    plain = whole(as_utf8(plain, None, without_mark=True))
    try:
        found = _loaded(plain.path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise TableError(f"{plain.original}: not valid JSON ({error}); {EXPECTED}") from None
    if not found:
        raise TableError(f"{plain.original}: the array is empty; expected at least one row")
    objects = [_checked(plain, f"row {row}", value) for row, value in enumerate(found, start=1)]
    return _scan(copied(plain, _written(objects, _nested(objects))), reading)


def _scan(plain: Plain, reading: Reading) -> TypedFile:
    # Polars takes a path for a pattern.
    frame = pl.scan_ndjson(glob.escape(str(plain.path)), infer_schema_length=None)
    schema = frame.collect_schema()
    if all(kind.is_nested() for kind in schema.values()):
        raise TableError(
            f"{plain.original}: found {abridged(list(schema))}, each of them a list or an object; "
            f"{EXPECTED}"
        )
    return TypedFile(plain.original, tuple(schema), frame, reading, plain.keep)


def _objects(plain: Plain) -> Iterator[dict[str, Any]]:
    empty = True
    with plain.path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not is_blank(line):
                empty = False
                yield _object(plain, number, line)
    if empty:
        raise TableError(f"{plain.original}: the file is empty; expected a table")


def _object(plain: Plain, number: int, line: str) -> dict[str, Any]:
    try:
        value = _loaded(line)
    except (ValueError, RecursionError) as error:
        raise TableError(
            f"{plain.original}, line {number}: not valid JSON ({error}); {EXPECTED}"
        ) from None
    return _checked(plain, f"line {number}", value)


def _loaded(text: str | bytes) -> Any:
    """What is written in JSON, of keys that occur twice the last; numbers that no column holds stay
    texts, which whoever reads the cells refuses by its line."""
    return json.loads(text, parse_constant=str, parse_int=_whole, parse_float=_decimal)


def _whole(text: str) -> int | str:
    return int(text) if len(text) < DIGITS else text


def _decimal(text: str) -> float | str:
    return number if isfinite(number := float(text)) else text


def _checked(plain: Plain, place: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    found = json.dumps(value)[:40]
    raise TableError(f"{plain.original}, {place}: found {found}; {EXPECTED}")


def _nested(objects: Iterable[dict[str, Any]]) -> set[str]:
    """The keys that have a list or an object in some row."""
    return {
        key for value in objects for key, cell in value.items() if isinstance(cell, dict | list)
    }


def _written(objects: Iterable[dict[str, Any]], nested: Container[str]) -> Iterator[bytes]:
    """A line an object; values of `nested` keys, of any shape, as lists of text."""
    for value in objects:
        cells = {
            key: [json.dumps(cell)] if key in nested and cell is not None else cell
            for key, cell in value.items()
        }
        yield json.dumps(cells).encode() + b"\n"
