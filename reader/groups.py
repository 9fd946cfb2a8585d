"""Whole groups of rows, dealt out to parts or folds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from reader.kinds import as_levels

Parts = NDArray[np.int8]
TOLERANCE = 0.25  # of a part's share, within which a hash may miss it
FEW = 4_096  # groups; more of them hardly miss their shares by chance


def deal_groups(
    texts: Iterable[pl.Series],
    seed: int,
    shares: NDArray[np.float64],
    by_place: Parts | None = None,
    gathered: Callable[[Any], list[Any]] = lambda own: [own],
) -> Parts:
    """The part [rows], from 0 on, of each cell of `texts`: equal cells share one, 1 and 1.0 too.

    A group's part follows from the hash (BLAKE2) of (seed, cell) alone, so that it keeps it
    whatever other rows there are. Where a part of few groups misses its share by more than
    TOLERANCE, some are moved, one by one, as long as that brings the parts nearer to their shares;
    each part with a share then has a group, where there are as many.

    `by_place`: the parts of rows whose cell is empty. Others are then moved only where a part
    would have no row. `gathered`: what all hosts tell of their rows, where `texts` are of this one.
    """
    dealt = gathered(_dealt(texts, seed, shares))
    part = np.concatenate([own for own, _, _ in dealt])
    if (empty := part < 0).any():
        part[empty] = 0 if by_place is None else by_place[empty]
    groups = dict.fromkeys(text for _, own, _ in dealt for text in own)
    counts, wanted = np.bincount(part, minlength=len(shares)), shares * len(part)
    missed = np.abs(counts - wanted) > TOLERANCE * wanted
    if len(groups) > FEW or not missed.any() or (by_place is not None and counts[shares > 0].all()):
        return part
    of_group = {text: number for number, text in enumerate(groups)}
    tables = [np.array([*(of_group[text] for text in own), -1]) for _, own, _ in dealt]
    number = np.concatenate([table[n] for table, (_, _, n) in zip(tables, dealt, strict=True)])
    order = np.argsort([_place(seed, text) for text in groups])
    return _Evening(part, number, order, shares, bool(by_place is None)).parts()


def _dealt(
    texts: Iterable[pl.Series], seed: int, shares: NDArray[np.float64]
) -> tuple[Parts, list[str], NDArray[np.int32]]:
    """The part of each row by its hash, -1 where the cell is empty; the groups, in the order in
    which they come, and the number of each row's among them, -1 for none: of more than FEW groups
    one more than these, and no numbers."""
    ends, groups = shares.cumsum()[:-1], dict[str, int]()
    pieces, numbers = [np.zeros(0, dtype=np.int8)], [np.zeros(0, dtype=np.int32)]
    for cells in map(as_levels, texts):
        places = {text: _place(seed, text) for text in cells.unique().drop_nulls()}
        place = _replaced(cells, places, pl.Float64())
        pieces.append(np.searchsorted(ends, place, side="right").astype(np.int8))
        pieces[-1][cells.is_null().to_numpy()] = -1
        if len(groups) <= FEW:
            for text in places:
                groups.setdefault(text, len(groups))
            numbers.append(_replaced(cells, groups, pl.Int32()))
    if len(groups) > FEW:
        return np.concatenate(pieces), list(groups)[: FEW + 1], numbers[0]
    return np.concatenate(pieces), list(groups), np.concatenate(numbers)


def _place(seed: int, text: str) -> float:
    """A number in [0, 1)."""
    return int.from_bytes(blake2b(f"{seed}:{text}".encode(), digest_size=8).digest()) / 2**64


def _replaced(cells: pl.Series, values: Mapping[str, float], dtype: pl.DataType) -> NDArray[Any]:
    """The value of each cell; -1 where it is empty."""
    if not values:
        return np.full(len(cells), -1, dtype=np.int32)
    return cells.replace_strict(values, default=-1, return_dtype=dtype).to_numpy()


class _Evening:
    """Moves as few groups as it takes. `number` [rows]: of each row's group, -1 for none; `order`:
    of the groups, by their hash."""

    def __init__(
        self,
        part: Parts,
        number: NDArray[np.int32],
        order: NDArray[np.intp],
        shares: NDArray[np.float64],
        to_shares: bool,
    ) -> None:
        self.part, self.number, self.to_shares = part, number, to_shares
        self.shares, self.wanted = shares, shares * len(part)
        self.size = np.bincount(number[number >= 0], minlength=len(order))[order]
        self.order, self.of_group = order, np.empty(len(order), dtype=np.int8)
        self.of_group[number[number >= 0]] = part[number >= 0]
        self.of_group = self.of_group[order]
        self.counts = np.bincount(part, minlength=len(shares)).astype(np.float64)

    def parts(self) -> Parts:
        """The part of each row."""
        while self.to_shares and self._move_nearer():
            pass
        while self._fill_an_empty_part():
            pass
        of_group = np.empty_like(self.of_group)
        of_group[self.order] = self.of_group
        return np.where(self.number < 0, self.part, of_group[self.number])

    def _move(self, group: int, to: int) -> None:
        self.counts[self.of_group[group]] -= self.size[group]
        self.counts[to] += self.size[group]
        self.of_group[group] = to

    def _move_nearer(self) -> bool:
        """Move the one group that brings the parts nearest to their shares, from the part that has
        most of its share to the one that has least; whether there was one to move."""
        excess = self.counts - self.wanted
        relative = excess / np.maximum(self.wanted, 1e-9)
        source, to = int(relative.argmax()), int(relative.argmin())
        before = abs(excess[source]) + abs(excess[to])
        after = np.abs(excess[source] - self.size) + np.abs(excess[to] + self.size)
        gain = np.where(self.of_group == source, before - after, -np.inf)
        if gain[best := int(gain.argmax())] <= 0:
            return False
        self._move(best, to)
        return True

    def _fill_an_empty_part(self) -> bool:
        """Move the smallest group of the fullest part that has several; whether one was needed."""
        several = np.bincount(self.of_group, minlength=len(self.shares)) > 1
        empty = (self.shares > 0) & (self.counts == 0)
        if not empty.any() or not several.any():
            return False
        source = int(np.where(several, self.counts - self.wanted, -np.inf).argmax())
        own = np.flatnonzero(self.of_group == source)
        self._move(int(own[self.size[own].argmin()]), int(empty.argmax()))
        return True
