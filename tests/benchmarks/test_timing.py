"""Turns, ratios, and processes."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from benchmarks.timing import Ratio, in_turns, machine, process, run, timed


def test_sides_take_turns_after_a_warm_up() -> None:
    order: list[str] = []

    def clock(name: str) -> float:
        order.append(name)
        return float(len(order))

    seconds = in_turns({"a": lambda: clock("a"), "b": lambda: clock("b")}, rounds=2)
    assert order == ["a", "b"] * 3
    assert seconds == {"a": [3, 5], "b": [4, 6]}


def test_a_ratio_is_that_of_each_round() -> None:
    assert Ratio.of([1, 4, 9], [1, 2, 3]) == Ratio(median=2, least=1, most=3)
    assert Ratio.of([1], [math.inf]).median == 0
    assert str(Ratio.of([math.inf], [math.inf])) == "neither arrives"


def test_time_is_that_of_a_step() -> None:
    calls: list[None] = []
    assert 0 < timed(lambda: calls.append(None), calls=4, steps=10)() < 0.1
    assert len(calls) == 4


def test_a_process_counts_without_what_comes_before(capfd: pytest.CaptureFixture[str]) -> None:
    before: list[None] = []
    assert process([sys.executable, "-c", "print(1)"], lambda: before.append(None))() > 0
    assert before == [None]
    with pytest.raises(subprocess.CalledProcessError):
        run([sys.executable, "-c", "import sys; sys.exit('reason')"])
    assert "reason" in capfd.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_memory_of_a_process_is_watched() -> None:
    hold = "import time; held = bytearray(b'1') * 50_000_000; time.sleep(0.2)"
    assert 50_000_000 < run([sys.executable, "-c", hold], watch=True).anonymous < 100_000_000


def test_the_machine_is_described() -> None:
    found = machine(["numpy", "no-such-package"])
    assert found["numpy"][0].isdigit()
    assert found["no-such-package"] == "not installed"
