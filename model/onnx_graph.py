"""What model.onnx may hold: one graph of the standard operators that model/onnx.py uses, with all
its numbers inside. No functions, no operators of others, no graphs inside it, no other files.

A file of ONNX is a message of Protocol Buffers, read here field by field; onnx.proto3 gives them
their numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from model.conform import UnsoundError, shown

INPUT, OUTPUT = "features", "predictions"
OPSET, IR_VERSION = 17, 8
INSTALL = "pip install -r requirements-onnx.txt"
OPERATORS = {
    *("Add", "Cast", "Concat", "Cos", "Div", "Exp", "Floor", "Gather", "Identity", "IsNaN"),
    *("LayerNormalization", "Less", "MatMul", "Max", "Min", "Mul", "ReduceSum", "Relu"),
    *("Reshape", "Shrink", "Sigmoid", "Slice", "Softplus", "Softsign", "Split", "Sqrt", "Squeeze"),
    *("Sub", "Sum", "Tanh", "Transpose", "Unsqueeze", "Where"),
}
ANY = None
Rule = Mapping[int, Any] | Collection[Any] | None
"""Of a field: the fields of the message in it, the values that it may have, or any."""
TENSOR: Rule = {1: ANY, 2: ANY, 8: ANY, 9: ANY}  # dims, type, name and numbers
DIMENSION: Rule = {1: ANY, 2: ANY}
TYPE: Rule = {1: {1: ANY, 2: {1: DIMENSION}}}
VALUE: Rule = {1: ANY, 2: TYPE}
ATTRIBUTE: Rule = {1: ANY, 2: ANY, 3: ANY, 8: ANY, 20: ANY}  # name, number or numbers, and type
NODE: Rule = {1: ANY, 2: ANY, 4: {name.encode() for name in OPERATORS}, 5: ATTRIBUTE}
GRAPH: Rule = {1: NODE, 2: ANY, 5: TENSOR, 11: VALUE, 12: VALUE}
MODEL: Rule = {1: {IR_VERSION}, 7: GRAPH, 8: {1: {b""}, 2: {OPSET}}}
NAMES = {
    id(MODEL): "the model",
    id(GRAPH): "the graph",
    id(NODE): "an operator",
    id(ATTRIBUTE): "an attribute",
    id(TENSOR): "a constant",
}
VARINT, BYTES, FOUR_BYTES = 0, 2, 5


def check_onnx(content: bytes) -> None:
    """Raises UnsoundError where a model.onnx has a field, or a value, that no export has."""
    try:
        _check(memoryview(content), MODEL)
    except IndexError:
        raise UnsoundError("not a model of ONNX, or not all of it") from None


def _check(data: memoryview, known: Rule) -> None:
    """Raises UnsoundError, and IndexError at an end that is none."""
    assert isinstance(known, Mapping)
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if number not in known:
            where = NAMES.get(id(known), "a description")
            raise UnsoundError(f"field {number} of {where}, which no export has; it is not run")
        rule = known[number]
        value: Any
        if kind == VARINT:
            value, at = _varint(data, at)
        elif kind in (BYTES, FOUR_BYTES):
            size, at = _varint(data, at) if kind == BYTES else (4, at)
            value, at = data[at : at + size], at + size
            if len(value) != size:
                raise IndexError
        else:
            raise UnsoundError("not a model of ONNX")
        if isinstance(rule, Mapping):
            if kind != BYTES:
                raise UnsoundError("not a model of ONNX")
            _check(value, rule)
        elif rule is not None:
            found = value if kind == VARINT else bytes(value)
            if found not in rule:
                told = found if kind == VARINT else found.decode(errors="replace")
                raise UnsoundError(f"found {shown(told)}, which no export has; it is not run")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A whole number of seven bits a byte, the low ones first, and where it ends."""
    number = 0
    for place in range(10):
        byte = data[at + place]
        number |= (byte & 127) << (7 * place)
        if byte < 128:
            return number, at + place + 1
    raise UnsoundError("not a model of ONNX")
