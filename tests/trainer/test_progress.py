from __future__ import annotations

import os
import shutil
import sys
import time
from types import SimpleNamespace
from typing import cast

import pytest

from trainer.observers import ProgressBar
from trainer.progress import Progress, bar, duration
from trainer.trainer import State, Trainer


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in seconds, that the module believes it is."""
    now = [1_000.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_epochs_get_about_ten_lines(capsys: pytest.CaptureFixture[str]) -> None:
    rmse = {"validation": 2.0, "train": 1.0}
    for epoch in range(1, 101):
        Progress().epoch(epoch, 100, "rmse", rmse)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 11
    assert lines[1] == "epoch  10/100   train RMSE 1   validation RMSE 2"
    for epoch in range(1, 101):
        Progress(verbose=True).epoch(epoch, 100, "rmse", rmse)
    assert len(capsys.readouterr().out.splitlines()) == 100


def test_without_a_terminal_a_line_is_seldom(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Progress()
    for second in range(3_600):
        clock[0] = 1_000.0 + second
        progress.reading(second, 3_600.0)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "reading the table: 1%"
    assert 20 < len(lines) < 70


def test_on_a_terminal_one_line_is_written_anew(
    clock: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((20, 5)))
    progress = Progress()
    progress.phase("reading the table")
    progress.reading(5, 0)
    clock[0] += 1
    progress.reading(1_000, 0)
    progress.say("a line")
    said = capsys.readouterr()
    assert said.err == "\r\x1b[Kreading the table .\r\x1b[Kreading the table: \r\x1b[K"
    assert said.out == "a line\n"


def test_quiet_says_only_what_it_must(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(quiet=True)
    progress.say("hello")
    progress.epoch(1, 1, "rmse", {"train": 1.0})
    progress.say("result", always=True)
    assert capsys.readouterr().out == "result\n"


def test_sittings_add_up(clock: list[float]) -> None:
    progress = Progress()
    clock[0] += 5
    progress.add_earlier(40.0)
    progress.add_earlier(20.0)
    assert progress.elapsed() == 45.0


class Loader:
    steps, rows = 10, range(1_000)


def test_a_bar_tells_epoch_loss_speed_and_time_left(clock: list[float]) -> None:
    trainer, state = (
        SimpleNamespace(loader=Loader(), objective=SimpleNamespace(watched="mse")),
        State(),
    )
    shown = ProgressBar(Progress(), cast(Trainer, trainer), state, epochs=5, may_end_early=True)
    assert shown.line(state) == "epoch 1/5 [............]   0%"
    clock[0] += 2
    state.step, state.seconds = 15, 0.5
    state.epoch = 1
    shown.step(state, 0.25, 0.1)
    expected = "epoch 2/5 [###.........]  30%  loss 0.25  3,000 rows/s  at most 0:05 left"
    assert shown.line(state) == expected


def test_figures() -> None:
    assert bar(0.5) == "[######......]  50%"
    assert [duration(s) for s in (3, 63, 3_723)] == ["0:03", "1:03", "1:02:03"]
