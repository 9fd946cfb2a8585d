"""Features and target as they are held in Python: arrays, series, data frames, or a path."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from display import quoted
from errors import TableError
from reader.formats import Reading
from reader.frame import NAME, columns_of, encode, length_of, table_of
from reader.kinds import Encoder, Levels
from reader.rows import Layout
from reader.schema import Column, Schema, abridged, free_name
from reader.table import Table, open_like
from spelling import did_you_mean

Rows = NDArray[np.float32]
Features = Any
"""A data frame of pandas, Polars or Arrow, a dictionary of columns, a two-dimensional array [N, D],
lists of rows, or the path of a table."""
Target = Any
"""An array [N], a series or a list, or the name of a column of the features."""
ADVICE = "fix the cell"
COLUMN_VECTOR = "A column-vector y was passed when a 1d array was expected; y.ravel() gives that"


@dataclass(frozen=True)
class Samples:
    """Rows to learn from. `columns`: by name, the target among them, None where `path` leads to a
    table; `is_named`: whether the names are their own."""

    path: str
    columns: dict[str, Any] | None
    target: str
    is_named: bool = True

    def table(self, reading: Reading) -> Table | None:
        """The columns as a table. Raises TableError."""
        return None if self.columns is None else table_of(self.columns, reading)


def samples(x: Features, y: Target) -> Samples:
    """Features and target together. Columns of an array are called x0, x1, ...; a target without a
    name is called y.

    Raises TableError.
    """
    if y is None:
        raise TableError(
            "Regressor requires y to be passed, but the target y is None; expected an array, a "
            "series, or the name of a column of X"
        )
    if is_path(x):
        if not isinstance(y, str):
            found = f"X is a path, and y is of type {type(y).__name__}"
            raise TableError(f"{found}; expected y to be the name of a column of that table")
        return Samples(os.fspath(x), None, y)
    columns, is_named = named_columns(x)
    if _length(columns) == 1:
        raise TableError("found 1 sample, a single row: nothing can be learned from it")
    if isinstance(y, str):
        check_named(y, columns)
        return Samples(NAME, columns, y, is_named)
    name = getattr(y, "name", None)
    if isinstance(name, str) and name in columns:
        raise TableError(
            f"y is called {quoted(name)}, and X has a column of that name: the answer itself? "
            f"Drop it from X, or give y={quoted(name)}"
        )
    target = name if isinstance(name, str) and name else free_name("y", columns)
    columns = columns | {target: one_column(y, _length(columns))}
    return Samples(NAME, columns, target, is_named)


def check_named(y: str, columns: dict[str, Any]) -> None:
    """Raises TableError where `y` names no column."""
    if y not in columns:
        hint = did_you_mean(y, columns)
        raise TableError(f"y={quoted(y)}: X has no such column{hint}; found {abridged([*columns])}")


def is_path(x: object) -> bool:
    return isinstance(x, str | os.PathLike)


def named_columns(x: Features) -> tuple[dict[str, Any], bool]:
    """The columns by name, and whether the names are their own. Raises TableError for what has no
    two dimensions, no rows or no columns."""
    if hasattr(x, "tocsr"):
        raise TableError("found a sparse matrix, expected an array: pass X.toarray()")
    is_frame = any(hasattr(x, name) for name in ("items", "iter_columns", "column_names"))
    is_flat = getattr(x, "ndim", 2) == 1
    if is_frame and not is_flat:
        columns = columns_of(x)
        shape: tuple[int, ...] = (_length(columns), len(columns))
    else:
        array = as_array(x)
        shape = array.shape
        if len(shape) != 2:
            raise TableError(
                f"Expected 2D array, got an array of shape {shape}. Reshape your data: "
                "X.reshape(-1, 1) if it is one column, X.reshape(1, -1) if it is one row"
            )
        if array.dtype.kind == "c":
            raise TableError("Complex data not supported: found complex numbers in X")
        columns = {f"x{index}": array[:, index] for index in range(shape[1])}
    for count, what in zip(shape, ("sample", "feature"), strict=True):
        if not count:
            found = f"Found array with 0 {what}(s) (shape={shape})"
            raise TableError(f"{found} while a minimum of 1 is required.")
    return columns, is_frame


def as_array(x: Features) -> NDArray[Any]:
    """Raises TableError for lists of several lengths."""
    try:
        return np.asarray(x)
    except ValueError:
        raise TableError("X is a list of rows of several lengths; expected as many cells") from None


def one_column(y: Target, rows: int) -> Any:
    """The target as one column. Raises TableError where it has several, or not as many rows."""
    if not hasattr(y, "shape"):
        y = y if isinstance(y, list) else np.asarray(y)
    shape: tuple[int, ...] = getattr(y, "shape", (len(y),))
    if len(shape) == 2 and shape[1] == 1:
        kind = getattr(sys.modules.get("sklearn.exceptions"), "DataConversionWarning", UserWarning)
        warnings.warn(COLUMN_VECTOR, kind, stacklevel=4)
        y, shape = np.asarray(y)[:, 0], shape[:1]
    if len(shape) != 1:
        raise TableError(
            f"y should be a 1d array, got an array of shape {shape} instead; train a Regressor for "
            "each target"
        )
    if shape[0] != rows:
        raise TableError(f"X has {rows:,} rows, and y has {shape[0]:,}; expected as many")
    return y


def _length(columns: dict[str, Any]) -> int:
    return next((length_of(name, cells) for name, cells in columns.items()), 0)


@dataclass(frozen=True)
class Encoding:
    """How a trained model takes rows: the columns of its table, and how their cells are read."""

    schema: Schema
    may_be_empty: bool
    reading: Reading

    @property
    def names(self) -> tuple[str, ...]:
        """The columns beside the target, in their order."""
        return tuple(c.name for c in self.schema.columns if c.name != self.schema.target)

    @cached_property
    def _columns(self) -> list[tuple[Column, Levels]]:
        return [(c, Levels(c.levels, closed=True)) for c in self.schema.features]

    def rows(self, x: Features) -> Rows:
        """float32 [N, packed features]: by name where the columns have names, else by order.

        Raises TableError for a column that is not there, and for the first wrong cell.
        """
        encoders = self._encoders()
        if is_path(x):
            return self._of_file(Path(x), encoders)
        return encode(self._named(x), encoders, self.reading)

    def rows_and_target(self, x: Features, y: Target) -> tuple[Rows, Rows]:
        """The rows, and their target, float32 [N]: of `y`, or the column that it names."""
        target = Encoder(self.schema.target_column)
        if is_path(x):
            rows = self._of_file(Path(x), [*self._encoders(), target])
            return rows[:, :-1], rows[:, -1]
        columns = self._named(x)
        name = self.schema.target if y is None else y
        if isinstance(name, str):
            check_named(name, columns)
        cells = columns[name] if isinstance(name, str) else one_column(y, _length(columns))
        known = encode({self.schema.target: cells}, [target], self.reading)
        return encode(columns, self._encoders(), self.reading), known[:, 0]

    def _encoders(self) -> list[Encoder]:
        return [Encoder(c, self.may_be_empty, levels) for c, levels in self._columns]

    def _named(self, x: Features) -> dict[str, Any]:
        columns, is_named = named_columns(x)
        if is_named:
            return columns
        if len(columns) != len(self.names):
            raise TableError(
                f"X has {len(columns)} features, but Regressor is expecting {len(self.names)} "
                f"features as input: {abridged(self.names)}"
            )
        return dict(zip(self.names, columns.values(), strict=True))

    def _of_file(self, path: Path, encoders: list[Encoder]) -> Rows:
        table = open_like(path, self.schema, self.reading)
        width = sum(len(encoder.column.packed) for encoder in encoders)
        return np.concatenate([np.empty((0, width), np.float32), *_read(table, encoders)])


def _read(table: Table, encoders: list[Encoder]) -> Iterator[Rows]:
    with table.unchanged():
        for batch in table.batches(Layout(tuple(encoders), advice=ADVICE)):
            yield batch.rows
