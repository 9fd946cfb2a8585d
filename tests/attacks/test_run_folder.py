"""What is in a run folder stays: the user's files always, the old run until the new one is done."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import infer
import train
from errors import ExportError, RunError
from files import write_atomically
from model.predictor import Predictor
from report import compare
from run import folder
from run.contents import ASIDE_LOG, LOG, ours
from run.folder import RunFolder
from tests.conftest import ROOT, SOAK, imports, wait_for
from trainer.observers import Checkpointing

USERS = (
    *("notes.txt", "table.csv", "config.yaml.bak", "report.html~", "DONE.txt", ".hidden", ".draft"),
    *(".draft-0123", "schema.json.previous", ".previous/config.yaml", "sub/deep/model.json"),
    *("checkpoints/notes.txt", "checkpoints/step-6.bak", "checkpoints/step-x/state.json"),
    *("checkpoints/last/weights.txt", "export/notes.txt", "export/model.json.orig"),
    *("export/sub/contract.json", "curves/train/vdlrecords.1.log", "folds/a/DONE"),
)


def add_users_files(run: Path) -> None:
    """Files of every kind in and beside a run folder, with names like those of a run."""
    for name in (*USERS, "../run.previous/DONE", "../new.previous/x", "../.run.draft"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(f"the user's {name}")
    (run / "link").symlink_to("table.csv")
    (run / "dangling").symlink_to("nowhere")
    (run / "export" / "link").symlink_to("../sub", target_is_directory=True)
    os.mkfifo(run / "pipe")
    (run / "empty").mkdir(exist_ok=True)


def seen(path: Path, among: set[str] | None = None) -> dict[str, str]:
    """What is under a path: the files' contents, links' targets and other kinds."""
    found = {}
    for each in path.rglob("*"):
        name, mode = str(each.relative_to(path)), each.lstat().st_mode
        if among is not None and name not in among:
            continue
        if each.is_symlink():
            found[name] = f"link to {each.readlink()}"
        else:
            found[name] = each.read_bytes().hex() if each.is_file() else f"kind {mode >> 12:o}"
    return found


def is_users(value: str) -> bool:
    """Whether what was seen is a file that `add_users_files` has made, a link or a pipe."""
    return value.startswith((b"the user's".hex(), "link", "kind 1"))


CONTENT = (
    *("config.yaml", "schema.json", "report.json", "report.html"),
    *("checkpoints/step-6/state.json", "checkpoints/step-6/weights.safetensors"),
    *("checkpoints/last/state.json", f"curves/train/{LOG}", "folds/1/checkpoints/best/state.json"),
    *("export/contract.json", "export/model.json", "export/model.pdiparams"),
)


def write_run(run: Path, mark: str, names: tuple[str, ...] = CONTENT) -> None:
    for name in names:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(run / name, f'{{"epoch": 1, "of": "{mark}"}}'.encode())


def files_of_run(run: Path) -> dict[str, str]:
    names = {str(path.relative_to(run)) for path in ours(run) if path.is_file()}
    return seen(run, names)


class Killed(BaseException):
    """The process is gone here."""


@contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Kill at the n-th change of the file system."""
    left = iter(range(step, -1, -1))

    def counted(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **named: object) -> object:
            if next(left, 1) == 0:
                raise Killed
            return function(*arguments, **named)

        return call

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink", "rmdir", "mkdir"):
            patch.setattr(Path, name, counted(getattr(Path, name)))
        patch.setattr(os, "link", counted(os.link))
        yield


def overwrite(run: Path, outcome: str) -> None:
    new = RunFolder(run, overwrite=True)
    try:
        checkpoint, others = CONTENT[4:6], (*CONTENT[:4], *CONTENT[7:])
        write_run(run, "new", ("config.yaml",) if outcome == "early" else (*checkpoint, *others))
        if outcome == "done":
            new.done()
        else:
            new.give_up()
    finally:
        new.close()


@pytest.mark.slow
@pytest.mark.parametrize("outcome", ["done", "early", "later"])
def test_a_run_killed_at_any_change_is_recovered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    """Wherever an overwrite is killed, the next start finds the old run, whole, or the new one."""
    monkeypatch.setattr(folder, "sync", lambda path: None)
    for step in range(200):
        run = tmp_path / str(step) / "run"
        first = RunFolder(run, overwrite=False)
        write_run(run, "old")
        first.done()
        first.close()
        old = files_of_run(run)
        add_users_files(run)
        users = {name: value for name, value in seen(run.parent).items() if is_users(value)}
        with suppress(Killed), killed_at(step, monkeypatch):
            overwrite(run, outcome)
            break
        with suppress(RunError):
            RunFolder(run, overwrite=False).close()
        aside = run / folder.PREVIOUS
        now = files_of_run(run)
        if aside.exists():  # the new one can go on, and the old one is whole
            kept = {n.replace(ASIDE_LOG, LOG): v for n, v in files_of_run(aside).items()}
            assert kept == old
            assert (run / "checkpoints" / "step-6").exists()
        elif now != old:
            assert outcome == "done"
            assert all(b'"new"' in bytes.fromhex(v) for n, v in now.items() if n != "DONE")
        assert {n: v for n, v in seen(run.parent).items() if n in users} == users
    assert step > 20


@pytest.mark.parametrize("name", ["report.html", "export", "checkpoints", "DONE", ".previous-run"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_stands_where_a_run_writes_is_not_replaced(
    tmp_path: Path, name: str, kind: str
) -> None:
    run = tmp_path / "run"
    RunFolder(run, overwrite=False).close()
    (tmp_path / "elsewhere").mkdir()
    if kind == "link":
        (run / name).symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(run / name)
    before = seen(tmp_path)
    with pytest.raises(RunError, match=f"{name}: a run writes to this name"):
        RunFolder(run, overwrite=True)
    assert seen(tmp_path) == before


@pytest.mark.parametrize("what", ["pipe", "link", "text"])
def test_a_lock_of_another_kind_is_refused_at_once(tmp_path: Path, what: str) -> None:
    lock = tmp_path / "run" / ".lock"
    lock.parent.mkdir()
    if what == "pipe":
        os.mkfifo(lock)
    elif what == "link":
        lock.symlink_to(tmp_path / "nowhere")
    else:
        lock.write_text("of another program")
    before = seen(tmp_path)
    with pytest.raises(RunError, match="is not a run folder"):
        RunFolder(tmp_path / "run", overwrite=True)
    assert seen(tmp_path) == before


@pytest.mark.slow
def test_a_run_has_no_file_that_is_not_known_by_name(recipe: Path, tmp_path: Path) -> None:
    keys = ["data.split.folds=2", "model.name=mlp", "train.epochs=3"]
    assert train.main(["-c", str(recipe), *(o for key in keys for o in ("-o", key))]) == 0
    known = {*ours(tmp_path / "run"), tmp_path / "run" / ".lock"}
    assert set((tmp_path / "run").rglob("*")) == known


def stopping(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Send this process a signal at the first place where training can stop."""
    save = Checkpointing.save

    def saved(self: Checkpointing, *arguments: object, **named: object) -> None:
        os.kill(os.getpid(), number)
        save(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Checkpointing, "save", saved)


Act = Callable[[pytest.MonkeyPatch], int]


def commands(recipe: Path, run: Path, table: Path) -> dict[str, Act]:
    """What a user may type, in this process."""
    given = ["-c", str(recipe), "-o", f"run.dir={run}", "-q"]

    def stopped(patch: pytest.MonkeyPatch, *more: str) -> int:
        stopping(patch, signal.SIGHUP)
        return train.main([*given, *more])

    diverging = ["-o", "optimizer.learning_rate=1e30", "-o", "train.epochs=5"]
    predict = ["--model", str(run), "--input", str(table), "--output", str(run.parent / "p.csv")]
    return {
        "train": lambda _: train.main(given),
        "resume": lambda _: train.main([*given, "--resume"]),
        "overwrite": lambda _: train.main([*given, "--overwrite"]),
        "check": lambda _: train.main([*given, "--check"]),
        "diverge": lambda _: train.main([*given, *diverging, "--overwrite"]),
        "stop": lambda patch: stopped(patch, "--overwrite"),
        "stop again": lambda patch: stopped(patch, "--resume"),
        "no target": lambda _: train.main([*given, "--overwrite", "-o", "data.target=none"]),
        "predict": lambda _: infer.main(predict),
        "compare": lambda _: compare.main([str(run), str(run)]),
    }


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3 * SOAK))
def test_users_files_survive_every_command_in_any_order(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311
    run, table = tmp_path / "place" / "run", tmp_path / "table.csv"
    acts = commands(recipe, run, table)
    is_ours = chance.random() < 0.7
    if is_ours:
        assert acts["train"](monkeypatch) == 0
    add_users_files(run)
    if not is_ours and chance.random() < 0.7:
        (run / "config.yaml").write_text(chance.choice(["mine: 1\n", recipe.read_text()]))
    users = {n: v for n, v in seen(run.parent).items() if not is_ours or is_users(v)}
    assert len(users) >= 20
    for name in chance.choices(list(acts), k=5):
        with monkeypatch.context() as patch:
            code = acts[name](patch)
        assert code in (0, 2, 129), name
        now = seen(run.parent)
        assert {n: now.get(n) for n in users} == users, (name, code)
        assert not [n for n in now if "/.draft-" in n and n not in users], name


@pytest.mark.slow
def test_a_full_disk_leaves_the_old_run(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The system refuses to make a file longer than so many bytes: at each kind of file."""
    run, rows = tmp_path / "run", np.zeros((1, 2), np.float32)
    given = ["-c", str(recipe), "-q"]
    assert train.main(given) == 0
    old, files = Predictor(run).predict(rows), files_of_run(run)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (0, 300, 700, 1_500, 3_000, 6_000, 15_000, 30_000):
        capsys.readouterr()
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
        try:
            code = train.main([*given, "--overwrite", "-o", "train.seed=3"])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        told = capsys.readouterr().err
        assert code == 2, size
        assert told.count("error:") == len(told.splitlines()) == 1, told
        assert str(run) in told or "most likely the disk is full" in told
        assert Predictor(run).predict(rows) == old
        if (aside := run / folder.PREVIOUS).exists():
            assert str(aside) in told
        else:
            assert files_of_run(run) == files
        assert not [path for path in run.rglob("*") if ".draft" in path.name]
    assert train.main([*given, "--overwrite"]) == 0
    assert not (run / folder.PREVIOUS).exists()


@pytest.mark.slow
def test_a_refused_resume_changes_nothing(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "table.csv"
    with monkeypatch.context() as patch:
        stopping(patch, signal.SIGTERM)
        assert train.main(["-c", str(recipe)]) == 143
    table.write_text(table.read_text().replace("9,", "8.5,"))
    (tmp_path / "run" / "schema.json").write_text("as it was")
    before = seen(tmp_path / "run")
    assert train.main(["-c", str(recipe), "--resume"]) == 2
    assert seen(tmp_path / "run") == before


@pytest.mark.slow
def test_a_run_behind_a_link_is_replaced_again_and_again(recipe: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real", target_is_directory=True)
    for more in ([], ["--overwrite"], ["--overwrite"]):
        place = f"run.dir={tmp_path / 'link'}"
        assert train.main(["-c", str(recipe), "-o", place, *more]) == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "DONE").exists()


@pytest.mark.slow
def test_a_model_predicts_while_its_run_is_replaced(recipe: Path, tmp_path: Path) -> None:
    run, rows = tmp_path / "run", np.ones((1, 2), np.float32)
    given = ["train.py", "-c", str(recipe), "-o", "train.seed=2", "-o", "train.epochs=1"]
    assert train.main(["-c", str(recipe)]) == 0
    predicted = [float(Predictor(run).predict(rows)[0])]
    child = subprocess.Popen(
        [sys.executable, *given, "-o", "optimizer.learning_rate=0.001", "--overwrite"], cwd=ROOT
    )
    tries = 0
    while child.poll() is None:
        tries += 1
        with suppress(ExportError):
            predicted.append(float(Predictor(run).predict(rows)[0]))
    assert child.returncode == 0
    assert tries > 5
    assert set(predicted) <= {predicted[0], float(Predictor(run).predict(rows)[0])}


@pytest.mark.slow
@pytest.mark.parametrize("package", ["pydantic_core", "polars"])
def test_ctrl_c_while_packages_are_imported(package: str, tmp_path: Path) -> None:
    given = ["train.py", "-c", "configs/boston.yaml", "-o", f"run.dir={tmp_path / 'run'}"]
    child = subprocess.Popen([sys.executable, *given], cwd=ROOT, stderr=subprocess.PIPE)
    wait_for(lambda: imports(child, package))
    child.send_signal(signal.SIGINT)
    assert child.stderr
    told = child.stderr.read()
    child.stderr.close()
    assert child.wait() == 130
    assert b"Traceback" not in told


@pytest.mark.slow
def test_a_hang_up_saves_unless_nohup_said_to_go_on(recipe: Path, tmp_path: Path) -> None:
    keys = ["train.epochs=300", "optimizer.learning_rate=1e-6", "checkpoint.epochs=30"]
    given = ["train.py", "-c", str(recipe), *(o for k in keys for o in ("-o", k))]
    for ignored, code in ((True, 0), (False, 129)):
        run = tmp_path / str(code)
        kind = signal.SIG_IGN if ignored else signal.SIG_DFL
        child = subprocess.Popen(
            [sys.executable, *given, "-o", f"run.dir={run}"],
            cwd=ROOT,
            preexec_fn=partial(signal.signal, signal.SIGHUP, kind),
        )
        wait_for(lambda: [*run.glob("checkpoints/step-*")] or child.poll() is not None)  # noqa: B023
        child.send_signal(signal.SIGHUP)
        assert child.wait() == code
        assert (run / "DONE").exists() == ignored
