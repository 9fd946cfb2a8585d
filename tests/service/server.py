"""A server as a process of its own, and requests to it that no client library would send."""

from __future__ import annotations

import json
import re
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from typing import Any, NamedTuple

from tests.conftest import PATIENCE, ROOT

STARTED = re.compile(r"http://([\d.]+):(\d+)")


class Served(NamedTuple):
    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        return self._ask("GET", path, None, headers)

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        """A body of bytes, or of JSON values; the answer read as JSON, where it is that."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, answer = self._ask("POST", path, data, headers)
        return status, json.loads(answer) if answer[:1] in (b"{", b"[") else answer

    def raw(self, data: bytes) -> bytes:
        """Whatever comes back for bytes, until the server has nothing more to say; it may end the
        connection before it has read them all."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            with suppress(ConnectionError):
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                while piece := connection.recv(65_536):
                    answer += piece
        return answer

    def _ask(
        self, verb: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(verb, path, body, named)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def start(*arguments: str) -> subprocess.Popen[str]:
    """serve.py on a free port, not yet ready."""
    return subprocess.Popen(
        [sys.executable, "serve.py", *arguments, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


@contextmanager
def serving(*arguments: str) -> Iterator[Served]:
    """serve.py on a free port, ready; it is stopped at the end, and must then end well."""
    process = start(*arguments)
    assert process.stdout
    assert process.stderr
    try:
        with select.epoll() as ready:
            ready.register(process.stdout, select.EPOLLIN | select.EPOLLHUP)
            assert ready.poll(PATIENCE), "the server does not start"
        found = STARTED.search(process.stdout.readline())
        assert found, process.stderr.read()
        yield Served(process, int(found[2]))
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors, errors


def ended(served: Served) -> int:
    """The exit code of a server that was told to end."""
    return served.process.wait(PATIENCE)
