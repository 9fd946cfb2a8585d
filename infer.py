"""Predict a table with an exported model.

python infer.py --model runs/boston --input table.csv --output predictions.csv
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl
from numpy.typing import NDArray

from model.predictor import DeviceError, ExportError, Predictor, find_export, read_contract
from reader.formats import Reading
from reader.metrics import Sums
from reader.schema import Schema, TableError
from reader.table import Table, open_like


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    try:
        with input_file(options.input) as source, output_file(options.output, source) as output:
            contract = read_contract(find_export(options.model))
            schema, reading = Schema.read(contract["schema"]), Reading(**contract["reading"])
            table = open_like(source, schema, reading)
            predict(Predictor(options.model, options.device), schema, table, output)
    except (TableError, ExportError, DeviceError) as error:
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
    parser.add_argument(
        "--input", required=True, help="a table like the one trained on; - for stdin"
    )
    parser.add_argument("--output", default="-", help="a CSV file; - for stdout, the default")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, gpu or gpu:N")
    return parser.parse_args(arguments)


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


def predict(predictor: Predictor, schema: Schema, table: Table, output: BinaryIO) -> None:
    """Write one prediction a row, in order; then print metrics, where the target is known."""
    columns, sums = list(schema.features), Sums()
    ranges = Ranges(schema.features, predictor.contract["statistics"]["columns"])
    if schema.target in table.columns:
        columns.append(schema.target)
    output.write(b"prediction\n")
    holes = schema.features if predictor.contract["may_be_empty"] else ()
    for rows in table.batches(columns, may_be_empty=[*holes, schema.target]):
        features = rows[:, : len(schema.features)]
        prediction = predictor.predict(features)
        lines = pl.DataFrame({"prediction": prediction}).write_csv(include_header=False)
        output.write(lines.encode())
        ranges.add(features)
        if schema.target in table.columns:
            known = np.isfinite(rows[:, -1])
            sums.add(rows[known, -1], prediction[known])
    if not ranges.rows:
        raise TableError(f"{table.path}: no rows; expected at least one")
    if ignored := [name for name in table.columns if name not in schema.columns]:
        print(f"note: columns not trained on are ignored: {', '.join(ignored)}", file=sys.stderr)
    for warning in ranges.warnings():
        print(f"warning: {warning}", file=sys.stderr)
    if sums.rows:
        print(
            f"{schema.target} is known in {sums.rows:,} of {ranges.rows:,} rows:", file=sys.stderr
        )
        print(sums.metrics(), file=sys.stderr)


class Ranges:
    """Counts the values that lie where the model was not trained."""

    def __init__(self, features: Sequence[str], trained: dict[str, dict[str, float]]) -> None:
        self.features = features
        self.low = np.array([trained[name]["minimum"] for name in features])
        self.high = np.array([trained[name]["maximum"] for name in features])
        self.outside = np.zeros(len(features), dtype=np.int64)
        self.rows = 0

    def add(self, rows: NDArray[np.float32]) -> None:
        self.rows += len(rows)
        self.outside += ((rows < self.low) | (rows > self.high)).sum(axis=0)

    def warnings(self) -> Iterator[str]:
        """One line for each column with such values."""
        columns = zip(self.features, self.outside, self.low, self.high, strict=True)
        for name, count, low, high in columns:
            if count:
                yield (
                    f"{name}: {count:,} of {self.rows:,} values outside the range "
                    f"that the model was trained on, {low:g} to {high:g}"
                )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
