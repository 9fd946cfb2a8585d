"""The folder of a run: made once, never overwritten by accident, owned by one process."""

from __future__ import annotations

import fcntl
import re
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

from display import for_shell
from errors import RunError
from files import is_in_utf8, sync, write_atomically
from run.contents import (
    CONFIG,
    DIVERGED,
    DONE,
    RUN,
    misplaced,
    ours,
    put_back,
    remove,
    remove_drafts,
    set_aside,
)
from run.restore import STATE, DamagedError, checkpoints_in, read_state

LOCK, MARK = ".lock", b"A run of train.py. Only what it writes is ever replaced here.\n"
PREVIOUS = ".previous-run"


class Begin(NamedTuple):
    """Whether a run may replace the one in its folder, and whether it goes on with that one."""

    overwrite: bool = False
    resume: bool = False

    def again(self, path: Path) -> Begin:
        """How a run at `path` that was begun so, and died, is begun again: it goes on, unless it
        had not come to replace the one that stands there."""
        return self if self.overwrite and (path / DONE).exists() else Begin(resume=True)


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
        try:
            saved = read_state(folder)
            written = (folder / STATE).stat().st_mtime
        except (DamagedError, OSError, RunError):
            continue  # which is passed over, or refused, on resume, too
        when = datetime.fromtimestamp(written).isoformat(" ", "seconds")
        fold = folder.parents[1]
        of = f"fold {fold.name}, " if fold != path else ""
        return Standing(of, saved.epoch, saved.block, when)
    return None


def _checkpoints(path: Path) -> list[Path]:
    """Those of a run, the newest first; before it has any, those of its folds."""
    for base in (path, *sorted(path.glob("folds/*"), reverse=True)):
        if found := checkpoints_in(base / "checkpoints"):
            return found
    return []


class RunFolder:
    """A run folder at `path`: a new one, or with `resume` the one that stands there.

    With `overwrite` an earlier run there is set aside, into `.previous-run` inside of it, until
    this one is done; its export stays in place until then. A run that diverged, or that never came
    to a checkpoint, gives way by itself. Only what a run has written is moved or removed, and only
    in a folder that a run has marked as its own. The folder is locked until `close`, or the end of
    the process. Raises RunError where `path` is taken, where another process trains in it, or where
    it is not marked.
    """

    def __init__(self, path: str | Path, overwrite: bool, resume: bool = False) -> None:
        self.path = Path(path)
        self.previous = self.path / PREVIOUS
        self.check(self.path, overwrite, resume)
        self._lock = _locked(self.path)
        try:
            _recover(self.path)
            _check_free(self.path, overwrite, resume)  # another may have come before the lock
            if not resume:
                self._make_room()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let another process have it."""
        self._lock.close()

    @staticmethod
    def check(path: str | Path, overwrite: bool, resume: bool = False) -> None:
        """Raise RunError where a run could not start at `path`; change nothing, but for what a
        process that died has left."""
        path = Path(path)
        if not is_in_utf8(path):
            raise RunError(f"{path}: the name is not in UTF-8; choose another run.dir")
        if not path.exists():
            return
        if not path.is_dir() or not _is_run(path):
            raise RunError(f"{path}: exists and is not a run folder; choose another run.dir")
        if found := misplaced(path, {**RUN, re.escape(PREVIOUS): {}}):
            raise RunError(
                f"{found}: a run writes to this name, and found something of another kind than its "
                "own; move it, or choose another run.dir"
            )
        if (path / PREVIOUS).exists():
            with _locked(path):
                _recover(path)
        _check_free(path, overwrite, resume)

    def _make_room(self) -> None:
        """For a new run: what can go on, or is finished, is set aside; other runs go."""
        if self.previous.exists():
            _restore(self.path)
        if not self.is_done and not _goes_on(self.path):
            remove(self.path)
            return
        try:
            set_aside(self.path, self.previous)
        except OSError:
            put_back(self.path, self.previous)
            raise

    @property
    def is_done(self) -> bool:
        return (self.path / DONE).exists()

    def write(self, name: str, text: str) -> None:
        write_atomically(self.path / name, text.encode())

    def give_up(self) -> str:
        """After a failure: put the run that this one was to replace back in its place, unless this
        one can go on; a sentence on where it is, "" where there is none."""
        if not self.previous.exists():
            return ""
        if not _goes_on(self.path):
            try:
                _restore(self.path)
            except OSError:
                pass
            else:
                return "the run before it is back in its place"
        return (
            f"{self.path} still predicts with the model of the run before it, which is kept in "
            f"{self.previous}"
        )

    def diverged(self, why: str) -> None:
        """Mark the run as one that need not be kept."""
        self.write(DIVERGED, f"{why}\n")

    def done(self) -> None:
        """Mark the run as successful, when all of it is on the disk, and let go of the one that it
        replaces."""
        for path in ours(self.path):
            if path.is_file() and path.parent == self.path:  # the others are there already
                sync(path)
        write_atomically(self.path / DONE, b"", to_disk=True)
        if self.previous.exists():
            remove(self.previous)


def _locked(path: Path) -> IO[bytes]:
    """The lock of a run folder, which is made and marked where it is new."""
    is_new = not path.exists() or not _entries(path) - {LOCK}
    path.mkdir(parents=True, exist_ok=True)
    lock = (path / LOCK).open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_new and not lock.tell():
            lock.write(MARK)
            lock.flush()
    except BlockingIOError:
        lock.close()
        raise RunError(
            f"{path}: another process is training in it; wait until it ends, or choose another "
            "run.dir"
        ) from None
    except OSError as error:
        raise RunError(f"{path / LOCK}: {error.strerror}") from None
    return lock


def _check_free(path: Path, overwrite: bool, resume: bool) -> None:
    if resume and not (path / DONE).exists() and (path / DIVERGED).exists():
        raise RunError(
            f"{path}: this run diverged, and would again; start anew without --resume, with "
            "a smaller optimizer.learning_rate"
        )
    if resume:
        return
    if not _is_marked(path) and _entries(path) - {LOCK}:
        raise RunError(
            f"{path}: holds a {CONFIG}, but {LOCK} does not say that this program made the "
            "folder (an earlier version, or you?), so nothing in it is replaced; move it, or "
            "choose another run.dir"
        )
    if overwrite:
        return
    if (path / DONE).exists():
        raise RunError(
            f"{path}: holds a finished run; replace it with --overwrite, or choose another "
            f"folder, as in -o {for_shell(f'run.dir={path}-2')}"
        )
    if _goes_on(path):
        raise RunError(
            f"{path}: holds an unfinished run ({standing(path) or 'damaged checkpoints'}); "
            "continue it with --resume, replace it with --overwrite, or choose another run.dir"
        )


def _recover(path: Path) -> None:
    """Finish, or undo, what a process that died has left."""
    remove_drafts(path)
    previous = path / PREVIOUS
    if not previous.exists():
        return
    if not (previous / CONFIG).exists():
        put_back(path, previous)  # it died while it moved the run, there or back
    elif (path / DONE).exists():
        remove(previous)
    elif not _goes_on(path):
        _restore(path)


def _restore(path: Path) -> None:
    """Put the run that was set aside in the place of the one that stands there."""
    previous = path / PREVIOUS
    remove(path, keep="export" if (previous / "export").exists() else "")
    put_back(path, previous)


def _entries(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()}


def _is_marked(path: Path) -> bool:
    """Whether this program has made the folder, or found it empty."""
    return _content(path / LOCK) == MARK


def _content(lock: Path) -> bytes:
    return lock.read_bytes()[: len(MARK) + 1] if lock.is_file() and not lock.is_symlink() else b""


def _is_run(path: Path) -> bool:
    """Whether a run is there, by its mark or its recipe, or could begin there."""
    lock, others = path / LOCK, _entries(path) - {LOCK}
    if lock.is_symlink() or (lock.exists() and not lock.is_file()):
        return False
    return _is_marked(path) or CONFIG in others or not (others or _content(lock))


def _goes_on(path: Path) -> bool:
    """Whether a run that is not finished has got so far that it is worth keeping."""
    return not (path / DIVERGED).exists() and bool(_checkpoints(path))
