"""A table made ready for training: packed, divided, and what its training rows teach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errors import TableError
from factor import Factor
from reader.fitting import FittedInputs, InputOptions, choose_levels, fit_inputs
from reader.formats import Reading
from reader.inputs import InputColumn, Inputs, Scale, TargetScale, Whiten
from reader.kinds import infer, of_kind, rounded_away
from reader.levels import Absorbed, Iterated, Levels, absorb, iterate, measure
from reader.lookalikes import look_alikes, of_numbers
from reader.pack import Cache, PackedTable, pack
from reader.schema import Column, Schema, roles
from reader.split import Split, SplitOptions, evenly, folds, split
from reader.statistics import Statistics, moments, rounding
from reader.table import Table, open_table
from reader.written import form_of

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
SAMPLE = 4_096  # rows by which float32 is judged
RAREST = 0.1  # the least scale of a flag: the deviation of one that 1 % of the rows have


@dataclass(frozen=True)
class TableOptions:
    """Where a table is, how to read it, what its columns are, and how rows are divided.

    `other_paths`: the tables of the validation and the test part, where each part is a table of
    its own; `memory_limit`: bytes of packed rows to hold in memory, above which they go to `cache`.
    """

    path: str
    target: str
    reading: Reading = field(default_factory=Reading)
    columns: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    time_format: str | None = None
    split: SplitOptions = field(default_factory=SplitOptions)
    other_paths: Sequence[str | None] = ()
    may_be_empty: bool = True
    cache: Path = Path(".cache")
    memory_limit: int = 256 << 20


@dataclass(frozen=True)
class SplitTable:
    """A packed table and its parts, before any row was looked at as a training row.

    `coarse`: columns that float32 may be too coarse for. `table`: its files, None where the rows
    come from memory.
    """

    table: Table | None
    packed: PackedTable
    parts: Split
    split_column: str | None = None
    coarse: tuple[str, ...] = ()

    def folds(self, count: int, options: SplitOptions) -> Iterator[Split]:
        """The parts of each of `count` folds of a cross-validation, 0 for none; see
        reader.split.folds."""
        if not count:
            return iter(())
        column = self.split_column if options.method in ("group", "time") else None
        return folds(self.parts, count, options, self.texts(column) if column else ())

    def texts(self, column: str) -> Iterator[Any]:
        """The cells of a column as texts, batch by batch."""
        return iter(()) if self.table is None else self.table.texts(column)


@dataclass(frozen=True)
class TrainingData:
    """Rows by part, the steps that make inputs of them, up to scaling, and the statistics of the
    columns that these yield, codes left out, the target last."""

    packed: PackedTable
    parts: Split
    fitted: FittedInputs
    statistics: Statistics

    @property
    def schema(self) -> Schema:
        return self.packed.schema

    @property
    def encoding(self) -> Inputs:
        """The steps up to scaling."""
        return self.fitted.inputs

    def scaling(self, method: str) -> tuple[Vector, Vector]:
        """(center [D], scale [D]) of the encoded features, column by column."""
        least = [0.0 if c.kind == "number" else RAREST for c in self.encoding.columns]
        least = [*least[: len(self.encoding.names)], 0.0]
        center, scale = self.statistics.scaling(method, np.array(least))
        return center[:-1], scale[:-1]

    def scaling_matrix(self, method: str, by_level: bool = False) -> tuple[Vector, Matrix]:
        """(center [D], matrix [D, r]): (x - center) @ matrix is what `method` makes of encoded x;
        with `by_level`, of x less its average row by level."""
        if method != "whiten" or not self.encoding.names:
            center, scale = self.scaling(method)
            return center, np.diag(1 / scale)
        matrix = self.factor(by_level).root()
        if not matrix.shape[1]:  # nothing varies: one column, of zeros
            matrix = np.zeros((len(matrix), 1))
        return self.statistics.mean[:-1], matrix

    def factor(self, by_level: bool = False) -> Factor:
        """Of the encoded features; with `by_level`, of what the levels leave of them."""
        return self._factor_by_level if by_level else self._factor

    @cached_property
    def rounding(self) -> Vector:
        """The variance [D] that float32 adds to the encoded features, by some training rows."""
        some = self.parts.train[evenly(len(self.parts.train), SAMPLE)]
        return rounding(self.encoding.encode(self.packed.take(some)))

    @cached_property
    def _factor(self) -> Factor:
        return self.statistics.factor(self.rounding)

    @cached_property
    def _factor_by_level(self) -> Factor:
        assert self.absorbed
        return self.statistics.factor(self.rounding, self.absorbed.covariance)

    @cached_property
    def levels(self) -> Levels | None:
        """What training rows tell of the levels of code columns; None where there are none."""
        if not self.encoding.codes:
            return None
        sizes = [column.levels for column in self.encoding.codes]

        return measure(self.each, self.encoding.apply, self.statistics.mean, sizes)

    def each(self, function: Callable[[NDArray[np.float32]], Any]) -> Iterator[Any]:
        """function(block) of all training rows."""
        return self.packed.map(function, self.parts.train, len(self.statistics.columns))

    @cached_property
    def iterated(self) -> Iterated | None:
        """Least squares with levels that are too many to be absorbed; else None."""
        if self.levels is None or self.absorbed:
            return None
        statistics, root = self.statistics, self.factor().root()
        return iterate(
            self.each,
            self.encoding.apply,
            self.levels,
            statistics.mean,
            statistics.covariance,
            root,
        )

    @cached_property
    def absorbed(self) -> Absorbed | None:
        """What the levels leave of features and target; None without levels, or with too many."""
        return absorb(self.levels, self.statistics.covariance) if self.levels else None

    def inputs(self, method: str, by_level: bool = False) -> Inputs:
        """All steps, the last of them scaling by `method`, or none where there is nothing to
        scale; with `by_level`, less the average row by level."""
        if not self.encoding.names:
            return self.encoding
        center, matrix = self.scaling_matrix(method, by_level)
        if method != "whiten":
            return self.encoding.then(Scale(self.encoding.columns, *self.scaling(method)))
        names = [self.encoding.names[i] for i in self.factor(by_level).kept] or ["nothing"]
        columns = tuple(InputColumn(name, "number") for name in names[: matrix.shape[1]])
        _, deviation = self.scaling("standard")
        steepness = float(np.abs(matrix.T * deviation).max(initial=0.0))
        tables: tuple[Matrix, ...] = ()
        if by_level and self.absorbed and self.levels:
            whole = self.absorbed.by_level[:, :-1] @ matrix
            tables = tuple(whole[at] for at in self.levels.spans)
        columns = (*columns, *self.encoding.codes)
        return self.encoding.then(Whiten(columns, center, matrix, steepness, tables))

    def target_scale(self, method: str) -> TargetScale:
        """How the target is scaled; with log1p, its logarithm is."""
        statistics = self.statistics
        if method == "log1p":
            statistics = statistics.log1p(self.packed.blocks(self.parts.train))
        center, scale = statistics.scaling("standard" if method == "log1p" else method)
        return TargetScale(float(center[-1]), float(scale[-1]), method == "log1p")

    def contract(self, reading: Reading, may_be_empty: bool) -> dict[str, Any]:
        """What an exported model says of the table: JSON values."""
        rows, missing = len(self.parts.train), self.missing
        return {
            "features": self.schema.packed,
            "target": self.schema.target,
            "schema": self.schema.describe(),
            "reading": asdict(reading),
            "may_be_empty": may_be_empty,
            "statistics": self.statistics.describe(),
            "shares": {
                column.name: {
                    "missing": missing[column.name] / rows,
                    "unknown": self.fitted.rare.get(column.name, 0) / rows,
                }
                for column in self.schema.features
            },
        }

    @property
    def missing(self) -> dict[str, int]:
        """How many training rows have no value, by feature."""
        return {column.name: self._missing(column) for column in self.schema.features}

    def _missing(self, column: Column) -> int:
        if column.kind != "categorical":
            return self.fitted.missing[column.packed[0]]
        if None not in column.levels:
            return 0
        code, at = column.levels.index(None) + 1, self.packed.columns.index(column.name)
        blocks = self.packed.blocks(self.parts.train)
        return sum(int((block[:, at] == code).sum()) for block in blocks)


def read(
    options: TableOptions,
    meanwhile: Callable[[], object] | None = None,
    table: Table | None = None,
    seen: Callable[[int, float], None] | None = None,
) -> SplitTable:
    """The table's rows, in memory or mapped into it, every cell checked; and their parts.

    `meanwhile` is called beside the reading of a table that takes a while; `table`: one that is
    open already, such as a data frame's (reader.frame.table_of), of which options.path is but the
    name; `seen`: see reader.pack.pack. Raises TableError.
    """
    path, names = options.path, [options.path, *options.other_paths]
    table = table or open_table(path, options.columns, options.reading)
    if options.split.method == "files":
        tables = [open_table(n, options.columns, options.reading) if n else None for n in names]
        table = _joined([part for part in tables if part])
    by_split = options.split.column
    exclude = [*options.exclude, *_set_aside(table, options)]
    known = roles(path, table.columns, options.target, exclude, by_split, options.kinds)
    has_header = options.columns is None
    schema, coarse = infer_schema(table, known, options.time_format, has_header)
    schema = with_forms(table, schema, options)
    cache = Cache(options.cache, options.memory_limit)
    packed = pack(table, schema, cache, options.may_be_empty, meanwhile, seen)
    column, file_rows = options.split.column, tuple[int, ...]()
    if options.split.method == "random" and schema.ids:
        column = schema.ids[0]
    if options.split.method == "files":
        ends = np.cumsum([0, *(len(part.files) if part else 0 for part in tables)])
        file_rows = tuple(sum(packed.file_rows[a:b]) for a, b in pairwise(ends))
    texts = table.texts(column) if column else ()
    parts = split(len(packed), replace(options.split, column=column), texts, file_rows)
    return SplitTable(table, packed, parts, column, coarse)


def _set_aside(table: Table, options: TableOptions) -> list[str]:
    """Row names that the recipe does not name, and the like: see reader.header."""
    named = {options.target, options.split.column or "", *options.exclude, *options.kinds}
    ignored = {name for name, kind in options.kinds.items() if kind == "ignored"}
    return table.header.set_aside(options.path, {*options.exclude, *ignored}, named)


def infer_schema(
    table: Table, known: Mapping[str, str | None], time_format: str | None, has_header: bool
) -> tuple[Schema, tuple[str, ...]]:
    """The kinds of the columns, from `known` or a sample of cells; and the coarse columns.

    Raises TableError where no column is left to be a feature.
    """
    cells = table.sample([name for name, kind in known.items() if kind not in ("ignored", "id")])
    columns = []
    for name, kind in known.items():
        if kind is None:
            columns.append(infer(name, cells[name], time_format))
        elif kind == "time":
            columns.append(of_kind(name, kind, cells[name], time_format))
        else:
            columns.append(Column(name, kind))
    schema = Schema(tuple(columns), has_header)
    if not schema.features:
        listed = ", ".join(f"{column.name} ({column.kind})" for column in columns)
        comma = table.files[0].reading.decimal_comma
        hints = [f"; {found.message}" for found in look_alikes(table, schema, {}, comma)]
        raise TableError(
            f"{table.path}: no feature is left; the columns are {listed}{''.join(hints[:1])}"
        )
    numeric = [c.name for c in columns if c.kind in ("numeric", "target")]
    return schema, tuple(name for name in numeric if rounded_away(cells[name]))


def with_forms(table: Table, schema: Schema, options: TableOptions) -> Schema:
    """The schema, with the way in which each column that is asked to be numeric writes them."""
    asked = [name for name, kind in options.kinds.items() if kind == "numeric"]
    cells = table.sample(asked, numeric=False) if asked else {}
    comma = options.reading.decimal_comma
    forms = {name: str(form_of(name, texts, comma)) for name, texts in cells.items()}
    columns = (replace(c, format=forms.get(c.name, c.format)) for c in schema.columns)
    return replace(schema, columns=tuple(columns))


def fit(source: SplitTable, parts: Split, options: InputOptions) -> TrainingData:
    """What the training rows of `parts`, and they alone, tell of the columns.

    Raises TableError for a column of numbers that holds none, or that float32 cannot tell apart.
    """
    packed = choose_levels(source.packed, parts.train, options.min_count)

    def each(function: Callable[[NDArray[np.float32]], Any]) -> Iterator[Any]:
        return packed.map(function, parts.train)

    fitted = fit_inputs(packed.schema, each, options)
    columns = (*fitted.inputs.names, packed.schema.target)

    def encoded_moments(block: NDArray[np.float32]) -> Any:
        return moments(np.column_stack([fitted.inputs.encode(block), block[:, -1:]]))

    batches = packed.map(encoded_moments, parts.train, len(columns))
    statistics = Statistics.merged(columns, batches)
    check_digits(statistics, source)
    return TrainingData(packed, parts, fitted, statistics)


def check_digits(statistics: Statistics, source: SplitTable) -> None:
    """Raises TableError for one of the `coarse` columns whose deviation float32 cannot show."""
    for name in source.coarse:
        index = statistics.columns.index(name)
        largest = max(abs(statistics.minimum[index]), abs(statistics.maximum[index]))
        apart = float(np.spacing(np.float32(largest)))
        if statistics.deviation[index] < 16 * apart:
            raise TableError(
                f"column {name}: its values are near {largest:g}, where float32 numbers are "
                f"{apart:g} apart, and differ by little more; subtract a constant from the "
                f"column, or leave it out (data.exclude){_other_reading(source, name)}"
            )


def _other_reading(source: SplitTable, name: str) -> str:
    """What a column of numbers looks like, where it looks like something else."""
    if source.table is None:
        return ""
    found = of_numbers(name, source.table.sample([name], numeric=False)[name].drop_nulls())
    return f"; {found.message}" if found else ""


def _joined(tables: Sequence[Table]) -> Table:
    """The rows of one table after the other. Raises TableError where their columns differ."""
    first = tables[0]
    for table in tables[1:]:
        if set(table.columns) != set(first.columns):
            raise TableError(
                f"{table.path}: columns {', '.join(table.columns)}, expected those of "
                f"{first.path}: {', '.join(first.columns)}"
            )
    return replace(first, files=tuple(file for table in tables for file in table.files))
