"""A table of which each host of a job holds rows of its own: first host 0's, then host 1's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ranks.alone import Ranks
from reader.hosts import Hosts, Value
from reader.kinds import MOST_LEVELS, too_many_levels
from reader.merge import join
from reader.pack import Matrix, PackedTable

Rows = NDArray[np.integer[Any]]
Places = NDArray[np.intp]
Answer = Callable[[Rows], object]
NOTHING: tuple[str, Rows] = ("", np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, kw_only=True)
class ShardedTable(PackedTable):
    """`matrix` and `file_rows` are this host's, all else is of the whole table; rows are counted
    over all hosts, of which each has so many, `counts`. `codes` gives, by position of a categorical
    column, the number in `texts` for each that the matrix has, where they differ.

    When process 0 has parted with the others, these answer what it asks: see `serve`.
    """

    hosts: Hosts
    counts: tuple[int, ...]
    codes: dict[int, Matrix]

    def __len__(self) -> int:
        return sum(self.counts)

    @property
    def first(self) -> int:
        return sum(self.counts[: self.hosts.number])

    @property
    def end(self) -> int:
        """Behind the last of this host's rows."""
        return self.first + len(self.matrix)

    @property
    def span(self) -> slice:
        mine = self._among_neighbours(len(self.matrix))
        return slice(self.first + mine.start, self.first + mine.stop)

    def raw(self, rows: Rows) -> Matrix:
        assert not len(rows) or (self.first <= rows.min() and rows.max() < self.end)
        block = super().raw(rows - self.first)
        for position, codes in self.codes.items():
            block[:, position] = codes[block[:, position].astype(np.intp)]
        return block

    def sample(self, rows: Rows) -> Matrix:
        block = np.empty((len(rows), len(self.columns)), dtype=np.float32)
        for places, found in self._asked("rows", rows, self.raw):
            block[places] = found
        return self.recoded(block)

    def told(self, what: str, rows: Rows, here: Callable[[Rows], list[Value]]) -> list[Value]:
        found: dict[int, Value] = {}
        for places, values in self._asked(what, rows, here):
            found.update(zip(places.tolist(), values, strict=True))
        return [found[place] for place in range(len(rows))]

    def _asked(
        self, what: str, rows: Rows, here: Callable[[Rows], Value]
    ) -> list[tuple[Places, Value]]:
        """By process the places of its rows among these, and what it tells of them: a meeting."""
        everyone = self.hosts.everyone
        if self.ranks.is_alone:
            everyone.shared((what, rows))
        mine = self.own(rows)
        return everyone.merged([(mine, here(rows[mine]))], join)

    def ranks_for(self, rows: int, width: int = 0) -> Ranks:
        assert not self.ranks.is_alone, "process 0 alone does not have all rows"
        return self.ranks

    def share_of(self, rows: Rows, ranks: Ranks) -> slice:
        start, stop = np.searchsorted(rows, [self.first, self.end]).tolist()
        mine = self._among_neighbours(stop - start)
        return slice(start + mine.start, start + mine.stop)

    def held(self, rows: Rows) -> Places:
        return np.flatnonzero((rows >= self.first) & (rows < self.end))

    def own(self, rows: Rows) -> Places:
        places = self.held(rows)
        return places[self._among_neighbours(len(places))]

    def _among_neighbours(self, rows: int) -> slice:
        """The share that this process has of so many rows of its host."""
        place, size = self.hosts.place, self.hosts.size
        return slice(rows * place // size, rows * (place + 1) // size)

    def gathered(self, value: Value) -> list[Value]:
        return self.hosts.gathered(value)

    @contextmanager
    def alone(self) -> Iterator[None]:
        with super().alone():
            yield
        self.hosts.everyone.shared(NOTHING)

    def serve(self, answers: Mapping[str, Answer]) -> None:
        known = {"rows": self.sample, **answers}
        while (question := self.hosts.everyone.shared(NOTHING))[0]:
            what, rows = question
            known[what](rows)


def sharded(packed: PackedTable, hosts: Hosts, ranks: Ranks) -> ShardedTable:
    """The table of all hosts, of which this one has packed its own: a meeting. Levels are numbered
    as they first come. Raises TableError for more than MOST_LEVELS of a column."""
    own = {
        "rows": len(packed),
        "sha256": packed.sha256,
        "without_target": packed.without_target,
        "texts": packed.texts,
    }
    every: list[dict[str, Any]] = hosts.gathered(own)
    texts, codes = dict[str, list[str | None]](), dict[int, Matrix]()
    for name, known in packed.texts.items():
        union = dict.fromkeys(text for each in every for text in each["texts"][name])
        if len(union) > MOST_LEVELS:
            raise too_many_levels(name)
        number = dict(zip(union, range(1, len(union) + 1), strict=True))
        texts[name] = list(union)
        if known != texts[name][: len(known)]:
            codes[packed.position[name]] = np.array([0, *map(number.get, known)], dtype=np.float32)
    digests = "".join(each["sha256"] for each in every)
    return ShardedTable(
        schema=packed.schema,
        matrix=packed.matrix,
        file_rows=packed.file_rows,
        ranks=ranks,
        sha256=hashlib.sha256(digests.encode()).hexdigest(),
        without_target=sum(each["without_target"] for each in every),
        texts=texts,
        hosts=hosts,
        counts=tuple(each["rows"] for each in every),
        codes=codes,
    )
