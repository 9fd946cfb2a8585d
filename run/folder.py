"""The folder of a run: made once, never overwritten by accident."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

DONE = "DONE"
CONFIG = "config.yaml"


class RunError(ValueError):
    """The run folder cannot be used, or the run cannot go on; the message says what to do."""


class RunFolder:
    """A new run folder at `path`.

    With `overwrite` an earlier run there steps aside to `<path>.previous` until this one is done,
    so that a run that fails has destroyed nothing.
    Raises RunError where `path` is taken, or where it holds something that is no run.
    """

    def __init__(self, path: str | Path, overwrite: bool) -> None:
        self.path = Path(path)
        self._previous = self.path.with_name(f"{self.path.name}.previous")
        self.check(self.path, overwrite)
        if self.path.exists():
            self._step_aside()
        self.path.mkdir(parents=True)

    @staticmethod
    def check(path: str | Path, overwrite: bool) -> None:
        """Raise RunError where a run could not start at `path`; change nothing."""
        path = Path(path)
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return
        if not (path / CONFIG).exists():
            raise RunError(f"{path}: exists and is no run folder; choose another run.dir")
        if not overwrite:
            raise RunError(
                f"{path}: holds a run already; choose another run.dir, or replace it by --overwrite"
            )

    def _step_aside(self) -> None:
        """Keep the last finished run as `.previous`; an unfinished one gives way to it."""
        if (self.path / DONE).exists() or not self._previous.exists():
            shutil.rmtree(self._previous, ignore_errors=True)
            self.path.rename(self._previous)
        else:
            shutil.rmtree(self.path)

    def write(self, name: str, text: str) -> None:
        write_atomically(self.path / name, text.encode())

    def done(self) -> None:
        """Mark the run as successful, and let go of the one that it replaces."""
        self.write(DONE, "")
        shutil.rmtree(self._previous, ignore_errors=True)


def to_json(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=1, allow_nan=False) + "\n"


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside `path` and rename, so that a reader never meets half a file."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_bytes(content)
    draft.replace(path)
