"""The comparisons: each gives results one by one, as it comes to them."""

from __future__ import annotations

import math
import statistics
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import ours, peers, tables
from benchmarks.optimum import CAP, best, reach
from benchmarks.tables import Table
from benchmarks.timing import Clock, Ratio, Run, in_turns, process, run, timed

OURS = "ours"
ONE_PASS = {"epochs": 1, "batch_size": 1_000}
SLACK = 0.005  # of a ratio, that rounding to what is printed may hide


@dataclass(frozen=True)
class Options:
    """`tables`: (name, path, target) of tables beside those made here; files go into `folder`;
    `cap`: seconds of training after which a side never arrives."""

    folder: Path
    rounds: int = 5
    quick: bool = False
    tables: Sequence[tuple[str, str, str]] = ()
    cap: float = CAP

    def rows(self, count: int) -> int:
        return count // 100 if self.quick else count


class Result(NamedTuple):
    """`figure` should not exceed `limit`; `text` shows its spread, `sides` what it is made of."""

    what: str
    figure: float
    text: str
    sides: str
    limit: float | None

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        return "yes" if self.figure <= self.limit + SLACK else "no"

    def __str__(self) -> str:
        aim = f"   aim {self.limit:.3g}: {self.verdict}" if self.limit is not None else ""
        return f"{self.what}: {self.text}   ({self.sides}){aim}"


Pair = tuple[str, str, float | None]
"""One side, the other, and what the ratio of their seconds is to be at most."""


def ratios(
    what: str, sides: Mapping[str, Clock], pairs: Iterable[Pair], rounds: int
) -> Iterator[Result]:
    """Pairs of which a side is not there, a peer not installed, are left out."""
    seconds = in_turns(sides, rounds)
    for ours_, theirs, limit in pairs:
        if ours_ in sides and theirs in sides:
            ratio = Ratio.of(seconds[ours_], seconds[theirs])
            both = f"{in_words(seconds[ours_])} / {in_words(seconds[theirs])}"
            name = f"{what}: {ours_} / {theirs}"
            yield Result(name, ratio.median, str(ratio), both, limit)


def in_words(seconds: Sequence[float]) -> str:
    median = statistics.median(seconds)
    if math.isinf(median):
        return "never"
    units = ((1.0, "s"), (1e3, "ms"), (1e6, "us"))
    scale, unit = next((each for each in units if median * each[0] >= 0.5), units[-1])
    return f"{median * scale:.3g} {unit}"


def exhaust(steps: Callable[[], Iterator[None]]) -> None:
    deque(steps(), maxlen=0)


def start(options: Options) -> Iterator[Result]:
    """A whole run on a table of 506 rows."""
    boston = ours.Run(tables.BOSTON, options.folder / "boston")
    sides = {
        "train.py": process(boston.command, boston.clear),
        "import paddle": process([sys.executable, "-c", "import paddle"]),
    }
    pairs = [("train.py", "import paddle", 2.5)]
    yield from ratios("Boston, whole process", sides, pairs, options.rounds)


def step(options: Options) -> Iterator[Result]:
    """A training step, as the mean of a whole pass, fetching and shuffling of rows included."""
    table = tables.synthetic(options.rows(2_000_000))
    matrix, path = np.column_stack([table.x, table.y]), options.folder / "matrix.float32"
    matrix.tofile(path)
    mapped = np.asarray(np.memmap(path, dtype=np.float32, mode="r")).reshape(matrix.shape)
    memory, disk = "in memory", "memory-mapped"
    floor, stock = "the same loop on ready tensors", "the same with paddle.optimizer.SGD"
    loader, resident = "PyTorch DataLoader", "PyTorch on resident tensors"
    for batch in (100, 1_000):
        sides = {floor: ours.floor(table, batch), stock: ours.floor(table, batch, stock=True)}
        for name, rows in ((memory, matrix), (disk, mapped)):
            training, _ = ours.trainer(rows, batch)
            sides[name] = timed(ours.epochs(training), steps=training.loader.steps)
        if peers.PYTORCH.load():
            torch = peers.Torch(table.x, table.y, batch, rate=0.01)
            sides[loader] = timed(partial(exhaust, torch.loader_epoch), steps=torch.steps)
            sides[resident] = timed(partial(exhaust, torch.epoch), steps=torch.steps)
        near = 1 / 0.9 if batch == 100 else 1 / 0.75
        pairs = [(memory, floor, near), (disk, floor, near), (memory, stock, None)]
        pairs += [(memory, loader, 1 / 3), (memory, resident, 1.15)]
        yield from ratios(f"step, batch {batch:,}", sides, pairs, options.rounds)


def optimum(options: Options) -> Iterator[Result]:
    """Training, to within 0.1 % of the least-squares loss, table by table."""
    yield from optima(tables.boston(), options)
    yield from optima(tables.synthetic(options.rows(1_000_000)), options)
    yield from optima(tables.ill_conditioned(options.rows(100_000)), options)
    for name, path, target in options.tables:
        yield from optima(tables.from_file(name, path, target), options)


def optima(table: Table, options: Options) -> Iterator[Result]:
    """One table; each peer in the setting that is best for it."""
    cap, setting = options.cap, ours.to_optimum(table)
    sides: dict[str, Clock] = {OURS: partial(reach, table, setting, cap)}
    for peer in peers.PEERS:
        if not peer.load():
            continue
        fastest = best(table, peer.settings(table, options.folder), cap, 3 * cap)
        name = fastest.name if fastest else "no setting fastest that gets there"
        print(f"{table.name}, {peer.name}: {name}", flush=True)
        # A peer that the search could not bring there is not tried again.
        sides[peer.name] = partial(reach, table, fastest, cap) if fastest else lambda: math.inf
    pairs = [(OURS, name, 1.0) for name in sides if name != OURS]
    yield from ratios(f"optimum, {table.name}", sides, pairs, options.rounds)


def whole_process(options: Options) -> Iterator[Result]:
    """From text on disk to a trained model, no setting chosen; without a cache on either side.
    Vowpal Wabbit makes one pass, train.py as many as it needs."""
    rows = options.rows(10_000_000)
    table = tables.write_csv(options.folder, rows)
    training = ours.recipe(options.folder / "process", table, {})
    name = f"{rows:,} rows, whole process"
    sides = {"train.py": process(training.command, training.clear)}
    if peers.VOWPAL_WABBIT.load():
        model = options.folder / "process.model"
        command = peers.vw(tables.write_vw(options.folder, rows), "-f", str(model))
        sides["vw"] = process(command)
    yield from ratios(name, sides, [("train.py", "vw", 1.0)], options.rounds)
    training.clear()


def infer(options: Options) -> Iterator[Result]:
    rows = options.rows(2_000_000)
    table, model = tables.write_csv(options.folder, rows), trained(options)
    output = options.folder / "predictions.csv"
    floor = "import paddle, read and write by Polars"
    module = [sys.executable, "-m", "benchmarks.infer_floor"]
    sides = {
        "infer.py": process(ours.infer_process(model, table, output)),
        floor: process([*module, str(table), str(output)]),
    }
    yield from ratios(f"{rows:,} rows", sides, [("infer.py", floor, 1.5)], options.rounds)


def predictor(options: Options) -> Iterator[Result]:
    model, table = trained(options), tables.synthetic(65_536)
    for rows, calls in ((1, 20_000), (65_536, 50)):
        sides = {
            "Predictor": ours.predictions(model, table.x[:rows], calls),
            "bare Paddle Inference": ours.bare_predictions(model, table.x[:rows], calls),
        }
        pairs = [("Predictor", "bare Paddle Inference", 1.3 if rows == 1 else 1.1)]
        yield from ratios(f"predictions of {rows:,} rows at once", sides, pairs, options.rounds)


def trained(options: Options) -> Path:
    """A run folder: the model of a linear regression on 13 columns."""
    table = tables.write_csv(options.folder, 20_000)
    training = ours.recipe(options.folder / "model", table, {})
    training.clear()
    run(training.command)
    return training.folder


def growth(options: Options) -> Iterator[Result]:
    """Whether the largest table takes the time that the straight line through the two smaller ones
    foretells, and the memory that backs no file, of each row more."""
    sizes = [options.rows(count) for count in (2_000_000, 8_000_000, 32_000_000)]
    runs: list[list[Run]] = []
    for size in sizes:
        table = tables.write_csv(options.folder, size)
        training = ours.recipe(options.folder / "growth", table, ONE_PASS)
        runs_of_size = []
        for _ in range(1 if options.quick else min(options.rounds, 3)):
            training.clear()
            runs_of_size.append(run(training.command, watch=True))
        training.clear()
        runs.append(runs_of_size)
        print(f"train.py, {size:,} rows: {in_words([r.seconds for r in runs_of_size])}", flush=True)
    small, middle, large = ([each.seconds for each in each_size] for each_size in runs)
    share = (sizes[2] - sizes[1]) / (sizes[1] - sizes[0])
    line = [b + (b - a) * share for a, b in zip(small, middle, strict=True)]
    ratio = Ratio.of(large, line)
    name = f"train.py, {sizes[2]:,} rows"
    both = f"{in_words(large)} / {in_words(line)}"
    yield Result(f"{name} / a straight line", ratio.median, str(ratio), both, 1.15)
    least, most = (max(each.anonymous for each in size) for size in (runs[0], runs[2]))
    grown = (most - least) / (sizes[2] - sizes[0])
    both = f"{least / 2**20:.0f} MiB at {sizes[0]:,} rows, {most / 2**20:.0f} MiB at {sizes[2]:,}"
    yield Result("anonymous memory, bytes a row", grown, f"{grown:.2f}", both, 8.0)


COMPARISONS: dict[str, Callable[[Options], Iterator[Result]]] = {
    "start": start,
    "step": step,
    "optimum": optimum,
    "process": whole_process,
    "infer": infer,
    "predictor": predictor,
    "growth": growth,
}
