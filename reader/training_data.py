"""A table made ready for training: packed, divided, and what its training rows teach."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errors import TableError
from reader.encoding import Encoding, choose_levels, learn
from reader.formats import Reading
from reader.kinds import infer, of_kind, rounded_away
from reader.pack import PIECE, Cache, PackedTable, pack
from reader.ready import Ready
from reader.schema import Column, Schema, roles
from reader.split import Split, evenly, folds, split
from reader.statistics import Statistics, moments, whitening
from reader.table import Table, open_table

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
PRODUCTS = 1 << 35  # of a pass that takes some seconds


@dataclass(frozen=True)
class Source:
    """A packed table and its parts, before any row was looked at as a training row.

    `coarse`: columns that float32 may be too coarse for.
    """

    table: Table
    packed: PackedTable
    parts: Split
    split_column: str | None
    coarse: tuple[str, ...]

    def folds(self, count: int, method: str, seed: int) -> Iterator[Split]:
        """See reader.split.folds."""
        column = self.split_column if method in ("group", "time") else None
        texts = self.table.texts(column) if column else ()
        return folds(self.parts, count, method, seed, texts)


@dataclass(frozen=True)
class TrainingData:
    """Rows by part, how their columns become numbers, and the statistics of these numbers."""

    packed: PackedTable
    parts: Split
    encoding: Encoding
    statistics: Statistics

    @property
    def schema(self) -> Schema:
        return self.packed.schema

    def features(self, scaling: str) -> tuple[Vector, Vector]:
        """(shift, spread) of the encoded features, for a scaling column by column."""
        least = np.append(self.encoding.least_spread, 0.0)
        shift, spread = self.statistics.scaling(scaling, least)
        return shift[:-1], spread[:-1]

    def feature_map(self, scaling: str) -> tuple[Vector, Matrix]:
        """(shift [D], matrix [D, D]): (x - shift) @ matrix is what `scaling` makes of encoded x."""
        if scaling != "whiten":
            shift, spread = self.features(scaling)
            return shift, np.diag(1 / spread)
        return self._whitening

    @cached_property
    def _whitening(self) -> tuple[Vector, Matrix]:
        _, spread = self.features("standard")
        mean, covariance = self.statistics.mean[:-1], self.statistics.covariance[:-1, :-1]
        return whitening(mean, covariance, spread)

    @cached_property
    def _log_target(self) -> Statistics:
        return self.statistics.log1p(self.packed.blocks(self.parts.train))

    def ready(self, scaling: str, target_scaling: str) -> Ready:
        """What makes rows ready for the network, scaled like this."""
        whiten = scaling == "whiten"
        _, spread = self.features("standard" if whiten else scaling)
        shift, matrix = self.feature_map(scaling)
        target, log = self.target(target_scaling), target_scaling == "log1p"
        return Ready(self.encoding, shift, spread, matrix if whiten else None, target, log)

    def curvature(self, scaling: str) -> float:
        """The largest eigenvalue of E[x x'], x being the scaled features and a 1 for the bias."""
        shift, matrix = self.feature_map(scaling)
        mean = (self.statistics.mean[:-1] - shift) @ matrix
        second = matrix.T @ self.statistics.covariance[:-1, :-1] @ matrix + np.outer(mean, mean)
        whole = np.block([[second, mean[:, None]], [mean[None, :], np.ones((1, 1))]])
        return float(np.linalg.eigvalsh(whole)[-1])

    def most_noise(self, scaling: str) -> float:
        """What `noise` cannot exceed, by the columns' least and greatest values alone."""
        shift, matrix = self.feature_map(scaling)
        ends = np.abs([self.statistics.minimum[:-1] - shift, self.statistics.maximum[:-1] - shift])
        spread = self.features("standard")[1]
        steepest = np.linalg.norm(matrix * spread[:, None], ord=2)
        return float(1 + steepest**2 * np.square(ends.max(axis=0) / spread).sum())

    def noise(self, scaling: str) -> float:
        """The largest eigenvalue of E[|x|^2 x x'], x as in `curvature`: how much a single row's
        idea of the curvature may differ from that of all. One pass over the training rows, or where
        there are very many columns over some of them."""
        shift, matrix = self.feature_map(scaling)
        rows, width = self.parts.train, len(shift) + 1
        rows = rows[evenly(len(rows), max(PIECE, PRODUCTS // width**2))]

        def fourth(block: NDArray[np.float32]) -> Matrix:
            x = np.ones((len(block), width))
            np.matmul(self.encoding.encode(block) - shift, matrix, out=x[:, :-1])
            return (x * np.einsum("nd,nd->n", x, x)[:, None]).T @ x

        total = sum(self.packed.map(fourth, rows, width))
        return float(np.linalg.eigvalsh(total / len(rows))[-1])

    def target(self, scaling: str) -> tuple[float, float]:
        """(shift, spread) of the target, with log1p that of its logarithm."""
        statistics = self.statistics
        if scaling == "log1p":
            statistics, scaling = self._log_target, "standard"
        shift, spread = statistics.scaling(scaling)
        return float(shift[-1]), float(spread[-1])

    def contract(self, reading: Reading, may_be_empty: bool) -> dict[str, Any]:
        """What an exported model says of the table: JSON values."""
        rows, missing = len(self.parts.train), self.missing
        return {
            "features": self.schema.packed,
            "target": self.schema.target,
            "schema": self.schema.describe(),
            "reading": reading.__dict__,
            "may_be_empty": may_be_empty,
            "statistics": self.statistics.describe(),
            "shares": {
                column.name: {
                    "missing": missing[column.name] / rows,
                    "unknown": self.encoding.rare.get(column.name, 0) / rows,
                }
                for column in self.schema.features
            },
        }

    @property
    def missing(self) -> dict[str, int]:
        """How many training rows have no value, by feature."""
        packed = [self.schema.packed[i] for i in self.encoding.numbers]
        counts = dict(zip(packed, map(int, self.encoding.missing), strict=True))
        return {c.name: self._missing(c, counts) for c in self.schema.features}

    def _missing(self, column: Column, counts: Mapping[str, int]) -> int:
        if column.kind != "categorical":
            return counts[column.packed[0]]
        if None not in column.levels:
            return 0
        code, at = column.levels.index(None) + 1, self.packed.columns.index(column.name)
        blocks = self.packed.blocks(self.parts.train)
        return sum(int((block[:, at] == code).sum()) for block in blocks)


def read(
    path: str,
    target: str,
    reading: Reading,
    *,
    columns: Sequence[str] | None,
    exclude: Sequence[str],
    kinds: Mapping[str, str],
    time_format: str | None,
    split_options: Mapping[str, Any],
    other_paths: Iterable[str | None],
    may_be_empty: bool,
    cache: Path,
    memory_limit: int,
    meanwhile: Callable[[], object] | None = None,
) -> Source:
    """The table's rows, in memory or mapped into it, every cell checked; and their parts.

    `split_options` are those of reader.split.split. `other_paths`: the tables of the validation and
    the test part, where each part is a table of its own. `memory_limit` in MB. Raises TableError.
    """
    table, names = open_table(path, columns, reading), [path, *other_paths]
    if split_options["method"] == "files":
        tables = [open_table(name, columns, reading) if name else None for name in names]
        table = _joined([found for found in tables if found])
    found = roles(path, table.columns, target, exclude, split_options["column"], kinds)
    schema, coarse = infer_schema(table, found, time_format, has_header=columns is None)
    where = Cache(cache, memory_limit * 2**20)
    packed = pack(table, schema, where, may_be_empty, meanwhile)
    options = dict(split_options)
    if options["method"] == "random" and schema.ids:
        options["column"] = schema.ids[0]
    if options["method"] == "files":
        ends = np.cumsum([0, *(len(found.files) if found else 0 for found in tables)])
        counts = [sum(packed.file_rows[a:b]) for a, b in pairwise(ends)]
        options["file_rows"] = tuple(counts)
    if options["column"]:
        options["texts"] = table.texts(options["column"])
    parts = split(len(packed), **options)
    return Source(table, packed, parts, options["column"], coarse)


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
        raise TableError(f"{table.path}: no feature is left; the columns are {listed}")
    numeric = [c.name for c in columns if c.kind in ("numeric", "target")]
    return schema, tuple(name for name in numeric if rounded_away(cells[name]))


def study(
    source: Source,
    parts: Split,
    *,
    numeric: str,
    constant: float,
    indicator: bool,
    one_hot: int,
    min_count: int,
) -> TrainingData:
    """What the training rows of `parts`, and they alone, tell of the columns.

    Raises TableError for a column of numbers that holds none, or that float32 cannot tell apart.
    """
    packed = choose_levels(source.packed, parts.train, min_count)

    def each(function: Callable[[NDArray[np.float32]], Any]) -> Iterator[Any]:
        return packed.map(function, parts.train)

    encoding = learn(packed.schema, each, numeric, constant, indicator, one_hot)
    columns = (*encoding.names, packed.schema.target)
    found = packed.map(lambda block: moments(encoding.apply(block)), parts.train, len(columns))
    statistics = Statistics.merged(columns, found)
    for name in source.coarse:
        index = columns.index(name)
        largest = max(abs(statistics.minimum[index]), abs(statistics.maximum[index]))
        apart = float(np.spacing(np.float32(largest)))
        if statistics.deviation[index] < 16 * apart:
            raise TableError(
                f"column {name}: its values are near {largest:g}, where float32 numbers are "
                f"{apart:g} apart, and differ by little more; subtract a constant from the "
                "column, or leave it out (data.exclude)"
            )
    return TrainingData(packed, parts, encoding, statistics)


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
