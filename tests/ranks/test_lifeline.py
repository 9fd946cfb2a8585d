"""Meetings over the line that every process has to the first one."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from errors import RunError
from ranks.lifeline import DIED, Lifeline, Lost
from ranks.place import Place
from tests.ranks.jobs import free_port

SECONDS = 30.0


def joined(count: int) -> list[Lifeline]:
    port = free_port()
    with ThreadPoolExecutor(count) as pool:
        places = [Place(rank, count, "127.0.0.1", port) for rank in range(count)]
        return list(pool.map(lambda place: Lifeline(place, SECONDS), places))


def test_all_learn_the_largest_number() -> None:
    lines = joined(4)
    with ThreadPoolExecutor(4) as pool:
        for numbers in ([0, 0, 0, 0], [0, 15, 0, 2], [3, 1, 2, 9]):
            assert list(pool.map(Lifeline.agree, lines, numbers)) == [max(numbers)] * 4


def test_nobody_goes_on_before_the_last_one_comes() -> None:
    first, second = joined(2)
    went = threading.Event()

    def come() -> None:
        first.agree()
        went.set()

    threading.Thread(target=come).start()
    assert not went.wait(0.3)
    second.agree()
    assert went.wait(SECONDS)


def test_the_end_of_the_first_ends_a_meeting(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left to main what an error says."""
    monkeypatch.setattr(Lifeline, "_leave", lambda *_: None)
    first, second = joined(2)
    with ThreadPoolExecutor(1) as pool:
        meeting = pool.submit(second.agree)
        first.fail(2, ["wrong"])
        with pytest.raises(Lost):
            meeting.result(SECONDS)
    assert second.wait(SECONDS) == 2


def test_an_error_of_another_process_reaches_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, list[str]]] = []
    left = threading.Event()

    def leave(self: Lifeline, code: int, lines: list[str]) -> None:
        if self.place.rank == 0:
            told.append((code, lines))
            self.close(code)
            left.set()

    monkeypatch.setattr(Lifeline, "_leave", leave)
    first, second, third = joined(3)
    second.fail(2, ["t.csv, line 7: found x", "expected a number"])
    assert left.wait(SECONDS)
    assert told == [(2, ["t.csv, line 7: found x", "expected a number"])]
    assert first.wait(SECONDS) == third.wait(SECONDS) == 2


def test_a_line_that_breaks_is_a_process_that_died(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, list[str]]] = []
    left = threading.Event()

    def leave(_: Lifeline, code: int, lines: list[str]) -> None:
        told.append((code, lines))
        left.set()

    monkeypatch.setattr(Lifeline, "_leave", leave)
    _, second = joined(2)
    next(iter(second._lines.values())).shutdown(socket.SHUT_RDWR)
    assert left.wait(SECONDS)
    assert told[0][0] == DIED
    assert "ended without a word" in told[0][1][0]


def test_who_does_not_come_is_named() -> None:
    place = Place(0, 3, "127.0.0.1", free_port())
    with pytest.raises(RunError, match="not here: 1, 2"):
        Lifeline(place, 0.2)


def test_strangers_are_sent_away() -> None:
    port = free_port()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(Lifeline, Place(0, 2, "127.0.0.1", port), SECONDS)
        for hello in (b"GET / HTTP/1.1\r\n\r\n", b'{"rank": 5, "count": 2}\n', b'{"rank": 1}\n'):
            stranger = connect(port)
            with suppress(OSError):  # it may be gone already
                stranger.sendall(hello)
                stranger.shutdown(socket.SHUT_WR)
                assert stranger.recv(100) == b""
            stranger.close()
        second = pool.submit(Lifeline, Place(1, 2, "127.0.0.1", port), SECONDS)
        both = [first.result(SECONDS), second.result(SECONDS)]
        assert list(pool.map(Lifeline.agree, both, [1, 2])) == [2, 2]


def connect(port: int) -> socket.socket:
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port), 1.0)
        except OSError:
            threading.Event().wait(0.05)
    raise AssertionError("nobody listens")
