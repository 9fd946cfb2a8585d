"""What a run must not lose: weights, optimizer and position, as safetensors and JSON."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from display import say
from errors import RunError
from files import drafted_folder, seal, to_json, write_atomically
from run.contents import CHECKPOINT, remove
from run.restore import (
    BEST,
    FORMAT,
    OPTIMIZER,
    STATE,
    STEP,
    WEIGHTS,
    Arrays,
    DamagedError,
    Expected,
    Restored,
    checkpoints_in,
    noted_value,
    read_checkpoint,
)


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
                write_atomically(draft / STATE, seal({"format": FORMAT, **state}, contents))
            self.publish(checkpoint)
            for old in checkpoints_in(self.folder)[self._keep :]:
                remove(old, CHECKPOINT)
        except OSError as error:
            then = "it is the first one"
            if checkpoints_in(self.folder):
                then = "those before it are whole: fix the cause, then continue with --resume"
            raise RunError(
                f"{self.folder}: the checkpoint of step {state['step']} could not be written: "
                f"{error.strerror or error}; {then}"
            ) from None
        self._mark(state["step"], state["epoch"])

    def newest(self, expected: Expected) -> Restored | None:
        """The last one that is whole and of this run; warns of those that are not.

        Raises RunError where the table, or the version that wrote it, is another.
        """
        for path in (found := checkpoints_in(self.folder)):
            try:
                checkpoint = read_checkpoint(path, expected)
            except DamagedError as error:
                last = path == found[-1]
                then = "starting from the beginning" if last else "using the checkpoint before it"
                say(f"warning: {path}: damaged ({error}); {then}", to=sys.stderr)
                continue
            self._mark(checkpoint.state.step, checkpoint.state.epoch)
            return checkpoint
        return None

    def _mark(self, step: int, epoch: int) -> None:
        self._time, self._step, self._epoch = time.monotonic(), step, epoch

    def _others(self, checkpoint: Checkpoint) -> dict[str, bytes]:
        others = {OPTIMIZER: checkpoint.optimizer, BEST: checkpoint.best}
        return {name: save(dict(arrays)) for name, arrays in others.items() if arrays}

    def publish(self, checkpoint: Checkpoint) -> None:
        """Write `last`, and `best` unless what stands there is better."""
        state = checkpoint.state
        save_checkpoint(self.folder / "last", checkpoint.weights, state)
        if not checkpoint.best:
            return
        watched, value = state["watched"], state["best_value"]
        standing = noted_value(self.folder / "best", watched)
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
