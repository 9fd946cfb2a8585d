"""What the training rows teach about columns: what fills a hole, and which levels count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from errors import TableError
from reader.inputs import Fill, Indicate, InputColumn, Inputs, OneHot, Rows, Select, Step
from reader.merge import add, join
from reader.moments import LEVELS, level_name
from reader.pack import PackedTable
from reader.schema import Column, Schema, abridged, free_name

Reduce = Callable[[Callable[[Rows], Any], Callable[[Any, Any], Any], Any], Any]
"""(function, merge, start) -> what merges function(block) of all blocks of training rows."""
Table = NDArray[np.float64]
Vector = NDArray[np.float32]
MISSING, OTHER = "(missing)", "(other)"  # levels without a text of their own


@dataclass(frozen=True)
class InputOptions:
    """How holes and levels become numbers.

    `numeric`: what stands in for a missing number, the `constant` or the training rows' mean or
    median; error: none is missing. `indicator`: whether a column with holes gets a flag that says
    where. A category of at most `one_hot` levels becomes a flag for each, of more a code for an
    embedding; a level of fewer than `min_count` training rows counts as unknown.
    """

    numeric: Literal["error", "mean", "median", "constant"] = "mean"
    constant: float = 0.0
    indicator: bool = False
    one_hot: int = 32
    min_count: int = 2


class FittedInputs(NamedTuple):
    """`inputs` up to scaling; `missing`: training rows without a number, by packed column; `rare`:
    those with a level that counts as unknown, by column."""

    inputs: Inputs
    missing: dict[str, int]
    rare: dict[str, int]


class Counts(NamedTuple):
    """Of training rows: `total` and `missing` of each number [D], and by position of a category or
    a part of a calendar the rows of each code."""

    rows: int
    total: NDArray[np.float64]
    missing: NDArray[np.int64]
    codes: dict[int, NDArray[np.int64]]


def choose_levels(packed: PackedTable, rows: NDArray[Any], min_count: int) -> PackedTable:
    """The table with codes for the levels of its training rows `rows`, in order of their texts.

    A level of fewer than `min_count` training rows has none: it is unknown, code 0.
    """
    positions = {name: packed.position[name] for name in packed.texts}
    if not positions:
        return packed

    def of_block(block: Rows) -> dict[str, NDArray[np.int64]]:
        return {
            name: np.bincount(block[:, at].astype(np.intp), minlength=len(packed.texts[name]) + 1)
            for name, at in positions.items()
        }

    zeros = {name: np.zeros(len(texts) + 1, np.int64) for name, texts in packed.texts.items()}
    counts = packed.reduce(of_block, add, zeros, rows)
    levels, recode = {}, {}
    for name, texts in packed.texts.items():
        often = [i for i in range(len(texts)) if counts[name][i + 1] >= min_count]
        often.sort(key=lambda i: (texts[i] is None, texts[i] or ""))
        levels[name] = tuple(texts[i] for i in often)
        codes = np.zeros(len(texts) + 1, dtype=np.float32)
        codes[np.array(often, dtype=np.intp) + 1] = np.arange(1, len(often) + 1)
        recode[positions[name]] = codes
    return replace(packed, schema=packed.schema.with_levels(levels), recode=recode)


def fit_inputs(schema: Schema, reduced: Reduce, options: InputOptions) -> FittedInputs:
    """Fit the steps up to scaling: `reduced` makes passes over the training rows, float32
    [n, P + 1], target last.

    They yield the numbers, the flags of holes, those of calendar parts and of levels, and the
    codes. A number without a value in any training row, and a calendar part that does not vary in
    them, are left out. Raises TableError where nothing is left.
    """
    packed = [_Packed(column, name) for column in schema.features for name in column.packed]
    sizes = {i: column.size for i, column in enumerate(packed) if column.size}
    every = [i for i in range(len(packed)) if i not in sizes]
    counts = count(reduced, every, sizes)
    tables = {i: packed[i].table(codes, options.min_count) for i, codes in counts.codes.items()}
    known = counts.missing < counts.rows
    numbers = [i for i, is_known in zip(every, known, strict=True) if is_known]
    calendar = [i for i in sizes if packed[i].part and tables[i].shape[1] > 1]
    coded = [i for i in sizes if not packed[i].part]
    few = [i for i in coded if len(packed[i].column.levels) <= options.one_hot]
    # The largest first: see reader.levels.absorb.
    many = sorted((i for i in coded if i not in few), key=lambda i: -packed[i].size)
    if not (order := [*numbers, *calendar, *few, *many]):
        features = abridged([column.name for column in schema.features])
        raise TableError(f"no feature is left: no training row has a value of {features}")
    columns = tuple(column.input for column in packed)
    inputs = Inputs(columns)
    if order != list(range(len(columns))):
        inputs = inputs.then(Select(tuple(columns[i] for i in order), tuple(order)))
    fills = [packed[i].size - 1 for i in calendar]
    counted = counts._replace(total=counts.total[known], missing=counts.missing[known])
    for step in _hole_steps(inputs.columns, reduced, numbers, fills, counted, options):
        inputs = inputs.then(step)
    if flagged := [*calendar, *few]:
        start = len(inputs.columns) - len(flagged) - len(many)
        names = [name for i in flagged for name in packed[i].flags(tables[i], counts.codes[i])]
        flags = (InputColumn(name, "flag") for name in _told_apart(names, inputs.names))
        yielded = (*inputs.columns[:start], *flags, *(columns[i] for i in many))
        inputs = inputs.then(OneHot(yielded, start, tuple(tables[i] for i in flagged)))
    missing = {packed[i].name: int(n) for i, n in zip(every, counts.missing, strict=True)}
    missing |= {packed[i].name: int(counts.codes[i][-1]) for i in sizes if packed[i].part}
    rare = {packed[i].name: int(counts.codes[i][0]) for i in coded}
    return FittedInputs(inputs, missing, rare)


class _Packed(NamedTuple):
    """A packed column, of a column of the table."""

    column: Column
    name: str

    @property
    def part(self) -> str:
        """The part of a calendar that it holds, or nothing."""
        parts = dict(zip(self.column.packed, self.column.parts, strict=False))
        part = parts.get(self.name, "")
        return part if part in LEVELS else ""

    @property
    def size(self) -> int:
        """How many codes it has, 0 for a number; the last of a calendar part stands for a hole."""
        if self.column.kind == "categorical":
            return len(self.column.levels) + 1
        return LEVELS[self.part].stop + 1 if self.part else 0

    @property
    def input(self) -> InputColumn:
        return InputColumn(self.name, "code" if self.size else "number", self.size)

    def seen(self, rows: NDArray[np.int64], min_count: int) -> list[int]:
        """The levels of a calendar part that enough training rows have."""
        return [level for level in LEVELS[self.part] if rows[level] >= min_count]

    def table(self, rows: NDArray[np.int64], min_count: int) -> Table:
        """The flags [codes, flags] of its codes, of which `rows` training rows have each."""
        if not self.part:
            return flag_table(rows / max(1, rows.sum()))
        seen = self.seen(rows, min_count)
        table = np.tile(rows[seen] / max(1, rows[seen].sum()), (self.size, 1))
        table[seen] = np.eye(len(seen))
        return table

    def flags(self, table: Table, rows: NDArray[np.int64]) -> list[str]:
        """The names of its flags."""
        if self.part:
            is_flag = (table == 1).any(axis=1)
            levels = [level for level in LEVELS[self.part] if is_flag[level]]
            return [f"{self.name} = {level_name(self.part, level)}" for level in levels]
        return level_names(self.column)[self.size - table.shape[1] :]


def _told_apart(names: Iterable[str], others: Iterable[str]) -> Iterator[str]:
    taken = set(others)
    for name in names:
        taken.add(free := free_name(name, taken))
        yield free


def count(reduced: Reduce, numbers: Sequence[int], codes: Mapping[int, int]) -> Counts:
    """One pass over the training rows; `codes`: by position of a column of codes, how many it has,
    the last of them for NaN."""
    positions = np.array(numbers, dtype=np.int64)

    def of_block(block: Rows) -> Counts:
        plain = len(positions) == block.shape[1] - 1
        # Sums along a row of memory are fast.
        values = np.ascontiguousarray((block[:, :-1] if plain else block[:, positions]).T)
        absent = np.isnan(values)
        missing = absent.sum(axis=1) if absent.any() else np.zeros(len(values), dtype=np.int64)
        known = np.where(absent, 0, values) if missing.any() else values
        by_code = {}
        for i, size in codes.items():
            filled = np.nan_to_num(block[:, i], nan=size - 1)
            by_code[i] = np.bincount(filled.astype(np.intp), minlength=size)
        return Counts(len(block), known.sum(axis=1, dtype=np.float64), missing, by_code)

    zeros = {i: np.zeros(size, dtype=np.int64) for i, size in codes.items()}
    start = Counts(0, np.zeros(len(numbers)), np.zeros(len(numbers), dtype=np.int64), zeros)
    whole: Counts = reduced(of_block, add, start)
    return whole


def _hole_steps(
    columns: tuple[InputColumn, ...],
    reduced: Reduce,
    numbers: Sequence[int],
    fills: Sequence[int],
    counts: Counts,
    options: InputOptions,
) -> Iterator[Step]:
    """What tells of holes in the leading `numbers`, and what fills them; and `fills`, the codes
    that stand for holes in the columns behind them."""
    if options.numeric == "error" or not (numbers or fills):
        return
    end, flags = len(numbers), list[InputColumn]()
    if options.indicator and (holes := np.flatnonzero(counts.missing)).size:
        flags = [InputColumn(f"{columns[k].name} is missing", "flag") for k in holes]
        columns = (*columns[:end], *flags, *columns[end:])
        yield Indicate(columns, tuple(map(int, holes)), end)
    values = np.full(end, options.constant, dtype=np.float64)
    if options.numeric != "constant":
        values = counts.total / (counts.rows - counts.missing)
    if options.numeric == "median":
        for k in map(int, np.flatnonzero(counts.missing)):
            values[k] = np.nanmedian(_cells(reduced, numbers[k]))
    if fills:
        values = np.array([*values, *[0.0] * len(flags), *fills])
    yield Fill(columns, as_held(values))


def _cells(reduced: Reduce, at: int) -> Vector:
    """Those of the training rows in a column [n]."""
    pieces: list[Vector] = reduced(lambda block: [block[:, at].copy()], join, [])
    return np.concatenate(pieces)


def flag_table(shares: NDArray[np.float64]) -> Table:
    """The flags [levels, flags] that stand for codes 0, 1, ... of these shares of training rows.

    Unknown gets a flag of its own where rare levels taught what it means; else it is the average
    row, so that a level never seen moves no prediction.
    """
    if shares[0]:
        return np.eye(len(shares))
    return np.vstack([as_held(shares[1:]), np.eye(len(shares) - 1)])


def as_held(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The values as the exported graph holds them, in float32.

    Where columns nearly follow from each other, whitening would multiply what is rounded off.
    """
    return values.astype(np.float32).astype(np.float64)


def level_names(column: Column) -> list[str]:
    """What its levels are called, by code: the first stands for all others."""
    texts = [MISSING if level is None else level for level in column.levels]
    return [f"{column.name} = {text}" for text in [OTHER, *texts]]
