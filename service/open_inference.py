"""The Open Inference Protocol, version 2, over REST: health, metadata and tensors of JSON.

https://github.com/kserve/open-inference-protocol, specification/protocol/inference_rest.md. Tensors
in binary are an extension of it that is not supported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import orjson

from display import short
from reader.one_row import Encoded
from service.exchange import NUMPY, Asked, RefusedError, Reply, Request, from_json
from service.models import Answer, Model

SERVER, VERSION = "paddle-regressor", "2"
DATATYPES = {"numeric": "FP64", "boolean": "BOOL", "categorical": "BYTES", "time": "BYTES"}
"""Of a column, as metadata tells it; a request may send any that says the same."""
WHOLE = {
    **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
}
FLOATS = ("FP16", "FP32", "FP64")
MATRIX = "features"
ONE = ([1], [1, 1])  # the shapes of one value
PLAIN: dict[str, tuple[type, ...]] = {
    "FP64": (float, int),
    "FP32": (float, int),
    "BYTES": (str,),
    "BOOL": (bool,),
}
CELLS: dict[str, frozenset[type]] = {
    "BOOL": frozenset({bool}),
    "BYTES": frozenset({str}),
    **dict.fromkeys(FLOATS, frozenset({int, float})),
    **dict.fromkeys(WHOLE, frozenset({int})),
}


def metadata(model: Model) -> dict[str, Any]:
    """What the protocol tells of a model; `parameters`, beside it, how to send encoded rows."""
    inputs = [
        {"name": column.name, "datatype": DATATYPES[column.kind], "shape": [-1]}
        for column in model.columns
    ]
    outputs = [{"name": name, "datatype": "FP32", "shape": [-1]} for name in model.outputs]
    return {
        "name": model.name,
        "versions": [model.version],
        "platform": model.platform,
        "inputs": inputs,
        "outputs": outputs,
        "parameters": {
            "sha256": model.sha256,
            "target": model.schema.target,
            MATRIX: list(model.features),
        },
    }


def read(model: Model, request: Request) -> Asked:
    """An inference request. Raises RefusedError and TableError."""
    if b"inference-header-content-length" in request.headers:
        raise RefusedError(400, "found binary tensors, expected JSON (binary_data=False)")
    values = from_json(request.body)
    if not isinstance(values, dict) or not isinstance(values.get("inputs"), list):
        raise RefusedError(400, "expected an object with a list of inputs")
    identity = values.get("id")
    if identity is not None and not isinstance(identity, str):
        raise RefusedError(400, "id: expected a text")
    wanted = wanted_outputs(values.get("outputs"), model)
    return Asked(
        rows_of(values["inputs"], model),
        lambda answer: Reply(response(model, answer, wanted, identity), answer),
    )


def response(model: Model, answer: Answer, wanted: Sequence[str], identity: str | None) -> bytes:
    count = len(answer.outputs)
    outputs = [
        {
            "name": name,
            "datatype": "FP32",
            "shape": [count],
            "data": np.ascontiguousarray(answer.outputs[:, model.outputs.index(name)]),
        }
        for name in wanted
    ]
    told: dict[str, Any] = {"model_name": model.name, "model_version": model.version}
    if identity is not None:
        told["id"] = identity
    return orjson.dumps({**told, "outputs": outputs}, option=NUMPY)


def wanted_outputs(asked: Any, model: Model) -> Sequence[str]:
    """The names of the outputs that are asked for: all, where none is. Raises RefusedError."""
    if asked is None or asked == []:
        return model.outputs
    if not isinstance(asked, list) or not all(isinstance(each, dict) for each in asked):
        raise RefusedError(400, "outputs: expected a list of objects with a name")
    names = [each.get("name") for each in asked]
    for name in names:
        if name not in model.outputs:
            known = ", ".join(model.outputs)
            raise RefusedError(400, f"outputs: no output {short(repr(name))}; found {known}")
    return list(dict.fromkeys(names))


def rows_of(inputs: list[Any], model: Model) -> Encoded:
    """Tensors to rows: one a column of the table, or one of encoded features. Raises RefusedError
    and TableError."""
    if row := row_of(inputs):
        return model.encoder.row(row)
    columns: dict[str, list[Any]] = {}
    names = {column.name for column in model.columns}
    for tensor in inputs:
        name = name_of(tensor)
        if name == MATRIX and name not in names and len(inputs) == 1:
            return Encoded(matrix(tensor, model), {}, {})
        if name in columns:
            raise RefusedError(400, f"inputs: {short(name)} is there twice")
        columns[name] = cells(name, tensor)
    return model.encoder.table(columns)


def row_of(inputs: list[Any]) -> dict[str, Any] | None:
    """The cells of plain tensors of one value each; None where any is another."""
    row = {}
    for tensor in inputs:
        if type(tensor) is not dict or tensor.get("shape") not in ONE:
            return None
        name, data = tensor.get("name"), tensor.get("data")
        if type(name) is not str or name in row or type(data) is not list or len(data) != 1:
            return None
        cell, datatype = data[0], tensor.get("datatype")
        plain = type(datatype) is str and type(cell) in PLAIN.get(datatype, ())
        if not plain and (cell is not None or str(datatype) not in PLAIN):
            return None
        row[name] = cell
    return row


def name_of(tensor: Any) -> str:
    """Raises RefusedError where it is no tensor."""
    if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
        raise RefusedError(400, "inputs: expected objects with name, shape, datatype and data")
    name: str = tensor["name"]
    if str(tensor.get("datatype")) not in CELLS:
        found, known = short(repr(tensor.get("datatype"))), ", ".join(CELLS)
        raise RefusedError(400, f"{short(name)}: found datatype {found}, expected one of {known}")
    shape, data = tensor.get("shape"), tensor.get("data")
    parameters = tensor.get("parameters")
    if data is None and isinstance(parameters, dict) and "binary_data_size" in parameters:
        raise RefusedError(400, f"{short(name)}: found binary data, expected JSON")
    if not isinstance(data, list) or not isinstance(shape, list):
        raise RefusedError(400, f"{short(name)}: expected shape and data to be lists")
    if not shape or not all(type(size) is int and 0 <= size < 2**32 for size in shape):
        raise RefusedError(400, f"{short(name)}: expected a shape of whole numbers from 0")
    return name


def cells(name: str, tensor: Mapping[str, Any]) -> list[Any]:
    """The cells of a column: of shape [N] or [N, 1], flat or nested; None where one is null."""
    shape = tensor["shape"]
    if len(shape) > 2 or shape[1:] not in ([], [1]):
        shown = short(str(shape))
        raise RefusedError(400, f"{short(name)}: found shape {shown}, expected [rows] or [rows, 1]")
    data = flat(name, tensor["data"], shape)
    datatype, kinds = tensor["datatype"], set(map(type, data)) - {type(None)}
    if wrong := kinds - CELLS[datatype]:
        row, cell = next((at, cell) for at, cell in enumerate(data, 1) if type(cell) in wrong)
        raise RefusedError(
            400, f"row {row}, column {short(name)}: found {told(cell)}, expected {datatype} or null"
        )
    if datatype in WHOLE:
        low, high = WHOLE[datatype]
        for row, cell in enumerate(data, 1):
            if cell is not None and not low <= cell <= high:
                raise RefusedError(
                    400, f"row {row}, column {short(name)}: found {told(cell)}, expected {datatype}"
                )
    return data


def flat(name: str, data: list[Any], shape: Sequence[int]) -> list[Any]:
    """Data, nested by rows or not, as one list of as many values as the shape says."""
    if len(shape) == 2 and data and isinstance(data[0], list):
        if not all(isinstance(row, list) and len(row) == shape[1] for row in data):
            raise RefusedError(400, f"{short(name)}: expected rows of {shape[1]} values")
        data = [cell for row in data for cell in row]
    if len(data) != prod(shape):
        raise RefusedError(
            400, f"{short(name)}: found {len(data):,} values, expected {prod(shape):,} by its shape"
        )
    return data


def matrix(tensor: Mapping[str, Any], model: Model) -> np.ndarray[Any, np.dtype[np.float32]]:
    """float32 [N, D] of encoded features; NaN where one is null. Raises RefusedError."""
    shape, width = tensor["shape"], len(model.features)
    if tensor["datatype"] not in FLOATS or len(shape) != 2 or shape[1] != width:
        found = f"{tensor['datatype']} {short(str(shape))}"
        raise RefusedError(400, f"{MATRIX}: found {found}, expected FP32 or FP64 [rows, {width}]")
    data = flat(MATRIX, tensor["data"], shape)
    if wrong := set(map(type, data)) - {int, float, type(None)}:
        at, cell = next((at, cell) for at, cell in enumerate(data) if type(cell) in wrong)
        name = short(model.features[at % width])
        raise RefusedError(
            400, f"row {at // width + 1}, feature {name}: found {told(cell)}, expected a number"
        )
    with np.errstate(over="ignore"):
        rows = np.array(data, dtype=np.float64).astype(np.float32).reshape(shape)
    if message := model.wrong_number(rows):
        raise RefusedError(400, message)
    return rows


def told(cell: Any) -> str:
    """A value as messages have it."""
    if isinstance(cell, (list, dict)):
        return "a list" if isinstance(cell, list) else "an object"
    return short(orjson.dumps(cell).decode(), 40)
