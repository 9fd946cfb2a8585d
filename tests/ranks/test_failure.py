"""What ends one process ends the job in order, or it goes on by itself."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import SOAK
from tests.ranks.jobs import Job, apart, job, weights

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("jobs")]

LONG_ENOUGH = 120.0  # seconds, for something to happen


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    numbers = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("failure")
    x = numbers.normal(size=(500, 2))
    y = np.sin(2 * x[:, 0]) + x[:, 1]
    lines = [f"{a},{b},{v}" for (a, b), v in zip(x, y, strict=True)]
    (folder / "t.csv").write_text("\n".join(["a,b,y", *lines]))
    return folder / "t.csv"


def network(table: Path, run: Path, epochs: int = 200) -> list[str]:
    """A run of some seconds, with a checkpoint every few of its steps."""
    keys = ["model.name=mlp", "model.hidden=[8]", "train.batch_size=100", "train.patience=0"]
    keys += [f"train.epochs={epochs}", "checkpoint.steps=100", f"run.dir={run}"]
    keys += [f"data.cache={run.parent / 'cache'}", "train.log_every=1000000"]
    arguments = ["--data", str(table), "--target", "y", *(p for key in keys for p in ("-o", key))]
    return [*arguments, "--quiet"]


def wait_for_checkpoint(running: Job, run: Path) -> None:
    until = time.monotonic() + LONG_ENOUGH
    while not any(run.glob("checkpoints/step-*/state.json")):
        assert time.monotonic() < until, running.texts()
        time.sleep(0.05)


@pytest.fixture(scope="module")
def undisturbed(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    with job(2, folder, *network(table, folder / "run")) as running:
        assert running.wait() == [0, 0], running.texts()
    return folder / "run"


@pytest.mark.soak
@pytest.mark.parametrize("number", range(SOAK))
def test_a_killed_process_is_started_again(
    number: int, table: Path, undisturbed: Path, tmp_path: Path
) -> None:
    chance, run = random.Random(number), tmp_path / "run"  # noqa: S311
    with job(2, tmp_path, *network(table, run)) as running:
        wait_for_checkpoint(running, run)
        time.sleep(chance.random())
        workers = running.workers()
        os.kill(workers[number % 2], signal.SIGKILL)
        assert running.wait() == [0, 0], running.texts()
        assert "restart 1 of 10" in running.texts()[0]
    expected, found = weights(undisturbed), weights(run)
    for name, values in expected.items():
        np.testing.assert_array_equal(values, found[name])


def test_a_signal_saves_and_stops_all_and_others_go_on(
    table: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """With another number of processes: to the same weights, but for rounding."""
    run = tmp_path / "run"
    with job(2, tmp_path, *network(table, run)) as running:
        wait_for_checkpoint(running, run)
        running.processes[1].send_signal(signal.SIGTERM)
        assert running.wait() == [128 + signal.SIGTERM] * 2, running.texts()
        assert "stopped by SIGTERM; saved: checkpoint" in running.texts()[0]
    with job(3, tmp_path / "again", *network(table, run), "--resume") as running:
        assert running.wait() == [0] * 3, running.texts()
    assert apart(undisturbed, run) < 1e-4


def test_a_mistake_is_told_once(tmp_path: Path) -> None:
    table = tmp_path / "bad.csv"
    table.write_text("a,y\n" + "\n".join(f"{i},{i}" for i in range(50)))
    with job(2, tmp_path, "--data", str(table), "--target", "z") as running:
        assert running.wait() == [2, 2]
        first, second = running.texts()
    assert first.count("error: ") == 1
    assert "z" in first
    assert "error" not in second


@pytest.mark.parametrize("wrong", ["train.seed=2", "table"])
def test_another_recipe_or_table_is_told(wrong: str, table: Path, tmp_path: Path) -> None:
    other = tmp_path / "t.csv"
    other.write_text(table.read_text() + "\n0.5,0.5,1")
    arguments = network(table, tmp_path / "run")
    extra = ["-o", wrong] if "=" in wrong else ["--data", str(other)]
    with job(2, tmp_path, *arguments, last=extra) as running:
        assert running.wait() == [2, 2], running.texts()
        first = running.texts()[0]
    expected = "process 1 has train.seed=2, and process 0 has 0"
    assert (expected if "=" in wrong else "process 1 found another table") in first
    assert not (tmp_path / "run").exists()
