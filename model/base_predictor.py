"""What is asked of an exported model, whichever engine computes it: rows, or a table by its names.

Needs numpy, errors.py, files.py, and of model/ conform.py, contract.py, folder.py, graph.py and
onnx_graph.py; `BasePredictor.encode` needs polars and reader/ too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from display import short
from errors import ExportError, TableError
from model.contract import CALENDAR, Contract, features_of
from model.folder import Export

if TYPE_CHECKING:
    from reader.frame import Frame
    from reader.kinds import Levels
    from reader.schema import Column

ROWS_AT_ONCE = 65_536  # more do not fit the caches, and take longer a row
NUMBERS_AT_ONCE, NUMBERS_A_TERM = 1 << 23, 16  # that a graph makes of rows, and of one
BYTES_A_NUMBER = 256  # of the weights of a network
Rows = NDArray[np.float32]


class BasePredictor:
    """Predictions of an export; `engine` is the name of what computes them."""

    engine: str

    def __init__(self, export: Export) -> None:
        self.contract, self._size = export.contract, len(export.weights)
        self.features: tuple[str, ...] = tuple(self.contract["features"])
        self.target: str = self.contract["target"]
        self.outputs: tuple[str, ...] = tuple(self.contract["outputs"])
        # Where a look-up has a negative index, Paddle reads what is not of its table, and ONNX
        # Runtime counts from the end.
        codes = coded(self.contract)
        self._has_codes, self._lowest = bool(codes), np.full(len(self.features), -np.inf, "float32")
        self._lowest[codes] = 0

    def _run(self, rows: Rows) -> Rows:
        """float32 [n, D], 1 to `_rows_at_once` rows -> [n, outputs]. Raises ExportError."""
        raise NotImplementedError

    def _run_all(self, pieces: Iterable[Rows]) -> Iterable[Rows]:
        """The predictions of each piece of many rows, in order."""
        return map(self._predict_piece, pieces)

    def predict(self, rows: ArrayLike | Frame) -> NDArray[np.float32]:
        """Predict for `rows` [N, D], columns in the order of `features`, in raw units -> [N].

        A table with columns by name, as for `encode`, goes by its names: others are not looked at.
        """
        return self.predict_outputs(rows)[:, 0]

    def predict_outputs(self, rows: ArrayLike | Frame) -> NDArray[np.float32]:
        """All `outputs` of `rows` [N, D], or of a table by its names -> [N, outputs]."""
        by_name = ("items", "iter_columns", "column_names")
        if not isinstance(rows, np.ndarray) and any(hasattr(rows, name) for name in by_name):
            rows = self._by_name(cast("Frame", rows))
        values = np.asarray(rows)
        if values.ndim != 2 or values.shape[1] != len(self.features):
            raise ValueError(
                f"found an array of shape {values.shape}, expected [rows, {len(self.features)}] "
                f"({', '.join(map(short, self.features[:20]))}"
                f"{', ...' if len(self.features) > 20 else ''})"
            )
        most = self._rows_at_once
        if 0 < len(values) <= most:
            return self._predict_piece(values)
        starts = range(0, len(values), most)
        pieces = self._run_all(values[start : start + most] for start in starts)
        return np.concatenate([np.empty((0, len(self.outputs)), dtype=np.float32), *pieces])

    @cached_property
    def _rows_at_once(self) -> int:
        """Fewer where a graph looks up many terms, or has large layers, whose width their weights
        tell roughly."""
        additive = self.contract.get("additive")
        numbers = self._size // BYTES_A_NUMBER
        if additive and not additive.get("network"):
            numbers = NUMBERS_A_TERM * len(additive["terms"])
        return max(1_024, min(ROWS_AT_ONCE, NUMBERS_AT_ONCE // (numbers or 1)))

    def _predict_piece(self, values: NDArray[Any]) -> Rows:
        rows = np.ascontiguousarray(values, dtype=np.float32)
        if self._has_codes and (rows < self._lowest).any():
            raise TableError(self._wrong_code(rows))
        found = self._run(rows)
        if found.shape != (expected := (len(rows), len(self.outputs))):
            raise ExportError(f"the graph predicts {found.shape}, expected {expected}")
        return found

    def _wrong_code(self, rows: Rows) -> str:
        """What is wrong with the first code below 0."""
        row, column = np.argwhere(rows < self._lowest)[0]
        name, code = short(self.features[column]), rows[row, column]
        return f"{name}: found the code {code:g}, expected a whole number from 0"

    def verify(self) -> tuple[int, float]:
        """Predict the contract's golden rows again: how many, and the largest difference.

        Raises ExportError where that is more than the contract's tolerance.
        """
        golden = self.contract["golden"]
        rows = np.array(golden["rows"], dtype=np.float32).reshape(-1, len(self.features))
        expected = np.array(golden["predictions"], dtype=np.float64)
        worst = float(np.abs(self.predict_outputs(rows)[:, 0] - expected).max(initial=0.0))
        if not worst <= golden["tolerance"]:
            raise ExportError(
                f"golden rows are predicted with a difference of {worst:g} in the target's unit, "
                f"more than the tolerance of {golden['tolerance']:g}; this {self.engine} computes "
                "something else than the Paddle that trained: do not use the model with it"
            )
        return len(rows), worst

    def encode(self, table: Frame) -> NDArray[np.float32]:
        """The rows that `predict` takes, float32 [N, D], of a table with columns by name: a
        dictionary of lists or arrays, or a data frame of pandas, Polars or Arrow.

        A cell means what it means in a file: padded, missing, boolean, a time. Raises TableError
        for a column that is not there, and for the first wrong cell. Needs polars and reader/.
        """
        from reader.formats import Reading
        from reader.frame import encode
        from reader.kinds import Encoder

        may_be_empty = self.contract["may_be_empty"]
        encoders = [Encoder(column, may_be_empty, levels) for column, levels in self._columns]
        return encode(table, encoders, Reading(**self.contract["reading"]))

    def _by_name(self, table: Frame) -> NDArray[np.float32]:
        """The rows of a table, which has the columns of a table, or else those of `features`."""
        from reader.frame import columns_of

        columns = columns_of(table)
        if {column.name for column, _ in self._columns} <= columns.keys():
            return self.encode(table)
        if not columns.keys() >= {*self.features}:
            return self.encode(table)  # which says what is missing
        return np.column_stack([np.asarray(columns[name], np.float32) for name in self.features])

    @cached_property
    def _columns(self) -> list[tuple[Column, Levels]]:
        """The features of the table; to make codes of many levels takes long."""
        from reader.kinds import Levels
        from reader.schema import Schema

        features = Schema.read(self.contract["schema"]).features
        return [(column, Levels(column.levels, closed=True)) for column in features]


def coded(contract: Contract) -> list[int]:
    """The features whose numbers are indices into a table of the graph."""
    additive = contract.get("additive")
    if additive and not additive.get("network"):
        return []
    kinds = [k for c in features_of(contract) for k in c.get("parts", [c["kind"]])]
    return [i for i, kind in enumerate(kinds) if kind in ("categorical", *CALENDAR)]


def available_cores() -> int:
    """The cores that this process may use; fewer than the machine has, under taskset say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
