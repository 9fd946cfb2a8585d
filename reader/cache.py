"""Packed tables on disk: found again as long as neither the table nor what was written changed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError

from display import say
from files import digest, drafted_among_others, read_plain
from reader.schema import Schema
from reader.table import Table

FORMAT = 5
SUFFIX, NOTE = ".float32", ".note"
ENTRY = re.compile(rf"[0-9a-f]{{32}}{re.escape(SUFFIX)}")
LONG = 30 * 86_400  # seconds without a use, after which an entry goes
LONGEST_NOTE = 1 << 28  # bytes, most of them the texts of categories
Matrix = NDArray[np.float32]
Identity = tuple[int, int, int, int]


class Note(BaseModel):
    """What is known of packed rows: the SHA-256 of the `table`, how many rows each file has, how
    many have no target, and the texts that numbers stand for; and the `file` that holds them, as
    `_identity` has it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    table: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    file_rows: tuple[NonNegativeInt, ...]
    without_target: NonNegativeInt
    texts: dict[str, list[str | None]]
    file: Identity


@dataclass(frozen=True)
class Entry:
    """A file of float32 rows, `path`, in a cache; and beside it a note, written last, without which
    the file is not valid, and touched with each use.

    The note has the file's inode and the times that the system gave it, which nobody else can set:
    a file that was written to, or that is another, is not believed. Whoever may write in the folder
    can make a new one with a note of its own: so the folder is made for its owner alone.
    """

    path: Path
    cache: Cache

    @property
    def _note(self) -> Path:
        return self.path.with_suffix(NOTE)

    def write(self, kept: list[Matrix], batches: Iterable[Matrix], size: float) -> None:
        """Write `kept`, which it empties, then the rest of the batches, about `size` bytes."""
        self.cache.make_room(size)
        with drafted_among_others(self.path) as file:  # two runs may write it
            while kept:
                file.write(np.ascontiguousarray(kept.pop(0)).data)
            for batch in batches:
                file.write(np.ascontiguousarray(batch).data)

    def annotate(self, **known: Any) -> None:
        """Write the note, of the fields of Note but `file`; its first line is the SHA-256 of the
        rest."""
        note = Note(**known, file=_identity(self.path.stat()))
        text = note.model_dump_json().encode()
        with drafted_among_others(self._note) as file:
            file.write(f"{digest(text)}\n".encode() + text)

    def matrix(self, columns: int, noted: Identity | None = None) -> Matrix:
        """The rows, mapped into memory. Raises OSError, and ValueError where the file is not the
        one that was noted."""
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
        with open(self.path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
            if noted is not None and _identity(os.fstat(file.fileno())) != noted:
                raise ValueError("was changed after it was packed")
            mapped = np.memmap(file, dtype=np.float32, mode="r")
        return np.asarray(mapped).reshape(-1, columns)

    def recall(self, table: Table, schema: Schema) -> tuple[Matrix, Note] | None:
        """The rows and what is known of them; None where there are none, or none to believe."""
        try:
            note = self._read_note(table, schema)
            matrix = self.matrix(len(schema.packed) + 1, note.file)
            with suppress(OSError):
                os.utime(self._note)  # the last use
            return matrix, note
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            say(f"note: {self.path}: {why}; packing the table again", to=sys.stderr)
            return None

    def _read_note(self, table: Table, schema: Schema) -> Note:
        """Raises OSError, and ValueError for a note that is not of these rows."""
        own, _, text = read_plain(self._note, LONGEST_NOTE).partition(b"\n")
        if own != digest(text).encode():
            raise ValueError("its note was changed")
        try:
            note = Note.model_validate_json(text)
        except ValidationError:
            raise ValueError("its note is of another version") from None
        rows, row = sum(note.file_rows), 4 * (len(schema.packed) + 1)
        categories = {c.name for c in schema.features if c.kind == "categorical"}
        if (
            len(note.file_rows) != len(table.files)
            or not 0 < rows * row == note.file[0]
            or note.without_target > rows
            or note.texts.keys() != categories
        ):
            raise ValueError("its note is of another table")
        return note


def _identity(stat: os.stat_result) -> Identity:
    """Size, times of the last write and of the last change of any kind, and inode of a file."""
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


@dataclass(frozen=True)
class Cache:
    """Where packed tables of more than `limit` bytes go, and are found again."""

    folder: Path
    limit: int

    def entry(self, table: Table, schema: Schema, may_be_empty: bool) -> Entry | None:
        """The file for this table as it was opened, read as it is: path, size and times of each
        file, the columns, and how cells are read. None for what is in memory already."""
        if None in table.identities:
            return None
        key = {
            "format": FORMAT,
            "files": table.identities,
            "columns": [file.columns for file in table.files],
            "schema": schema.describe(),
            "may be empty": may_be_empty,
            "reading": [asdict(file.reading) for file in table.files],
        }
        name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
        return Entry(self.folder / f"{name}{SUFFIX}", self)

    def make_room(self, needed: float) -> None:
        """Before `needed` bytes are written: entries that were not used for long go, and those used
        least recently, until the others take no more than half of what the disk has for the cache.
        No other file is touched, and a run that has mapped an entry into memory keeps it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sizes, used = dict[Path, int](), dict[Path, float]()
        for path in self.folder.iterdir():
            if ENTRY.fullmatch(path.name):
                with suppress(FileNotFoundError):  # another run makes room, too
                    sizes[path], used[path] = path.stat().st_size, path.stat().st_mtime
                    used[path] = path.with_suffix(NOTE).stat().st_mtime
        total = sum(sizes.values())
        room, kept = (shutil.disk_usage(self.folder).free + total - needed) / 2, 0
        for path in sorted(used, key=lambda path: -used[path]):
            if kept + sizes[path] <= room and time.time() - used[path] < LONG:
                kept += sizes[path]
                continue
            for file in (path.with_suffix(NOTE), path):
                with suppress(OSError):  # of somebody else, in a folder that is shared
                    file.unlink()
