"""Predict a table with an exported model.

python infer.py --model runs/boston --input table.csv --output predictions.csv
python infer.py --model runs/boston --verify
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from errors import TableError, UserError
from model.predictor import Predictor, find_export, read_contract
from reader.formats import Reading
from reader.kinds import Encoder
from reader.metrics import Sums
from reader.rows import ROWS_PER_BATCH, Batch, Layout
from reader.schema import Column, Schema
from reader.table import Table, open_like

CELLS_AHEAD = 2**24  # 64 MB: about what is read of a table while Paddle is imported


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    try:
        if options.verify:
            verify(load(options))
        if options.input is None:
            return 0
        with input_file(options.input) as source, output_file(options.output, source) as output:
            contract = read_contract(find_export(options.model))
            schema, reading = Schema.read(contract["schema"]), Reading(**contract["reading"])
            table = open_like(source, schema, reading)
            predict(options, contract, schema, table, output)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever reads our output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"error: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="a run folder or an export folder")
    parser.add_argument("--input", help="a table like the one trained on; - for stdin")
    parser.add_argument("--output", default="-", help="a CSV file; - for stdout, the default")
    parser.add_argument(
        "--on-error",
        choices=("fail", "flag"),
        default="fail",
        help="at a wrong row: stop, and write nothing (fail, the default); or leave its prediction "
        "empty, and give the reason in a column `error` (flag)",
    )
    parser.add_argument("--device", default="auto", help="auto (default), cpu, gpu or gpu:N")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="check every file, and predict the golden rows of the contract again",
    )
    options = parser.parse_args(arguments)
    if options.input is None and not options.verify:
        parser.error("expected --input, --verify, or both")
    return options


def load(options: argparse.Namespace) -> Predictor:
    """In a thread of its own: Ctrl-C would else become an ImportError of Paddle."""
    with ThreadPoolExecutor(1) as loader:
        return loader.submit(Predictor, options.model, options.device).result()


def verify(predictor: Predictor) -> None:
    """Raises ExportError where golden rows are not predicted as they were."""
    rows, worst = predictor.verify()
    print(
        f"verified: {len(predictor.contract['files']) + 1} files by SHA-256, {rows} golden rows "
        f"within {worst:.1e} (tolerance {predictor.contract['golden']['tolerance']:.1e})",
        file=sys.stderr,
    )


@contextmanager
def input_file(name: str) -> Iterator[Path]:
    """The path of the input; standard input is spooled to disk, so that it is read like a file."""
    if name != "-":
        yield Path(name)
        return
    with tempfile.NamedTemporaryFile(prefix="stdin-") as spool:
        shutil.copyfileobj(sys.stdin.buffer, spool)
        spool.flush()
        try:
            yield Path(spool.name)
        except TableError as error:
            raise TableError(str(error).replace(spool.name, "standard input")) from None


@contextmanager
def output_file(name: str, source: Path) -> Iterator[BinaryIO]:
    """Standard output, or a file that gets its name only when everything is written."""
    if name == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(name)
    if path.exists() and path.samefile(source):
        raise TableError(f"{path}: is the input; choose another --output")
    draft = path.with_name(f".{path.name}.draft")
    try:
        with draft.open("wb") as file:
            yield file
        draft.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from None
    finally:
        draft.unlink(missing_ok=True)


def predict(
    options: argparse.Namespace,
    contract: dict[str, Any],
    schema: Schema,
    table: Table,
    output: BinaryIO,
) -> None:
    """Write ids, prediction and, with --on-error flag, error: a line a row, in order; then warn of
    what is unlike training, and print metrics, where the target is known."""
    known, flag = schema.target in table.columns, options.on_error == "flag"
    monitor = Monitor(schema, contract)
    target = [Encoder(Column(schema.target, "target"), may_be_empty=True)] if known else []
    ids = tuple(name for name in schema.ids if name in table.columns)
    layout = Layout((*monitor.encoders, *target), ids, flag)
    sums, wrong = Sums(), 0
    with read_ahead(table.batches(layout), len(layout.names)) as batches:
        predictor = load(options)
        header = [*ids, *predictor.outputs, *["error"] * flag]
        output.write(pl.DataFrame(schema=header).write_csv().encode())
        for batch in batches:
            rows, _, errors = batch
            features = np.ascontiguousarray(rows[:, :-1]) if known else rows
            features[list(errors)] = 0
            found = predictor.predict_outputs(features)
            output.write(as_csv(dict(zip(predictor.outputs, found.T, strict=True)), batch, flag))
            monitor.add(
                np.delete(features, list(errors), axis=0) if errors else features, len(rows)
            )
            wrong += len(errors)
            if known:
                at = np.isfinite(rows[:, -1])
                sums.add(rows[at, -1], found[at, 0])
    report(schema, table, monitor, sums, wrong)


@contextmanager
def read_ahead(batches: Iterator[Batch], columns: int) -> Iterator[Iterator[Batch]]:
    """The batches, read from now on by a thread of their own, about CELLS_AHEAD cells ahead."""
    with ThreadPoolExecutor(1) as reader:
        most = max(1, CELLS_AHEAD // (ROWS_PER_BATCH * columns))
        ahead = deque(reader.submit(next, batches, None) for _ in range(most))

        def in_order() -> Iterator[Batch]:
            while batch := ahead.popleft().result():
                ahead.append(reader.submit(next, batches, None))
                yield batch

        try:
            yield in_order()
        finally:
            reader.shutdown(cancel_futures=True)


def as_csv(found: dict[str, NDArray[np.float32]], batch: Batch, flag: bool) -> bytes:
    """The lines of a batch; with `flag`, wrong rows without what was `found`, but with a reason."""
    lines = {name: batch.ids[name] for name in batch.ids.columns}
    lines |= {name: pl.Series(values) for name, values in found.items()}
    if flag:
        rows, errors = len(batch.rows), batch.errors
        reasons = [errors.get(row) for row in range(rows)] if errors else [None]
        lines["error"] = pl.Series(reasons, dtype=pl.String).extend_constant(
            None, rows - len(reasons)
        )
        wrong = lines["error"].is_not_null()
        lines |= {name: lines[name].set(wrong, None) for name in found}
    return pl.DataFrame(lines).write_csv(include_header=False).encode()


def report(schema: Schema, table: Table, monitor: Monitor, sums: Sums, wrong: int) -> None:
    """Say on stderr what a reader of the predictions should know."""
    if not monitor.rows:
        raise TableError(f"{table.path}: no rows; expected at least one")
    notes = []
    if ignored := [name for name in table.columns if name not in schema.names]:
        notes.append(f"note: columns not trained on are ignored: {', '.join(ignored)}")
    if wrong:
        notes.append(
            f"warning: {wrong:,} of {monitor.rows:,} rows have no prediction; "
            "the column error says why"
        )
    notes += [f"warning: {warning}" for warning in monitor.warnings()]
    if sums.rows:
        notes.append(f"{schema.target} is known in {sums.rows:,} of {monitor.rows:,} rows:")
        notes.append(str(sums.metrics()))
    if notes:
        print(*notes, sep="\n", file=sys.stderr)


class Monitor:
    """Counts what is unlike the training rows: values out of range, missing, of unknown level."""

    def __init__(self, schema: Schema, contract: dict[str, Any]) -> None:
        self.encoders = [Encoder(column, contract["may_be_empty"]) for column in schema.features]
        self.names, self.shares = schema.packed, contract["shares"]
        trained = contract["statistics"]["columns"]
        anything = {"minimum": -np.inf, "maximum": np.inf}  # of codes
        self.low = np.array([trained.get(name, anything)["minimum"] for name in self.names])
        self.high = np.array([trained.get(name, anything)["maximum"] for name in self.names])
        self.outside = np.zeros(len(self.names), dtype=np.int64)
        self.rows = 0

    def add(self, features: NDArray[np.float32], rows: int) -> None:
        self.rows += rows
        self.outside += ((features < self.low) | (features > self.high)).sum(axis=0)

    def warnings(self) -> Iterator[str]:
        """A line for each column, and each thing, that is unlike training."""
        for name, count, low, high in zip(
            self.names, self.outside, self.low, self.high, strict=True
        ):
            if count:
                yield (
                    f"{name}: {count:,} of {self.rows:,} values outside the range "
                    f"that the model was trained on, {low:g} to {high:g}"
                )
        for encoder in self.encoders:
            shares = self.shares[encoder.column.name]
            for what, found in (("missing", encoder.missing), ("unknown", encoder.unknown)):
                if self._is_far_above(found, shares[what]):
                    yield (
                        f"{encoder.column.name}: {found:,} of {self.rows:,} values {what} "
                        f"({found / self.rows:.1%}); in training {shares[what]:.1%}"
                    )

    def _is_far_above(self, count: int, share: float) -> bool:
        """More than half as much again as in training, and more than chance would explain: three
        standard deviations of a binomial count."""
        expected = self.rows * share
        chance = 3 * math.sqrt(expected * (1 - share))
        return count > max(1.5 * expected, expected + chance)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
