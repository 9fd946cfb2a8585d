"""SIGINT and SIGTERM: at once where nothing can be lost, between two blocks where it can."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any


class Stopped(Exception):  # noqa: N818, an order and no error
    """The run was told to stop, by the signal of this number; `saved`: where it can go on; `kept`:
    where the run is that it was to replace."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number, self.saved, self.kept = number, "", ""


class Signals:
    """While it is entered, a signal raises Stopped; within `held` the first one only waits in
    `received`, and a second one raises."""

    def __init__(self) -> None:
        self.received = 0
        self._held = False
        self._before: dict[int, Any] = {}

    def _handle(self, number: int, _: FrameType | None) -> None:
        if not self._held or self.received:
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
            raise Stopped(self.received)

    def install(self) -> None:
        """Handle signals here; once more after a package has put handlers of its own in place."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.signal(number, self._handle)
                self._before.setdefault(number, before)

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
