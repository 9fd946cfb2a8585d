"""How what was found of some rows is put together with what was found of others."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

Value = TypeVar("Value")


def add(whole: Value, part: Value) -> Value:
    """The sum: of numbers, of arrays, into the first where it can hold it, and of tuples, lists and
    dictionaries of these, one by one."""
    a: Any = whole
    b: Any = part
    if isinstance(a, np.ndarray) and a.dtype == np.result_type(a, b):
        return np.add(a, b, out=a)
    if isinstance(a, tuple):
        sums = [add(x, y) for x, y in zip(a, b, strict=True)]
        return type(a)(*sums) if hasattr(a, "_fields") else tuple(sums)  # type: ignore[return-value]
    if isinstance(a, list):
        return [add(x, y) for x, y in zip(a, b, strict=True)]  # type: ignore[return-value]
    if isinstance(a, dict):
        return {key: add(value, b[key]) for key, value in a.items()}  # type: ignore[return-value]
    return a + b


def join(whole: list[Value], part: list[Value]) -> list[Value]:
    """The one behind the other."""
    whole.extend(part)
    return whole
