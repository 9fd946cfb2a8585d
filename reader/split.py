"""Which row belongs to which part."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from display import quoted, short
from errors import TableError
from reader.findings import in_yaml
from reader.groups import Parts, deal_groups
from reader.moments import moments

Rows = NDArray[np.int32]  # half the memory of int64, and enough for 2,147,483,647 rows
Shares = NDArray[np.float64]
Gathered = Callable[[Any], list[Any]]
STRATUM = 20
CHUNK = 1_000 * STRATUM


class Split(NamedTuple):
    """Row indices of each part, ascending; together every row once."""

    train: Rows
    validation: Rows
    test: Rows


class CellError(TableError):
    """A cell that its row, number `row` of those that are divided, cannot be divided by."""

    def __init__(self, row: int, column: str, message: str) -> None:
        self.row, self.message = row, f"column {short(column)} (data.split.column): {message}"
        super().__init__(f"row {row + 1}, {self.message}")


@dataclass(frozen=True)
class SplitOptions:
    """The method, the shares of the parts, which make 1, the seed, and the column that says more:
    see `split`. `time_format`: how its times are written, None for numbers."""

    method: str = "random"
    train: float = 0.8
    validation: float = 0.1
    test: float = 0.1
    seed: int = 0
    column: str | None = None
    time_format: str | None = None

    @property
    def shares(self) -> Shares:
        return np.array([self.train, self.validation, self.test])


def alone(value: Any) -> list[Any]:
    """What each host tells of its rows, where there is but one."""
    return [value]


def split(
    rows: int,
    options: SplitOptions,
    texts: Iterable[pl.Series] = (),
    file_rows: tuple[int, ...] = (),
    gathered: Gathered = alone,
) -> Split:
    """Divide `rows` rows. `texts` are the cells of the options' column, in order; where hosts have
    rows of their own, those of this one, and `gathered` gives what all of them tell.

    sequential: training rows first, then validation, then test; each boundary is rounded down.
    random: every stretch of STRATUM rows is dealt out in an order of its own, so that the parts
    keep their shares in any stretch of the table, and a row keeps its part when rows are appended.
    With a `column` (an id) it goes by the hash of its cells, like group; a row whose cell is empty
    goes by its place.
    column: each cell names the part of its row, and the shares do not count.
    group: rows with equal cells share a part, by a hash of (seed, cell): see `reader.groups`.
    time: the earliest rows train and the latest test; equal times share a part.
    files: `file_rows` counts the rows of each part.
    Raises TableError where a part with a share gets no row, and for a cell that cannot be used.

    >>> parts = split(10, SplitOptions("sequential", train=0.6, validation=0.2, test=0.2))
    >>> [part.tolist() for part in parts]
    [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]
    """
    method, column = options.method, str(options.column)
    ends = options.shares.cumsum()[:2]
    if method == "sequential":
        bounds = [math.floor(rows * end + 1e-9) for end in ends]
        part = np.repeat(np.arange(3, dtype=np.int8), np.diff([0, *bounds, rows]))
    elif method == "files":
        own = np.repeat(np.arange(len(file_rows), dtype=np.int8), file_rows)
        part = np.concatenate(gathered(own))
    elif method == "column":
        part = np.concatenate(gathered(np.concatenate([*_named(texts, column)])))
    elif method == "time":
        times = times_of(texts, column, options.time_format)
        part = _by_time(np.concatenate(gathered(times)), options.shares)
    elif method == "group":
        part = deal_groups(_filled(texts, column), options.seed, options.shares, gathered=gathered)
    else:
        part = np.concatenate([*_dealt(options.seed, rows, ends)])
        if options.column is not None:
            part = deal_groups(texts, options.seed, options.shares, part, gathered)
    named = method in ("column", "files")
    if not options.test and not named:  # what rounding left over
        part[part == 2] = 1 if options.validation else 0
    parts = Split(*(_members(part, index) for index in range(3)))
    shares = (1, 0, 0) if named else options.shares
    for name, share, members in zip(Split._fields, shares, parts, strict=True):
        if share and not len(members):
            raise TableError(_too_few(rows, name, share, options))
    return parts


def _too_few(rows: int, name: str, share: float, options: SplitOptions) -> str:
    """What is wrong where the part `name` has a share and no row."""
    column = short(str(options.column))
    if options.method == "column":
        return f"the {name} part gets no row: no cell of column {column} is {name!r}"
    if options.method in ("group", "time"):
        what = {"group": "groups", "time": "different times"}[options.method]
        found = f"column {column} (data.split.column) has too few {what}"
    else:
        what, found = "rows", "1 row is too few" if rows == 1 else f"{rows:,} rows are too few"
    without = "" if name == "train" else f", or leave the part out (data.split.{name}=0)"
    return f"{found}: the {name} part, {share:g} of the rows, gets none; add {what}{without}"


def folds(
    parts: Split,
    count: int,
    options: SplitOptions,
    cells: pl.Series | None = None,
    gathered: Gathered = alone,
) -> Iterator[Split]:
    """Cross-validation over the training rows: `count` splits, the held-out fold in place of the
    test part, the validation part as it is.

    Rows are dealt out at random, or whole groups are, by the hash of the `cells` of the training
    rows; where hosts have rows of their own, see `split`. For time, cells are ranked, and a fold's
    training rows are all earlier than its own.
    Raises TableError where a fold, or its training rows, would be empty.
    """
    method, seed = options.method, options.seed
    number: NDArray[np.integer[Any]]
    if method == "group" and cells is not None:
        shares = np.full(count, 1 / count)
        number = deal_groups([cells], seed + 1, shares, gathered=gathered)
    elif method == "time" and cells is not None:
        times = times_of([cells], str(options.column), options.time_format)
        places = pl.Series(np.concatenate(gathered(times))).rank("min").to_numpy() - 1
        edges = np.quantile(places, np.arange(1, count + 1) / (count + 1))
        number = np.searchsorted(edges, places, side="right") - 1
    else:
        places = np.random.default_rng([seed, 2]).permutation(len(parts.train)) / len(parts.train)
        number = np.floor(places * count).astype(np.int64)
    for fold in range(count):
        held = number == fold
        kept = number < fold if method == "time" else ~held
        if not held.any() or not kept.any():
            groups = (
                f" in so few groups of {short(str(options.column))}" if method == "group" else ""
            )
            raise TableError(
                f"{len(parts.train)} training rows{groups} do not make {count} folds; ask for "
                "fewer (data.split.folds)"
            )
        yield Split(parts.train[kept], parts.validation, parts.train[held])


def _filled(texts: Iterable[pl.Series], column: str) -> Iterator[pl.Series]:
    """The same cells. Raises TableError at the first empty one."""
    seen = 0
    for cells in texts:
        if cells.null_count():
            row = seen + int(cells.is_null().arg_max() or 0)
            advice = "fill it in, or choose another data.split"
            raise CellError(row, column, f"found an empty cell; {advice}")
        seen += len(cells)
        yield cells


def _named(texts: Iterable[pl.Series], column: str) -> Iterator[Parts]:
    """The number of the part that each cell names."""
    numbers = {name: index for index, name in enumerate(Split._fields)}
    seen = 0
    for cells in _filled(texts, column):
        if (wrong := ~cells.is_in(list(numbers))).any():
            at = int(wrong.arg_max() or 0)
            expected = ", ".join(numbers)
            raise CellError(seen + at, column, f"found {quoted(cells[at])}, expected {expected}")
        seen += len(cells)
        yield cells.replace_strict(numbers, return_dtype=pl.Int8).to_numpy()


def times_of(
    texts: Iterable[pl.Series], column: str, time_format: str | None
) -> NDArray[np.int64] | NDArray[np.float64]:
    """Numbers [rows] in the order of time: microseconds, or with no format the cells as numbers.

    Raises TableError at the first cell that is neither.
    """
    cells = pl.concat(list(_filled(texts, column)))
    if time_format is not None:
        times = moments(cells, time_format).cast(pl.Int64)
    else:  # integers first: a float does not have all of their digits
        times = cells.cast(pl.Int64, strict=False)
        times = cells.cast(pl.Float64, strict=False) if times.null_count() else times
        times = times.fill_nan(None) if times.dtype.is_float() else times
    if not times.null_count():
        return times.to_numpy()
    row = int(times.is_null().arg_max() or 0)
    expected = "a number or a time like 2024-12-31 23:59"
    expected = f"a time written {time_format}" if time_format else expected
    raise CellError(
        row,
        column,
        f"found {quoted(cells[row])}, expected {expected}; fix the cell, or say how times are "
        f"written in data.time_format, as in {{{in_yaml(column)}: '%d.%m.%Y'}}",
    )


def _by_time(times: NDArray[Any], shares: Shares) -> Parts:
    """The part of each row: equal times share one, and where there are as many times as parts with
    a share, each of these has one at least."""
    moment, of_row, counts = np.unique(times, return_inverse=True, return_counts=True)
    before = (counts.cumsum() - counts) / len(times)
    first = np.searchsorted(before, shares.cumsum()[:2] - 1e-12)  # of validation, of test
    last = len(moment) - int(shares[2] > 0)
    first[1] = min(first[1], last) if shares[2] else len(moment)
    first[0] = max(1, min(first[0], first[1] - int(shares[1] > 0)))
    first[1] = max(first[1], first[0] + int(shares[1] > 0))
    return np.searchsorted(first, np.arange(len(moment)), side="right").astype(np.int8)[of_row]


def evenly(rows: int, most: int) -> NDArray[np.int64]:
    """At most `most` of the indices of `rows` rows, evenly spaced."""
    return np.arange(0, rows, max(1, -(-rows // most)))


def _members(part: NDArray[np.int8], index: int) -> Rows:
    """Where `part` is `index`; piece by piece, for np.flatnonzero takes 8 bytes a row."""
    members = np.empty(np.count_nonzero(part == index), dtype=np.int32)
    end = 0
    for start in range(0, len(part), CHUNK):
        chosen = np.flatnonzero(part[start : start + CHUNK] == index) + start
        members[end : end + len(chosen)] = chosen
        end += len(chosen)
    return members


def _dealt(seed: int, rows: int, ends: Shares) -> Iterator[Parts]:
    """The parts of CHUNK rows at a time: each has its share in every stretch."""
    order, within = (np.random.default_rng([seed, stream]) for stream in (0, 1))
    shape = (CHUNK // STRATUM, STRATUM)
    for start in range(0, rows, CHUNK):
        rank = order.random(shape).argsort(axis=1)
        place = ((rank + within.random(shape)) / STRATUM).ravel()[: rows - start]
        yield np.searchsorted(ends, place, side="right").astype(np.int8)
