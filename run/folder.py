"""The folder of a run: made once, never overwritten by accident, owned by one process."""

from __future__ import annotations

import fcntl
import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

from display import for_shell
from errors import RunError
from files import is_in_utf8, write_atomically

DONE, DIVERGED = "DONE", "DIVERGED"
CONFIG = "config.yaml"
LOCK = ".lock"


class Begin(NamedTuple):
    """Whether a run may replace the one in its folder, and whether it goes on with that one."""

    overwrite: bool = False
    resume: bool = False


class Standing(NamedTuple):
    """What the newest checkpoint of a run holds: whole `epochs`, and `block` blocks of the next
    one, of a fold, where it has only come to one (as in "fold 2, "); and `when` it was written."""

    fold: str
    epochs: int
    block: int
    when: str

    def __str__(self) -> str:
        place = f"in epoch {self.epochs + 1}" if self.block else f"after epoch {self.epochs}"
        return f"checkpoint {self.fold}{place}, {self.when}"


def standing(path: Path) -> Standing | None:
    """Where the run at `path` stands, by its newest checkpoint; None where it has none."""
    for folder in _checkpoints(path):
        state = folder / "state.json"
        try:
            saved = json.loads(state.read_text())
            epochs, block = int(saved["epoch"]), int(saved.get("block", 0))
            when = datetime.fromtimestamp(state.stat().st_mtime).isoformat(" ", "seconds")
        except (OSError, ValueError, KeyError, TypeError):
            continue  # a damaged one, which is passed over on resume, too
        fold = state.parents[2]
        return Standing(f"fold {fold.name}, " if fold != path else "", epochs, block, when)
    return None


def _checkpoints(path: Path) -> list[Path]:
    """Those of a run, the newest first; before it has any, those of its folds."""
    for base in (path, *sorted(path.glob("folds/*"), reverse=True)):
        found = [p for p in base.glob("checkpoints/step-*") if p.name[5:].isdigit()]
        if found:
            return sorted(found, key=lambda folder: -int(folder.name[5:]))
    return []


class RunFolder:
    """A run folder at `path`: a new one, or with `resume` the one that stands there.

    With `overwrite` an earlier run there steps aside to `<path>.previous` until this one is done,
    so that a run that fails has destroyed nothing. One that diverged, or that never came to a
    checkpoint, gives way by itself. The folder is locked until `close`, or the end of the process.
    Raises RunError where `path` is taken, where another process trains in it, or where it holds
    something that is not a run.
    """

    def __init__(self, path: str | Path, overwrite: bool, resume: bool = False) -> None:
        self.path = Path(path)
        self._previous = self.path.with_name(f"{self.path.name}.previous")
        self.check(self.path, overwrite, resume)
        self._lock = self._locked()
        self.check(self.path, overwrite, resume)  # another may have come before the lock
        if not resume and (self.path / CONFIG).exists():
            self._step_aside()
            aside, self._lock = self._lock, self._locked()
            aside.close()

    def _locked(self) -> IO[bytes]:
        self.path.mkdir(parents=True, exist_ok=True)
        lock = (self.path / LOCK).open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise RunError(
                f"{self.path}: another process is training in it; wait until it ends, or choose "
                "another run.dir"
            ) from None
        return lock

    def close(self) -> None:
        """Let another process have it."""
        self._lock.close()

    @staticmethod
    def check(path: str | Path, overwrite: bool, resume: bool = False) -> None:
        """Raise RunError where a run could not start at `path`; change nothing."""
        path = Path(path)
        if not is_in_utf8(path):
            raise RunError(f"{path}: the name is not in UTF-8; choose another run.dir")
        if not path.exists() or (path.is_dir() and not {p.name for p in path.iterdir()} - {LOCK}):
            return
        if not (path / CONFIG).exists():
            raise RunError(f"{path}: exists and is not a run folder; choose another run.dir")
        if resume and not (path / DONE).exists() and (path / DIVERGED).exists():
            raise RunError(
                f"{path}: this run diverged, and would again; start anew without --resume, with "
                "a smaller optimizer.learning_rate"
            )
        if overwrite or resume:
            return
        if (path / DONE).exists():
            raise RunError(
                f"{path}: holds a finished run; replace it with --overwrite, or choose another "
                f"folder, as in -o {for_shell(f'run.dir={path}-2')}"
            )
        if not (path / DIVERGED).exists() and _checkpoints(path):
            raise RunError(
                f"{path}: holds an unfinished run ({standing(path) or 'damaged checkpoints'}); "
                "continue it with --resume, replace it with --overwrite, or choose another run.dir"
            )

    def _step_aside(self) -> None:
        """Keep the last finished run as `.previous`; an unfinished one gives way to it."""
        if self.is_done or not self._previous.exists():
            shutil.rmtree(self._previous, ignore_errors=True)
            self.path.rename(self._previous)
        else:
            shutil.rmtree(self.path)

    @property
    def is_done(self) -> bool:
        return (self.path / DONE).exists()

    def write(self, name: str, text: str) -> None:
        write_atomically(self.path / name, text.encode())

    @property
    def kept(self) -> str:
        """Where the run is that this one replaces, to go on with a sentence."""
        return f"; the run before it is kept in {self._previous}" if self._previous.exists() else ""

    def diverged(self, why: str) -> None:
        """Mark the run as one that need not be kept."""
        self.write(DIVERGED, f"{why}\n")

    def done(self) -> None:
        """Mark the run as successful, and let go of the one that it replaces."""
        self.write(DONE, "")
        shutil.rmtree(self._previous, ignore_errors=True)
