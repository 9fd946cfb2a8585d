"""Tables as arrays in memory, the same for every side, and as files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from configs.load import load
from reader.fitting import InputOptions
from reader.source import TableOptions, read
from reader.split import SplitOptions
from reader.training_data import fit
from trainer.settings import experiment

Matrix = NDArray[np.float32]
Vector = NDArray[np.float64]

BOSTON = "configs/boston.yaml"
WIDTH = 13
TARGET = "y"
CHUNK = 1_000_000
EVERY_ROW = SplitOptions(train=1.0, validation=0.0, test=0.0)


@dataclass(frozen=True)
class Table:
    """`x` float32 [N, D]: numbers without holes; `y` float32 [N]."""

    name: str
    x: Matrix
    y: Matrix

    @cached_property
    def target(self) -> Vector:
        """`y` with mean 0 and deviation 1, [N]: the unit of every prediction here."""
        return self.standardise(self.y)

    def standardise(self, values: NDArray[np.floating]) -> Vector:
        """Values in the unit of `y` -> in that of `target`."""
        y = self.y.astype(np.float64)
        return (np.asarray(values, dtype=np.float64) - y.mean()) / (y.std() or 1.0)

    @cached_property
    def _least_squares(self) -> tuple[float, int]:
        x = self.x.astype(np.float64)
        x -= x.mean(axis=0)
        x /= np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
        weights, _, rank, _ = np.linalg.lstsq(x, self.target, rcond=None)
        return float(np.mean((x @ weights - self.target) ** 2)), int(rank)

    @property
    def optimum(self) -> float:
        """The least mean squared error of any straight line, by least squares in float64."""
        return self._least_squares[0]

    @property
    def rank(self) -> int:
        """How many of the columns do not follow from others."""
        return self._least_squares[1]

    def gap(self, prediction: Vector) -> float:
        """By what share the mean squared error of `prediction` [N] is above the optimum."""
        with np.errstate(over="ignore", invalid="ignore"):  # where a setting diverges
            return float(np.mean((prediction - self.target) ** 2) / self.optimum - 1)


def synthetic(rows: int, width: int = WIDTH, seed: int = 0) -> Table:
    """Independent columns of unlike sizes; half of the target's variance is noise."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((rows, width), dtype=np.float32)
    weights = np.cos(np.arange(width, dtype=np.float32))
    noise = random.standard_normal(rows, dtype=np.float32)
    y = x @ weights + np.float32(np.linalg.norm(weights)) * noise
    x *= np.logspace(-2, 3, width, dtype=np.float32)
    x += np.linspace(-1, 1, width, dtype=np.float32)
    return Table(f"synthetic {rows:,} x {width}", x, y)


def ill_conditioned(rows: int = 100_000, width: int = WIDTH, seed: int = 0) -> Table:
    """Columns that nearly follow from each other: a condition number of 1e6, and a target to which
    each direction matters as much as any other."""
    random = np.random.default_rng(seed)
    z = random.standard_normal((rows, width))
    turn = np.linalg.qr(random.standard_normal((width, width)))[0]
    y = z.sum(axis=1) / np.sqrt(width) + 0.5 * random.standard_normal(rows)
    x = (z * np.logspace(0, -6, width)) @ turn
    return Table("condition number 1e6", x.astype(np.float32), y.astype(np.float32))


def boston() -> Table:
    options = experiment(load(BOSTON)).table
    return encoded("Boston", replace(options, split=EVERY_ROW))


def from_file(name: str, path: str, target: str, exclude: Sequence[str] = ()) -> Table:
    """A table of any kind that the reader knows."""
    options = TableOptions(
        path=path,
        target=target,
        exclude=exclude,
        split=EVERY_ROW,
        memory_limit=1 << 40,
    )
    return encoded(name, options)


def encoded(name: str, options: TableOptions) -> Table:
    """Every row, as the project's own reader makes it numbers: categories as 0/1 columns, missing
    numbers as the mean. Raises TableError."""
    source = read(options)
    data = fit(source, source.parts, InputOptions(one_hot=1_000))
    blocks = list(data.packed.blocks(source.parts.train))
    x = [data.encoding.encode(block).astype(np.float32) for block in blocks]
    return Table(name, np.concatenate(x), np.concatenate([block[:, -1] for block in blocks]))


def write_csv(folder: Path, rows: int) -> Path:
    """A synthetic table of columns x0 ... x12 and y as a file; kept if it is there."""

    def write(frame: pl.DataFrame, file: BinaryIO, first: bool) -> None:
        frame.write_csv(file, include_header=first)

    return _write(folder / f"synthetic-{rows}.csv", _frames(rows), write)


def write_vw(folder: Path, rows: int) -> Path:
    """The rows of `write_csv` in Vowpal Wabbit's own text format."""
    return _write(folder / f"synthetic-{rows}.vw", _frames(rows), _write_vw)


def write_standard_vw(folder: Path, table: Table) -> Path:
    """A table, every column and the target standardised, in Vowpal Wabbit's own text format."""
    x = table.x.astype(np.float64)
    spread = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    values = np.column_stack([x, table.target]).astype(np.float32)
    path = folder / f"{re.sub(r'[^a-zA-Z0-9]+', '-', table.name)}-{len(x)}.vw"
    return _write(path, [_frame(values)], _write_vw)


def _write(
    path: Path,
    frames: Iterable[pl.DataFrame],
    write: Callable[[pl.DataFrame, BinaryIO, bool], None],
) -> Path:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        with draft.open("wb") as file:
            for number, frame in enumerate(frames):
                write(frame, file, number == 0)
        draft.replace(path)
    return path


def _write_vw(frame: pl.DataFrame, file: BinaryIO, first: bool) -> None:
    names = [name for name in frame.columns if name != TARGET]
    form = "{} |" + "".join(f" {name}:{{}}" for name in names)
    lines = frame.select(pl.format(form, TARGET, *names))
    lines.write_csv(file, include_header=False, quote_style="never")


def _frames(rows: int) -> Iterator[pl.DataFrame]:
    for start in range(0, rows, CHUNK):
        table = synthetic(min(CHUNK, rows - start), seed=start)
        yield _frame(np.column_stack([table.x, table.y])).select(pl.all().round(4))


def _frame(values: Matrix) -> pl.DataFrame:
    names = [*(f"x{i}" for i in range(values.shape[1] - 1)), TARGET]
    return pl.DataFrame(values, schema=names)
