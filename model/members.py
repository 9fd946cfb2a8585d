"""Layers of several networks at once: what k independent members compute, in one product.

k members, n rows. With one member a layer works on [n, width], with more on [k, n, width]; weights
have the members in front, so a member's are those of the same layer alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import nn

from model.columns import Columns
from ranks.share import WHOLE

POOL = 1 << 20  # random numbers of a member, at least
Rows = NDArray[np.float32]


def lead(members: int) -> list[int]:
    """The dimension of the members, where there are several."""
    return [members] if members > 1 else []


def fuses() -> bool:
    """Whether layers that are made now train by `addmm` and `baddbmm`, whose gradient for a bias is
    a product: on a CPU the sum over rows, which an addition that broadcasts would take, is ten
    times as slow. On a GPU it is not, and paddle.amp knows `matmul` alone."""
    return paddle.get_device() == "cpu"


class Dense(nn.Layer):
    """x -> gain x W + b, with W [k, width_in, width_out]; x of one member or of all."""

    def __init__(self, width_in: int, width_out: int, members: int = 1, gain: float = 1.0) -> None:
        super().__init__()
        self.members, self.gain, self.fuses = members, gain, fuses()
        first = nn.initializer.XavierUniform(width_in, width_out)
        self.weight = self.create_parameter(
            [*lead(members), width_in, width_out], default_initializer=first
        )
        shape = [members, 1, width_out] if members > 1 else [width_out]
        self.bias = self.create_parameter(shape, is_bias=True)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.product(x, self.weight)

    def product(self, x: paddle.Tensor, weight: paddle.Tensor) -> paddle.Tensor:
        """gain x `weight` + b, with any weights of this shape."""
        # A graph's rows are of unknown number, which `addmm` does not take.
        if not (self.training and self.fuses):
            product = paddle.matmul(x.unsqueeze(0) if x.ndim < weight.ndim else x, weight)
            return (product * self.gain if self.gain != 1 else product) + self.bias
        if self.members == 1:
            return paddle.addmm(self.bias, x, weight, alpha=self.gain)
        return paddle.baddbmm(self.bias, for_all(x, self.members), weight, alpha=self.gain)


def for_all(x: paddle.Tensor, members: int) -> paddle.Tensor:
    """[n, width] -> [k, n, width] where there are several members; what has them stays."""
    if members == 1 or x.ndim == 3:
        return x
    return paddle.concat([x.unsqueeze(0)] * members)


class LevelEmbeddings(nn.Layer):
    """Codes float32 [n, C] -> the learned numbers of their levels, [n, C width]."""

    def __init__(self, columns: Columns, width: int, members: int = 1, deviation: float = 0.1):
        super().__init__()
        sizes = [column.levels for column in columns]
        self.members, self.width = members, width * len(sizes)
        first = nn.initializer.Normal(std=deviation)
        self.weight = self.create_parameter(
            [members * sum(sizes), width], default_initializer=first
        )
        offset = np.cumsum([0, *sizes[:-1]])
        if members > 1:
            offset = offset + sum(sizes) * np.arange(members)[:, None, None]
        self.register_buffer("offset", paddle.to_tensor(offset.astype(np.int64)), persistable=False)

    def forward(self, codes: paddle.Tensor) -> paddle.Tensor:
        found = F.embedding(codes.astype("int64") + self.offset, self.weight)
        return found.reshape([*lead(self.members), -1, self.width])


class Masks:
    """What dropout draws: slices of a pool of random numbers, which each member has by its own seed
    and which begin, in each step, at the same place for all members.

    On a CPU that is ten times as fast as numbers drawn anew. Not a layer: nothing of it is saved,
    for the pool follows from the seeds, and the places from the seed of a block of rows.
    """

    def __init__(self, share: float, seeds: Sequence[int]) -> None:
        self.share, self.seeds = share, list(seeds)
        self._numbers, self._mask = np.zeros((0, 0), np.float32), paddle.zeros([0])
        self._now = -1.0
        self.part = WHOLE  # of the mini-batch, whose rows all processes' masks belong to

    def begin(self, seed: int, share: float, most: int) -> None:
        """A block of rows whose seed this is: `share` of the values of layers of at most so many a
        member are dropped."""
        self._places, size = np.random.default_rng(seed), max(POOL, 2 * most)
        if share and self._numbers.shape[1] != size:
            pools = [np.random.default_rng([s, 1]).random(size, np.float32) for s in self.seeds]
            self._numbers, self._now = np.stack(pools), -1.0
        if share and share != self._now:
            mask = (self._numbers >= share) / np.float32(1 - share)
            mask = mask[0] if len(mask) == 1 else mask
            self._mask = paddle.to_tensor(mask.astype(np.float32))
        self._now = share

    def __call__(self, x: paddle.Tensor) -> paddle.Tensor:
        width = x.shape[-1]
        size = width * (x.shape[-2] if self.part is WHOLE else self.part.rows)
        if self._now < 0:
            self.begin(0, self.share, size)
        if not self._now:
            return x
        at = int(self._places.integers(0, self._mask.shape[-1] - size))
        mask = self._mask[..., at : at + size]
        if self.part is not WHOLE:
            mask = self.part.of(mask.reshape([*mask.shape[:-1], self.part.rows, width]))
        return x * mask.reshape(x.shape)
