"""Rows made ready for the network, beside training: as the exported graph does it, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reader.encoding import Encoding

PIECE = 16_384  # rows: few, for a core's cache; many, for each asks for the interpreter's lock
STEEPEST = 64.0  # what a matrix may multiply deviations by before float32 digits run out
Block = NDArray[np.float32]
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Ready:
    """Rows [n, P + 1], the target last -> float32 features [n, D + embedded], target [n, 1].

    Encoded columns minus `shift` [D], divided by `spread` [D], multiplied by `matrix` [D, D] if
    there is one; then codes for embeddings as they are. The target, or with `log` log(1 + y), is
    (y - shift) / spread by the two of `target`. Several times as fast as the layers of the graph on
    such small matrices; the export is proven equal to what was trained on these.
    """

    encoding: Encoding
    shift: Vector
    spread: Vector
    matrix: NDArray[np.float64] | None
    target: tuple[float, float]
    log: bool = False

    def __call__(self, block: Block) -> tuple[Block, Block]:
        return self.features(block), self._target(block[:, -1:])

    def features(self, block: Block) -> Block:
        """Those alone; rows may come without their target."""
        width, coded = len(self.shift), [position for position, _ in self.encoding.embedded]
        found = np.empty((len(block), width + len(coded)), dtype=np.float32)
        # Whether float32 has digits enough: numbers without holes then need no other type.
        mild = self.matrix is None or np.abs(self.matrix.T * self.spread).max() < STEEPEST
        scale = 1 / self.spread if self.matrix is None else self.matrix
        for start in range(0, len(block), PIECE):
            rows, place = block[start : start + PIECE], found[start : start + PIECE]
            plain = mild and self.encoding.plain and not np.isnan(rows.sum())
            kind = np.float32 if plain else np.float64
            x: NDArray[Any] = rows[:, :width] if plain else self.encoding.encode(rows)
            x = x - self.shift.astype(kind)
            factor = scale.astype(kind)
            place[:, :width] = x * factor if self.matrix is None else x @ factor
            place[:, width:] = rows[:, coded]
        return found

    def _target(self, y: Block) -> Block:
        shift, spread = self.target
        values = y.astype(np.float64)
        values = np.log1p(values) if self.log else values
        return ((values - shift) / spread).astype(np.float32)
