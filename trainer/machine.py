"""How this process uses memory and cores."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from threadpoolctl import threadpool_limits

from reader.parallel import cores
from run.signals import handlers_kept

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8  # mallopt(3)


@contextmanager
def all_cores() -> Iterator[None]:
    """For a while, let a matrix product of NumPy take all cores, where nothing else does; or as
    many as OMP_NUM_THREADS allows."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    most = int(allowed) if allowed.isdecimal() and int(allowed) else cores()
    with threadpool_limits(most, user_api="blas"):
        yield


@contextmanager
def as_a_guest() -> Iterator[None]:
    """Train in a process that is not this run's own: matrix products of NumPy take one core, as
    blocks are shared out among the cores; threads and handlers of signals are then as before,
    where Paddle, when it is imported, puts handlers of its own in their place."""
    with _ONE_CORE, handlers_kept():
        yield


class _OneCore:
    """While one thread or more are inside, matrix products take one core; the last to leave puts
    back what the first one found."""

    def __init__(self) -> None:
        self._lock, self._inside = Lock(), 0
        self._limits: threadpool_limits | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._limits = threadpool_limits(1, user_api="blas")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._limits:
                self._limits.restore_original_limits()


_ONE_CORE = _OneCore()


def share_machine() -> None:
    """Once, at the start of training, in a process that is its own.

    Let glibc keep up to 256 MB that was freed, for any thread to use again: what is made and let go
    of for each block would go back to the kernel and be faulted in anew, page by page, which takes
    as long as the arithmetic. And let a matrix product of NumPy take one core: blocks are
    shared out among the cores, and the others train.
    """
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(TRIM_THRESHOLD, 256 << 20)
        mallopt(MMAP_THRESHOLD, 32 << 20)
        mallopt(ARENA_MAX, 1)
    threadpool_limits(1, user_api="blas")
