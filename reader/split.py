"""Which row belongs to which part."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from errors import TableError

Rows = NDArray[np.int32]  # half the memory of int64, and enough for 2,147,483,647 rows
STRATUM = 20
CHUNK = 1_000 * STRATUM


class Split(NamedTuple):
    """Row indices of each part, ascending; together every row once."""

    train: Rows
    validation: Rows
    test: Rows


@dataclass(frozen=True)
class SplitOptions:
    """The method, the shares of the parts, which make 1, the seed, and the column that says more:
    see `split`."""

    method: str = "random"
    train: float = 0.8
    validation: float = 0.1
    test: float = 0.1
    seed: int = 0
    column: str | None = None


def split(
    rows: int,
    options: SplitOptions,
    texts: Iterable[pl.Series] = (),
    file_rows: tuple[int, ...] = (),
) -> Split:
    """Divide `rows` rows. `texts` are the cells of the options' column, in order.

    sequential: training rows first, then validation, then test; each boundary is rounded down.
    random: every stretch of STRATUM rows is dealt out in an order of its own, so that the parts
    keep their shares in any stretch of the table, and a row keeps its part when rows are appended.
    column: each cell names the part of its row, and the shares do not count.
    group: rows with equal cells share a part, by a hash of (seed, cell), so that a group keeps its
    part whatever other rows there are, and the shares hold on average.
    time: the earliest rows train and the latest test; equal times share a part.
    files: `file_rows` counts the rows of each part. A random split with a `column` (an id) goes by
    the hash of its cells, like group.
    Raises TableError where a part with a share gets no row, and for a cell that cannot be used.

    >>> parts = split(10, SplitOptions("sequential", train=0.6, validation=0.2, test=0.2))
    >>> [part.tolist() for part in parts]
    [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]
    """
    method, column = options.method, options.column
    ends = np.array([options.train, options.train + options.validation])
    pieces: Iterable[NDArray[Any]]
    if method == "sequential":
        bounds = [math.floor(rows * end + 1e-9) for end in ends]
        pieces = iter(np.full(n, i) for i, n in enumerate(np.diff([0, *bounds, rows])))
    elif method == "files":
        pieces = iter(np.full(n, i) for i, n in enumerate(file_rows))
    elif method == "column":
        pieces = _named(texts, str(column))
    else:
        by_id = method == "random" and column is not None
        places = {"random": _deal, "group": _hashed, "time": _ranked}["group" if by_id else method]
        ranks = places(options.seed, _filled(texts, str(column)))
        pieces = (np.searchsorted(ends, place, side="right") for place in ranks)
    part = np.empty(rows, dtype=np.int8)
    start = 0
    for piece in pieces:
        part[start : start + len(piece)] = piece[: rows - start]
        start += len(piece)
        if start >= rows:
            break
    named = method in ("column", "files")
    if not options.test and not named:  # what rounding left over
        part[part == 2] = 1 if options.validation else 0
    parts = Split(*(_members(part, index) for index in range(3)))
    shares = (1, 0, 0) if named else (options.train, options.validation, options.test)
    for name, share, members in zip(Split._fields, shares, parts, strict=True):
        if share and not len(members):
            raise TableError(
                f"{rows} rows are too few: the {name} part, {share:g} of them, gets none; "
                f"add rows, or change data.split"
            )
    return parts


def folds(
    parts: Split, count: int, options: SplitOptions, texts: Iterable[pl.Series] = ()
) -> Iterator[Split]:
    """Cross-validation over the training rows: `count` splits, the held-out fold in place of the
    test part, the validation part as it is.

    Rows are dealt out at random, or whole groups are, by the hash of `texts`, the cells of the
    table. For time, `texts` are ranked, and a fold's training rows are all earlier than its own.
    Raises TableError where a fold, or its training rows, would be empty.
    """
    method, seed = options.method, options.seed
    if method in ("group", "time"):
        place = {"group": _hashed, "time": _ranked}[method](seed + 1, texts)
        places = np.concatenate(list(place))[parts.train]
    else:
        places = np.random.default_rng([seed, 2]).permutation(len(parts.train)) / len(parts.train)
    if method == "time":
        places = pl.Series(places).rank("min").to_numpy() - 1
        edges = np.quantile(places, np.arange(1, count + 1) / (count + 1))
        number = np.searchsorted(edges, places, side="right") - 1
    else:
        number = np.floor(places * count).astype(np.int64)
    for fold in range(count):
        held = number == fold
        kept = number < fold if method == "time" else ~held
        if not held.any() or not kept.any():
            raise TableError(f"{len(parts.train)} training rows do not make {count} folds")
        yield Split(parts.train[kept], parts.validation, parts.train[held])


def _filled(texts: Iterable[pl.Series], column: str) -> Iterator[pl.Series]:
    """The same cells. Raises TableError at the first empty one."""
    seen = 0
    for cells in texts:
        if cells.null_count():
            row = seen + int(cells.is_null().arg_max() or 0) + 1
            raise TableError(f"row {row}, column {column} (data.split.column): found an empty cell")
        seen += len(cells)
        yield cells


def _named(texts: Iterable[pl.Series], column: str) -> Iterator[NDArray[np.int64]]:
    """The number of the part that each cell names."""
    numbers = {name: index for index, name in enumerate(Split._fields)}
    for cells in _filled(texts, column):
        for text in cells.unique():
            if text not in numbers:
                raise TableError(
                    f"column {column} (data.split.column): found {text!r}, "
                    f"expected {', '.join(numbers)}"
                )
        yield cells.replace_strict(numbers, return_dtype=pl.Int64).to_numpy()


def _hashed(seed: int, texts: Iterable[pl.Series]) -> Iterator[NDArray[np.float64]]:
    """A number in [0, 1] for each cell, by BLAKE2 of (seed, cell)."""
    for cells in texts:
        places = {
            text: int.from_bytes(blake2b(f"{seed}:{text}".encode(), digest_size=8).digest()) / 2**64
            for text in cells.unique()
        }
        yield cells.replace_strict(places, return_dtype=pl.Float64).to_numpy()


def _ranked(seed: int, texts: Iterable[pl.Series]) -> Iterator[NDArray[np.float64]]:
    """For each cell the share of cells before it in time: numbers, or ISO 8601 dates."""
    cells = pl.concat(list(texts))
    times = cells.cast(pl.Float64, strict=False)
    if times.null_count():
        if not (dates := cells.str.contains(r"^\d{4}-\d{2}")).all():
            wrong = cells.filter(~dates)[0]
            raise TableError(
                f"data.split.column: found {wrong!r}, expected a number or a date like 2024-12-31"
            )
        times = cells
    yield (times.rank("min").to_numpy() - 1) / len(cells)


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


def _deal(seed: int, _: Iterable[pl.Series]) -> Iterator[NDArray[np.float64]]:
    """CHUNK numbers in [0, 1) at a time, one in each STRATUM-th of the range in every stretch."""
    order, within = (np.random.default_rng([seed, stream]) for stream in (0, 1))
    shape = (CHUNK // STRATUM, STRATUM)
    while True:
        rank = order.random(shape).argsort(axis=1)
        yield ((rank + within.random(shape)) / STRATUM).ravel()
