"""Rows by the names of their columns, as JSON or CSV, to predictions in the same form."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import polars as pl

from display import short
from errors import TableError
from reader.decode import PACKED
from reader.formats import BINARY
from reader.one_row import MOST_NAMED, Encoded, counted
from reader.rows import Layout
from reader.schema import id_headers
from reader.table import open_like
from service.exchange import CSV, NUMPY, Asked, RefusedError, Reply, Request, from_json, is_csv
from service.models import Answer, Model

ADVICE = "fix the cell"
TEXT_FORMATS = ("csv", "tsv", "white_space")
SHAPE = 'expected rows, as in [{"a": 1}], one row, as in {"a": 1}, or columns, as in {"a": [1]}'


class Table(NamedTuple):
    """Rows to predict; `ids`: by column, what goes with each prediction; `form`: rows, row, columns
    or csv."""

    encoded: Encoded
    ids: Mapping[str, Sequence[Any]]
    form: str


def read(model: Model, request: Request) -> Asked:
    """Raises RefusedError and TableError."""
    table = csv_table(model, request.body) if is_csv(request) else json_table(model, request.body)
    accepted = request.headers.get(b"accept", b"")
    if b"text/csv" in accepted or (table.form == "csv" and b"application/json" not in accepted):
        return Asked(table.encoded, lambda answer: Reply(as_csv(model, table, answer), answer, CSV))
    return Asked(table.encoded, lambda answer: Reply(as_json(model, table, answer), answer))


def json_table(model: Model, body: bytes) -> Table:
    """The rows of a JSON body. Raises RefusedError and TableError."""
    values, form = from_json(body), "rows"
    if type(values) is dict and list not in map(type, values.values()):
        values, form = [values], "row"
    elif isinstance(values, dict):
        rows = values.get("rows")
        if isinstance(rows, list) and all(isinstance(row, dict) for row in rows):
            values = rows
        else:
            form = "columns"
    check_shape(values)
    if len(values) == 1 and form != "columns":
        (row,) = values
        ids = {name: [row[name]] for name in model.schema.ids if name in row}
        return Table(model.encoder.row(row), ids, form)
    columns = columns_of(values, model)
    ids = {name: columns.pop(name) for name in model.schema.ids if name in columns}
    return Table(model.encoder.table(columns), ids, form)


def check_shape(values: Any) -> None:
    """Raises RefusedError where values are neither a list of objects nor an object of lists."""
    if isinstance(values, dict):
        for name, cells in values.items():
            if not isinstance(cells, list):
                raise RefusedError(400, f"column {short(name)}: {SHAPE}")
    elif not isinstance(values, list) or not values:
        raise RefusedError(400, f"found no rows; {SHAPE}" if values == [] else SHAPE)
    else:
        for number, row in enumerate(values, 1):
            if not isinstance(row, dict):
                raise RefusedError(400, f"row {number}: {SHAPE}")


def columns_of(values: list[Any] | dict[str, Any], model: Model) -> dict[str, list[Any]]:
    """The columns that the model wants; where one is nowhere, the names of all, for the message."""
    named = dict.fromkeys(values) if isinstance(values, dict) else {}
    if isinstance(values, list):
        named = {name: None for row in values for name in row}
    wanted = [column.name for column in model.columns]
    if any(name not in named for name in wanted):
        known = [name for name in wanted if name in named]
        return {name: [] for name in (*islice(named, MOST_NAMED), *known)}
    names = [*wanted, *(name for name in model.schema.ids if name in named)]
    if isinstance(values, dict):
        return {name: values[name] for name in names}
    return {name: [row.get(name) for row in values] for name in names}


def csv_table(model: Model, body: bytes) -> Table:
    """The rows of CSV, read as a file of it is. Raises RefusedError and TableError."""
    if not body.strip():
        raise RefusedError(400, "found an empty body, expected CSV")
    if body.startswith((*PACKED, *BINARY)) or b"\0" in body[:100]:
        raise RefusedError(400, "found bytes that are no text, expected CSV")
    with tempfile.TemporaryDirectory(prefix="request-") as folder:
        path = Path(folder, "request.txt")
        path.write_bytes(body)
        try:
            return read_csv(model, path)
        except TableError as error:
            message, *more = (_without(str(line), path) for line in error.args)
            raise TableError(message, *more) from None


def read_csv(model: Model, path: Path) -> Table:
    reading = model.reading
    if reading.format not in TEXT_FORMATS:
        reading = replace(reading, format=None)  # of the table trained on
    table = open_like(path, model.schema, reading)
    encoders = model.encoder.encoders()
    ids = tuple(name for name in model.schema.ids if name in table.columns)
    batches = [*table.batches(Layout((*encoders,), ids, advice=ADVICE))]
    empty = np.empty((0, len(model.features)), dtype=np.float32)
    rows = np.concatenate([empty, *(batch.rows for batch in batches)])
    passed = pl.concat([batch.ids for batch in batches]) if ids and batches else pl.DataFrame()
    return Table(counted(rows, encoders), passed.to_dict(as_series=False), "csv")


def _without(message: str, path: Path) -> str:
    """The message without a place on this machine."""
    plain = message.replace(str(path), "the table").replace(os.path.realpath(path), "the table")
    return plain.replace(str(path.parent), "").replace(path.name, "the table")


def as_json(model: Model, table: Table, answer: Answer) -> bytes:
    """Predictions in the form of the rows: a list of objects, or an object of lists."""
    columns: dict[str, Any] = {}
    if table.ids:
        names = id_headers([*table.ids], model.outputs)
        columns = {names[name]: cells for name, cells in table.ids.items()}
    if table.form == "columns":
        transposed = np.ascontiguousarray(answer.outputs.T)
        predictions: Any = {**columns, **dict(zip(model.outputs, transposed, strict=True))}
    elif len(answer.outputs) == 1 and not columns:
        predictions = [dict(zip(model.outputs, answer.outputs[0], strict=True))]
    else:
        keys = (*columns, *model.outputs)
        lines = zip(*columns.values(), *answer.outputs.T, strict=True)
        predictions = [dict(zip(keys, line, strict=True)) for line in lines]
    warnings = [
        {"row": row + 1, "column": column, "what": what} for row, column, what in answer.warnings
    ]
    told = {"model": model.name, "version": model.version}
    return orjson.dumps({**told, "predictions": predictions, "warnings": warnings}, option=NUMPY)


def as_csv(model: Model, table: Table, answer: Answer) -> bytes:
    """A line a row: ids, then what the model gives, as infer.py writes it."""
    names = id_headers([*table.ids], model.outputs)
    ids = [
        pl.Series(names[name], [None if cell is None else str(cell) for cell in cells])
        for name, cells in table.ids.items()
    ]
    outputs = [
        pl.Series(name, values)
        for name, values in zip(model.outputs, answer.outputs.T, strict=True)
    ]
    return pl.DataFrame([*ids, *outputs]).write_csv().encode()
