"""A process of a job that is started again when one of them died, to go on from the last
checkpoint: paddle.distributed.launch and most schedulers end the job instead."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from display import say
from ranks.lifeline import DIED
from ranks.place import RANK, is_of_several

RESTARTS, MOST = "REGRESSOR_RESTARTS", 10
PARENT_DIED = 1  # PR_SET_PDEATHSIG, prctl(2)


def restarts(default: int = 0) -> int:
    """How often this process has been started again."""
    text = os.environ.get(RESTARTS, "")
    return int(text) if text.isdecimal() else default


def is_to_be_kept() -> bool:
    """Whether it is one of several, and nothing watches over it yet."""
    return is_of_several() and restarts(-1) < 0


def keep() -> None:
    """Where that is so, run this command in a child, and end with its exit code."""
    if is_to_be_kept():
        sys.exit(keep_running([sys.executable, "-u", *sys.argv]))


def keep_running(command: Sequence[str]) -> int:
    """Run the command until it ends by itself; its exit code. After it, or another process of the
    job, was killed it is run again, at most MOST times. Signals are passed on, and end it."""
    kept = _Kept(command)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as nohup asks for
            signal.signal(number, kept.pass_on)
    for attempt in range(MOST + 1):
        code = kept.run(attempt)
        if kept.is_told or not (code == DIED or code < 0):
            break
        if attempt < MOST and os.environ.get(RANK) == "0":
            again = f"going on from the last checkpoint (restart {attempt + 1} of {MOST})"
            say(f"note: {again}", to=sys.stderr)
    return 128 - code if code < 0 else code


class _Kept:
    """A command, and whether a signal was passed on to it."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command, self.is_told = command, False
        self._child: subprocess.Popen[bytes] | None = None

    def run(self, attempt: int) -> int:
        environment = {**os.environ, RESTARTS: str(attempt)}
        child = subprocess.Popen(  # noqa: S603
            self.command, env=environment, preexec_fn=_die_with_parent
        )
        self._child = child
        if self.is_told:  # between two runs
            child.terminate()
        return child.wait()

    def pass_on(self, number: int, _: FrameType | None) -> None:
        self.is_told = True
        if self._child:
            self._child.send_signal(number)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PARENT_DIED, signal.SIGKILL)
