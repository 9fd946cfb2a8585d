"""One of several processes whose work is measured: it does what each line of JSON on standard input
says, as `[name, arguments]`, and answers each with a line of JSON, the seconds that it took.

benchmarks.distributed starts it, with the variables that ranks.place reads.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import paddle
import paddle.distributed as dist

from benchmarks import ours, tables
from ranks.alone import ALONE, Ranks
from ranks.group import Group
from ranks.lifeline import Lifeline
from ranks.place import place
from ranks.share import WHOLE
from reader.pack import PackedTable
from reader.schema import Column, Schema
from reader.source import TableOptions, read
from reader.statistics import NOTHING, Moments, merge, moments
from trainer.machine import share_machine
from trainer.trainer import State, Trainer

TOGETHER = 60.0  # seconds to wait for the others
NETWORK = {"name": "mlp", "hidden": [512, 512, 512]}


class Worker:
    """What a process of so many `ranks` can be asked to do; each method gives seconds."""

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks
        self._trainers: dict[tuple[int, ...], tuple[Trainer, State]] = {}

    def train(self, rows: int, batch: int, columns: int, alone: bool = False) -> float:
        """The next epoch of a network on so many rows; `alone`: on rows and mini-batches of this
        process's share alone, without a word to the others."""
        if alone:
            rows, batch = rows // self.ranks.count, batch // self.ranks.count
        training, state = self._trainer(rows, batch, columns, alone)
        return timed(lambda: training.fit(state, state.epoch + 1))

    def step(self, rows: int, columns: int, times: int) -> float:
        """A step of the network on rows that are there as tensors."""
        training, _ = self._trainer(rows, rows, columns, True)
        training.loader.set_epoch(1)
        x, y = training.loader[0]

        def step() -> None:
            training.gradients(x, y, WHOLE)
            training.optimizer.step()

        return timed(step, times)

    def prepare(self, rows: int, columns: int) -> float:
        """So many rows, chosen at random, as tensors; a block at most."""
        training, _ = self._trainer(rows, rows, columns, True)
        training.loader.set_epoch(1)
        return timed(lambda: training.loader[0])

    def gradients(self, columns: int, times: int) -> float:
        """The sum of a network's gradients over all processes."""
        training, _ = self._trainer(64, 64, columns, True)
        training.loader.set_epoch(1)
        x, y = training.loader[0]
        loss = training.gradients(x, y, WHOLE)
        parameters = training.network.parameters()
        return timed(lambda: self.ranks.sum_gradients(parameters, loss, 0.5), times)

    def all_reduce(self, floats: int, times: int) -> float:
        """The exchange alone."""
        flat = paddle.zeros([floats])
        return timed(lambda: dist.all_reduce(flat), times)

    def meet(self, times: int) -> float:
        return timed(self.ranks.agree, times)

    def merged(self, columns: int, times: int) -> float:
        """What a pass ends with."""
        own = moments(np.ones((2, columns), np.float32))
        return timed(lambda: self.ranks.merged(own, merge), times)

    def moments(self, path: str, columns: int, rows: int, alone: bool = False) -> float:
        """Of this process's share of the rows of a file of float32; of all that are asked for where
        it is `alone`, each process of its own."""
        mapped = np.asarray(np.memmap(path, dtype=np.float32, mode="r")).reshape(-1, columns)
        names = [f"x{i}" for i in range(columns - 1)]
        schema = Schema((*(Column(n, "numeric") for n in names), Column("y", "target")))
        packed = PackedTable(schema, mapped, "", ranks=ALONE if alone else self.ranks)
        chosen = np.arange(rows, dtype=np.int32)
        if alone:
            chosen = chosen[self.ranks.share_of(rows)]
        found: list[Moments] = []
        seconds = timed(lambda: found.append(packed.reduce(moments, merge, NOTHING, chosen)))
        assert found[0].rows == len(chosen)
        return seconds

    def cpu(self, of: str, **arguments: Any) -> float:
        """Seconds that this process computes for another of these methods, on whatever cores: those
        that it waits, for others or for a core that others have, do not count."""
        start = time.process_time()
        getattr(self, of)(**arguments)
        return time.process_time() - start

    def pack(self, path: str) -> float:
        """A table of tables.write_csv, read, every cell checked, into memory."""
        options = TableOptions(path, tables.TARGET, memory_limit=1 << 40)
        return timed(lambda: read(options))

    def _trainer(self, rows: int, batch: int, columns: int, alone: bool) -> tuple[Trainer, State]:
        key = rows, batch, columns, int(alone)
        if key not in self._trainers:
            ranks = ALONE if alone else self.ranks
            training, _ = ours.trainer(self._matrix(columns)[:rows], batch, NETWORK, ranks)
            self._trainers[key] = training, State()
        return self._trainers[key]

    def _matrix(self, columns: int) -> tables.Matrix:
        """Rows for every measurement, float32 [n, columns + 1]."""
        if columns not in self._matrices:
            table = tables.synthetic(MOST_ROWS, columns)
            self._matrices[columns] = np.column_stack([table.x, table.y])
        return self._matrices[columns]

    @cached_property
    def _matrices(self) -> dict[int, tables.Matrix]:
        return {}


MOST_ROWS = 1 << 17


def timed(work: Callable[[], Any], times: int = 1) -> float:
    """Seconds a time."""
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times


def main() -> int:
    share_machine()
    here = place()
    lifeline = Lifeline(here, TOGETHER) if here else None
    worker = Worker(Group(here, lifeline) if here and lifeline else ALONE)
    print(json.dumps(0.0), flush=True)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        worker.ranks.agree()
        print(json.dumps(getattr(worker, name)(**arguments)), flush=True)
    worker.ranks.agree()  # the first to leave would be taken for one that died
    if lifeline and worker.ranks.is_first:
        lifeline.close()
    elif lifeline:
        lifeline.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
