"""Which rows of a mini-batch are this process's, where several train on it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.intp]


class Share(NamedTuple):
    """`places` [n], in order, of a mini-batch of so many `rows`. A process that has none of them
    takes a row all the same, to stay in step, and its gradient counts for nothing."""

    places: Places
    rows: int

    @property
    def weight(self) -> float:
        """By how much the mean over these rows counts in that over all."""
        return len(self.places) / self.rows

    def of(self, values: Any) -> Any:
        """Of a tensor [..., rows, width], what stands at the places: a view where they are
        neighbours."""
        if not len(self.places):
            return values[..., :1, :]
        first, last = int(self.places[0]), int(self.places[-1])
        if last - first == len(self.places) - 1:
            return values[..., first : last + 1, :]
        import paddle

        # Indices of places are wrong for a tensor that is a view: Paddle takes its first dimension.
        return paddle.index_select(values, paddle.to_tensor(self.places), values.ndim - 2)


WHOLE = Share(np.zeros(1, dtype=np.intp), 1)
"""That of a process that is alone: every row, whatever their number."""
