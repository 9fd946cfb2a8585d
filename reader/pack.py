"""A table read once, into one float32 matrix."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reader.schema import Schema, TableError
from reader.table import ROWS_PER_BATCH, Table


@dataclass(frozen=True)
class PackedTable:
    """`matrix`: float32 [rows, features + 1], row-major, target last; `sha256`: of the files."""

    schema: Schema
    matrix: NDArray[np.float32]
    sha256: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.schema.features, self.schema.target)

    def blocks(self, rows: NDArray[np.int64]) -> Iterator[NDArray[np.float32]]:
        """The given rows in order, float32 [n, features + 1], n <= ROWS_PER_BATCH."""
        for start in range(0, len(rows), ROWS_PER_BATCH):
            yield self.matrix[rows[start : start + ROWS_PER_BATCH]]


def pack(table: Table, schema: Schema) -> PackedTable:
    """Stream the table into memory.

    Raises TableError at the first bad cell, and for a table without rows.
    """
    batches = list(table.batches([*schema.features, schema.target]))
    if not sum(len(batch) for batch in batches):
        raise TableError(f"{table.path}: no rows under the header; expected at least one")
    matrix = batches[0] if len(batches) == 1 else np.concatenate(batches)
    return PackedTable(schema, matrix, _digest(table))


def _digest(table: Table) -> str:
    """SHA-256 of the table's files, one after the other."""
    digest = hashlib.sha256()
    for source in table.files:
        with open(source.path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
