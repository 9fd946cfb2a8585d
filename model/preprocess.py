"""From raw rows to what the network sees, as a layer, so that the exported graph does it too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import nn

Table = NDArray[np.float64]


class Preprocess(nn.Layer):
    """float32 [N, P], NaN where a number is missing -> [N, D + indicated + flags + embedded].

    The columns at `numbers` [D], with `fill` [D] for NaN; 1 where one at `indicated` (of these D)
    was missing, else 0; for each column of `one_hot` the row of its table [codes, width] that its
    code says. With `scale`, all these are scaled; then follow the codes at `embedded`.
    `holes`: whether any number may be missing; where none may, nobody looks for NaN.
    """

    def __init__(
        self,
        numbers: Sequence[int],
        fill: NDArray[np.float64],
        indicated: Sequence[int] = (),
        one_hot: Sequence[tuple[int, Table]] = (),
        embedded: Sequence[int] = (),
        scale: nn.Layer | None = None,
        holes: bool = True,
    ) -> None:
        super().__init__()
        self.holes = holes
        self.numbers, self.indicated = list(numbers), list(indicated)
        self.coded, self.embedded = [position for position, _ in one_hot], list(embedded)
        self.register_buffer("fill", paddle.to_tensor(np.asarray(fill, dtype=np.float32)))
        for index, (_, table) in enumerate(one_hot):
            self.register_buffer(f"table{index}", paddle.to_tensor(table.astype(np.float32)))
        self.scale = scale or nn.Identity()

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        scaled = self.scale(self.encode(x))
        return paddle.concat([scaled, _columns(x, self.embedded)], 1) if self.embedded else scaled

    def encode(self, x: paddle.Tensor) -> paddle.Tensor:
        """The same before scaling, without the codes."""
        plain = self.numbers == list(range(x.shape[1]))
        numbers = x if plain else _columns(x, self.numbers)
        parts = [numbers]
        if self.holes:
            missing = paddle.isnan(numbers)
            parts = [paddle.where(missing, self.fill.expand_as(numbers), numbers)]
            if self.indicated:
                parts.append(_columns(missing.astype("float32"), self.indicated))
        for index, position in enumerate(self.coded):
            code = x[:, position].astype("int64")
            parts.append(F.embedding(code, getattr(self, f"table{index}")))
        return paddle.concat(parts, axis=1) if len(parts) > 1 else parts[0]


def _columns(x: paddle.Tensor, positions: list[int]) -> paddle.Tensor:
    return paddle.index_select(x, paddle.to_tensor(positions, dtype="int64"), axis=1)
