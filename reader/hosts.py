"""The hosts of a job, each with a table of its own: which there are, and what all of them tell."""

from __future__ import annotations

from copy import copy
from itertools import pairwise
from typing import TypeVar

from errors import RunError
from ranks.alone import Ranks
from reader.merge import join

Value = TypeVar("Value")


class Hosts:
    """A host is a run of neighbouring processes that begins with one whose `local_rank` is 0. This
    process is number `place` of the `size` of host `number`. `everyone`: the processes of the job,
    also when process 0 has parted with them.

    Raises RunError where local ranks do not count up from 0.
    """

    def __init__(self, ranks: Ranks) -> None:
        self.everyone = copy(ranks)
        local = ranks.merged([ranks.local_rank], join)
        for rank, (before, own) in enumerate(pairwise([-1, *local])):
            if own not in (0, before + 1):
                raise RunError(
                    f"process {rank} is number {own} of its host (PADDLE_LOCAL_RANK), behind "
                    f"number {before}; data.shards=per_host expects each host's processes side by "
                    "side, numbered from 0 on"
                )
        first = [rank for rank, own in enumerate(local) if not own] + [len(local)]
        self.place = ranks.local_rank
        self.number = sum(start <= ranks.rank for start in first) - 1
        self.size = first[self.number + 1] - first[self.number]

    def gathered(self, value: Value) -> list[Value]:
        """What each host tells, in order: a meeting. Named tuples come as plain ones."""
        return self.everyone.merged([] if self.place else [value], join)
