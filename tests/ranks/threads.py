"""The processes of a job as threads of this one, which meet in memory.

One runs at a time, from one meeting to the next: random seeds and Paddle's optimizers belong to the
whole process.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import paddle

from ranks.alone import Ranks
from ranks.codec import decode, encode

Value = TypeVar("Value")
LONGEST = 60.0  # seconds that one waits for the others


class Threads(Ranks):
    """Process `rank` of so many; `local_ranks` says which number each has on its host."""

    def __init__(self, rank: int, local_ranks: Sequence[int], meeting: _Meeting) -> None:
        self.rank, self.count, self.local_rank = rank, len(local_ranks), local_ranks[rank]
        self.meeting = meeting

    def agree(self, number: int = 0) -> int:
        return max(self.heard(number))

    def merged(self, value: Value, merge: Callable[[Value, Value], Value]) -> Value:
        values = self.heard(value)
        while len(values) > 1:
            pairs = [values[at : at + 2] for at in range(0, len(values), 2)]
            values = [merge(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        return values[0]

    def shared(self, value: Value) -> Value:
        return self.heard(value)[0]

    def sum_gradients(
        self, parameters: Sequence[paddle.Tensor], loss: paddle.Tensor, weight: float
    ) -> paddle.Tensor:
        gradients = [g for p in parameters if (g := p.grad) is not None]
        own = [weight * np.asarray(g.numpy()) for g in [*gradients, loss.detach()]]
        *sums, total = (np.sum(each, axis=0) for each in zip(*self.heard(own), strict=True))
        for gradient, value in zip(gradients, sums, strict=True):
            paddle.assign(paddle.to_tensor(value), gradient)
        return paddle.to_tensor(total)

    def heard(self, value: Value) -> list[Value]:
        """What all say, as it comes through the codec."""
        if self.is_alone:
            return [value]
        said = self.meeting.said(self.rank, encode(value))
        return [decode(data, value) for data in said]


def unlock() -> None:
    """Before Python 3.12 a cached property has one lock for all objects: a thread that meets others
    within would keep them out."""
    for module in list(sys.modules.values()):
        for kind in list(vars(module).values()):
            for each in list(vars(kind).values()) if isinstance(kind, type) else []:
                if isinstance(each, cached_property) and hasattr(each, "lock"):
                    each.lock = nullcontext()


class _Meeting:
    def __init__(self, count: int) -> None:
        self.barrier = threading.Barrier(count, timeout=LONGEST)
        self.turn = threading.Lock()
        self.board = [b""] * count

    def said(self, rank: int, data: bytes) -> list[bytes]:
        """By who has the turn."""
        self.board[rank] = data
        self.turn.release()
        try:
            self.barrier.wait()
            every = list(self.board)
            self.barrier.wait()
        finally:
            self.turn.acquire()
        return every


def together(
    function: Callable[[Ranks], Value], local_ranks: Sequence[int] = (0, 0)
) -> list[Value]:
    """What `function` gives in each process of a job; an error of one ends all, and is raised."""
    meeting = _Meeting(len(local_ranks))
    unlock()

    def run(rank: int) -> Value:
        paddle.disable_static()
        with meeting.turn:
            try:
                return function(Threads(rank, local_ranks, meeting))
            except BaseException:
                meeting.barrier.abort()
                raise

    with ThreadPoolExecutor(len(local_ranks)) as pool:
        running = [pool.submit(run, rank) for rank in range(len(local_ranks))]
    errors: list[Any] = [each.exception() for each in running]
    for error in errors:
        if error and not isinstance(error, threading.BrokenBarrierError):
            raise error
    return [each.result() for each in running]
