"""SIGINT, SIGTERM and SIGHUP: at once where nothing can be lost, else between two blocks."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

SAME = 2.0  # seconds


class Stopped(BaseException):  # which no `except Exception` of a package swallows
    """The run was told to stop, by the signal of this number; `saved`: where it can go on."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number, self.saved = number, ""


@contextmanager
def handlers_kept() -> Iterator[None]:
    """At the end, each signal is handled as at the beginning, whatever a package has installed; in
    another thread than the first, where no handler can be set, nothing is done."""
    is_first = threading.current_thread() is threading.main_thread()
    handlers = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if is_first and handler is not None:  # None: not of Python's making
                signal.signal(number, handler)


class Signals:
    """While it is entered, a signal raises Stopped; within `held` the first one only waits in
    `received`, and a second one raises. Those of the next two seconds count as the same: a closing
    terminal sends several, and none may disturb what is then put in order."""

    def __init__(self) -> None:
        self.received = 0
        self._held, self._raised = False, -SAME
        self._before: dict[int, Any] = {}

    def _handle(self, number: int, _: FrameType | None) -> None:
        if time.monotonic() - self._raised < SAME:
            return
        if not self._held or self.received:
            self._raised = time.monotonic()
            raise Stopped(number)
        self.received = number

    @contextmanager
    def held(self) -> Iterator[None]:
        """Raises at its end, where a signal came and nobody looked at `received`."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self.received:
            self._raised = time.monotonic()
            raise Stopped(self.received)

    def install(self) -> None:
        """Handle signals here; once more after a package has put handlers of its own in place."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                before = self._before.setdefault(number, signal.getsignal(number))
                if number != signal.SIGHUP or before != signal.SIG_IGN:  # as nohup asks for
                    signal.signal(number, self._handle)

    def __enter__(self) -> Signals:
        self.install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
