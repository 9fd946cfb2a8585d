"""Connections that neither hold a server up nor fill its memory: limits on the head of a request.

uvicorn itself has none: it waits for a head of any length, for any time.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.server import Life

HEAD_SECONDS = 20.0  # in which the head of a request must be there
BODY_SECONDS = 120.0  # and its body
HEAD_BYTES = 1 << 16  # of it
IDLE_SECONDS = 75  # that a connection is kept without a request
GRACE_SECONDS = 60  # in which requests end after a signal


class Connection(HttpToolsProtocol):
    """One connection: it ends where a request takes too long to come, or its head is too long."""

    _waiting: asyncio.TimerHandle | None = None
    _is_open = _has_head = False  # whether a request has begun to come, and its head is there
    _head = 0  # bytes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        had_head = self._has_head
        super().data_received(data)
        if not self._is_open:
            self._stop_waiting()
        elif self._has_head and not had_head:
            self._wait(BODY_SECONDS)
        elif not self._has_head:
            if had_head or self._waiting is None:
                self._wait(HEAD_SECONDS)
            self._head += len(data)
            if self._head > HEAD_BYTES:
                self._end()

    def on_message_begin(self) -> None:
        self._is_open, self._has_head, self._head = True, False, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._has_head = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_open = False
        super().on_message_complete()

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._waiting = self.loop.call_later(seconds, self._end)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _end(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


class Server(uvicorn.Server):
    """A worker's server. Signals end it after the requests that it is answering, with exit code 0:
    uvicorn would raise them again."""

    def __init__(self, config: uvicorn.Config, life: Life) -> None:
        super().__init__(config)
        self.life = life

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.life.lifeline is not None:
            loop = asyncio.get_running_loop()
            loop.add_reader(self.life.lifeline, self._orphaned)
        if self.life.came:
            self.should_exit = True
        else:
            self.life.ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._stop) for number in self.life.stops}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _: int, __: FrameType | None) -> None:
        self.should_exit = True

    def _orphaned(self) -> None:
        assert self.life.lifeline is not None
        asyncio.get_running_loop().remove_reader(self.life.lifeline)
        self.should_exit = True


def server_of(app: Any, life: Life) -> Server:
    """What serves an ASGI application on sockets that are given to its `run`."""
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        loop="auto",
        access_log=False,
        log_level="error",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=2_048,
    )
    return Server(config, life)
