"""Checkpoints of runs that were never trained, and what the run of a whole one expects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.numpy import load

from files import seal
from run.restore import FORMAT, OPTIMIZER, STATE, WEIGHTS, Expected, RunIdentity, read_state


def state_of(epoch: int, **others: Any) -> dict[str, Any]:
    """After so many epochs of 10 steps each."""
    history = [{"epoch": i + 1, "train": 2.0 / (i + 1), "validation": 1.0} for i in range(epoch)]
    state: dict[str, Any] = {"format": FORMAT, "run": "0" * 64, "data": "1" * 64, "stop": ""}
    state |= {"epoch": epoch, "block": 0, "step": 10 * epoch, "history": history, "curves": {}}
    state |= dict.fromkeys(("seconds", "total_seconds", "epoch_seconds"), 1.0)
    state |= {"best_epoch": min(epoch, 1), "best_value": 1.0 if epoch else None}
    return state | {"watched": "mse", "smaller_is_better": True} | others


def write_state(folder: Path, epoch: int) -> None:
    """A checkpoint of a state alone."""
    folder.mkdir(parents=True)
    (folder / STATE).write_bytes(seal(state_of(epoch), {}))


def expected_of(folder: Path) -> Expected:
    """What the run of a whole checkpoint, at the end of an epoch, expects of it."""
    state = read_state(folder)
    parts = tuple(key for key in state.history[0] if key != "epoch")
    arrays = {path.name: load(path.read_bytes()) for path in folder.glob("*.safetensors")}
    steps = state.step // state.epoch
    return Expected(
        of=RunIdentity(state.run, state.data, state.epoch, parts),
        watched=state.watched,
        smaller_is_better=state.smaller_is_better,
        steps_per_epoch=steps,
        steps_per_block=steps,
        weights=arrays[WEIGHTS],
        optimizer=arrays.get(OPTIMIZER, {}),
    )
