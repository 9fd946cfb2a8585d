"""Runs that are stopped, killed or robbed, and go on to the same bytes."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import train
from files import seal, unseal, write_atomically
from run import checkpoint as module
from run.checkpoint import load_checkpoint
from run.folder import RunFolder
from tests.conftest import ROOT, SOAK, command, train_recipe, wait_for
from tests.run.checkpoints import expected_of
from tests.test_train import points
from trainer.observers import Checkpointing

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("resume")]

KILLS = 2 * SOAK
NETWORK = ["model.name=mlp", "model.hidden=[16, 16]", "model.dropout=0.3", "train.average=true"]
MODELS = {"linear": ["model.name=linear"], "mlp": NETWORK}
RESNET = ["model.name=resnet", "model.width=8", "model.dropout=0.2"]
SMALL = [
    "model.hidden=[8]",
    "model.members=2",
    "optimizer.name=auto",
    "optimizer.learning_rate=auto",
]
TABM = ["model.name=tabm", *SMALL]
BLEND = ["model.name=blend", "train.refit=true", *SMALL]
ADDITIVE = ["model.name=additive", "model.pairs=3"]
FEW = "train.epochs=12"
MODELS |= {"resnet": RESNET, "averaged resnet": [*RESNET, "train.average=true"]}
MODELS["huber"] = [*NETWORK, "loss.name=huber"]
FIRST = [
    ("linear", "sgd", "mapped"),
    ("mlp", "momentum", "in memory"),
    ("huber", "adam", "mapped"),
    ("averaged resnet", "sgd", "in memory"),
    ("resnet", "adam", "mapped"),
]
EVERY = product(("linear", "mlp"), ("sgd", "momentum", "adam"), ("in memory", "mapped"))
CASES = [*FIRST, *(case for case in EVERY if case not in FIRST)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 200,000 rows, which make three blocks an epoch, and its recipe."""
    folder = tmp_path_factory.mktemp("kills")
    noise = np.random.default_rng(0)
    x = noise.normal(size=(200_000, 3)).astype(np.float32)
    y = x @ [1, -2, 3] + noise.normal(size=len(x))
    rows = "\n".join(f"{a:.4f},{b:.4f},{c:.4f},{d:.4f}" for a, b, c, d in np.c_[x, y])
    (folder / "table.csv").write_text(f"a,b,c,y\n{rows}\n")
    (folder / "recipe.yaml").write_text(
        f"data: {{path: {folder / 'table.csv'}, target: y, cache: {folder / 'cache'}}}\n"
        "optimizer: {learning_rate: 0.01}\n"
        "train: {epochs: 4, batch_size: 2048}\n"
        "checkpoint: {steps: 1}\n"
    )
    return folder


def options(folder: Path, run: Path, model: str, optimizer: str, memory: str) -> list[str]:
    limit = 0 if memory == "mapped" else 256
    keys = [*MODELS[model], f"optimizer.name={optimizer}", f"data.memory_limit={limit}"]
    given = [option for key in [*keys, f"run.dir={run}"] for option in ("-o", key)]
    return ["-c", str(folder / "recipe.yaml"), *given]


def outcome(run: Path) -> dict[str, Any]:
    """What has to be the same to the bit.

    The graph's text, and with it the contract's sums, count the exports of a process: only runs of
    processes of their own can have the same (see `exported`).
    """
    (last,) = sorted(run.glob("checkpoints/step-*"), key=lambda p: int(p.name[5:]))[-1:]
    files = [
        *last.glob("*.safetensors"),
        run / "export" / "model.pdiparams",
        *run.glob("checkpoints/*/weights*"),
    ]
    wanted = {str(f.relative_to(run)): f.read_bytes() for f in files if "step-" not in f.parts[-2]}
    newest = {f.name: f.read_bytes() for f in last.glob("*.safetensors")}
    report = json.loads((run / "report.json").read_text())
    return wanted | newest | {key: report[key] for key in ("metrics", "history", "best")}


def exported(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.glob("export/*")}


@pytest.fixture(scope="module")
def whole(folder: Path) -> Callable[..., tuple[dict[str, Any], float]]:
    """The outcome of a case when it is left alone, and how long it took to train."""
    found: dict[tuple[str, ...], tuple[dict[str, Any], float]] = {}

    def run(*case: str) -> tuple[dict[str, Any], float]:
        if case not in found:
            path = folder / "-".join(case)
            done = command("train.py", *options(folder, path, *case), cwd=ROOT)
            assert done.returncode == 0, done.stderr
            seconds = json.loads((path / "report.json").read_text())["timing"]["train_s"]
            found[case] = outcome(path), seconds
        return found[case]

    return run


@pytest.mark.soak
@pytest.mark.parametrize("number", range(KILLS))
def test_a_killed_run_resumes_to_the_bit(
    folder: Path, tmp_path: Path, whole: Callable[..., Any], number: int
) -> None:
    case = CASES[number % len(CASES)]
    expected, seconds = whole(*case)
    arguments = ["train.py", *options(folder, tmp_path / "run", *case)]
    child = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    begun = tmp_path / "run" / "config.yaml"
    wait_for(lambda: begun.exists() or child.poll() is not None)
    chance = random.Random() if SOAK > 1 else random.Random(number)  # noqa: S311
    time.sleep(chance.uniform(0, 2 * seconds + 0.3))  # into the export, too
    child.send_signal(signal.SIGKILL)
    child.wait()
    resumed = command(*arguments, "--resume", cwd=ROOT)
    assert resumed.returncode == 0, resumed.stderr
    assert "altered" not in resumed.stderr
    assert outcome(tmp_path / "run") == expected
    assert exported(tmp_path / "run") == exported(folder / "-".join(case))


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Send this process a signal at the n-th place where training could stop."""

    def arrange(places: int, number: int) -> None:
        save, left = Checkpointing.save, iter(range(places - 1, -1, -1))

        def saved(self: Checkpointing, *arguments: Any, **named: Any) -> None:
            if next(left, None) == 0:
                os.kill(os.getpid(), number)
            save(self, *arguments, **named)

        monkeypatch.setattr(Checkpointing, "save", saved)

    return arrange


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_saves_and_stops_and_curves_go_on(
    folder: Path,
    tmp_path: Path,
    whole: Callable[..., Any],
    stop_after: Callable[[int, int], None],
    capsys: pytest.CaptureFixture[str],
    number: int,
    code: int,
) -> None:
    case = FIRST[1]
    expected, _ = whole(*case)
    arguments = options(folder, tmp_path / "run", *case)
    rarely = ["-o", "checkpoint.steps=0"]  # so that it is the signal that makes the checkpoint
    stop_after(5, number)
    assert train.main([*arguments, *rarely]) == code
    assert "--resume" in capsys.readouterr().err
    (saved,) = (tmp_path / "run" / "checkpoints").glob("step-*")
    state = json.loads((saved / "state.json").read_text())
    assert (state["epoch"], state["block"]) == (1, 2)
    assert train.main([*arguments, *rarely, "--resume"]) == 0
    assert outcome(tmp_path / "run") == expected
    for part in ("train", "validation"):
        old, new = (
            points(run, part, "scalar") for run in (folder / "-".join(case), tmp_path / "run")
        )
        assert set(old) == set(new)
        for tag in set(old) - {"epoch/rows_per_second"}:
            assert [(p.id, p.value) for p in old[tag]] == [(p.id, p.value) for p in new[tag]]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_from_outside(
    folder: Path, tmp_path: Path, whole: Callable[..., Any], number: int, code: int
) -> None:
    """In a process of its own, where Paddle brings handlers with it."""
    case = FIRST[0]
    expected, _ = whole(*case)
    arguments = ["train.py", *options(folder, tmp_path / "run", *case)]
    child = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    run = tmp_path / "run"
    wait_for(lambda: [*run.glob("checkpoints/step-*")] or child.poll() is not None)
    child.send_signal(number)
    _, error = child.communicate()
    assert child.returncode == code
    assert error.decode().splitlines()[-1].endswith("--resume")
    assert not (tmp_path / "run" / "DONE").exists()
    assert command(*arguments, "--resume", cwd=ROOT).returncode == 0
    assert outcome(tmp_path / "run") == expected


def small(recipe: Path, *more: str) -> list[str]:
    keys = ["train.epochs=6", "checkpoint.epochs=1", *more]
    return ["-c", str(recipe), *(option for key in keys for option in ("-o", key))]


@pytest.fixture
def stopped(recipe: Path, stop_after: Callable[[int, int], None], tmp_path: Path) -> Path:
    """A run stopped after its fourth epoch, with three checkpoints."""
    stop_after(4, signal.SIGTERM)
    assert train.main(small(recipe)) == 143
    assert len(list((tmp_path / "run" / "checkpoints").glob("step-*"))) == 3
    return tmp_path / "run"


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(bytes(content))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [truncate, flip, empty, Path.unlink])
@pytest.mark.parametrize("name", ["weights.safetensors", "best.safetensors", "state.json"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    recipe: Path,
    stopped: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
    name: str,
) -> None:
    newest = max(stopped.glob("checkpoints/step-*"), key=lambda path: int(path.name[5:]))
    damage(newest / name)
    assert train.main([*small(recipe), "--resume"]) == 0
    assert f"warning: {newest}: damaged" in capsys.readouterr().err
    whole = tmp_path / "whole"
    assert train.main([*small(recipe), "-o", f"run.dir={whole}"]) == 0
    assert outcome(stopped) == outcome(whole)


def test_a_death_between_the_last_checkpoint_and_its_copies(recipe: Path, tmp_path: Path) -> None:
    assert train.main(small(recipe)) == 0
    run = tmp_path / "run"
    whole, (older, *_) = outcome(run), sorted(run.glob("checkpoints/step-*"), key=step_of)
    for name in ("last", "best"):
        shutil.copy(older / "weights.safetensors", run / "checkpoints" / name)
    (run / "checkpoints" / "best" / "state.json").unlink()
    (run / "DONE").unlink()
    assert train.main([*small(recipe), "--resume"]) == 0
    assert outcome(run) == whole


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name[len("step-") :])


def test_with_no_whole_checkpoint_it_begins_again(
    recipe: Path, stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in stopped.glob("checkpoints/step-*"):
        flip(path / "state.json")
    assert train.main([*small(recipe), "--resume"]) == 0
    assert "step-12: damaged (state.json: SHA-256" in (warned := capsys.readouterr().err)
    assert warned.endswith("; starting from the beginning\n")
    assert [p.id for p in points(stopped, "train", "scalar")["epoch/loss"]] == [1, 2, 3, 4, 5, 6]


def test_a_resumed_run_says_from_where_and_its_times_add_up(
    recipe: Path, stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = max(stopped.glob("checkpoints/step-*"), key=lambda p: int(p.name[5:])) / "state.json"
    first = json.loads(state.read_text())["total_seconds"]
    began = time.perf_counter()
    assert train.main([*small(recipe), "--resume"]) == 0
    took = time.perf_counter() - began
    assert "resuming after epoch 4 of 6, checkpoint of 20" in capsys.readouterr().out
    timing = json.loads((stopped / "report.json").read_text())["timing"]
    assert 0 < first < timing["total_s"] < first + took
    assert timing["train_s"] < timing["total_s"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_no_more(
    recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
) -> None:
    write, written = write_atomically, iter(range(100))

    def fail(path: Path, content: bytes, to_disk: bool = False) -> None:
        if ".draft-" in str(path) and next(written) >= 7:
            path.write_bytes(content[:10])
            raise OSError(number, os.strerror(number), str(path))
        write(path, content, to_disk)

    with monkeypatch.context() as full:
        full.setattr(module, "write_atomically", fail)
        assert train.main(small(recipe)) == 2
    error = capsys.readouterr().err
    assert os.strerror(number) in error
    assert "those before it are whole" in error
    assert not list(tmp_path.rglob(".draft*"))
    assert train.main([*small(recipe), "--resume"]) == 0


def test_a_table_that_is_gone_and_one_that_is_another(
    recipe: Path, stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.csv"
    text = table.read_text()
    table.unlink()
    assert train.main([*small(recipe), "--resume"]) == 2
    assert "table.csv" in capsys.readouterr().err
    table.write_text(text.replace("9,", "8,"))
    assert train.main([*small(recipe), "--resume"]) == 2
    assert "began on another table" in capsys.readouterr().err
    assert len(list(stopped.glob("checkpoints/step-*"))) == 3
    table.write_text(text)
    assert train.main([*small(recipe), "--resume"]) == 0


def test_a_clock_that_is_set_back(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(2_000_000_000, 0, -1_000))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    report = train_recipe(tmp_path / "run", str(recipe), ["train.epochs=6", "checkpoint.epochs=1"])
    assert report["timing"]["total_s"] > 0
    steps = sorted(int(p.name[5:]) for p in (tmp_path / "run" / "checkpoints").glob("step-*"))
    assert steps == [24, 30, 36]
    newest = tmp_path / "run" / "checkpoints" / "step-36"
    os.utime(newest, (0, 0))
    found = module.Checkpoints(newest.parent, 0, 0, 0, 3).newest(expected_of(newest))
    assert found
    assert found.state.step == 36


def test_the_recipe_of_a_run_stays(
    recipe: Path, stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main([*small(recipe, "optimizer.learning_rate=0.5"), "--resume"]) == 2
    assert "optimizer.learning_rate: 0.5 now, auto in the run" in capsys.readouterr().err
    assert train.main([*small(recipe, "checkpoint.keep=1"), "--resume"]) == 0
    assert len(list(stopped.glob("checkpoints/step-*"))) == 1
    assert train.main([*small(recipe), "--resume"]) == 0
    assert "finished already" in capsys.readouterr().out


def test_one_process_owns_a_run(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    holder = RunFolder(tmp_path / "run", overwrite=False)
    holder.write("config.yaml", "")
    assert train.main([*small(recipe), "--overwrite"]) == 2
    assert "another process is training in it" in capsys.readouterr().err
    holder.close()
    assert train.main([*small(recipe), "--overwrite"]) == 0


def test_best_is_never_overwritten_by_a_worse_one(tmp_path: Path) -> None:
    checkpoints = module.Checkpoints(tmp_path, 0, 1, 0, 2)
    for step, mse in ((1, 3.0), (2, 2.0), (3, 5.0)):
        weights = {"w": np.array([mse], dtype=np.float32)}
        state: dict[str, Any] = {"step": step, "epoch": step, "best_epoch": step}
        state |= {"best_value": mse, "watched": "mse", "smaller_is_better": True}
        checkpoints.save(module.Checkpoint(weights, {}, weights, state))
    best, noted = load_checkpoint(tmp_path / "best")
    assert (best["w"][0], noted["mse"]) == (2.0, 2.0)


@pytest.mark.soak
@pytest.mark.parametrize(
    "overrides",
    [
        [*BLEND, FEW, "intervals.coverage=0.8"],  # which has an additive model inside
        *([[*TABM, FEW], ADDITIVE, [*RESNET, FEW], [*NETWORK, FEW], []] if SOAK > 1 else []),
    ],
    ids=["blend", *(["tabm", "additive", "resnet", "mlp", "line"] if SOAK > 1 else [])],
)
def test_verify_resume_says_equal(overrides: list[str], tmp_path: Path) -> None:
    given = [option for key in overrides for option in ("-o", key)]
    recipe = ["-c", "configs/boston.yaml", "-o", f"run.dir={tmp_path / 'run'}"]
    done = command("train.py", *recipe, *given, "--verify-resume", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "killed by SIGKILL" in done.stdout
    assert "equal: weights, optimizer and export" in done.stdout
    assert not (tmp_path / "run").exists()


def test_folds_are_resumed_too(
    recipe: Path, tmp_path: Path, stop_after: Callable[[int, int], None]
) -> None:
    folds = small(recipe, "data.split.folds=2")
    stop_after(9, signal.SIGTERM)
    assert train.main(folds) == 143
    assert train.main([*folds, "--resume"]) == 0
    assert train.main([*folds, "-o", f"run.dir={tmp_path / 'whole'}"]) == 0
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")
    old, new = (
        json.loads((tmp_path / run / "report.json").read_text())["folds"]
        for run in ("whole", "run")
    )
    assert old == new


@pytest.fixture(autouse=True)
def undisturbed() -> Iterator[None]:
    """A run leaves the handlers of signals as it found them."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_checkpoint_of_another_version_is_refused(
    recipe: Path, stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in stopped.glob("checkpoints/step-*/state.json"):
        state = unseal(path.read_bytes())
        path.write_bytes(seal(state | {"format": 0}, {}))
    assert train.main([*small(recipe), "--resume"]) == 2
    assert "another version of this program wrote" in capsys.readouterr().err
