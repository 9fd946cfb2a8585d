"""Joining the other processes of a job, and leaving them: what ends one ends all."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from errors import RunError, UserError, lines_of
from ranks.alone import ALONE, Ranks
from ranks.lifeline import Lifeline
from ranks.place import COUNT, cores_of, is_of_several, place
from ranks.restart import restarts
from run.signals import Signals, Stopped

AT_FIRST, AGAIN = 600.0, 60.0  # seconds to wait for the others


@contextmanager
def joined(signals: Signals) -> Iterator[Ranks]:
    """The processes of this one's job, as the environment describes it.

    An error of process 0 is its own to tell; one of another process reaches process 0, which tells
    it. Raises RunError where the others do not come.
    """
    if (here := place()) is None:
        yield ALONE
        return
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores_of(here, sorted(os.sched_getaffinity(0))))
    lifeline = Lifeline(here, AGAIN if restarts() else AT_FIRST)
    try:
        with signals.held():  # an exception in the midst of Paddle's import would become another
            import paddle

            from ranks.group import Group
        paddle.disable_signal_handler()
        signals.install()
        yield Group(here, lifeline)
    except BaseException as error:
        code, lines = _ending(error, here.rank)
        lifeline.fail(code, lines)
        if here.rank == 0:
            raise
        leave(code)
    if here.rank == 0:
        lifeline.close()
    else:
        lifeline.wait()


def refuse_several(why: str) -> None:
    """Raises RunError where this is one of several processes."""
    if is_of_several():
        raise RunError(f"{why}; run it without a launcher, or unset {COUNT}")


def leave(code: int) -> NoReturn:
    """End this process. One that has left others ends at once: Paddle's connections to processes
    that are gone may fail while the interpreter clears up."""
    if not is_of_several():
        sys.exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _ending(error: BaseException, rank: int) -> tuple[int, list[str]]:
    """The exit code that an error leads to, and what is to be told of it."""
    if isinstance(error, UserError | OSError):
        return 2, lines_of(error)
    if isinstance(error, Stopped):
        return 128 + error.number, []
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1, []
    if rank:
        traceback.print_exception(error, file=sys.stderr)
    return 1, [f"process {rank} failed: {error!r}; its log has the traceback"]
