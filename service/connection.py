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
HEAD_BYTES = 1 << 16  # of it
IDLE_SECONDS = 75  # that a connection is kept without a request
GRACE_SECONDS = 60  # in which requests end after a signal


class Connection(HttpToolsProtocol):
    """One connection: it ends where the head of a request is too long, or takes too long."""

    _head: asyncio.TimerHandle | None = None
    _taken = 0  # bytes of the head
    _is_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._done_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_head and self._head is None:
            self._await_head()
        before = self._is_head
        super().data_received(data)
        if before and self._is_head:
            self._taken += len(data)
            if self._taken > HEAD_BYTES and not self.transport.is_closing():
                self.transport.close()

    def on_headers_complete(self) -> None:
        self._is_head, self._taken = False, 0
        self._done_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_head = True
        super().on_message_complete()

    def _await_head(self) -> None:
        self._head = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _done_waiting(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _give_up(self) -> None:
        self._head = None
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
        self.life.ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:  # type: ignore[override]
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
