"""The exported graph as an ONNX model, operator by operator.

It is made of the checked model.json and model.pdiparams, without Paddle: every operator that
model/graph.py lets pass has its nodes here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errors import ConfigError
from model.folder import Export
from model.graph import Parameter, check_graph, tensors
from model.onnx_graph import INPUT, INSTALL, IR_VERSION, OPSET, OUTPUT

BLOCK = 16
FLOAT, INT64 = 1, 7  # as ONNX counts types
DTYPES: dict[str, Any] = {
    "bool": np.bool_,
    "int32": np.int32,
    "int64": np.int64,
    "float32": np.float32,
    "float64": np.float64,
}
"""By the names of model.graph.DTYPES."""
KINDS = {
    "0.t_bool": "bool",
    "0.t_i32": "int32",
    "0.t_i64": "int64",
    "0.t_f32": "float32",
    "0.t_f64": "float64",
}
"""By the types of model.graph.TYPES."""
Array = NDArray[Any]


class Operation:
    """An operator of the graph, as the functions below see it: its `operands` and `results` by
    number, its attributes by name, of its first operand the NumPy type, and of a result that is a
    list of tensors how many these are."""

    def __init__(self, operator: dict[str, Any], types: dict[int, str]) -> None:
        self.operands: list[int] = [operand["%"] for operand in operator["I"]]
        self.results: list[int] = [result["%"] for result in operator["O"]]
        self.attributes = {a["N"]: _plain(a["AT"]["D"]) for a in operator["A"]}
        self.parts = len(operator["O"][0]["TT"]["D"])
        kind = types.get(self.operands[0], "") if self.operands else ""
        self.dtype = DTYPES[KINDS[kind]] if kind in KINDS else None


class Conversion:
    """The nodes and constants of an ONNX graph, as they are added.

    A result of the graph has a name here, or several where it is a list of tensors; what is known
    of it beforehand, a constant, is in `constants` too.
    """

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self.lists: dict[int, list[str]] = {}
        self.constants: dict[int, Array] = {}
        self.nodes: list[Any] = []
        self.initializers: dict[tuple[str, tuple[int, ...], bytes], tuple[str, Array]] = {}
        self._count = 0

    def constant(self, values: Any, dtype: Any = np.int64) -> str:
        """The name of these numbers; the same ones are there once."""
        array = np.ascontiguousarray(values, dtype=dtype).reshape(np.shape(values))
        key = (array.dtype.str, array.shape, array.tobytes())
        return self.initializers.setdefault(key, (f"c{len(self.initializers)}", array))[0]

    def node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> list[str]:
        """Add a node; the names of its results."""
        from onnx import helper

        names = [f"r{self._count + i}" for i in range(outputs)]
        self._count += outputs
        self.nodes.append(helper.make_node(kind, [*inputs], names, **attributes))
        return names

    def one(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one result; its name."""
        return self.node(kind, *inputs, **attributes)[0]

    def name(self, number: int) -> str:
        """What a result of the graph is called; constants become numbers of the model at their
        first use."""
        if number not in self.names:
            values = self.constants[number]
            self.names[number] = self.constant(values, values.dtype)
        return self.names[number]


def check_installed() -> None:
    """Raises ConfigError where a package is missing that writes or runs ONNX models."""
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise ConfigError(f"export.onnx=true needs {' and '.join(missing)}: {INSTALL}")


Convert = Callable[[Conversion, Operation], "str | list[str]"]


def onnx_model(export: Export) -> bytes:
    """The ONNX model of a checked export: float32 [rows, columns] named `features` -> float32
    [rows, outputs] named `predictions`. Needs onnx."""
    from onnx import TensorProto, checker, helper, numpy_helper

    operators = json.loads(export.graph)["program"]["regions"][0]["blocks"][0]["ops"]
    sizes = len(export.contract["features"]), len(export.contract["outputs"])
    _, parameters = check_graph(export.graph, *sizes)
    numbers = tensors(export.weights, parameters)
    arrays = {name: _array(parameters[name], data) for name, data in numbers}
    types: dict[int, str] = {}
    conversion, ends = Conversion(), {}
    for operator in operators:
        if operator["#"] == "p":
            number = operator["O"]["%"]
            types[number] = operator["O"]["TT"]["D"][0]["#"]
            conversion.constants[number] = arrays[operator["A"][-1]]
            continue
        for result in operator["O"]:
            if result["TT"]["#"] == "0.t_dtensor":
                types[result["%"]] = result["TT"]["D"][0]["#"]
        operation = Operation(operator, types)
        if operator["#"] == "1.data":
            ends[INPUT] = operation.attributes["shape"][1]
            conversion.names[operation.results[0]] = INPUT
        elif operator["#"] == "1.fetch":
            ends[OUTPUT] = operator["O"][0]["TT"]["D"][1][1]
            last = conversion.name(operation.operands[0])
            conversion.nodes.append(helper.make_node("Identity", [last], [OUTPUT]))
        else:
            _convert(conversion, operator["#"], operation)
    sides = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", width])
        for name, width in ends.items()
    ]
    constants = [numpy_helper.from_array(v, n) for n, v in conversion.initializers.values()]
    body = helper.make_graph(conversion.nodes, "regressor", sides[:1], sides[1:], constants)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(body, opset_imports=[opset], ir_version=IR_VERSION)
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _convert(conversion: Conversion, name: str, operation: Operation) -> None:
    found = CONVERT[name](conversion, operation)
    names = [found] if isinstance(found, str) else found
    if name in LISTS:
        conversion.lists[operation.results[0]] = names
    else:
        conversion.names.update(zip(operation.results, names, strict=False))


def _array(parameter: Parameter, data: memoryview) -> Array:
    kind = DTYPES[KINDS[parameter.kind]]
    return np.frombuffer(data, kind).reshape(parameter.shape)


def _plain(value: Any) -> Any:
    """An attribute: a number, a text, or a list of numbers."""
    if isinstance(value, list):
        return [member["D"] if isinstance(member, dict) else member for member in value]
    return value


def same(kind: str) -> Convert:
    """An operator that ONNX calls `kind`, of the same operands."""

    def convert(to: Conversion, of: Operation) -> str:
        return to.one(kind, *map(to.name, of.operands))

    return convert


def known(to: Conversion, of: Operation, place: int) -> list[int]:
    """An operand that is whole numbers known beforehand."""
    return [int(value) for value in to.constants[of.operands[place]].reshape(-1)]


def fixed(of: Operation) -> tuple[Any, Any]:
    """The shape and type of a constant."""
    return of.attributes.get("shape"), DTYPES[of.attributes["dtype"]]


def full(to: Conversion, of: Operation) -> list[str]:
    shape, kind = fixed(of)
    to.constants[of.results[0]] = np.full(shape, of.attributes["value"], kind)
    return []


def full_int_array(to: Conversion, of: Operation) -> list[str]:
    to.constants[of.results[0]] = np.array(of.attributes["value"], np.int64)
    return []


def assign_value(to: Conversion, of: Operation) -> list[str]:
    shape, kind = fixed(of)
    to.constants[of.results[0]] = np.array(of.attributes["values"], kind).reshape(shape)
    return []


def combine(to: Conversion, of: Operation) -> list[str]:
    return [to.name(operand) for operand in of.operands]


def unpack(to: Conversion, of: Operation) -> list[str]:
    return to.lists[of.operands[0]]


def add_n(to: Conversion, of: Operation) -> str:
    return to.one("Sum", *to.lists[of.operands[0]])


def concat(to: Conversion, of: Operation) -> str:
    (axis,) = known(to, of, 1)
    return to.one("Concat", *to.lists[of.operands[0]], axis=axis)


def stack(to: Conversion, of: Operation) -> str:
    axis = of.attributes["axis"]
    parts = [to.one("Unsqueeze", n, to.constant([axis])) for n in to.lists[of.operands[0]]]
    return to.one("Concat", *parts, axis=axis)


def split(to: Conversion, of: Operation) -> list[str]:
    sizes, (axis,) = known(to, of, 1), known(to, of, 2)
    whole = to.name(of.operands[0])
    return to.node("Split", whole, to.constant(sizes), outputs=len(sizes), axis=axis)


def unbind(to: Conversion, of: Operation) -> list[str]:
    """Of the last axis, which `unbind` cuts into single numbers."""
    axis, whole = of.attributes["axis"], to.name(of.operands[0])
    return [to.one("Gather", whole, to.constant(i), axis=axis) for i in range(of.parts)]


def batch_norm(to: Conversion, of: Operation) -> str:
    """x, mean, variance, weight and bias -> what inference computes of them, as gain x + shift."""
    mean, variance, weight, bias = (
        to.constants[operand].astype(np.float64) for operand in of.operands[1:]
    )
    gain = weight / np.sqrt(variance + of.attributes["epsilon"])
    scaled = to.one("Mul", to.name(of.operands[0]), to.constant(gain, np.float32))
    return to.one("Add", scaled, to.constant(bias - mean * gain, np.float32))


def layer_norm(to: Conversion, of: Operation) -> str:
    inputs, attributes = map(to.name, of.operands), of.attributes
    axis, epsilon = attributes["begin_norm_axis"], attributes["epsilon"]
    return to.one("LayerNormalization", *inputs, axis=axis, epsilon=epsilon)


def cast(to: Conversion, of: Operation) -> str:
    from onnx import helper

    kind = helper.np_dtype_to_tensor_dtype(np.dtype(DTYPES[of.attributes["dtype"]]))
    return to.one("Cast", to.name(of.operands[0]), to=kind)


def clip(to: Conversion, of: Operation) -> str:
    """As two comparisons, which let NaN through: what `Clip` makes of it is not said."""
    result = to.name(of.operands[0])
    for kind, operand in zip(("Max", "Min"), of.operands[1:], strict=True):
        result = to.one(kind, result, to.constant(to.constants[operand], of.dtype))
    return result


def embedding(to: Conversion, of: Operation) -> str:
    codes, table = of.operands
    return to.one("Gather", to.name(table), to.name(codes), axis=0)


def gather(to: Conversion, of: Operation) -> str:
    (axis,) = known(to, of, 2)
    return to.one("Gather", to.name(of.operands[0]), to.name(of.operands[1]), axis=axis)


def index_select(to: Conversion, of: Operation) -> str:
    return to.one("Gather", *map(to.name, of.operands), axis=of.attributes["axis"])


def expand_as(to: Conversion, of: Operation) -> str:
    """Left to the operator that reads it, which broadcasts."""
    return to.name(of.operands[0])


def expm1(to: Conversion, of: Operation) -> str:
    """exp(x) - 1 = tanh(x / 2) (exp(x) + 1), which keeps the digits of small numbers."""
    x, kind = to.name(of.operands[0]), of.dtype
    half = to.one("Tanh", to.one("Mul", x, to.constant(0.5, kind)))
    return to.one("Mul", half, to.one("Add", to.one("Exp", x), to.constant(1.0, kind)))


def fmin(to: Conversion, of: Operation) -> str:
    """The smaller of x and y; y where x is NaN."""
    x, y = map(to.name, of.operands)
    return to.one("Where", to.one("Less", x, y), x, y)


def mish(to: Conversion, of: Operation) -> str:
    x = to.name(of.operands[0])
    return to.one("Mul", x, to.one("Tanh", to.one("Softplus", x)))


def swish(to: Conversion, of: Operation) -> str:
    x = to.name(of.operands[0])
    return to.one("Mul", x, to.one("Sigmoid", x))


def reshape(to: Conversion, of: Operation) -> str:
    return to.one("Reshape", to.name(of.operands[0]), to.constant(known(to, of, 1)))


def scale(to: Conversion, of: Operation) -> str:
    """x * factor + bias."""
    result, (factor,) = to.name(of.operands[0]), to.constants[of.operands[1]].reshape(-1)
    if factor != 1:
        result = to.one("Mul", result, to.constant(factor, of.dtype))
    if bias := of.attributes["bias"]:
        result = to.one("Add", result, to.constant(bias, of.dtype))
    return result


def searchsorted(to: Conversion, of: Operation) -> str:
    """Of sorted thresholds [F, K] and numbers [F, N], how many thresholds are below each number.

    Many thresholds stand in blocks: the block is looked for first, by the last of each.
    """
    thresholds = to.constants[of.operands[0]]
    features, count = thresholds.shape
    x = to.one("Unsqueeze", to.name(of.operands[1]), to.constant([2]))
    if count <= 2 * BLOCK:
        below = _below(to, to.constant(thresholds[:, None], thresholds.dtype), x)
        return to.one("Cast", below, to=INT64)
    blocks = count // BLOCK + 1  # the last one ends in infinity, below which all numbers are
    table = np.full((features, blocks * BLOCK), np.inf, thresholds.dtype)
    table[:, :count] = thresholds
    table = table.reshape(features * blocks, BLOCK)
    ends = table[:, -1].reshape(features, 1, blocks)
    block = _below(to, to.constant(ends, ends.dtype), x)
    first = np.arange(features, dtype=np.float32)[:, None] * np.float32(blocks)
    row = to.one("Cast", to.one("Add", block, to.constant(first, first.dtype)), to=INT64)
    rest = _below(to, to.one("Gather", to.constant(table, table.dtype), row, axis=0), x)
    before = to.one("Mul", block, to.constant(BLOCK, np.float32))
    return to.one("Cast", to.one("Add", before, rest), to=INT64)


def _below(to: Conversion, thresholds: str, x: str) -> str:
    """How many of the last axis are below x, as float32."""
    flags = to.one("Cast", to.one("Less", thresholds, x), to=FLOAT)
    return to.one("ReduceSum", flags, to.constant([2]), keepdims=0)


def slice_(to: Conversion, of: Operation) -> str:
    axes, gone = of.attributes["axes"], of.attributes["decrease_axis"]
    ends = [to.constant(known(to, of, place)) for place in (1, 2)]
    part = to.one("Slice", to.name(of.operands[0]), *ends, to.constant(axes))
    return to.one("Squeeze", part, to.constant(gone)) if gone else part


def softshrink(to: Conversion, of: Operation) -> str:
    threshold = of.attributes["threshold"]
    return to.one("Shrink", to.name(of.operands[0]), lambd=threshold, bias=threshold)


def sum_(to: Conversion, of: Operation) -> str:
    axes = to.constant(known(to, of, 1))
    return to.one("ReduceSum", to.name(of.operands[0]), axes, keepdims=0)


def transpose(to: Conversion, of: Operation) -> str:
    return to.one("Transpose", to.name(of.operands[0]), perm=of.attributes["perm"])


def unsqueeze(to: Conversion, of: Operation) -> str:
    return to.one("Unsqueeze", to.name(of.operands[0]), to.constant(known(to, of, 1)))


LISTS = ("0.combine", "1.split", "1.unbind")
"""Operators whose result is a list of tensors."""
CONVERT: dict[str, Convert] = {
    "0.combine": combine,
    "0.split": unpack,
    "1.add": same("Add"),
    "1.add_n": add_n,
    "1.assign_value_": assign_value,
    "1.batch_norm_": batch_norm,
    "1.cast": cast,
    "1.clip": clip,
    "1.concat": concat,
    "1.cos": same("Cos"),
    "1.divide": same("Div"),
    "1.embedding": embedding,
    "1.expand_as": expand_as,
    "1.expm1": expm1,
    "1.floor": same("Floor"),
    "1.fmin": fmin,
    "1.full": full,
    "1.full_int_array": full_int_array,
    "1.gather": gather,
    "1.index_select": index_select,
    "1.isnan": same("IsNaN"),
    "1.layer_norm": layer_norm,
    "1.matmul": same("MatMul"),
    "1.maximum": same("Max"),
    "1.minimum": same("Min"),
    "1.mish": mish,
    "1.multiply": same("Mul"),
    "1.relu": same("Relu"),
    "1.reshape": reshape,
    "1.scale": scale,
    "1.searchsorted": searchsorted,
    "1.sigmoid": same("Sigmoid"),
    "1.slice": slice_,
    "1.softshrink": softshrink,
    "1.softsign": same("Softsign"),
    "1.split": split,
    "1.sqrt": same("Sqrt"),
    "1.stack": stack,
    "1.subtract": same("Sub"),
    "1.sum": sum_,
    "1.swish": swish,
    "1.tanh": same("Tanh"),
    "1.transpose": transpose,
    "1.unbind": unbind,
    "1.unsqueeze": unsqueeze,
    "1.where": same("Where"),
}
"""By the names of model.graph.OPERATORS; inputs and outputs are seen to before."""
