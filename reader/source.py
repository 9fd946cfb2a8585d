"""A table packed and divided, before any row was looked at as a training row."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from display import short
from errors import RunError, TableError
from ranks.alone import ALONE, Ranks
from reader.cache import Cache
from reader.formats import Reading
from reader.hosts import Hosts
from reader.kinds import infer, rounded_away, time_column
from reader.lookalikes import look_alikes
from reader.pack import PackedTable, pack
from reader.schema import Column, Role, Schema, abridged, roles, unlike
from reader.sharded import sharded
from reader.split import CellError, Split, SplitOptions, folds, split
from reader.table import Table, open_table
from reader.written import form_of


@dataclass(frozen=True)
class TableOptions:
    """Where a table is, how to read it, what its columns are, and how rows are divided.

    `time_format`: how times are written, in all columns or by column; `other_paths`: the tables of
    the validation and the test part, where each part is a table of its own; `memory_limit`: bytes
    of packed rows to hold in memory, above which they go to `cache`; `per_host`: whether each host
    of a job has files of its own, with other rows.
    """

    path: str
    target: str
    reading: Reading = field(default_factory=Reading)
    columns: Sequence[str] | None = None
    exclude: Sequence[str] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    time_format: str | Mapping[str, str] | None = None
    split: SplitOptions = field(default_factory=SplitOptions)
    other_paths: Sequence[str | None] = ()
    may_be_empty: bool = True
    drop_without_target: bool = False
    cache: Path = Path(".cache")
    memory_limit: int = 256 << 20
    per_host: bool = False


@dataclass(frozen=True)
class SplitTable:
    """A packed table and its parts, before any row was looked at as a training row.

    `by`: how rows were divided; `coarse`: columns that float32 may be too coarse for. `table`:
    its files, those that this host has; None where the rows come from memory.
    """

    table: Table | None
    packed: PackedTable
    parts: Split
    by: SplitOptions = field(default_factory=SplitOptions)
    coarse: tuple[str, ...] = ()

    def folds(self, count: int) -> Iterator[Split]:
        """The parts of each of `count` folds of a cross-validation, 0 for none; see
        reader.split.folds."""
        if not count:
            return iter(())
        packed, cells = self.packed, None
        if self.by.column and self.by.method in ("group", "time"):
            rows = self.parts.train[packed.held(self.parts.train)] - packed.first
            cells = pl.concat(list(self.texts(self.by.column))).gather(rows)
        return folds(self.parts, count, self.by, cells, packed.gathered)

    def texts(self, column: str) -> Iterator[Any]:
        """The cells of a column as texts, batch by batch, of the rows that this host has."""
        return iter(()) if self.table is None else self.table.texts(column)


def read(
    options: TableOptions,
    meanwhile: Callable[[], object] | None = None,
    table: Table | None = None,
    seen: Callable[[int, float], None] | None = None,
    ranks: Ranks = ALONE,
) -> SplitTable:
    """The table's rows, in memory or mapped into it, every cell checked; and their parts. Of
    several processes on a host, one reads them for all.

    `meanwhile` is called beside the reading of a table that takes a while; `table`: one that is
    open already, such as a data frame's (reader.frame.table_of), of which options.path is but the
    name; `seen`: see reader.pack.pack. Raises TableError, and RunError for a table that several
    processes cannot read.
    """
    if not ranks.is_alone:
        _check_path(options, table)
    hosts = Hosts(ranks) if options.per_host and not ranks.is_alone else None
    table, ends = _opened(options, table)
    looked = _looked_at(table, options) if hosts is None or ranks.is_first else None
    if hosts:
        looked = _agreed(table, looked, hosts)
        notes = [note for each in hosts.gathered(list(table.notes)) for note in each]
        table = replace(table, notes=tuple(dict.fromkeys(notes)))
    assert looked
    cache = Cache(options.cache, options.memory_limit if ranks.is_alone else 0)
    if ranks.local_rank:
        ranks.agree()
    packed = pack(table, looked.schema, cache, options.may_be_empty, meanwhile, seen)
    if not ranks.local_rank:
        ranks.agree()
    packed = sharded(packed, hosts, ranks) if hosts else _same(packed, table, ranks)
    by, file_rows = looked.by, tuple(sum(packed.file_rows[a:b]) for a, b in pairwise(ends))
    none_left = packed.without_target == len(packed)
    if packed.without_target and (none_left or not options.drop_without_target):
        raise TableError(_without_target(table, packed))
    try:
        parts = _divide(packed, by, table.texts(by.column) if by.column else (), file_rows)
    except CellError as error:
        known = packed.has_target()
        row = error.row if known is None else int(np.flatnonzero(known)[error.row])
        raise TableError(f"{_place(table, packed, row)}, {error.message}") from None
    return SplitTable(table, packed, parts, by, looked.coarse)


def _same(packed: PackedTable, table: Table, ranks: Ranks) -> PackedTable:
    """The table, which all processes have. Raises TableError where this one has another."""
    if ranks.shared(packed.sha256) != packed.sha256:
        raise TableError(
            f"{table.path}: process {ranks.rank} found another table there than process 0, by its "
            "SHA-256; give all hosts the same files, or set data.shards=per_host for rows of their "
            "own"
        )
    return replace(packed, ranks=ranks)


class _Looked(NamedTuple):
    """What a look at a table's first rows tells: its columns, those that float32 may be too coarse
    for, and how rows are divided."""

    schema: Schema
    coarse: tuple[str, ...]
    by: SplitOptions


def _looked_at(table: Table, options: TableOptions) -> _Looked:
    schema, coarse = infer_schema(table, options)
    schema = with_forms(table, schema, options)
    return _Looked(schema, coarse, _resolved(options, table, schema))


def _agreed(table: Table, looked: _Looked | None, hosts: Hosts) -> _Looked:
    """What process 0 sees in its table, in all: a meeting. Raises TableError where this one has
    other columns."""
    told: list[Any] = []
    if looked:
        by = looked.by
        told = [str(table.path), looked.schema.describe(), list(looked.coarse), asdict(by)]
    path, columns, coarse, split_by = hosts.everyone.shared(told)
    schema = Schema.read(columns)
    if set(table.columns) != set(schema.names):
        raise _other_columns(table, schema.names, f"{path} of process 0")
    return _Looked(schema, tuple(coarse), SplitOptions(**split_by))


def _check_path(options: TableOptions, table: Table | None) -> None:
    """Raises RunError for a table that is not where every process can open it."""
    names = [options.path, *options.other_paths]
    streams = [name for name in names if name and not _is_kept(Path(name))]
    if table or streams:
        found = f"{streams[0]}, which can be read but once" if streams else "a table in memory"
        raise RunError(
            f"data.path: found {found}; several processes that train together expect files or "
            "folders, which each of them opens; write the rows into one"
        )


def _is_kept(path: Path) -> bool:
    """Whether a path may be opened again and again: no pipe, terminal or device."""
    return not path.exists() or path.is_dir() or path.is_file()


def _opened(options: TableOptions, table: Table | None) -> tuple[Table, list[int]]:
    """The table; where each part is a table of its own, they are joined, and behind the files of
    each stands their number so far."""
    if options.split.method != "files":
        return table or open_table(options.path, options.columns, options.reading), []
    first, *others = options.path, *options.other_paths
    tables = [table or open_table(str(first), options.columns, options.reading)]
    parts = [open_table(n, options.columns, options.reading) if n else None for n in others]
    ends = np.cumsum([0, len(tables[0].files), *(len(p.files) if p else 0 for p in parts)])
    return _joined([*tables, *(part for part in parts if part)]), ends.tolist()


def _without_target(table: Table, packed: PackedTable) -> str:
    """Where the first row without a target is, and how many there are: a meeting."""
    known, own = packed.has_target(), ""
    if known is not None and not known.all():
        own = _place(table, packed, int(known.argmin()))
    advice = "Fill them in, or leave these rows out with data.missing.target=drop"
    if packed.without_target == len(packed):
        advice = "Fill them in, or choose another column"
    first = next(filter(None, packed.gathered(own)))
    place = f"{first}, column {short(packed.schema.target)} (data.target)"
    return (
        f"{place}: found an empty cell, expected a number; {packed.without_target:,} of "
        f"{len(packed):,} rows have no target. {advice}"
    )


def _place(table: Table, packed: PackedTable, row: int) -> str:
    """The file and the line of a row, as messages name them."""
    index = 0
    while row >= packed.file_rows[index]:
        row, index = row - packed.file_rows[index], index + 1
    file = table.files[index]
    survey = file.survey()
    if survey.lines is not None:
        row = int(np.setdiff1d(np.arange(len(survey.lines)), survey.blank)[row])
    return f"{file.path}, {survey.place(row)}"


def _divide(
    packed: PackedTable, by: SplitOptions, texts: Iterable[pl.Series], file_rows: tuple[int, ...]
) -> Split:
    """The parts, of the rows that have a target as if there were no others."""
    has_target = packed.has_target()
    if has_target is None:
        return split(len(packed), by, texts, file_rows, packed.gathered)
    known = np.flatnonzero(np.concatenate(packed.gathered(has_target))).astype(np.int32)
    ends = np.cumsum([0, *file_rows])
    counts = tuple(int(has_target[start:end].sum()) for start, end in pairwise(ends))
    parts = split(len(known), by, _chosen(texts, has_target), counts, packed.gathered)
    return Split(*(known[part] for part in parts))


def _chosen(texts: Iterable[pl.Series], rows: NDArray[np.bool_]) -> Iterator[pl.Series]:
    seen = 0
    for cells in texts:
        yield cells.filter(pl.Series(rows[seen : seen + len(cells)]))
        seen += len(cells)


def infer_schema(table: Table, options: TableOptions) -> tuple[Schema, tuple[str, ...]]:
    """The kinds of the columns, from the options or a sample of cells; and the coarse columns.

    Raises TableError where no column is left to be a feature.
    """
    known = roles(str(table.path), table.columns, options.target, _given(table, options))
    cells = table.sample([name for name, kind in known.items() if kind not in ("ignored", "id")])
    columns = [_column(name, kind, cells.get(name), options) for name, kind in known.items()]
    columns = [_told_apart(column, known) for column in columns]
    schema = Schema(tuple(columns), options.columns is None)
    if not schema.features:
        known_as = abridged([f"{short(column.name)} ({column.kind})" for column in columns])
        comma = table.files[0].reading.decimal_comma
        hints = [f"; {found.message.en}" for found in look_alikes(table, schema, {}, comma)]
        raise TableError(
            f"{table.path}: no feature is left; the columns are {known_as}{''.join(hints[:1])}"
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


def _given(table: Table, options: TableOptions) -> list[Role]:
    """What is said of columns: that row names and the like are set aside, and what the recipe says.
    One that rows are divided by is not a feature, unless it is a time."""
    by, formats = options.split, options.time_format
    given = [Role("data.exclude", name, "ignored") for name in options.exclude]
    if by.column is not None:
        kind = None if by.method == "time" else "ignored"
        given.insert(0, Role("data.split.column", by.column, kind))
    given += [Role("data.kinds", name, kind) for name, kind in options.kinds.items()]
    if isinstance(formats, Mapping):
        given += [Role("data.time_format", name, None) for name in formats]
    named = {options.target, *(role.column for role in given)}
    ignored = {role.column for role in given if role.kind == "ignored"} - {by.column}
    aside = table.header.set_aside(options.path, ignored, named)
    return [*(Role("data.exclude", name, "ignored") for name in aside), *given]


def _column(name: str, kind: str | None, cells: pl.Series | None, options: TableOptions) -> Column:
    if cells is None or kind not in (None, "time"):
        return Column(name, str(kind))
    formats = options.time_format
    named = isinstance(formats, Mapping) and name in formats
    time_format = formats.get(name) if isinstance(formats, Mapping) else formats
    if kind is None and not named:
        return infer(name, cells, time_format)
    return time_column(name, cells, time_format, "data.time_format" if named else "data.kinds")


def _told_apart(column: Column, names: Container[str]) -> Column:
    """The column, under other names for its parts where there are columns of these names."""
    while column.parts and any(name in names for name in column.packed):
        column = replace(column, stem=(column.stem or column.name) + "_")
    return column


def _resolved(options: TableOptions, table: Table, schema: Schema) -> SplitOptions:
    """How to divide rows: with the first id for a random split, and the format of times."""
    by = options.split
    if by.method == "random":
        return replace(by, column=schema.ids[0] if schema.ids else None)
    if by.method != "time" or by.column is None:
        return by
    column = next(column for column in schema.columns if column.name == by.column)
    if column.kind != "time":  # it is no feature: its cells were not looked at
        column = _column(by.column, None, table.sample([by.column])[by.column], options)
    return replace(by, time_format=column.format or None)


def _joined(tables: Sequence[Table]) -> Table:
    """The rows of one table after the other. Raises TableError where their columns differ."""
    first = tables[0]
    for table in tables[1:]:
        if set(table.columns) != set(first.columns):
            raise _other_columns(table, first.columns, str(first.path))
    return replace(
        first,
        files=tuple(file for table in tables for file in table.files),
        identities=tuple(each for table in tables for each in table.identities),
    )


def _other_columns(table: Table, columns: Sequence[str], of: str) -> TableError:
    return TableError(
        f"{table.path}: found other columns ({unlike(table.columns, columns)}), expected those of "
        f"{of}"
    )
