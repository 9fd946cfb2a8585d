"""Work beside work: on one block after the other, on all cores; or a few blocks ahead."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """function(item) of each item, in order; a few are worked on at a time, in threads.

    For work that NumPy, Polars or Paddle do with the interpreter's lock let go of.
    """
    workers = min(8, cores())
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def cores() -> int:
    """How many this process may use."""
    known = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(known(0)) if known else os.cpu_count() or 1


@contextmanager
def read_ahead(items: Iterator[Item], most: int) -> Iterator[Iterator[Item]]:
    """The items, read from now on by a thread of their own, at most so many ahead.

    An error comes in its turn. Reading ends with the block.
    """
    with ThreadPoolExecutor(1) as reader:
        ahead = deque(reader.submit(next, items, None) for _ in range(most))

        def in_turn() -> Iterator[Item]:
            while (item := ahead.popleft().result()) is not None:
                ahead.append(reader.submit(next, items, None))
                yield item

        try:
            yield in_turn()
        finally:
            reader.shutdown(cancel_futures=True)
