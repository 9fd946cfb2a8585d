"""Values as bytes, for the way between processes: JSON that says what there is, then the arrays.

Numbers, texts, None, arrays of numbers, and lists, tuples, dictionaries and dataclasses of these.
Nothing that comes in is executed, or made of a class that the receiver does not name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import copy
from dataclasses import is_dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Value = TypeVar("Value")
NUMBERS = "biuf"  # kinds of dtype


def encode(value: Any) -> bytes:
    """Raises TypeError for what is none of these."""
    arrays: list[NDArray[Any]] = []
    head = json.dumps(_described(value, arrays)).encode()
    return b"".join([len(head).to_bytes(8, "little"), head, *(a.tobytes() for a in arrays)])


def decode(data: bytes, like: Value) -> Value:
    """What `encode` wrote; tuples with names and dataclasses are of the classes that `like` has at
    their places. Raises ValueError for bytes that are nothing of the kind."""
    end = 8 + int.from_bytes(data[:8], "little")
    try:
        head = json.loads(data[8:end])
    except ValueError:
        raise ValueError("a message from another process is damaged") from None
    arrays = _Arrays(memoryview(data)[end:])
    value = _restored(head, arrays)
    if arrays.left:
        raise ValueError("a message from another process is longer than it says")
    shaped: Value = _shaped(value, like)
    return shaped


def _described(value: Any, arrays: list[NDArray[Any]]) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value, order="C")
        if array.dtype.kind not in NUMBERS:
            raise TypeError(f"an array of {array.dtype} does not go to other processes")
        arrays.append(array)
        return {"array": [array.dtype.str, *array.shape]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_described(each, arrays) for each in value]}
    if is_dataclass(value):
        value = vars(value)
    if isinstance(value, dict):
        return {"dict": [[key, _described(each, arrays)] for key, each in value.items()]}
    raise TypeError(f"{type(value).__name__} does not go to other processes")


class _Arrays:
    """The bytes behind the head, taken array by array."""

    def __init__(self, data: memoryview) -> None:
        self.left = data

    def take(self, dtype: str, shape: list[int]) -> NDArray[Any]:
        kind = np.dtype(dtype)
        size = kind.itemsize * int(np.prod(shape, dtype=np.int64))
        if kind.kind not in NUMBERS or size > len(self.left):
            raise ValueError("a message from another process is damaged")
        array = np.frombuffer(self.left[:size], kind).reshape(shape).copy()
        self.left = self.left[size:]
        return array


def _restored(head: Any, arrays: _Arrays) -> Any:
    if not isinstance(head, dict):
        return head
    ((kind, of),) = head.items()
    if kind == "array":
        return arrays.take(of[0], of[1:])
    if kind == "dict":
        return {key: _restored(each, arrays) for key, each in of}
    values: Iterator[Any] = (_restored(each, arrays) for each in of)
    return list(values) if kind == "list" else tuple(values)


def _shaped(value: Any, like: Any) -> Any:
    if isinstance(value, tuple) and isinstance(like, tuple):
        parts = [_shaped(each, of) for each, of in zip(value, like, strict=True)]
        return type(like)(*parts) if hasattr(like, "_fields") else tuple(parts)
    if isinstance(value, list) and isinstance(like, list) and len(value) == len(like):
        return [_shaped(each, of) for each, of in zip(value, like, strict=True)]
    if isinstance(value, dict) and isinstance(like, dict):
        return {key: _shaped(each, like.get(key)) for key, each in value.items()}
    if isinstance(value, dict) and is_dataclass(like) and not isinstance(like, type):
        result = copy(like)
        vars(result).update(value)
        return result
    return value
