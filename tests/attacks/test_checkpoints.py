"""Checkpoints that somebody else made or changed, each with sums that are right."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

import train
from errors import RunError
from files import seal, unseal
from run.checkpoint import Checkpoint, Checkpoints
from run.curves import Curves
from run.restore import BEST, OPTIMIZER, STATE, WEIGHTS, DamagedError, Expected, read_checkpoint
from tests.attacks.reads import opened, outside
from trainer.observers import Checkpointing

Arrays = Mapping[str, NDArray[Any]]
NETWORK = ["model.name=mlp", "model.hidden=[4]", "optimizer.name=adam", "train.average=true"]
RESNET = ["model.name=resnet", "model.width=4", "optimizer.name=momentum"]
LINE = ["optimizer.weight_decay=0.1", "optimizer.name=adamw"]


def options(recipe: Path, *keys: str) -> list[str]:
    every = ["train.epochs=3", "checkpoint.epochs=1", *keys]
    return ["-c", str(recipe), *(option for key in every for option in ("-o", key))]


def expecting(monkeypatch: pytest.MonkeyPatch) -> list[Expected]:
    """What the runs from here on expect of their checkpoints."""
    found: list[Expected] = []
    expected = Checkpointing.expected

    def noted(self: Checkpointing) -> Expected:
        found.append(expected(self))
        return found[-1]

    monkeypatch.setattr(Checkpointing, "expected", noted)
    return found


@pytest.fixture
def made(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Expected]:
    """The newest checkpoint of a network's run, and what the run expects of it."""
    found = expecting(monkeypatch)
    assert train.main(options(recipe, *NETWORK)) == 0
    return recipe.parent / "run" / "checkpoints" / "step-18", found[0]


@pytest.mark.parametrize("keys", [NETWORK, RESNET, LINE, []], ids=["mlp", "resnet", "line", "sgd"])
def test_a_run_expects_what_it_writes(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, keys: list[str]
) -> None:
    table = recipe.parent / "table.csv"
    header, *rows = table.read_text().splitlines()
    categories = [f"{row},t{i % 12}" for i, row in enumerate(rows)]
    table.write_text("\n".join([f"{header},c", *categories]) + "\n")
    found = expecting(monkeypatch)
    codes = ["data.categories.one_hot=2", *keys]
    assert train.main(options(recipe, *codes)) == 0
    folders = list((recipe.parent / "run" / "checkpoints").glob("step-*"))
    assert len(folders) == 3
    for folder in folders:
        restored = read_checkpoint(folder, found[0])
        assert restored.weights.keys() == found[0].weights.keys()
        assert bool(restored.optimizer) == bool(keys)


def resealed(folder: Path, state: Any, contents: Mapping[str, bytes]) -> None:
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / STATE).write_bytes(seal(state, contents))


ODD: list[Any] = [None, True, -1, 0, 1.5, 10**30, 1e300, "", "x" * 300, "a\nb", [], {}, [[]]]
ODD += [{"x": -1}, ["x"], [{"epoch": "x"}], {"../x": 1}, "0" * 64, [{"epoch": 1}] * 3]


def odd_states(state: dict[str, Any]) -> Iterator[Any]:
    """Each key missing, and each of another type or an extreme number; and others that no run
    comes to."""
    keys = [key for key in state if key not in ("files", "sha256", "mse")]
    for key in keys:
        yield {name: value for name, value in state.items() if name != key}
        for odd in ODD:
            if odd != state[key] or type(odd) is not type(state[key]):
                yield state | {key: odd}
    yield state | {"more": 1}
    yield state | {"epoch": 2}
    yield state | {"epoch": 2, "step": 12, "history": state["history"][:2]}
    yield state | {"history": [each | {"test": 1.0} for each in state["history"]]}
    yield state | {"history": [each | {"train": 10**400} for each in state["history"]]}


def odd_arrays(arrays: dict[str, NDArray[Any]]) -> Iterator[Arrays]:
    """Each missing, of another name, shape or type, and not finite."""
    for name, values in arrays.items():
        others = {key: each for key, each in arrays.items() if key != name}
        yield others
        yield others | {f"{name}x": values}
        yield others | {name: np.zeros((*values.shape, 2), dtype=np.float32)}
        yield others | {name: values.reshape(-1, 1, 1)}
        yield others | {name: values.astype(np.float64)}
        yield others | {name: values.astype(np.float16)}
        yield others | {name: values.astype(np.int32)}
    yield arrays | {"more": np.zeros(3, dtype=np.float32)}
    yield {}


def not_finite(arrays: Arrays) -> Iterator[Arrays]:
    for name, values in arrays.items():
        for odd in (np.nan, np.inf):
            yield dict(arrays) | {name: np.full_like(values, odd)}


def forged(folder: Path) -> Iterator[tuple[Any, dict[str, bytes]]]:
    """States and files of a checkpoint that is wrong in one thing."""
    state = unseal((folder / STATE).read_bytes())
    contents = {name: (folder / name).read_bytes() for name in state["files"]}
    for other in odd_states(state):
        yield other, contents
    for name in contents:
        arrays = load(contents[name])
        for odd in odd_arrays(arrays):
            yield state, contents | {name: save(dict(odd))}
        if name != OPTIMIZER:
            for odd in not_finite(arrays):
                yield state, contents | {name: save(dict(odd))}
        for content in (b"", b"\0" * 8, b"\xff" * 100, contents[name][:-1], contents[name] + b"x"):
            yield state, contents | {name: content}
        yield state, {key: each for key, each in contents.items() if key != name}
        yield state, contents | {f"x{name}": contents[name]}
    yield state, contents | {"../../table.csv": b"x"}


def test_a_forged_checkpoint_is_refused_and_nothing_else_read(
    made: tuple[Path, Expected], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, expected = made
    whole = folder.parent / "step-12"
    shutil.rmtree(folder.parent / "step-6")
    tried, refused, believed = 0, 0, list[str]()
    good = read_checkpoint(folder, expected).state.model_dump()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    capsys.readouterr()
    for state, contents in list(forged(folder)):
        for path in folder.iterdir():
            path.unlink()
        resealed(folder, state, contents)
        tried += 1
        with opened() as files:
            try:
                found = Checkpoints(folder.parent, 0, 0, 0, 3).newest(expected)
            except RunError:
                refused += 1  # as of another version, or table
                continue
        assert outside(files, folder.parent) == []
        assert found, state
        if found.state.step == 18:
            believed.append(changed(good, state))
            continue
        assert found.state.step == 12
        assert capsys.readouterr().err.count("\n") == 1
    assert tried > 300
    assert refused < 50
    # Times and lengths that the run itself might have noted, and a reason to stop.
    assert set(believed) <= {"seconds", "total_seconds", "epoch_seconds", "stop", "curves"}
    for name, content in before.items():
        (folder / name).write_bytes(content)
    read_checkpoint(folder, expected)
    assert whole.is_dir()


def changed(good: dict[str, Any], state: dict[str, Any]) -> str:
    """The key that another state has changed."""
    (key,) = [key for key in good if key not in ("files", "sha256") and state[key] != good[key]]
    return key


def to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def to_zero(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def to_link(path: Path) -> None:
    elsewhere = path.parents[2] / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def to_sparse(path: Path) -> None:
    os.truncate(path, 1 << 40)


def to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def to_nesting(path: Path) -> None:
    path.write_bytes(b'{"sha256": ' + b"[" * 100_000)


@pytest.mark.parametrize("attack", [to_pipe, to_zero, to_link, to_sparse, to_folder, to_nesting])
@pytest.mark.parametrize("name", [STATE, WEIGHTS, OPTIMIZER, BEST])
def test_a_file_that_is_none_of_the_checkpoint(
    made: tuple[Path, Expected], attack: Callable[[Path], None], name: str
) -> None:
    folder, expected = made
    attack(folder / name)
    with opened() as files, pytest.raises(DamagedError, match=name):
        read_checkpoint(folder, expected)
    assert outside(files, folder) == []


def test_a_checkpoint_behind_a_link(made: tuple[Path, Expected]) -> None:
    folder, expected = made
    folder.rename(elsewhere := folder.parents[1] / "step-18")
    folder.symlink_to(elsewhere)
    with pytest.raises(DamagedError, match="is a link"):
        read_checkpoint(folder, expected)


def test_a_checkpoint_of_another_run_is_passed_over(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the same table and network, by another seed."""
    run, other = recipe.parent / "run", recipe.parent / "other"
    assert train.main(options(recipe, *NETWORK)) == 0
    given = options(recipe, *NETWORK, "train.seed=1", f"run.dir={other}")
    assert train.main(given) == 0
    (other / "DONE").unlink()
    shutil.rmtree(other / "checkpoints" / "step-18")
    shutil.copytree(run / "checkpoints" / "step-18", other / "checkpoints" / "step-18")
    capsys.readouterr()
    assert train.main([*given, "--resume"]) == 0
    told = capsys.readouterr().err
    assert "step-18: damaged (belongs to another run: its recipe or its rows differ)" in told
    assert "using the checkpoint before it" in told


def test_what_stands_in_best_is_not_trusted(made: tuple[Path, Expected]) -> None:
    folder, expected = made
    best = folder.parent / "best" / STATE
    for odd in (b"[", b"[]", b'{"mse": "x"}', b'{"mse": NaN}', b"[" * 100_000, b'{"mse": [1]}'):
        best.write_bytes(odd)
        state = json.loads((folder / STATE).read_text())
        values = {k: v for k, v in state.items() if k not in ("files", "sha256", "format")}
        checkpoints = Checkpoints(folder.parent, 0, 0, 0, 9)
        restored = read_checkpoint(folder, expected)
        checkpoints.save(Checkpoint(restored.weights, restored.optimizer, restored.best, values))
        assert json.loads(best.read_text())["mse"] == state["best_value"]


def test_no_log_is_cut_through_a_link(tmp_path: Path) -> None:
    letter = tmp_path / "letter"
    letter.write_text("dear")
    for part in ("train", "validation"):
        (tmp_path / "curves" / part).mkdir(parents=True)
    log = tmp_path / "curves" / "train" / "vdlrecords.run.log"
    log.symlink_to(letter)
    with pytest.raises(RunError, match="not a file of this run"):
        Curves(tmp_path / "curves").rewind({})
    assert letter.read_text() == "dear"
    log.unlink()
    log.write_text("0123456789")
    Curves(tmp_path / "curves").rewind({"train": 1 << 50})
    assert log.read_text() == "0123456789"
    Curves(tmp_path / "curves").rewind({"train": 4})
    assert log.read_text() == "0123"
