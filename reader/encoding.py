"""What the training rows teach about columns: what fills a hole, and which levels count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from errors import TableError
from reader.pack import PackedTable
from reader.schema import Column, Schema

Block = NDArray[np.float32]
Each = Callable[[Callable[[Block], Any]], Iterator[Any]]
RAREST = 0.1  # the least spread of a flag: that of a share of 1 %


@dataclass(frozen=True)
class Encoding:
    """From packed features [n, P] to `names`: numbers without holes, then 0/1 flags of holes and
    of levels. Columns of more levels stay codes, for an embedding: those at `embedded`.

    `numbers` [D]: positions of the numbers; `fill` [D] stands in for NaN; `missing` [D]: how many
    training rows had none; `indicated`: which of the D columns get a flag. `one_hot`: position and
    table [levels + 1, width], a row for each code. `embedded`: position, and number of codes.
    `rare`: by column, the training rows with a level that was folded into unknown.
    """

    names: tuple[str, ...]
    numbers: NDArray[np.int64]
    fill: NDArray[np.float64]
    missing: NDArray[np.int64]
    indicated: NDArray[np.int64]
    one_hot: tuple[tuple[int, NDArray[np.float64]], ...]
    embedded: tuple[tuple[int, int], ...]
    rare: dict[str, int]

    @property
    def least_spread(self) -> NDArray[np.float64]:
        """Of each of `names`: a flag's scaled values would have no bound without one."""
        flags = len(self.names) - len(self.numbers)
        return np.repeat([0.0, RAREST], [len(self.numbers), flags])

    def apply(self, block: Block) -> NDArray[np.float64]:
        """Rows [n, P + 1] -> float64 [n, len(names) + 1], the target last."""
        return np.column_stack([self.encode(block), block[:, -1:]])

    def encode(self, block: Block) -> NDArray[np.float64]:
        """The features alone [n, len(names)]; the rows may come without their target."""
        plain = self.plain
        cells = block[:, : len(self.numbers)] if plain else block[:, self.numbers]
        numbers = cells.astype(np.float64)
        missing = np.isnan(numbers)
        if missing.any():
            np.copyto(numbers, self.fill, where=missing)
        if plain:
            return numbers
        parts = [numbers, missing[:, self.indicated]]
        parts += [table[block[:, position].astype(np.intp)] for position, table in self.one_hot]
        return np.column_stack(parts)

    @property
    def plain(self) -> bool:
        """Whether the columns are numbers, and no flags."""
        return len(self.names) == len(self.numbers) and not self.embedded


def choose_levels(packed: PackedTable, rows: NDArray[Any], min_count: int) -> PackedTable:
    """The table with codes for the levels of its training rows `rows`, in order of their texts.

    A level of fewer than `min_count` training rows has none: it is unknown, code 0.
    """
    positions = {name: packed.columns.index(name) for name in packed.texts}
    counts = {name: np.zeros(len(texts) + 1, np.int64) for name, texts in packed.texts.items()}
    if not positions:
        return packed
    for block in packed.blocks(rows):
        for name, position in positions.items():
            found = block[:, position].astype(np.intp)
            counts[name] += np.bincount(found, minlength=len(counts[name]))
    levels, recode = {}, {}
    for name, texts in packed.texts.items():
        often = [i for i in range(len(texts)) if counts[name][i + 1] >= min_count]
        often.sort(key=lambda i: (texts[i] is None, texts[i] or ""))
        levels[name] = tuple(texts[i] for i in often)
        codes = np.zeros(len(texts) + 1, dtype=np.float32)
        codes[np.array(often, dtype=np.intp) + 1] = np.arange(1, len(often) + 1)
        recode[positions[name]] = codes
    return replace(packed, schema=packed.schema.with_levels(levels), recode=recode)


def learn(
    schema: Schema,
    each: Each,
    numeric: str,
    constant: float,
    indicator: bool,
    most_flags: int,
) -> Encoding:
    """Learn the encoding from the training rows: `each` gives what a function makes of each block
    of them [n, P + 1], target last.

    `numeric`: what fills in for a number: its mean, median, a constant, or error (none is missing).
    A column of at most `most_flags` levels becomes a flag for each, any other an embedding's code.
    Raises TableError for a column of numbers without any.
    """
    coded = {i: c for i, c in _positions(schema) if c.kind == "categorical"}
    numbers = np.array([i for i in range(len(schema.packed)) if i not in coded], dtype=np.int64)
    names = [schema.packed[i] for i in numbers]
    rows, sums, missing = 0, np.zeros(len(numbers)), np.zeros(len(numbers), dtype=np.int64)
    counts = {i: np.zeros(len(column.levels) + 1) for i, column in coded.items()}

    def count(block: Block) -> tuple[int, NDArray[Any], NDArray[Any], list[NDArray[Any]]]:
        plain = len(numbers) == block.shape[1] - 1
        # Sums along a row of memory are fast.
        values = np.ascontiguousarray((block[:, :-1] if plain else block[:, numbers]).T)
        absent = np.isnan(values)
        holes = absent.sum(axis=1) if absent.any() else np.zeros(len(values), dtype=np.int64)
        known = np.where(absent, 0, values) if holes.any() else values
        found = [np.bincount(block[:, i].astype(np.intp), minlength=len(counts[i])) for i in counts]
        return len(block), known.sum(axis=1, dtype=np.float64), holes, found

    for more, total, absent, found in each(count):
        rows += more
        sums += total
        missing += absent
        for i, levels in zip(counts, found, strict=True):
            counts[i] += levels
    if (empty := missing == rows).any():
        without = ", ".join(np.array(names)[empty])
        raise TableError(f"no training row has a value of {without}; leave it out (data.exclude)")
    fill = np.full(len(numbers), constant, dtype=np.float64)
    if numeric != "constant":
        fill = sums / (rows - missing)
    if numeric == "median":
        for k in np.flatnonzero(missing):
            cells = list(each(lambda block, at=numbers[k]: block[:, at]))  # type: ignore[misc]
            fill[k] = np.nanmedian(np.concatenate(cells))
    indicated = np.flatnonzero(missing) if indicator else np.array([], dtype=np.int64)
    few = {i: column for i, column in coded.items() if len(column.levels) <= most_flags}
    one_hot = tuple((i, _flags(counts[i] / rows)) for i in few)
    flags = [name for (i, table) in one_hot for name in _flag_names(few[i], table)]
    return Encoding(
        names=(*names, *(f"{names[k]} is missing" for k in indicated), *flags),
        numbers=numbers,
        fill=fill,
        missing=missing,
        indicated=indicated,
        one_hot=one_hot,
        embedded=tuple((i, len(counts[i])) for i in coded if i not in few),
        rare={column.name: int(counts[i][0]) for i, column in coded.items()},
    )


def _positions(schema: Schema) -> Iterator[tuple[int, Column]]:
    """Each packed column's position and the column that it comes from."""
    yield from enumerate(column for column in schema.features for _ in column.packed)


def _flags(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rows that stand for codes 0, 1, ...; `shares` of the training rows.

    Unknown gets a flag of its own where rare levels taught what it means; else it is the average
    row, so that a level never seen moves no prediction.
    """
    if shares[0]:
        return np.eye(len(shares))
    return np.vstack([shares[1:], np.eye(len(shares) - 1)])


def _flag_names(column: Column, table: NDArray[np.float64]) -> Sequence[str]:
    texts = ["(missing)" if level is None else level for level in column.levels]
    unknown = ["(other)"] * (table.shape[1] - len(texts))
    return [f"{column.name} = {text}" for text in [*unknown, *texts]]
