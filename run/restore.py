"""Checkpoints read back: typed, bounded and of this run, before anything of them is used."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from safetensors import SafetensorError, deserialize

from errors import RunError
from files import compare, read_plain, unseal

FORMAT = 1
STEP = "step-"
NAME = re.compile(f"{STEP}[0-9]{{1,16}}")
WEIGHTS, STATE = "weights.safetensors", "state.json"
OPTIMIZER, BEST = "optimizer.safetensors", "best.safetensors"
MOST_STATE, PER_EPOCH = 1 << 20, 512  # bytes
PER_ARRAY = 1 << 10  # bytes of a header, at most
DTYPES = {"F32": "float32", "F64": "float64", "I32": "int32", "I64": "int64", "BOOL": "bool"}
Arrays = Mapping[str, NDArray[Any]]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Seconds = Annotated[float, Field(gt=0, lt=1e10)]  # of a step at least
Sum = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class DamagedError(Exception):
    """A checkpoint is not as this run would write it; the message says in what."""


class Saved(BaseModel):
    """state.json, closed: see trainer.trainer.State for where training stands; `run` and `data`
    tell the run, `watched` names the metric whose `best_value` that of `best_epoch` is, `curves`
    has the length of each log, and `files` the SHA-256 of each file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    format: int
    run: Sum
    data: Sum
    epoch: Count
    block: Count
    step: Count
    seconds: Seconds
    total_seconds: Seconds
    epoch_seconds: Seconds
    best_epoch: Count
    best_value: float | None
    history: list[dict[str, int | float]]
    stop: Annotated[str, Field(max_length=200)]
    watched: Annotated[str, Field(max_length=20)]
    smaller_is_better: bool
    curves: Annotated[dict[str, Count], Field(max_length=10)]
    files: dict[str, Sum]
    sha256: Sum


class RunIdentity(NamedTuple):
    """What tells a run from others: the SHA-256 of its recipe and rows, `run`, and that of its
    table, `data`; and what its history has: at most so many `epochs`, and the metric of each of
    `parts`, the last of which picks the best epoch."""

    run: str
    data: str
    epochs: int
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Expected:
    """What a checkpoint of the run `of` holds: so many steps an epoch and a block, the metric that
    is `watched`, and arrays of the names, shapes and types of `weights` and `optimizer`."""

    of: RunIdentity
    watched: str
    smaller_is_better: bool
    steps_per_epoch: int
    steps_per_block: int
    weights: Arrays
    optimizer: Arrays


@dataclass(frozen=True)
class Restored:
    """A checkpoint whose every file is whole and of this run."""

    weights: Arrays
    optimizer: Arrays
    best: Arrays
    state: Saved


def checkpoints_in(folder: Path) -> list[Path]:
    """Those of a run, `step-N`, the newest first: by step, for clocks may go back."""
    found = [path for path in folder.glob(f"{STEP}*") if NAME.fullmatch(path.name)]
    return sorted(found, key=lambda path: -int(path.name[len(STEP) :]))


def read_state(folder: Path, epochs: int = 0) -> Saved:
    """The state of the checkpoint in `folder`, of a run of so many epochs (0: unknown).

    Raises DamagedError, and RunError for one that another version wrote.
    """
    try:
        values = unseal(read_plain(folder / STATE, MOST_STATE + PER_EPOCH * (epochs or 10_000)))
    except OSError as error:
        raise DamagedError(f"{STATE}: {error.strerror}") from None
    except ValueError as error:
        raise DamagedError(f"{STATE}: {error}") from None
    if values.get("format") != FORMAT:
        raise RunError(
            f"{folder.parent}: another version of this program wrote these checkpoints; finish the "
            "run with that version, or start a new one with --overwrite or another run.dir"
        )
    values.pop(str(values.get("watched")), None)  # its last value, for readers
    try:
        return Saved.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise DamagedError(f"{STATE}: {where}: {first['msg']}") from None


def read_checkpoint(folder: Path, expected: Expected) -> Restored:
    """All of the checkpoint in `folder`, each file read once.

    Raises DamagedError, and RunError where the table, by its SHA-256, or the version is another.
    """
    if folder.is_symlink():
        raise DamagedError("is a link, not a folder")
    state = read_state(folder, expected.of.epochs)
    table = expected.of.data
    if state.data != table:
        raise RunError(
            f"{folder.parent}: this run began on another table (SHA-256 {state.data[:12]}..., "
            f"found {table[:12]}...); restore that table, or start a new run with --overwrite or "
            "another run.dir"
        )
    if problem := _contradiction(folder, state, expected):
        raise DamagedError(problem)
    wanted = {WEIGHTS: expected.weights, OPTIMIZER: expected.optimizer, BEST: {}}
    if state.best_epoch:
        wanted[BEST] = expected.weights
    if state.files.keys() != {name for name, like in wanted.items() if like}:
        raise DamagedError(f"{STATE}: names other files than this run writes")
    found = {name: _arrays(folder / name, wanted[name], sha) for name, sha in state.files.items()}
    for name in found.keys() - {OPTIMIZER}:
        if not all(np.isfinite(values).all() for values in found[name].values()):
            raise DamagedError(f"{name}: holds numbers that are not finite")
    return Restored(found[WEIGHTS], found.get(OPTIMIZER, {}), found.get(BEST, {}), state)


def _contradiction(folder: Path, state: Saved, expected: Expected) -> str | None:
    """What of a state this run cannot have come to."""
    steps = state.epoch * expected.steps_per_epoch + state.block * expected.steps_per_block
    within = state.block * expected.steps_per_block < expected.steps_per_epoch
    over = state.epoch == expected.of.epochs and state.block
    told = all(each.keys() == {"epoch", *expected.of.parts} for each in state.history)
    numbers = [each.get("epoch") for each in state.history]
    best = state.best_epoch
    if state.run != expected.of.run:
        return "belongs to another run: its recipe or its rows differ"
    if (state.watched, state.smaller_is_better) != (expected.watched, expected.smaller_is_better):
        return f"{STATE}: watches {state.watched}, expected {expected.watched}"
    if state.epoch > expected.of.epochs or not within or over or state.step != steps:
        return f"{STATE}: a step, epoch and block that no run of this recipe comes to"
    if folder.name != f"step-{state.step}":
        return f"{STATE}: is of step {state.step}"
    if not told or numbers != list(range(1, state.epoch + 1)):
        return f"{STATE}: history is not that of {state.epoch} epochs"
    if (best == 0) != (state.best_value is None) or best > state.epoch:
        return f"{STATE}: best_epoch is {best}"
    if best and state.best_value != state.history[best - 1][expected.of.parts[-1]]:
        return f"{STATE}: best_value is not that of epoch {best}"
    if not state.stop.isprintable():
        return f"{STATE}: stop is not one line of text"
    return None


def _arrays(path: Path, like: Arrays, noted: str) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors file, of the names, shapes and types of `like`, and no others."""
    most = sum(values.nbytes + len(name) + PER_ARRAY for name, values in like.items())
    try:
        content = read_plain(path, most + PER_ARRAY)
        compare(content, noted)
        views = dict(deserialize(content))  # type: ignore[no-untyped-call]
    except OSError as error:
        raise DamagedError(f"{path.name}: {error.strerror}") from None
    except (ValueError, SafetensorError) as error:
        raise DamagedError(f"{path.name}: {error}") from None
    if other := sorted(views.keys() ^ like.keys()):
        raise DamagedError(f"{path.name}: has other arrays than this run, such as {other[0]}")
    for name, view in views.items():
        found = DTYPES.get(view["dtype"], view["dtype"]), tuple(view["shape"])
        if found != (wanted := (like[name].dtype.name, like[name].shape)):
            raise DamagedError(f"{path.name}: {name} is {found}, expected {wanted}")
    return {
        name: np.frombuffer(view["data"], like[name].dtype).reshape(like[name].shape)
        for name, view in views.items()
    }


def noted_value(folder: Path, metric: str) -> float | None:
    """The value of a metric in the state that stands in `folder` for readers, if one does."""
    try:
        values = from_json(read_plain(folder / STATE, MOST_STATE))
    except (OSError, ValueError):
        return None
    value = values.get(metric) if isinstance(values, dict) else None
    return value if isinstance(value, float) and isfinite(value) else None
