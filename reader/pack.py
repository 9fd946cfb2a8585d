"""A table read once, into one float32 matrix: in memory, or in a file that is mapped into it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from errors import TableError
from ranks.alone import ALONE, Ranks
from reader.cache import Cache, Entry
from reader.kinds import Encoder, Levels
from reader.parallel import Result, in_order
from reader.rows import ROWS_PER_BATCH, Layout, read_batches
from reader.schema import Schema
from reader.table import Table
from reader.text import TextFile

Whole = TypeVar("Whole")
Matrix = NDArray[np.float32]
Rows = NDArray[np.int32]
NUMBERS = 1 << 22  # of a piece
FEW = 8
SMALL = 1 << 28  # products of a pass, about 0.1 s of a core
LARGE = 64 << 20  # bytes of text, which take about as long to read as a package to import
PIECE = 16_384  # rows that stay in a core's cache while they are worked on


@dataclass(frozen=True)
class PackedTable:
    """`matrix`: float32 [rows, packed features + 1], row-major, target last; categorical columns
    hold a number for each text of `texts`, from 1 on. `recode` gives, by position of such a
    column, the code that stands for each of these numbers. `sha256`: of the files; `file_rows`:
    how many rows each of them has; `without_target`: how many have NaN for a target. `ranks`: the
    processes that train on it, each of which has all of it."""

    schema: Schema
    matrix: Matrix
    sha256: str
    texts: dict[str, list[str | None]] = field(default_factory=dict)
    file_rows: tuple[int, ...] = ()
    without_target: int = 0
    recode: dict[int, Matrix] = field(default_factory=dict)
    ranks: Ranks = ALONE

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.schema.packed, self.schema.target)

    @cached_property
    def position(self) -> dict[str, int]:
        """Where each column is."""
        return {name: at for at, name in enumerate(self.columns)}

    def __len__(self) -> int:
        return len(self.matrix)

    def with_target(self) -> Rows | None:
        """The rows that have a target; None where they all do."""
        if not self.without_target:
            return None
        starts = range(0, len(self), ROWS_PER_BATCH)
        known = [~np.isnan(self.matrix[start : start + ROWS_PER_BATCH, -1]) for start in starts]
        return np.flatnonzero(np.concatenate(known)).astype(np.int32)

    def take(self, rows: NDArray[np.integer[Any]]) -> Matrix:
        """The given rows, float32 [n, packed features + 1]."""
        # mode="clip" lets take skip the bounds check; every index comes from the split.
        block = self.matrix.take(rows, axis=0, mode="clip")
        for position, codes in self.recode.items():
            block[:, position] = codes[block[:, position].astype(np.intp)]
        return block

    def blocks(self, rows: NDArray[np.integer[Any]]) -> Iterator[Matrix]:
        """The given rows in order, float32 [n, packed features + 1], n <= ROWS_PER_BATCH."""
        for start in range(0, len(rows), ROWS_PER_BATCH):
            yield self.take(rows[start : start + ROWS_PER_BATCH])

    def map(
        self, function: Callable[[Matrix], Result], rows: NDArray[np.integer[Any]], width: int = 0
    ) -> Iterator[Result]:
        """function(block) of all rows, PIECE at a time, in order, worked out on all cores; fewer at
        a time where what is made of a row has a great `width`."""
        piece = min(PIECE, max(1, NUMBERS // max(width, self.matrix.shape[1])))
        starts = range(0, len(rows), piece)
        each = in_order if len(starts) > FEW else map  # threads take a while to start
        return each(lambda start: function(self.take(rows[start : start + piece])), starts)

    def reduce(
        self,
        function: Callable[[Matrix], Whole],
        merge: Callable[[Whole, Whole], Whole],
        start: Whole,
        rows: NDArray[np.integer[Any]],
        width: int = 0,
    ) -> Whole:
        """merge(merge(start, function(block)), ...) over all rows, as `map` has them. Each process
        does this for its share of them; `merge` also takes what two processes have, in order."""
        ranks, whole = self.ranks_for(len(rows), width), start
        for part in self.map(function, rows[self.share_of(rows, ranks)], width):
            whole = merge(whole, part)
        return ranks.merged(whole, merge)

    def reduce_in_batches(
        self,
        function: Callable[[Matrix], Whole],
        merge: Callable[[Whole, Whole], Whole],
        start: Whole,
        rows: NDArray[np.integer[Any]],
    ) -> Whole:
        """The same in blocks of ROWS_PER_BATCH, one after the other."""
        ranks = self.ranks_for(len(rows))
        mine = self.blocks(rows[self.share_of(rows, ranks)])
        return ranks.merged(reduce(merge, map(function, mine), start), merge)

    def ranks_for(self, rows: int, width: int = 0) -> Ranks:
        """The processes that share a pass over so many rows, of each of which something of this
        width is made: where that is quickly done, each does all of it, and has the bits of a
        process that is alone."""
        products = rows * max(width, self.matrix.shape[1]) ** 2
        return ALONE if products <= SMALL else self.ranks

    def share_of(self, rows: NDArray[np.integer[Any]], ranks: Ranks) -> slice:
        """Where those of the rows stand that are this process's."""
        return ranks.share_of(len(rows))

    def own(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
        """Which of these rows, in any order, are this process's: their places."""
        mine = self.ranks.share_of(len(rows))
        return np.arange(mine.start, mine.stop)


def pack(
    table: Table,
    schema: Schema,
    cache: Cache | None = None,
    may_be_empty: bool = False,
    meanwhile: Callable[[], object] | None = None,
    seen: Callable[[int, float], None] | None = None,
) -> PackedTable:
    """Stream the table into memory or, above the cache's limit, into its folder.

    A missing target becomes NaN; with `may_be_empty` a missing number of a feature does. A table
    that is in the cache is not read again. `meanwhile` is called beside the reading of a table that
    takes a while; `seen` is told, as rows are read, how many there were, and about how many there
    are (0: unknown). Raises TableError at the first bad cell, and for a table without rows.
    """
    entry = cache.entry(table, schema, may_be_empty) if cache else None
    with table.unchanged():
        if entry and (recalled := entry.recall(table, schema)):
            matrix, note = recalled
            known = note.model_dump(include={"texts", "file_rows", "without_target"})
            return PackedTable(schema, matrix, note.table, **known)
        return _streamed(table, schema, entry, may_be_empty, meanwhile, seen)


def _streamed(
    table: Table,
    schema: Schema,
    entry: Entry | None,
    may_be_empty: bool,
    meanwhile: Callable[[], object] | None,
    seen: Callable[[int, float], None] | None,
) -> PackedTable:
    """Every row, checked; above the entry's limit in its file."""
    levels = {c.name: Levels() for c in schema.features if c.kind == "categorical"}
    encoders = [Encoder(c, may_be_empty, levels.get(c.name)) for c in schema.features]
    target = Encoder(schema.target_column, may_be_empty=True)
    layout = Layout((*encoders, target))
    file_rows, width = [0] * len(table.files), len(schema.packed) + 1
    with ThreadPoolExecutor(2) as beside:
        sha256 = beside.submit(_digest, table)
        if meanwhile and sum(file.size() for file in table.files) > LARGE:
            beside.submit(meanwhile)
        batches, kept, size = _counted(table, layout, file_rows), [], 0
        expected = _rows_by_size(table)
        too_large = entry is not None and expected * 4 * width > 1.2 * entry.cache.limit
        if seen:
            batches = _told(batches, expected, seen)
        for batch in batches:
            kept.append(batch)
            size += batch.nbytes
            if entry and (too_large or size > entry.cache.limit):
                entry.write(kept, batches, max(expected * 4 * width, size))  # all that are left
    if not size:
        raise TableError(f"{table.path}: no rows under the header; expected at least one")
    known: dict[str, Any] = {
        "file_rows": tuple(file_rows),
        "texts": {name: each.texts for name, each in levels.items()},
        "without_target": target.missing,
    }
    if kept or not entry:
        matrix = kept[0] if len(kept) == 1 else np.concatenate(kept)
        return PackedTable(schema, matrix, sha256.result(), **known)
    table.check_unchanged()
    entry.annotate(table=sha256.result(), **known)
    return PackedTable(schema, entry.matrix(width), sha256.result(), **known)


def _rows_by_size(table: Table) -> float:
    """About how many rows of text there are. It spares a large table the way through memory."""
    return sum(file.rows_by_size() for file in table.files if isinstance(file, TextFile))


def _told(
    batches: Iterable[Matrix], expected: float, seen: Callable[[int, float], None]
) -> Iterator[Matrix]:
    """The batches; `seen` is told of each."""
    rows = 0
    for batch in batches:
        rows += len(batch)
        seen(rows, expected)
        yield batch


def _counted(table: Table, layout: Layout, file_rows: list[int]) -> Iterator[Matrix]:
    """The rows of one file after the other; `file_rows` counts them."""
    for index, file in enumerate(table.files):
        for batch in read_batches(file, layout):
            file_rows[index] += len(batch.rows)
            yield batch.rows


def _digest(table: Table) -> str:
    """SHA-256 of the table's files, one after the other."""
    digest = hashlib.sha256()
    for file in table.files:
        for block in file.content():
            digest.update(block)
    return digest.hexdigest()
