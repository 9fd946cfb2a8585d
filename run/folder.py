"""The folder of a run: made once, never overwritten by accident, owned by one process."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path
from typing import IO, NamedTuple

from errors import RunError
from files import write_atomically

DONE = "DONE"
CONFIG = "config.yaml"
LOCK = ".lock"


class Begin(NamedTuple):
    """Whether a run may replace the one in its folder, and whether it goes on with that one."""

    overwrite: bool = False
    resume: bool = False


class RunFolder:
    """A run folder at `path`: a new one, or with `resume` the one that stands there.

    With `overwrite` an earlier run there steps aside to `<path>.previous` until this one is done,
    so that a run that fails has destroyed nothing. It is locked until `close`, or the end of the
    process. Raises RunError where `path` is taken, where another process trains in it, or where it
    holds something that is no run.
    """

    def __init__(self, path: str | Path, overwrite: bool, resume: bool = False) -> None:
        self.path = Path(path)
        self._previous = self.path.with_name(f"{self.path.name}.previous")
        self.check(self.path, overwrite, resume)
        self._lock = self._locked()
        self.check(self.path, overwrite, resume)  # another may have come before the lock
        if overwrite and (self.path / CONFIG).exists():
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
                f"{self.path}: another process trains in it; wait for its end, or choose another "
                "run.dir"
            ) from None
        return lock

    def close(self) -> None:
        """Let another process have it."""
        self._lock.close()

    @staticmethod
    def check(path: str | Path, overwrite: bool, resume: bool = False) -> None:
        """Raise RunError where a run could not start at `path`; change nothing."""
        path = Path(path)
        if not path.exists() or (path.is_dir() and not {p.name for p in path.iterdir()} - {LOCK}):
            return
        if not (path / CONFIG).exists():
            raise RunError(f"{path}: exists and is no run folder; choose another run.dir")
        if not overwrite and not resume:
            raise RunError(
                f"{path}: holds a run already; go on with --resume, choose another run.dir, or "
                "replace it by --overwrite"
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

    def done(self) -> None:
        """Mark the run as successful, and let go of the one that it replaces."""
        self.write(DONE, "")
        shutil.rmtree(self._previous, ignore_errors=True)
