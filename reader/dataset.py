"""Rows as shuffled blocks of inputs and target, for paddle.io."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle.io import DataLoader, Dataset

from ranks.alone import Ranks
from ranks.share import Share
from reader.shuffle import InOrder, Order

ROWS_PER_BLOCK = 65_536
NUMBERS_PER_BLOCK = 64 * ROWS_PER_BLOCK
BATCHES_PER_BLOCK = 4_096  # a run stops between blocks: half a second at most for a small network
Block = tuple[paddle.Tensor, paddle.Tensor]
Numbers = NDArray[np.float32]


class Rows(Protocol):
    @property
    def ranks(self) -> Ranks: ...

    def own(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.intp]:
        """Which of these rows are this process's: their places."""

    def take(self, rows: NDArray[np.integer[Any]]) -> Numbers:
        """The rows at these indices, which this process holds, float32 [n, columns]."""

    def sample(self, rows: NDArray[np.integer[Any]]) -> Numbers:
        """The same, whoever holds them: a meeting of all processes."""


class TableDataset(Dataset):  # type: ignore[type-arg]
    """Item i is block i of what is left of the epoch's order: inputs [n, D], target [n, 1].

    `transform` makes both of rows float32 [n, columns]; it runs in the loader's thread, beside
    training. A block holds a whole number of mini-batches, so only an epoch's last mini-batch can
    be short. The order is a pure function of (seed, epoch); without a seed rows stay as they are.
    `width`: what a row of the network's input holds. Where several processes train, all have the
    same order, and each has its share of every mini-batch.
    """

    def __init__(
        self,
        table: Rows,
        rows: NDArray[np.integer[Any]],
        batch_size: int,
        seed: int | None,
        transform: Callable[[Numbers], tuple[Numbers, Numbers]],
        width: int = 1,
    ) -> None:
        self.table = table
        self.rows = rows
        self.seed = seed
        self.batch_size = batch_size
        self.transform = transform
        rows_per_block = min(ROWS_PER_BLOCK, NUMBERS_PER_BLOCK // width)
        batches = min(max(1, rows_per_block // batch_size), BATCHES_PER_BLOCK)
        self.block_size = batches * batch_size
        self.steps = -(-len(rows) // batch_size)
        self.first_block = 0
        self._shares: dict[int, list[Share]] = {}

    def set_epoch(self, epoch: int, first_block: int = 0) -> None:
        """Shuffle, and begin at block `first_block`; before the first call there is no order."""
        if not self.table.ranks.is_alone:
            _ = self._spare  # while all processes meet, and not when one lacks rows
        self.epoch, self.first_block = epoch, first_block
        self.order: Order | InOrder = InOrder(self.rows)
        if self.seed is not None:
            self.order = Order(self.rows, self.seed, epoch)

    @property
    def blocks_per_epoch(self) -> int:
        return -(-len(self.rows) // self.block_size)

    def __len__(self) -> int:
        return self.blocks_per_epoch - self.first_block

    def __getitem__(self, index: int) -> Block:
        start = (self.first_block + index) * self.block_size
        rows = self.order.take(start, min(start + self.block_size, len(self.rows)))
        is_alone = self.table.ranks.is_alone
        block = self.table.take(rows) if is_alone else self._own(self.first_block + index, rows)
        inputs, target = self.transform(block)
        return _in_memory(inputs), _in_memory(target)

    def first_row(self) -> Block:
        """One row as a block, whatever the order, in all processes: a meeting."""
        inputs, target = self.transform(self._spare)
        return paddle.to_tensor(inputs), paddle.to_tensor(target)

    def _own(self, index: int, rows: NDArray[np.integer[Any]]) -> Numbers:
        """Those of a block's rows that are this process's, and a spare one for each mini-batch of
        which it has none; takes note of its shares."""
        batches = [rows[at : at + self.batch_size] for at in range(0, len(rows), self.batch_size)]
        shares = [Share(self.table.own(batch), len(batch)) for batch in batches]
        self._shares[index] = shares
        own = [batch[share.places] for batch, share in zip(batches, shares, strict=True)]
        block = self.table.take(np.concatenate(own))
        ends = np.cumsum([len(some) for some in own])
        without = [end for end, some in zip(ends, own, strict=True) if not len(some)]
        return np.insert(block, without, self._spare, axis=0) if without else block

    @cached_property
    def _spare(self) -> Numbers:
        """The first row: a meeting."""
        return self.table.sample(self.rows[:1])

    def shares(self, index: int) -> list[Share] | None:
        """Of each mini-batch of block `index` of the epoch; None for a process that is alone."""
        return self._shares.pop(index, None)

    def batches(self, block: Block, shares: Sequence[Share] | None = None) -> Iterator[Block]:
        """The mini-batches of a block, as views of it; or this process's `shares` of them."""
        if shares is None:
            return zip(*map(self._views, block), strict=True)
        ends = np.cumsum([0, *(max(1, len(share.places)) for share in shares)]).tolist()
        return ((block[0][a:b], block[1][a:b]) for a, b in pairwise(ends))

    def _views(self, part: paddle.Tensor) -> list[paddle.Tensor]:
        whole = len(part) // self.batch_size
        end = whole * self.batch_size
        views = paddle.unbind(part[:end].reshape([whole, self.batch_size, -1])) if whole else []
        return [*views, part[end:]] if end < len(part) else views

    def block_seed(self, index: int) -> int:
        """A seed for what is drawn at random within block `index` of the epoch."""
        words = np.random.SeedSequence([self.seed or 0, self.epoch, index]).generate_state(1)
        return int(words[0])

    def loader(self) -> DataLoader:
        """Blocks as tensors on the current device, in order, two of them made ahead.

        A GPU has two of these already: a thread copies them there, through pinned memory and on a
        stream of its own, while the block before them trains.
        """
        batch_size: Any = None  # an item is a block already; Paddle's stubs leave this case out
        on_gpu = paddle.get_device() != "cpu"
        loader = DataLoader(self, batch_size=batch_size, shuffle=False, use_buffer_reader=on_gpu)
        if on_gpu:
            loader.pin_memory = False  # else blocks stay in pinned memory, to be copied by each use
        return loader

    def blocks(self) -> Iterator[tuple[int, Block]]:
        """What is left of the epoch, block by block, each with its number in the epoch."""
        for index, block in enumerate(self.loader(), start=self.first_block):
            gc.collect(0)  # the loader leaves the last block in a cycle of references
            yield index, (block[0], block[1])


def _in_memory(values: Numbers) -> paddle.Tensor:
    """The same memory as a tensor of the CPU."""
    return paddle.utils.dlpack.from_dlpack(values)
