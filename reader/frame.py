"""Columns in memory, of a dictionary or a data frame, read as those of a file are."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from display import quoted, short
from errors import TableError
from reader.formats import EVEN, Reading, Survey, typed_cells, typed_numbers
from reader.header import typed_header
from reader.kinds import Encoder
from reader.rows import ROWS_PER_BATCH, Layout
from reader.schema import abridged
from reader.table import Table
from spelling import did_you_mean

NAME = "the table"  # in messages
PLAIN: dict[type, Any] = {bool: pl.Boolean, int: pl.Int64, float: pl.Float64, str: pl.String}
PLAIN |= {date: pl.Date, datetime: pl.Datetime("us")}
HOLES = ("NaTType", "NAType")  # the types of pandas' NaT and NA
UNITS = ("D", "ms", "us", "ns")  # of datetime64, as Polars has them


@runtime_checkable
class _Pandas(Protocol):
    """A Series, an Index, or one of pandas' arrays."""

    dtype: Any

    def isna(self) -> Any: ...
    def to_numpy(self, **options: Any) -> NDArray[Any]: ...


@runtime_checkable
class _Items(Protocol):
    """A dictionary, or a data frame of pandas."""

    def items(self) -> Iterable[tuple[Any, Any]]: ...


@runtime_checkable
class _Arrow(Protocol):
    """A table of Arrow."""

    column_names: Sequence[str]
    columns: Sequence[Any]


Value: TypeAlias = bool | int | float | str | date | None
Frame: TypeAlias = pl.DataFrame | _Items | _Arrow


def table_of(frame: Frame, reading: Reading | None = None) -> Table:
    """The table whose columns are those of `frame`: a dictionary of columns, or a data frame of
    pandas, Polars or Arrow. Its index is no column.

    A column is a list, an array of NumPy, or a column of one of these. Its cells are numbers,
    booleans, texts, dates and times; None, NaT, pandas' NA and NaN are holes. Another NaN is one in
    a column of texts, and in one of numbers where `reading.missing` says so. Times are of UTC
    where they name their offset.

    >>> table = table_of({"area": [7.5, None], "town": [" north", "south"]})
    >>> table.sample(["area", "town"])["town"].to_list()
    ['north', 'south']

    Raises TableError for what is no such table; cells are looked at when they are read.
    """
    columns = columns_of(frame)
    lengths = {name: length_of(name, cells) for name, cells in columns.items()}
    if len(set(lengths.values())) > 1:
        counts = abridged([f"{short(name)} {count:,}" for name, count in lengths.items()])
        raise TableError(f"{NAME} has columns of several lengths: {counts}")
    file = _FrameFile(columns, reading or Reading())
    header = typed_header(file.columns)
    return Table(NAME, file.columns, (file,), header, header.notes)


def columns_of(frame: Frame) -> dict[str, Any]:
    """The columns of a dictionary or a data frame by name. Raises TableError where it is neither,
    and for a name that stands twice."""
    columns: dict[str, Any] = {}
    for label, cells in _named_columns(frame):
        if str(label) in columns:
            raise TableError(f"{NAME} names {quoted(str(label))} more than once; rename one")
        columns[str(label)] = cells
    return columns


def encode(frame: Frame, encoders: Sequence[Encoder], reading: Reading) -> NDArray[np.float32]:
    """The rows of a table in memory, float32 [N, packed columns]; NaN where a cell may be empty and
    is. The encoders count what is missing, or of no known level.

    Raises TableError for a column that is not there, and for a wrong cell, as a file does.
    """
    table = table_of(frame, reading)
    names = [encoder.column.name for encoder in encoders]
    if missing := [name for name in names if name not in table.columns]:
        hint = did_you_mean(missing[0], table.columns)
        found = abridged(table.columns) or "none"
        raise TableError(f"no column {abridged(missing)}{hint}; found {found}")
    rows = [batch.rows for batch in table.batches(Layout(tuple(encoders), advice="fix the cell"))]
    width = sum(len(encoder.column.packed) for encoder in encoders)
    return np.concatenate([np.empty((0, width), dtype=np.float32), *rows])


@dataclass(frozen=True)
class _FrameFile:
    """Columns by name; one is converted when it is first read, for many may be of no use."""

    cells_of: Mapping[str, Any] = field(repr=False)
    reading: Reading
    path: str = NAME
    _converted: dict[str, pl.Series] = field(default_factory=dict, repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.cells_of)

    def numbers(self, columns: Sequence[str], texts: Collection[str]) -> pl.LazyFrame | None:
        return None if texts else typed_numbers(self._frame(columns), columns, texts)

    def cells(
        self, columns: Sequence[str], times: Collection[str] = (), ragged: bool = False
    ) -> pl.LazyFrame:
        return typed_cells(self.path, self._frame(columns), columns, times)

    def survey(self) -> Survey:
        return EVEN

    def size(self) -> int:
        return 8 * len(self.columns) * len(next(iter(self.cells_of.values()), ()))

    def identity(self) -> list[Any] | None:
        return None

    def content(self) -> Iterator[bytes]:
        """Names and types, then cells as CSV; only the names of columns that cannot be read."""
        readable = [name for name in self.columns if self._is_readable(name)]
        frame = pl.DataFrame([self._column(name) for name in readable])
        types = [(name, str(frame.schema.get(name, ""))) for name in self.columns]
        yield json.dumps(types).encode()
        for rows in frame.iter_slices(ROWS_PER_BATCH):
            yield rows.write_csv(include_header=False, null_value="\0").encode()

    def _frame(self, columns: Sequence[str]) -> pl.LazyFrame:
        return pl.DataFrame({name: self._column(name) for name in columns}).lazy()

    def _is_readable(self, name: str) -> bool:
        try:
            self.cells([name])
        except TableError:
            return False
        return True

    def _column(self, name: str) -> pl.Series:
        if name not in self._converted:
            self._converted[name] = _series(name, self.cells_of[name])
        return self._converted[name]


def _named_columns(frame: Frame) -> Iterable[tuple[Any, Any]]:
    if isinstance(frame, pl.DataFrame):
        return zip(frame.columns, frame.iter_columns(), strict=True)
    if isinstance(frame, _Items):
        return frame.items()
    if isinstance(frame, _Arrow):
        return zip(frame.column_names, frame.columns, strict=True)
    raise TableError(
        f"found {type(frame).__name__}, expected columns by name: a dictionary of lists, or a data "
        "frame of pandas, Polars or Arrow"
    )


def length_of(name: str, cells: Any) -> int:
    """How many cells a column has. Raises TableError where it is none."""
    if not isinstance(cells, (str, bytes, set, Mapping)):
        with suppress(TypeError):
            return len(cells)
    found = f"{NAME}, column {short(name)}: found {_shown(cells)}"
    raise TableError(f"{found}, expected a list of cells")


def _series(name: str, cells: Any) -> pl.Series:
    """The cells as numbers, booleans, texts or moments. Raises TableError where one is neither."""
    if isinstance(cells, pl.Series):
        return cells.alias(name) if cells.dtype != pl.Object else _of_list(name, cells.to_list())
    if isinstance(cells, _Pandas):
        return _of_pandas(name, cells)
    if hasattr(cells, "__arrow_c_stream__") or hasattr(cells, "__arrow_c_array__"):
        return pl.Series(name, cells)
    if hasattr(cells, "__array__"):
        return _of_array(name, np.asanyarray(cells))
    return _of_list(name, list(cells))


def _of_pandas(name: str, cells: _Pandas) -> pl.Series:
    """A column of pandas, of its own types or NumPy's or Arrow's; null where it has a hole."""
    dtype, holes = cells.dtype, np.asarray(cells.isna())
    if getattr(dtype, "kind", "O") == "M":
        plain = getattr(dtype, "base", None)  # of UTC, where there is a time zone
    else:
        plain = getattr(dtype, "numpy_dtype", dtype)
    if not isinstance(plain, np.dtype) or plain.kind not in "biufM":
        objects = np.array(cells, dtype=object)
        objects[holes] = None
        return _of_list(name, objects.tolist())
    if plain.kind == "M" or not holes.any():
        return _of_array(name, cells.to_numpy(dtype=plain))
    filled = cells.to_numpy(dtype=plain, na_value=plain.type(0))
    return _without(_of_array(name, filled), holes)


def _of_array(name: str, cells: NDArray[Any]) -> pl.Series:
    if cells.ndim != 1:
        shape = " x ".join(map(str, cells.shape))
        found = f"{NAME}, column {short(name)}: found an array of {shape}"
        raise TableError(f"{found}, expected one column")
    if isinstance(cells, np.ma.MaskedArray):
        return _without(_of_array(name, np.asarray(cells.data)), np.ma.getmaskarray(cells))
    if cells.dtype.kind == "M":
        unit, count = np.datetime_data(cells.dtype)
        has_twin = unit in UNITS and count == 1
        cells = cells if has_twin else cells.astype("datetime64[us]")
    elif cells.dtype.kind == "f" and cells.itemsize > 8:
        cells = cells.astype(np.float64)
    elif cells.dtype.kind not in "biuf":
        return _of_list(name, cells.tolist())
    return pl.Series(name, cells.astype(cells.dtype.newbyteorder("="), copy=False))


def _without(cells: pl.Series, holes: NDArray[np.bool_]) -> pl.Series:
    return cells.set(pl.Series(holes), None)


def _of_list(name: str, cells: list[Any]) -> pl.Series:
    """Cells of one kind as they are, of several as the text that a file would hold."""
    plain = _kinds(cells) <= PLAIN.keys() - {datetime}  # which may name its offset
    if plain and (series := _of_one_kind(name, cells)) is not None:
        return series
    values = []
    for row, cell in enumerate(cells, start=1):
        try:
            values.append(_value(cell))
        except (TypeError, OverflowError, UnicodeEncodeError):
            raise TableError(
                f"{NAME}, row {row}, column {short(name)}: found {_shown(cell)}, expected a "
                "number, a text or a time"
            ) from None
    if (series := _of_one_kind(name, values)) is not None:
        return series
    return pl.Series(name, [_text(value) for value in values], dtype=pl.String)


def _kinds(cells: list[Any]) -> set[type]:
    return set(map(type, cells)) - {type(None)}


def _of_one_kind(name: str, cells: list[Any]) -> pl.Series | None:
    kinds = _kinds(cells)
    # What cannot be: an integer of more than 64 bits, half a character.
    with suppress(TypeError, OverflowError, UnicodeEncodeError):
        if kinds == {int, float}:
            kinds, cells = {float}, [None if cell is None else float(cell) for cell in cells]
        elif kinds == {date, datetime}:
            kinds = {datetime}
            cells = [datetime.combine(c, time()) if type(c) is date else c for c in cells]
        if len(kinds) < 2:
            return pl.Series(name, cells, dtype=PLAIN[kinds.pop()] if kinds else pl.String)
    return None


def _value(cell: Any) -> Value:
    """The cell as a plain value of Python. Raises TypeError, or another error, where it is none."""
    if isinstance(cell, np.generic):
        cell = _of_numpy(cell)
    if cell is None or type(cell).__name__ in HOLES:
        return None
    if isinstance(cell, datetime):
        moment = cell.astimezone(UTC) if cell.tzinfo else cell
        return datetime.combine(moment.date(), moment.time())
    if isinstance(cell, str):
        cell.encode()  # raises where it is half a character
        return str.__str__(cell)
    if isinstance(cell, (Decimal, time)):
        return str(cell)
    if isinstance(cell, (bool, date)):
        return cell
    if isinstance(cell, (int, float)):
        return int(cell) if isinstance(cell, int) else float(cell)
    raise TypeError


def _of_numpy(cell: np.generic) -> Any:
    if isinstance(cell, np.datetime64):
        days = np.datetime_data(cell)[0] in ("Y", "M", "W", "D")
        return (cell if days else cell.astype("datetime64[us]")).item()
    return float(cell) if isinstance(cell, np.floating) else cell.item()


def _text(value: Value) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None or value != value else str(value)


def _shown(cell: object) -> str:
    return f"{short(repr(cell), 40)} ({type(cell).__name__})"
