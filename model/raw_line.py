"""A line on raw columns, read out of the graph that was exported of it.

The graph of a linear model adds up a number for each column, and only then limits, intervals and
exponentials follow. So each column's part is what the sum changes by where this column alone does:
the operators up to the sum are evaluated in float64, on rows that differ from one another in one
column.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errors import ExportError
from model.contract import CALENDAR, Contract, features_of, packed
from model.folder import Export
from model.graph import check_graph, spans

Array = NDArray[Any]
Vector = NDArray[np.float64]
FAR = 2.0**100  # so far from 0 that nothing beside a column's own part is left of the sum
ROWS = 1024  # at a time
TYPES = {"0.t_f32": "<f4", "0.t_f64": "<f8", "0.t_i64": "<i8", "0.t_i32": "<i4"}
EVALUATED: dict[str, Callable[[list[Any], Mapping[str, Any]], Any]] = {
    "0.combine": lambda given, _: given,
    "1.add": lambda given, _: given[0] + given[1],
    "1.assign_value_": lambda _, of: np.array(_numbers(of["values"]), np.int64),
    "1.cast": lambda given, _: given[0].astype(np.float64),
    "1.concat": lambda given, _: np.concatenate(given[0], axis=1),
    "1.embedding": lambda given, _: given[1][given[0].astype(np.intp)],
    "1.expand_as": lambda given, _: given[0],
    "1.full": lambda _, of: float(of["value"]),
    "1.full_int_array": lambda _, of: _numbers(of["value"]),
    "1.index_select": lambda given, _: given[0][:, given[1]],
    "1.isnan": lambda given, _: np.isnan(given[0]),
    "1.matmul": lambda given, _: given[0] @ given[1],
    "1.slice": lambda given, of: _sliced(given, bool(of["decrease_axis"])),
    "1.where": lambda given, _: np.where(*given),
}


@dataclass(frozen=True)
class Term:
    """What a column adds: `slope` times a number, or of a code its number of `values`, and where
    the cell is missing `hole`, None where none may be."""

    slope: float = 0.0
    values: tuple[float, ...] = ()
    hole: float | None = None


@dataclass(frozen=True, eq=False)
class RawLine:
    """`bias` and a term for each packed column; the sum is held within `limits`. The outputs are
    max(sum * gain + offset, 0) @ weights of `hinges`, or the sum where there are none; of all of
    which with `log` the exponential less 1 is taken."""

    bias: float
    terms: Mapping[str, Term]
    limits: tuple[float, float] | None = None
    hinges: tuple[Vector, Vector, NDArray[np.float64]] | None = None
    log: bool = False

    def predict(self, rows: Array) -> NDArray[np.float64]:
        """[N, packed columns], NaN where a number is missing -> [N, outputs]."""
        total = np.full(len(rows), self.bias)
        for cells, term in zip(rows.astype(np.float64).T, self.terms.values(), strict=True):
            known = np.where(np.isnan(cells), 0.0, cells)
            values = np.array(term.values)[known.astype(np.intp)] if term.values else None
            part = term.slope * known if values is None else values
            hole = np.nan if term.hole is None else term.hole
            total += np.where(np.isnan(cells), hole, part)
        result = total.clip(*self.limits) if self.limits else total
        result = result[:, None]
        if self.hinges:
            gain, offset, weights = self.hinges
            result = np.maximum(result * gain + offset, 0) @ weights
        return np.expm1(result) if self.log else result


def raw_line(export: Export, name: str) -> RawLine:
    """The line of an export, which messages call `name`, proven on its golden rows. Raises
    ExportError where its model is no line, or does not give them."""
    contract = export.contract
    if "additive" in contract or not contract["inference"]["fused"]:
        kind = "a network, or a line that was exported step by step"
        if "additive" in contract:
            kind = "a blend with a network" if contract["additive"].get("network") else "additive"
        raise ExportError(
            f"{name}: the model is {kind}, expected a line on its columns; train one with "
            "-o model.name=linear, or load into the database what infer.py --output p.parquet "
            "writes"
        )
    try:
        line = _read(export)
    except (LookupError, ValueError, TypeError, RecursionError):
        raise ExportError(f"{name}: its graph is not that of a line on its columns") from None
    golden = contract["golden"]
    rows = np.array(golden["rows"], dtype=np.float32).reshape(-1, len(contract["features"]))
    expected = np.array(golden["predictions"])
    apart = float(np.abs(line.predict(rows)[:, 0] - expected).max(initial=0.0))
    if not apart <= golden["tolerance"]:
        raise ExportError(
            f"{name}: its columns' parts do not add up to its golden predictions, but differ by "
            f"{apart:g} in the target's unit; the model is no line"
        )
    return line


def _read(export: Export) -> RawLine:
    graph = _Graph.of(export)
    base = np.zeros((1, len(export.contract["features"])))
    bias, terms = float(graph.sums(base)[0]), {}
    for at, (feature, codes, may_be_empty) in enumerate(_codes(export.contract)):
        terms[feature] = _term(graph, base, at, codes, may_be_empty)
    return RawLine(bias, terms, graph.limits, graph.hinges, graph.log)


def _codes(contract: Contract) -> Iterator[tuple[str, int, bool]]:
    """Of each packed feature its name, how many codes it has, none of a number, and whether it may
    be NaN: an empty category has a code."""
    for column in features_of(contract):
        levels = len(column.get("levels", [])) + 1 if column["kind"] == "categorical" else 0
        for name, part in zip(packed(column), column.get("parts", [""]), strict=True):
            yield name, CALENDAR.get(part, levels), contract["may_be_empty"] and not levels


def _term(graph: _Graph, base: Array, at: int, codes: int, may_be_empty: bool) -> Term:
    def sums(values: Sequence[float]) -> Vector:
        pieces = [values[start : start + ROWS] for start in range(0, len(values), ROWS)]
        return np.concatenate([graph.sums(_with(base, at, piece)) for piece in pieces])

    (bias,) = graph.sums(base)
    if codes:
        values = sums([float(code) for code in range(codes)]) - bias
        found = Term(values=tuple(values.tolist()))
    else:
        found = Term(slope=float((sums([FAR])[0] - bias) / FAR))
    if not may_be_empty:
        return found
    return replace(found, hole=float(sums([math.nan])[0] - bias))


def _with(base: Array, at: int, values: Sequence[float]) -> Array:
    rows = np.repeat(base, len(values), axis=0)
    rows[:, at] = values
    return rows


@dataclass(eq=False)
class _Graph:
    """The operators of a graph by the number of their result, `tensors`: its parameters by that;
    `sum`: the number of the sum, from which the outputs follow as `RawLine` says."""

    operators: dict[int, dict[str, Any]]
    tensors: dict[int, Array]
    sum: int = 0
    limits: tuple[float, float] | None = None
    hinges: tuple[Vector, Vector, NDArray[np.float64]] | None = None
    log: bool = False
    _order: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, export: Export) -> _Graph:
        columns, outputs = len(export.contract["features"]), len(export.contract["outputs"])
        content, parameters = check_graph(export.graph, columns, outputs)
        program = json.loads(content)["program"]
        arrays = {
            name: np.frombuffer(export.weights[span], TYPES[parameters[name].kind])
            .reshape(parameters[name].shape)
            .astype(np.float64)
            for name, span in spans(parameters).items()
        }
        operators, tensors = {}, {}
        for operator in program["regions"][0]["blocks"][0]["ops"]:
            if operator["#"] == "p":
                tensors[operator["O"]["%"]] = arrays[operator["A"][-1]]
            else:
                operators[operator["O"][0]["%"]] = operator
        graph = cls(operators, tensors)
        graph._read_outputs(list(operators)[-1])
        return graph

    def _read_outputs(self, number: int) -> None:
        """Go back from the output at `number` to the sum."""
        kind, operands = self._operator(number)
        if kind == "1.expm1":
            self.log = True
        elif kind == "1.matmul" and self._operator(operands[0])[0] == "1.relu":
            _, (added,) = self._operator(operands[0])
            _, (product, offset) = self._operator(added)
            _, (number, gain) = self._operator(product)
            weights = self.tensors[operands[1]]
            self.hinges = self.tensors[gain].reshape(-1), self.tensors[offset], weights
            self._read_outputs(number)
            return
        elif kind == "1.clip":
            low, high = (EVALUATED["1.full"]([], self._attributes(n)) for n in operands[1:])
            self.limits = low, high
        elif kind not in ("1.fetch", "1.cast"):
            self.sum = number
            self._order = [n for n in self.operators if n <= number]
            return
        self._read_outputs(operands[0])

    def sums(self, rows: Array) -> Vector:
        """Of rows [N, packed columns], the sums [N]."""
        values: dict[int, Any] = dict(self.tensors)
        for number in self._order:
            kind, operands = self._operator(number)
            given = [values[n] for n in operands]
            if kind == "1.data":
                values[number] = rows
            else:
                values[number] = EVALUATED[kind](given, self._attributes(number))
        # Without numbers there are codes alone, which [1] is added to.
        return np.broadcast_to(values[self.sum], (len(rows), 1))[:, 0]

    def _operator(self, number: int) -> tuple[str, list[int]]:
        if number in self.tensors:
            return "p", []
        operator = self.operators[number]
        return operator["#"], [operand["%"] for operand in operator["I"]]

    def _attributes(self, number: int) -> dict[str, Any]:
        return {each["N"]: each["AT"]["D"] for each in self.operators[number]["A"]}


def _numbers(values: Sequence[Any]) -> list[int]:
    return [int(value["D"]) for value in values]


def _sliced(given: Sequence[Any], decrease: bool) -> Array:
    x, starts, ends = given
    part: Array = x[:, starts[0] : ends[0]]
    return part[:, 0] if decrease else part
