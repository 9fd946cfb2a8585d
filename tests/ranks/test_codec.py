"""Values on their way between processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

from ranks.codec import decode, encode


class Pair(NamedTuple):
    name: str
    values: Any


@dataclass
class Sums:
    rows: int = 0
    mean: float = 0.0


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and all(map(same, a, b)) and len(a) == len(b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return bool(a == b)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 3, 0.1, float("inf"), "名字", [], {}, [1, [2.5, None]]),
        *({1: np.arange(3), "a": (1, "b")}, np.zeros((0, 4), np.float32)),
        np.array([[1.5, np.nan], [-0.0, 2e300]]),
        [np.arange(4, dtype=np.int32), np.array([True, False])],
        Pair("a", [np.float64(1) * np.ones(2), Pair("b", None)]),
        {"deep": [(Pair("x", 1), {"y": np.array([7], np.uint8)})]},
    ],
)
def test_values_come_back(value: Any) -> None:
    assert same(decode(encode(value), value), value)


def test_classes_are_those_of_the_receiver() -> None:
    like: tuple[Sums, list[int]] = (Sums(), [])
    found = decode(encode((Sums(3, 0.25), [1, 2, 3])), like)
    assert found == (Sums(3, 0.25), [1, 2, 3])
    assert decode(encode(Sums(3, 0.25)), {}) == {"rows": 3, "mean": 0.25}


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array([object()]), np.array(["text"])])
def test_nothing_else_goes(value: Any) -> None:
    with pytest.raises(TypeError, match="does not go to other processes"):
        encode(value)


@pytest.mark.parametrize("cut", [1, 9, 30, -1])
def test_damaged_bytes_are_refused(cut: int) -> None:
    whole = encode([np.arange(10.0), "text"])
    with pytest.raises(ValueError, match="a message from another process"):
        decode(whole[:cut], [])
    with pytest.raises(ValueError, match="longer"):
        decode(whole + b"x", [])
