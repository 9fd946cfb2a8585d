"""A line from every process to process 0, over which each learns at once how the others fare.

Paddle's collectives know nothing of a process that is gone, or of one that takes its time: they
wait for 30 seconds and raise. So processes meet here before a collective for which one may have to
wait; what ends one of them ends all, with its message; and the kernel watches the connections, so
that a host without power or a cut link is noticed, too.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from display import say, short
from errors import RunError
from ranks.place import Place

DIED, UNREACHABLE = 75, 76
"""Exit codes: a process died, and the job may go on from its last checkpoint; a host cannot be
reached any more."""
QUIET, EVERY, PROBES = 5, 3, 4  # seconds without a word, between probes; probes without an answer
SILENCE = 1_000 * (QUIET + EVERY * PROBES)  # milliseconds that sent bytes may wait for an answer
GRACE = 1.0  # seconds in which a process ends by itself, once another one has
LINGER = 30.0  # seconds
HELLO = 10.0
LONGEST = 1 << 20  # bytes of a message
LONGEST_LINE, MOST_LINES = 2_000, 100  # of one that tells of an error


class Lost(Exception):  # noqa: N818
    """Another process ended; this one will, too."""


class Lifeline:
    """Raises RunError where the other processes do not come within so many seconds."""

    def __init__(self, place: Place, seconds: float) -> None:
        self.place = place
        self._changed = threading.Condition()
        self._numbers: dict[int, dict[int, int]] = {}
        self._agreed: dict[int, int] = {}
        self._meetings, self._code = 0, 0
        self.is_over = self._is_closed = False
        self._buffers: dict[socket.socket, bytes] = {}
        self._lines = self._listen(seconds) if place.rank == 0 else self._call(seconds)
        threading.Thread(target=self._hear, name="lifeline", daemon=True).start()

    def agree(self, number: int = 0) -> int:
        """Wait for all; the largest of their numbers. Raises Lost."""
        with self._changed:
            self._meetings = at = self._meetings + 1
            if self.place.rank == 0:
                self._note(at, 0, number)
            else:
                self._send({"meeting": at, "number": number})
            self._changed.wait_for(lambda: at in self._agreed or self.is_over)
            if at not in self._agreed:
                raise Lost
            return self._agreed.pop(at)

    def fail(self, code: int, lines: Sequence[str]) -> None:
        """Say that this process ends, with this exit code and message, and so all shall; process 0
        has told its message itself. Returns when they know."""
        if self.place.rank == 0:
            return self.close(code)
        told = [short(line, LONGEST_LINE) for line in lines[:MOST_LINES]]
        self._send({"failed": code, "lines": told})
        self.wait(LINGER)
        return None

    def close(self, code: int = 0) -> None:
        """By process 0: the job is done, or ends with this code."""
        with self._changed:
            self.is_over = self._is_closed = True
            self._send({"end": code})

    def wait(self, seconds: float | None = None) -> int:
        """Until process 0 has ended the job, or so many seconds; its exit code."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_over, seconds)
            return self._code

    def _listen(self, seconds: float) -> dict[int, socket.socket]:
        """Process 0 waits until all others are here."""
        place, lines = self.place, dict[int, socket.socket]()
        deadline = time.monotonic() + seconds
        with _listening(place) as server:
            while len(lines) < place.count - 1:
                server.settimeout(max(0.01, deadline - time.monotonic()))
                try:
                    line, _ = server.accept()
                except TimeoutError:
                    missing = sorted(set(range(1, place.count)) - set(lines))
                    raise RunError(self._missing(missing, seconds)) from None
                if (rank := self._greeted(line, lines)) is None:
                    line.close()
                else:
                    lines[rank] = line
        for line in lines.values():
            _write(line, {"all": place.count})
            _watched(line)
        return lines

    def _missing(self, ranks: Sequence[int], seconds: float) -> str:
        named = ", ".join(map(str, ranks[:10])) + (", ..." if len(ranks) > 10 else "")
        return (
            f"waited {seconds:.0f} seconds for {self.place.count} processes at {self.place.host}:"
            f"{self.place.port}; not here: {named}. Start them all with the same PADDLE_MASTER and "
            "PADDLE_TRAINERS_NUM, each with its PADDLE_TRAINER_ID; or go on with fewer: --resume"
        )

    def _greeted(self, line: socket.socket, known: dict[int, socket.socket]) -> int | None:
        """The rank of who calls; None for a stranger."""
        try:
            line.settimeout(HELLO)
            hello = _read(line)
        except (OSError, ValueError):
            return None
        rank, count = hello.get("rank"), hello.get("count")
        if count != self.place.count or not isinstance(rank, int) or rank in known:
            return None
        return rank if 0 < rank < self.place.count else None

    def _call(self, seconds: float) -> dict[int, socket.socket]:
        """The others call process 0 until it answers that all are here."""
        place, deadline = self.place, time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = socket.create_connection((place.host, place.port), min(left, HELLO))
                _watched(line)
                line.settimeout(max(0.01, deadline - time.monotonic()))
                _write(line, {"rank": place.rank, "count": place.count})
                if _read(line).get("all") == place.count:
                    return {0: line}
            except (OSError, ValueError):
                time.sleep(0.2)
        raise RunError(
            f"process {place.rank} of {place.count} waited {seconds:.0f} seconds for process 0 at "
            f"{place.host}:{place.port}, and for the others; is PADDLE_MASTER right, and did all "
            "start? To go on with fewer: --resume"
        )

    def _hear(self) -> None:
        """In a thread: what the others say, and that they are there."""
        with selectors.DefaultSelector() as selector:
            for rank, line in self._lines.items():
                line.settimeout(None)
                selector.register(line, selectors.EVENT_READ, rank)
            while selector.get_map():
                for key, _ in selector.select():
                    if not self._heard(key.fileobj, key.data):  # type: ignore[arg-type]
                        selector.unregister(key.fileobj)

    def _heard(self, line: socket.socket, rank: int) -> bool:
        """Whether there may be more to come from there."""
        try:
            data = line.recv(LONGEST)
        except ConnectionError:
            data = b""
        except OSError:  # the kernel has probed the connection, and nobody answered
            self._lost(rank, UNREACHABLE)
            return False
        if not data:
            self._lost(rank, DIED)
            return False
        *whole, rest = (self._buffers.get(line, b"") + data).split(b"\n")
        self._buffers[line] = rest
        for text in whole:
            self._told(rank, json.loads(text))
        return len(rest) <= LONGEST

    def _told(self, rank: int, message: dict[str, Any]) -> None:
        with self._changed:
            if "meeting" in message and self.place.rank == 0:
                self._note(message["meeting"], rank, message["number"])
            elif "meeting" in message:
                self._agreed[message["meeting"]] = message["number"]
                self._changed.notify_all()
            elif "failed" in message:
                self._end(message["failed"], [str(line) for line in message["lines"]])
            elif "end" in message:
                self._end(message["end"], [])

    def _note(self, meeting: int, rank: int, number: int) -> None:
        """By process 0, who holds the lock."""
        numbers = self._numbers.setdefault(meeting, {})
        numbers[rank] = number
        if len(numbers) == self.place.count:
            del self._numbers[meeting]
            self._agreed[meeting] = largest = max(numbers.values())
            self._send({"meeting": meeting, "number": largest})
            self._changed.notify_all()

    def _lost(self, rank: int, code: int) -> None:
        how = "ended without a word" if code == DIED else "does not answer: its host, or the link"
        who = f"process {rank} of {self.place.count}"
        with self._changed:
            self._end(code, [f"{who} {how}; what was saved stays, and --resume goes on from it"])

    def _end(self, code: int, lines: list[str]) -> None:
        """The job ends with this code: at once or, to let this process put things in order by
        itself, a little later. The holder of the lock calls it."""
        if self.is_over:
            return
        self.is_over, self._code = True, code
        self._changed.notify_all()
        if code:
            threading.Timer(GRACE, self._leave, (code, lines)).start()

    def _leave(self, code: int, lines: list[str]) -> None:
        if not self._is_closed:  # else process 0 has told of an error itself
            if lines:
                first, *others = lines
                say(f"error: {first}", *others, to=sys.stderr)
            if self.place.rank == 0:
                self._send({"end": code})
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    def _send(self, message: dict[str, Any]) -> None:
        for line in self._lines.values():
            try:
                _write(line, message)
            except OSError:  # the thread that hears will notice
                continue


def _listening(place: Place) -> socket.socket:
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((place.host, place.port))
    except OSError as error:
        server.close()
        raise RunError(f"{place.host}:{place.port} (PADDLE_MASTER): {error.strerror}") from None
    server.listen(place.count)
    return server


def _watched(line: socket.socket) -> None:
    """Have the kernel notice when nobody is at the other end any more."""
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, QUIET)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, EVERY)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE)


def _write(line: socket.socket, message: dict[str, Any]) -> None:
    line.sendall(json.dumps(message).encode() + b"\n")


def _read(line: socket.socket) -> dict[str, Any]:
    """One message. Raises ValueError for what is none."""
    data = b""
    while not data.endswith(b"\n"):
        more = line.recv(1)
        if not more or len(data) > LONGEST:
            raise ValueError("no message")
        data += more
    message = json.loads(data)
    if not isinstance(message, dict):
        raise ValueError("no message")
    return message
