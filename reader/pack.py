"""A table read once, into one float32 matrix: in memory, or in a file that is mapped into it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from reader.schema import Schema, TableError
from reader.table import ROWS_PER_BATCH, Table

Matrix = NDArray[np.float32]
CACHE_FORMAT = 1


@dataclass(frozen=True)
class PackedTable:
    """`matrix`: float32 [rows, features + 1], row-major, target last; `sha256`: of the files."""

    schema: Schema
    matrix: Matrix
    sha256: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.schema.features, self.schema.target)

    def blocks(self, rows: NDArray[np.integer[Any]]) -> Iterator[Matrix]:
        """The given rows in order, float32 [n, features + 1], n <= ROWS_PER_BATCH."""
        for start in range(0, len(rows), ROWS_PER_BATCH):
            yield self.matrix[rows[start : start + ROWS_PER_BATCH]]


@dataclass(frozen=True)
class Cache:
    """Where packed tables of more than `limit` bytes go, and are found again."""

    folder: Path
    limit: int

    def entry(self, table: Table, schema: Schema, may_be_empty: Sequence[str]) -> Path:
        """The file for this table as it is now, read as it is: path, size and time of each file,
        the columns, and how cells are read."""
        stats = [(str(file.path.resolve()), file.path.stat()) for file in table.files]
        key = {
            "format": CACHE_FORMAT,
            "files": [[path, stat.st_size, stat.st_mtime_ns] for path, stat in stats],
            "columns": [file.columns for file in table.files],
            "packed": [*schema.features, schema.target],
            "may be empty": list(may_be_empty),
            "reading": [asdict(file.reading) for file in table.files],
        }
        name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
        return self.folder / f"{name}.float32"


def pack(
    table: Table,
    schema: Schema,
    cache: Cache | None = None,
    may_be_empty: Sequence[str] = (),
) -> PackedTable:
    """Stream the table into memory or, above the cache's limit, into its folder.

    A missing number of a column in `may_be_empty` becomes NaN. A table that is in the cache is
    not read again. Raises TableError at the first bad cell, and
    for a table without rows.
    """
    columns = [*schema.features, schema.target]
    entry = cache.entry(table, schema, may_be_empty) if cache else None
    if entry and (found := _recall(entry, len(columns))):
        return PackedTable(schema, *found)
    with ThreadPoolExecutor(1) as beside:
        sha256 = beside.submit(_digest, table)
        batches, kept, size = table.batches(columns, may_be_empty), [], 0
        for batch in batches:
            kept.append(batch)
            size += batch.nbytes
            if cache and entry and size > cache.limit:
                return PackedTable(schema, _spill(entry, kept, batches, sha256), sha256.result())
    if not size:
        raise TableError(f"{table.path}: no rows under the header; expected at least one")
    matrix = kept[0] if len(kept) == 1 else np.concatenate(kept)
    return PackedTable(schema, matrix, sha256.result())


def _spill(
    entry: Path, kept: list[Matrix], batches: Iterable[Matrix], sha256: Future[str]
) -> Matrix:
    """Write `kept`, then the rest of the batches; the note beside the file makes it valid."""
    entry.parent.mkdir(parents=True, exist_ok=True)
    draft = entry.with_suffix(f".{os.getpid()}.draft")  # two runs may pack the same table
    columns = kept[0].shape[1]
    try:
        with draft.open("wb") as file:
            while kept:
                _write(file, kept.pop(0))
            for batch in batches:
                _write(file, batch)
        note = {"bytes": draft.stat().st_size, "sha256": sha256.result()}
        draft.replace(entry)
    finally:
        draft.unlink(missing_ok=True)
    note_draft = entry.with_suffix(f".{os.getpid()}.note")
    note_draft.write_text(json.dumps(note))
    note_draft.replace(entry.with_suffix(".json"))
    return _map(entry, columns)


def _write(file: IO[bytes], batch: Matrix) -> None:
    file.write(np.ascontiguousarray(batch).data)


def _recall(entry: Path, columns: int) -> tuple[Matrix, str] | None:
    """The packed table, unless there is none, or one that was torn."""
    try:
        note = json.loads(entry.with_suffix(".json").read_text())
        if entry.stat().st_size == note["bytes"] and note["bytes"] % (4 * columns) == 0:
            return _map(entry, columns), note["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _map(entry: Path, columns: int) -> Matrix:
    return np.asarray(np.memmap(entry, dtype=np.float32, mode="r")).reshape(-1, columns)


def _digest(table: Table) -> str:
    """SHA-256 of the table's files, one after the other."""
    digest = hashlib.sha256()
    for source in table.files:
        with open(source.path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
