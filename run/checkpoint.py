"""Weights on disk: safetensors for the numbers, JSON for where they come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from run.folder import to_json, write_atomically

WEIGHTS, STATE = "weights.safetensors", "state.json"


def save_checkpoint(folder: Path, weights: dict[str, NDArray[Any]], state: dict[str, Any]) -> None:
    """Write `weights` and `state` (JSON values) to `folder`, over an earlier checkpoint there."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / WEIGHTS, save(weights))
    write_atomically(folder / STATE, to_json(state).encode())


def load_checkpoint(folder: Path) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
    """The weights by name, and the state."""
    return load_file(folder / WEIGHTS), json.loads((folder / STATE).read_text())
