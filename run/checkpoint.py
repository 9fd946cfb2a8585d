"""What a run must not lose: weights, optimizer and position, as safetensors and JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from display import say
from errors import RunError
from files import AlteredError, compare, drafted_folder, seal, to_json, unseal, write_atomically
from run.contents import CHECKPOINT, remove

WEIGHTS, STATE = "weights.safetensors", "state.json"
OPTIMIZER, BEST = "optimizer.safetensors", "best.safetensors"
STEP = "step-"
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """`weights` with the network's buffers, those of the `best` epoch so far (none before the
    first), the `optimizer`'s running means, and `state`: JSON values. Of these `step` and `epoch`
    count what is done, `watched` names the metric whose `best_value` that of `best_epoch` is, and
    `smaller_is_better` says how it is compared."""

    weights: Arrays
    optimizer: Arrays
    best: Arrays
    state: dict[str, Any]


class Checkpoints:
    """The last `keep` checkpoints in `folder`, each a folder `step-N` that is renamed into place
    when it is whole, with a SHA-256 of each file; and for readers `last` and `best`.

    One is due after so many seconds (of a clock that nobody sets), steps or epochs; 0: never.
    """

    def __init__(self, folder: Path, seconds: float, steps: int, epochs: int, keep: int) -> None:
        self.folder = folder
        self._seconds, self._steps, self._epochs, self._keep = seconds, steps, epochs, keep
        self._time, self._step, self._epoch = time.monotonic(), 0, 0

    def due(self, step: int, epoch: int) -> bool:
        since = (time.monotonic() - self._time, step - self._step, epoch - self._epoch)
        every = (self._seconds, self._steps, self._epochs)
        return any(due and past >= due for past, due in zip(since, every, strict=True))

    def holds(self, step: int) -> bool:
        """Whether the last one saved or loaded is of this step."""
        return 0 < step == self._step

    def save(self, checkpoint: Checkpoint) -> None:
        """Raises RunError where it cannot be written; what was saved before stays."""
        state = checkpoint.state
        try:
            with drafted_folder(self.folder / f"{STEP}{state['step']}", to_disk=True) as draft:
                contents = {WEIGHTS: save(dict(checkpoint.weights)), **self._others(checkpoint)}
                for name, content in contents.items():
                    write_atomically(draft / name, content)
                write_atomically(draft / STATE, seal(state, contents))
            self._publish(checkpoint)
            for old in self._found()[self._keep :]:
                remove(old, CHECKPOINT)
        except OSError as error:
            then = "those before it are whole: fix the cause, then continue with --resume"
            raise RunError(
                f"{self.folder}: the checkpoint of step {state['step']} could not be written: "
                f"{error.strerror or error}; {then if self._found() else 'it is the first one'}"
            ) from None
        self._mark(state)

    def newest(self) -> Checkpoint | None:
        """The last one that is whole; warns of those that are not."""
        for path in (found := self._found()):
            try:
                checkpoint = _load(path)
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                last = path == found[-1]
                then = "starting from the beginning" if last else "using the checkpoint before it"
                say(f"warning: {path}: damaged ({error}); {then}", to=sys.stderr)
                continue
            self._mark(checkpoint.state)
            return checkpoint
        return None

    def _mark(self, state: Mapping[str, Any]) -> None:
        self._time, self._step, self._epoch = time.monotonic(), state["step"], state["epoch"]

    def _others(self, checkpoint: Checkpoint) -> dict[str, bytes]:
        others = {OPTIMIZER: checkpoint.optimizer, BEST: checkpoint.best}
        return {name: save(dict(arrays)) for name, arrays in others.items() if arrays}

    def _found(self) -> list[Path]:
        """Checkpoints, the newest first: by step, for clocks may go back."""
        folders = [p for p in self.folder.glob(f"{STEP}*") if p.name.removeprefix(STEP).isdigit()]
        return sorted(folders, key=lambda path: -int(path.name.removeprefix(STEP)))

    def _publish(self, checkpoint: Checkpoint) -> None:
        """`last`, and `best` unless what stands there is better."""
        state = checkpoint.state
        save_checkpoint(self.folder / "last", checkpoint.weights, state)
        if not checkpoint.best:
            return
        watched, value = state["watched"], state["best_value"]
        try:
            standing = load_checkpoint(self.folder / "best")[1][watched]
        except (OSError, ValueError, KeyError, SafetensorError):
            standing = None
        better = standing is None or (
            value < standing if state["smaller_is_better"] else value > standing
        )
        if better:
            best = {"epoch": state["best_epoch"], watched: value}
            save_checkpoint(self.folder / "best", checkpoint.best, best)


def save_checkpoint(folder: Path, weights: Arrays, state: dict[str, Any]) -> None:
    """Write `weights` and `state` (JSON values) to `folder`, over an earlier checkpoint there."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / WEIGHTS, save(dict(weights)))
    write_atomically(folder / STATE, to_json(state).encode())


def load_checkpoint(folder: Path) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
    """The weights by name, and the state."""
    weights = load((folder / WEIGHTS).read_bytes())
    return weights, json.loads((folder / STATE).read_text())


def _load(folder: Path) -> Checkpoint:
    """Raises ValueError and its like for a checkpoint that is not as it was written."""
    state = unseal((folder / STATE).read_bytes())
    contents = {name: (folder / name).read_bytes() for name in state["files"]}
    for name, content in contents.items():
        try:
            compare(content, state["files"][name])
        except AlteredError as error:
            raise ValueError(f"{name}: {error}") from None
    arrays = {name: load(content) for name, content in contents.items()}
    return Checkpoint(arrays[WEIGHTS], arrays.get(OPTIMIZER, {}), arrays.get(BEST, {}), state)
