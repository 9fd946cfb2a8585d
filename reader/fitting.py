"""What the training rows teach about columns: what fills a hole, and which levels count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from errors import TableError
from reader.inputs import Fill, Indicate, InputColumn, Inputs, OneHot, Rows, Select, Step
from reader.pack import PackedTable
from reader.schema import Column, Schema

Each = Callable[[Callable[[Rows], Any]], Iterator[Any]]
Table = NDArray[np.float64]


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
    """Of training rows: `total` and `missing` of each number [D], and by position of a category
    the rows of each code."""

    rows: int
    total: NDArray[np.float64]
    missing: NDArray[np.int64]
    codes: dict[int, NDArray[np.int64]]


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
            original = block[:, position].astype(np.intp)
            counts[name] += np.bincount(original, minlength=len(counts[name]))
    levels, recode = {}, {}
    for name, texts in packed.texts.items():
        often = [i for i in range(len(texts)) if counts[name][i + 1] >= min_count]
        often.sort(key=lambda i: (texts[i] is None, texts[i] or ""))
        levels[name] = tuple(texts[i] for i in often)
        codes = np.zeros(len(texts) + 1, dtype=np.float32)
        codes[np.array(often, dtype=np.intp) + 1] = np.arange(1, len(often) + 1)
        recode[positions[name]] = codes
    return replace(packed, schema=packed.schema.with_levels(levels), recode=recode)


def fit_inputs(schema: Schema, each: Each, options: InputOptions) -> FittedInputs:
    """Fit the steps up to scaling: `each` gives what a function makes of each block of training
    rows, float32 [n, P + 1], target last.

    They yield the numbers, the flags of holes, those of levels, and the codes. Raises TableError
    for a column of numbers without any.
    """
    columns = [column for column in schema.features for _ in column.packed]
    coded = {i: column for i, column in enumerate(columns) if column.kind == "categorical"}
    numbers = [i for i in range(len(columns)) if i not in coded]
    counts = count(each, numbers, {i: len(column.levels) + 1 for i, column in coded.items()})
    every = schema.packed
    names = [every[i] for i in numbers]
    if (empty := counts.missing == counts.rows).any():
        without = ", ".join(np.array(names)[empty])
        raise TableError(f"no training row has a value of {without}; leave it out (data.exclude)")
    few = [i for i, column in coded.items() if len(column.levels) <= options.one_hot]
    # The largest first: see reader.levels.absorb.
    many = sorted((i for i in coded if i not in few), key=lambda i: -len(coded[i].levels))
    order = [*numbers, *few, *many]
    packed = tuple(
        InputColumn(name, "code", len(counts.codes[i]))
        if i in coded
        else InputColumn(name, "number")
        for i, name in enumerate(every)
    )
    inputs = Inputs(packed)
    if order != sorted(order):
        inputs = inputs.then(Select(tuple(packed[i] for i in order), tuple(order)))
    for step in _hole_steps(inputs.columns, each, numbers, counts, options):
        inputs = inputs.then(step)
    if few:
        tables = tuple(flag_table(counts.codes[i] / counts.rows) for i in few)
        flags = [
            InputColumn(name, "flag")
            for i, table in zip(few, tables, strict=True)
            for name in _flag_names(coded[i], table)
        ]
        start = len(inputs.columns) - len(few) - len(many)
        yielded = (*inputs.columns[:start], *flags, *(packed[i] for i in many))
        inputs = inputs.then(OneHot(yielded, start, tables))
    missing = dict(zip(names, map(int, counts.missing), strict=True))
    rare = {column.name: int(counts.codes[i][0]) for i, column in coded.items()}
    return FittedInputs(inputs, missing, rare)


def count(each: Each, numbers: Sequence[int], codes: dict[int, int]) -> Counts:
    """One pass over the training rows; `codes`: by position of a category, how many it has."""
    positions = np.array(numbers, dtype=np.int64)

    def of_block(block: Rows) -> Counts:
        plain = len(positions) == block.shape[1] - 1
        # Sums along a row of memory are fast.
        values = np.ascontiguousarray((block[:, :-1] if plain else block[:, positions]).T)
        absent = np.isnan(values)
        missing = absent.sum(axis=1) if absent.any() else np.zeros(len(values), dtype=np.int64)
        known = np.where(absent, 0, values) if missing.any() else values
        by_code = {
            i: np.bincount(block[:, i].astype(np.intp), minlength=size) for i, size in codes.items()
        }
        return Counts(len(block), known.sum(axis=1, dtype=np.float64), missing, by_code)

    zeros = {i: np.zeros(size, dtype=np.int64) for i, size in codes.items()}
    whole = Counts(0, np.zeros(len(numbers)), np.zeros(len(numbers), dtype=np.int64), zeros)
    for part in each(of_block):
        whole = Counts(
            whole.rows + part.rows,
            whole.total + part.total,
            whole.missing + part.missing,
            {i: whole.codes[i] + part.codes[i] for i in codes},
        )
    return whole


def _hole_steps(
    columns: tuple[InputColumn, ...],
    each: Each,
    numbers: Sequence[int],
    counts: Counts,
    options: InputOptions,
) -> Iterator[Step]:
    """What tells of holes, and what fills them."""
    if options.numeric == "error" or not numbers:
        return
    if options.indicator and (holes := np.flatnonzero(counts.missing)).size:
        flags = [InputColumn(f"{columns[k].name} is missing", "flag") for k in holes]
        end = len(numbers)
        columns = (*columns[:end], *flags, *columns[end:])
        yield Indicate(columns, tuple(map(int, holes)), end)
    values = np.full(len(numbers), options.constant, dtype=np.float64)
    if options.numeric != "constant":
        values = counts.total / (counts.rows - counts.missing)
    if options.numeric == "median":
        for k in map(int, np.flatnonzero(counts.missing)):
            cells = list(each(lambda block, at=numbers[k]: block[:, at]))  # type: ignore[misc]
            values[k] = np.nanmedian(np.concatenate(cells))
    yield Fill(columns, values)


def flag_table(shares: NDArray[np.float64]) -> Table:
    """The flags [levels, flags] that stand for codes 0, 1, ... of these shares of training rows.

    Unknown gets a flag of its own where rare levels taught what it means; else it is the average
    row, so that a level never seen moves no prediction.
    """
    if shares[0]:
        return np.eye(len(shares))
    return np.vstack([shares[1:], np.eye(len(shares) - 1)])


def _flag_names(column: Column, table: Table) -> Sequence[str]:
    return level_names(column)[len(column.levels) + 1 - table.shape[1] :]


def level_names(column: Column) -> list[str]:
    """What its levels are called, by code: the first stands for all others."""
    texts = ["(missing)" if level is None else level for level in column.levels]
    return [f"{column.name} = {text}" for text in ["(other)", *texts]]
