"""What a graph may hold: the operators that exports use, none of which reads or writes a file, and
weights that are those of its parameters.

model.json is a program of Paddle's intermediate representation: one block of operators, each with
attributes (A), operands (I), results (O) and marks of the results (OA).
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from files import parse_json
from model.conform import UnsoundError, shown

MOST_ELEMENTS = 2**20  # of a constant
MOST_SIZE = 2**28  # elements of a parameter, or of a result for one row
MOST_DIMENSIONS = 4
NAME = r"[\w./]{0,500}"
TYPES = {  # by Paddle's names: the code in a file of weights (framework.proto), and bytes
    "0.t_bool": (0, 1),
    "0.t_i32": (2, 4),
    "0.t_i64": (3, 8),
    "0.t_f32": (5, 4),
    "0.t_f64": (6, 8),
    "0.t_ui8": (20, 1),
}
DTYPES = ("bool", "int32", "int64", "float32", "float64", "Undefined(ALL_DTYPE)")
ANY = 10_000


class Operator(NamedTuple):
    """How many operands and results there are; of each attribute the type, and the values that it
    may have, where these are few."""

    operands: int
    results: int
    attributes: Mapping[str, tuple[Any, ...]] = {}


NO, YES = ("0.a_bool", False), ("0.a_bool", True)
FIRST, MINUS_ONE = ("0.a_i32", 0), ("0.a_i64", -1)
COLUMNS = ("0.a_i32", 1)  # the axis
NUMBER = ("0.a_f32",)
ARRAY, SHAPE = ("0.a_array",), ("1.a_intarray",)
CONSTANT = {"dtype": ("1.a_dtype",), "place": ("1.a_place",)}
OPERATORS = {
    "0.combine": Operator(ANY, 1),
    "0.split": Operator(1, ANY),
    "1.add": Operator(2, 1),
    "1.add_n": Operator(1, 1),
    "1.assign_value_": Operator(1, 1, {**CONSTANT, "shape": ARRAY, "values": ARRAY}),
    "1.batch_norm_": Operator(
        5,
        6,
        {
            "is_test": YES,
            "use_global_stats": YES,
            "trainable_statistics": NO,
            "momentum": NUMBER,
            "epsilon": NUMBER,
            "data_format": ("0.a_str", "NCHW"),
        },
    ),
    "1.cast": Operator(1, 1, {"dtype": ("1.a_dtype",)}),
    "1.clip": Operator(3, 1),
    "1.concat": Operator(2, 1),
    "1.cos": Operator(1, 1),
    "1.data": Operator(0, 1, {**CONSTANT, "name": ("0.a_str", "features"), "shape": SHAPE}),
    "1.divide": Operator(2, 1),
    "1.embedding": Operator(2, 1, {"padding_idx": MINUS_ONE, "sparse": NO}),
    "1.expand_as": Operator(2, 1, {"target_shape": ARRAY}),
    "1.expm1": Operator(1, 1),
    "1.floor": Operator(1, 1),
    "1.fetch": Operator(1, 1, {"name": ("0.a_str", "fetch_name_0"), "col": FIRST}),
    "1.fmin": Operator(2, 1),
    "1.full": Operator(0, 1, {**CONSTANT, "shape": SHAPE, "value": ("0.a_f64",)}),
    "1.full_int_array": Operator(0, 1, {**CONSTANT, "value": ARRAY}),
    "1.gather": Operator(3, 1),
    "1.index_select": Operator(2, 1, {"axis": COLUMNS}),
    "1.isnan": Operator(1, 1),
    "1.layer_norm": Operator(3, 3, {"epsilon": NUMBER, "begin_norm_axis": ("0.a_i32", 1, 2)}),
    "1.matmul": Operator(2, 1, {"transpose_x": NO, "transpose_y": NO}),
    "1.maximum": Operator(2, 1),
    "1.minimum": Operator(2, 1),
    "1.mish": Operator(1, 1, {"lambda": ("0.a_f32", 20.0)}),
    "1.multiply": Operator(2, 1),
    "1.relu": Operator(1, 1),
    "1.reshape": Operator(2, 1),
    "1.scale": Operator(2, 1, {"bias": NUMBER, "bias_after_scale": YES}),
    "1.searchsorted": Operator(2, 1, {"out_int32": NO, "right": NO}),
    "1.sigmoid": Operator(1, 1),
    "1.softshrink": Operator(1, 1, {"threshold": NUMBER}),
    "1.softsign": Operator(1, 1),
    "1.slice": Operator(3, 1, {"axes": ARRAY, "infer_flags": ARRAY, "decrease_axis": ARRAY}),
    "1.split": Operator(3, 1),
    "1.sqrt": Operator(1, 1),
    "1.stack": Operator(1, 1, {"axis": ("0.a_i32", 2)}),
    "1.subtract": Operator(2, 1),
    "1.sum": Operator(2, 1, {"dtype": ("1.a_dtype",), "keepdim": NO}),
    "1.swish": Operator(1, 1),
    "1.tanh": Operator(1, 1),
    "1.transpose": Operator(1, 1, {"perm": ARRAY}),
    "1.unbind": Operator(1, 1, {"axis": ("0.a_i32", 2)}),
    "1.unsqueeze": Operator(2, 1),
    "1.where": Operator(3, 1),
}
"""By the names in model.json, where 0 stands for Paddle's builtin and 1 for its pd_op. None
computes with files, with other graphs or with code; a new layer adds its operators here."""


class Parameter(NamedTuple):
    """A tensor of model.pdiparams: a key of TYPES, and its shape."""

    kind: str
    shape: tuple[int, ...]


def check_graph(content: bytes, columns: int, outputs: int) -> tuple[bytes, dict[str, Parameter]]:
    """The graph as Paddle may read it, and its parameters by name.

    It takes float32 [N, columns] and gives float32 [N, outputs]. What is returned is written from
    what was checked, so that no second reader can see in `content` what the first did not. Raises
    UnsoundError, for a key of another type or name, too.
    """
    try:
        program = parse_json(content)
        block = _block(program)
        parameters, ends = _check_operators(block["ops"])
    except UnsoundError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        raise UnsoundError(f"not a graph of Paddle ({shown(str(error))})") from None
    expected = [("1.data", ("0.t_f32", (-1, columns))), ("1.fetch", ("0.t_f32", (-1, outputs)))]
    if ends != expected:
        raise UnsoundError(
            f"expected one input, of {columns} columns, and one output, of {outputs}, in float32"
        )
    return json.dumps(program, allow_nan=False, separators=(",", ":")).encode(), parameters


def _block(program: Any) -> dict[str, Any]:
    """The one block of a program."""
    _keys(program, {"base_code", "program"})
    _keys(program["base_code"], {"magic", "trainable", "version"})
    if program["base_code"] not in ({"magic": "pir", "trainable": t, "version": 4} for t in (0, 1)):
        raise UnsoundError("expected a program of Paddle's format pir, version 4")
    _keys(program["program"], {"regions"})
    (region,) = program["program"]["regions"]
    _keys(region, {"#", "blocks"})
    (block,) = region["blocks"]
    _keys(block, {"#", "args", "ops"})
    if (region["#"], block["#"], block["args"]) != ("region_0", "block_0", []):
        raise UnsoundError("expected one block without arguments")
    return dict(block)


def _check_operators(
    operators: list[dict[str, Any]],
) -> tuple[dict[str, Parameter], list[tuple[str, Any]]]:
    """The parameters, and the type of what is read and returned."""
    parameters: dict[str, Parameter] = {}
    ends = []
    types: dict[int, Any] = {}  # of the results so far
    for operator in operators:
        name = operator["#"]
        if name == "p":
            _add_parameter(operator, parameters, types)
            continue
        known = OPERATORS.get(name) if isinstance(name, str) else None
        if known is None:
            raise UnsoundError(
                f"the operator {_full_name(name)} is none of those that exports of this version "
                "use; it is not run"
            )
        try:
            operands = _check_operator(operator, known, types)
        except UnsoundError as error:
            raise UnsoundError(f"the operator {_full_name(name)}: {error}") from None
        if name == "1.data":
            ends.append((name, types[operator["O"][0]["%"]]))
        elif name == "1.fetch":
            ends.append((name, types[operands[0]]))
    return parameters, ends


def _full_name(name: Any) -> str:
    """As Paddle calls it."""
    text = shown(name)
    dialect, dot, rest = text.partition(".")
    return {"0": "builtin", "1": "pd_op"}.get(dialect, dialect) + dot + rest


def _add_parameter(
    operator: dict[str, Any], parameters: dict[str, Parameter], types: dict[int, Any]
) -> None:
    _keys(operator, {"#", "A", "DA", "O", "OA", "QA"})
    *marks, name = operator["A"]
    _expect(len(marks) == len(operator["OA"]) == 3, "marks of a parameter")
    _expect(all(_is_whole(mark, 0, 1) for mark in [*marks, *operator["OA"]]), "marks of 0 and 1")
    _expect(operator["DA"] == operator["QA"] == [], "a parameter of one device")
    _expect(bool(name) and _is_name(name) and name not in parameters, "each parameter once")
    kind, shape = _result(operator["O"], types)
    _expect(min(shape, default=0) >= 0, f"a shape of {shown(name)} without unknowns")
    parameters[name] = Parameter(kind, shape)


def _check_operator(operator: dict[str, Any], known: Operator, types: dict[int, Any]) -> list[int]:
    """The operands' numbers; the results join `types`."""
    _keys(operator, {"#", "A", "I", "O", "OA"})
    attributes = _attributes(operator["A"])
    attributes.pop("struct_name", None)
    _expect(attributes.keys() == known.attributes.keys(), "its attributes, and no others")
    for name, (kind, *values) in known.attributes.items():
        of, value = attributes[name]
        sound = of == kind and (not values or value in values)
        _expect(sound, f"{name} of type {kind}{f', {values[0]}' if values else ''}")
    if "shape" in attributes:
        shape = _numbers(attributes["shape"][1])
        lowest = -1 if known is OPERATORS["1.data"] else 0
        _expect(min(shape, default=0) >= lowest, "a shape without unknowns")
        _expect(math.prod(map(abs, shape)) <= MOST_ELEMENTS, f"up to {MOST_ELEMENTS:,} elements")
        given = attributes.get("values")
        _expect(given is None or len(given[1]) == math.prod(shape), "a value for each element")
    operands = [_operand(operand) for operand in operator["I"]]
    _expect(_count(operands, known.operands), f"{known.operands} operands")
    _expect(set(operands) <= types.keys(), "known operands")
    results = operator["O"]
    _expect(_count(results, known.results), f"{known.results} results")
    for result in results:
        _result(result, types)
    _check_marks(operator["OA"], len(results))
    return operands


def _operand(operand: Any) -> int:
    _keys(operand, {"%"})
    _expect(_is_whole(operand["%"], 0, 2**31), "the number of an operand")
    return int(operand["%"])


def _count(values: list[Any], known: int) -> bool:
    return 0 < len(values) <= ANY if known == ANY else len(values) == known


def _attributes(values: Any) -> dict[str, tuple[str, Any]]:
    """Type and value of each, by name."""
    found = {}
    for attribute in values:
        _keys(attribute, {"AT", "N"})
        _keys(attribute["AT"], {"#", "D"})
        kind, value = attribute["AT"]["#"], attribute["AT"]["D"]
        _expect(_is_value(kind, value), f"a value of {shown(attribute['N'])}")
        found[attribute["N"]] = (kind, value)
    _expect(len(found) == len(values), "each attribute once")
    return found


def _is_value(kind: Any, value: Any) -> bool:
    """Whether an attribute of this type may have this value."""
    if kind in ("0.a_i32", "0.a_i64"):
        return _is_whole(value, -(2**31), 2**31 if kind == "0.a_i64" else 2**31 - 1)
    if kind in ("0.a_f32", "0.a_f64"):
        return type(value) is float and math.isfinite(value)
    if kind == "0.a_bool":
        return type(value) is bool
    if kind == "0.a_str":
        return _is_name(value)
    if kind == "1.a_dtype":
        return value in DTYPES
    if kind == "1.a_place":
        kind_of, number, name = value
        return _is_whole(kind_of, 0, 3) and _is_whole(number, 0, 255) and name == ""
    if kind == "1.a_intarray":
        return all(_is_whole(member, -1, 2**31) for member in value)
    if kind == "0.a_array":
        return _is_array(value)
    return False


def _is_array(members: Any) -> bool:
    """Whether these are numbers of one type."""
    for member in members:
        _keys(member, {"#", "D"})
        known = member["#"] in ("0.a_i32", "0.a_i64", "0.a_f64", "0.a_bool")
        if not known or not _is_value(member["#"], member["D"]):
            return False
    return len({member["#"] for member in members}) <= 1


def _numbers(values: list[Any]) -> list[int]:
    """Of an array of numbers or of attributes."""
    return [value["D"] if isinstance(value, dict) else value for value in values]


def _result(result: Any, types: dict[int, Any]) -> tuple[str, tuple[int, ...]]:
    """The type and shape of a result, noted by its number; of a list of tensors, the first's."""
    _keys(result, {"%", "TT"})
    number = result["%"]
    _expect(_is_whole(number, 1, 2**31) and number not in types, "each result once")
    kinds = list(_tensors(result["TT"]))
    types[number] = kinds[0] if result["TT"]["#"] == "0.t_dtensor" else None
    return kinds[0]


def _tensors(kind: Any) -> Iterator[tuple[str, tuple[int, ...]]]:
    _keys(kind, {"#", "D"})
    if kind["#"] == "0.t_vec":
        for member in kind["D"]:
            _expect(member["#"] == "0.t_dtensor", "a list of tensors")
            yield from _tensors(member)
        return
    _expect(kind["#"] == "0.t_dtensor", "a tensor")
    element, shape, *others = kind["D"]
    _keys(element, {"#"})
    _expect(element["#"] in TYPES, "a tensor of numbers")
    _expect(others == ["NCHW", [], 0], "a plain tensor")
    _expect(len(shape) <= MOST_DIMENSIONS, f"at most {MOST_DIMENSIONS} dimensions")
    _expect(all(_is_whole(size, -1, MOST_SIZE) for size in shape), "a shape")
    _expect(math.prod(map(abs, shape)) <= MOST_SIZE, f"up to {MOST_SIZE:,} elements a row")
    yield element["#"], tuple(shape)


def _check_marks(marks: Any, results: int) -> None:
    for mark in marks:
        _keys(mark, {"AT", "N"})
        _expect(mark["N"] in ("stop_gradient", "persistable"), "marks of results")
        kind, values = mark["AT"]["#"], mark["AT"]["D"]
        _expect(kind == "0.a_array" and _is_value(kind, values), "marks of results")
        _expect([v["#"] for v in values] == ["0.a_bool"] * results, "a mark for each result")


def _keys(value: Any, expected: set[str]) -> None:
    if not isinstance(value, dict) or value.keys() != expected:
        found = ", ".join(map(shown, value)) if isinstance(value, dict) else shown(value)
        raise UnsoundError(f"found {shown(found)}, expected {', '.join(sorted(expected))}")


def _expect(holds: bool, expected: str) -> None:
    if not holds:
        raise UnsoundError(f"expected {expected}")


def _is_whole(value: Any, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(NAME, value, re.ASCII) is not None


def size_of_weights(parameters: Mapping[str, Parameter]) -> int:
    """The bytes that model.pdiparams has for these."""
    return sum(len(_head(p)) + _bytes(p) for p in parameters.values())


def check_weights(content: bytes, parameters: Mapping[str, Parameter]) -> None:
    """Raises UnsoundError where the tensors of a model.pdiparams, which stand in the order of
    their names, are not these parameters."""
    size = sum(len(data) + len(_head(parameters[n])) for n, data in tensors(content, parameters))
    if size != len(content):
        raise UnsoundError(f"found {len(content):,} bytes, expected {size:,} by the graph")


def tensors(
    content: bytes, parameters: Mapping[str, Parameter]
) -> Iterator[tuple[str, memoryview]]:
    """Name and numbers of each tensor of a model.pdiparams. Raises UnsoundError."""
    at = 0
    for name in sorted(parameters):
        head, size = _head(parameters[name]), _bytes(parameters[name])
        if content[at : at + len(head)] != head:
            raise UnsoundError(f"{shown(name)} is not of the type and shape that the graph has")
        at += len(head) + size
        yield name, memoryview(content)[at - size : at]


def spans(parameters: Mapping[str, Parameter]) -> dict[str, slice]:
    """Where the numbers of each stand in a model.pdiparams that has passed `check_weights`."""
    found, at = {}, 0
    for name in sorted(parameters):
        at += len(_head(parameters[name]))
        found[name] = slice(at, at := at + _bytes(parameters[name]))
    return found


def _bytes(parameter: Parameter) -> int:
    return TYPES[parameter.kind][1] * math.prod(parameter.shape)


def _head(parameter: Parameter) -> bytes:
    """What stands before a tensor's numbers: versions, no levels of detail, and a TensorDesc of
    framework.proto, with its length."""
    sizes = b"".join(b"\x10" + _varint(size) for size in parameter.shape)
    description = b"\x08" + _varint(TYPES[parameter.kind][0]) + sizes
    return struct.pack("<IQIi", 0, 0, 0, len(description)) + description


def _varint(number: int) -> bytes:
    """A whole number as protobuf writes it: seven bits a byte, the low ones first."""
    last, rest = bytes([number & 127]), number >> 7
    return bytes([last[0] | 128]) + _varint(rest) if rest else last
