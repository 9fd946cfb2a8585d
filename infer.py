"""Predict with an exported model: one output line per input row, in the same order.

python infer.py --model runs/houses --input new.csv --output predictions.csv
python infer.py --model runs/houses --input new.csv --output predictions.csv --explain
python infer.py --model runs/houses --verify
"""

from __future__ import annotations

import argparse
import re
import signal
import sys

if __name__ == "__main__":  # Ctrl-C while packages are imported ends the process, and says nothing
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np
import polars as pl
from numpy.typing import NDArray

from display import say, short, visible
from errors import ExportError, TableError, UserError, tell
from files import naming, open_streams, temporary
from model.base_predictor import BasePredictor
from model.contract import Contract
from model.contributions import Contributions
from model.folder import Export, find_export, read_export
from model.monitor import Monitor
from model.onnx_predictor import OnnxPredictor
from model.predictor import Predictor
from output import SEPARATORS, Output, output_of, table_suffix
from reader.folder import is_glob, is_read
from reader.formats import Reading
from reader.kinds import Encoder
from reader.metrics import Sums
from reader.parallel import read_ahead
from reader.rows import ROWS_PER_BATCH, Batch, Layout
from reader.schema import Schema, abridged, free_name, id_headers
from reader.table import Table, open_like
from run.signals import Signals, Stopped

CELLS_AHEAD = 2**24  # 64 MB: about what is read of a table while Paddle is imported
PIECE = 1 << 20
EFFECTS_AT_ONCE = 2**21
ROUNDED = 10  # times as far from the graph, which computes in float32, as it may be from itself
FLAGGED = "fix the cell"
ADVICE = f"{FLAGGED}, or leave the prediction of its row empty with --on-error flag"


def main(arguments: Sequence[str]) -> int:
    open_streams()
    options = parse(arguments)
    output = None
    with Signals() as signals:
        try:
            export = read_export(options.model, options.expect)
            engine = {"paddle": Predictor, "onnx": OnnxPredictor}[options.engine]
            load = partial(load_predictor, partial(engine, export, options.device), signals)
            if options.verify:
                verify(load())
            if options.input is None:
                return 0
            explained = contributions(export, options.model) if options.explain else None
            output = output_of(options.output)
            check_output(output, options)
            with input_file(options.input) as source:
                predict(options, export.contract, source, output, load, explained)
        except BrokenPipeError:  # whoever reads our output, `head` say, has seen enough
            pass
        except (UserError, OSError) as error:
            tell(error)
            return 2
        except Stopped as stopped:
            done = output is not None and output.begun
            say("stopped" if done else "stopped; nothing was written", to=sys.stderr)
            return 128 + stopped.number
    return 0


class Parser(argparse.ArgumentParser):
    """Says what is wrong on one line."""

    def error(self, message: str) -> NoReturn:
        tell(UserError(f"{message}; infer.py --help lists the options"))
        self.exit(2)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        description=__doc__,
        usage="infer.py --model FOLDER (--input TABLE [--output FILE] | --verify) [options]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--model", metavar="FOLDER", help="a run folder, or its export folder")
    add("--input", metavar="TABLE", help="a table like the one trained on; - for standard input")
    add(
        "--output",
        metavar="FILE",
        default="-",
        help="a .csv or .tsv file, or either with .gz; - for standard output (default)",
    )
    add(
        "--on-error",
        choices=("fail", "flag"),
        default="fail",
        help="on a bad row: stop and write nothing (fail, default), or leave its prediction empty "
        "and explain in column `error` (flag)",
    )
    add(
        "--safe-csv",
        action="store_true",
        help="put an apostrophe before texts that a spreadsheet would take for a formula",
    )
    add(
        "--explain",
        action="store_true",
        help="write what each feature, or pair of them, adds to a prediction (model additive)",
    )
    add("--device", metavar="NAME", default="auto", help="auto (default), cpu, gpu or gpu:N")
    add(
        "--engine",
        choices=("paddle", "onnx"),
        default="paddle",
        help="what computes: paddle (default), or onnx, ONNX Runtime, without Paddle; for a model "
        "trained with -o export.onnx=true",
    )
    add("--verify", action="store_true", help="check the model's files and its golden rows")
    add(
        "--expect",
        metavar="SHA256",
        help="refuse a model whose contract.json has another SHA-256; train.py prints it",
    )
    options = parser.parse_args(arguments)
    if options.model is None:
        parser.error("expected a model, as in --model runs/houses")
    if options.expect is not None and not re.fullmatch("[0-9a-fA-F]{64}", options.expect):
        parser.error("expected --expect to have 64 hexadecimal digits, as train.py prints them")
    if options.input is None and not options.verify:
        parser.error("expected a table to predict (--input TABLE), --verify, or both")
    if options.explain and options.input is None:
        parser.error("expected a table whose predictions --explain is of (--input TABLE)")
    return options


def load_predictor(load: Callable[[], BasePredictor], signals: Signals) -> BasePredictor:
    """In a thread of its own: Ctrl-C would else become an ImportError of Paddle."""
    with ThreadPoolExecutor(1) as loader:
        loading = loader.submit(load)
        while wait([loading], 0.05).not_done:
            signals.install()  # Paddle has a handler of its own, which ends the process at once
    signals.install()
    return loading.result()


def verify(predictor: BasePredictor) -> None:
    """Raises ExportError where golden rows are not predicted as they were."""
    rows, worst = predictor.verify()
    say(
        f"verified: {len(predictor.contract['files']) + 1} files by SHA-256, {rows} golden rows "
        f"within {worst:.1e} (tolerance {predictor.contract['golden']['tolerance']:.1e})",
        to=sys.stderr,
    )


def contributions(export: Export, name: str) -> Contributions:
    """Raises UserError where the model, called `name`, has none, or others than its graph."""
    contract = export.contract
    if "additive" not in contract:
        raise UserError(
            f"--explain: {name} is no sum of effects; train one with -o model.name=additive, or "
            "predict without --explain"
        )
    found, golden = Contributions(contract["additive"], contract["features"]), contract["golden"]
    with np.errstate(all="ignore"):  # what is not finite is refused
        rows = np.array(golden["rows"], dtype=np.float32).reshape(-1, len(contract["features"]))
        told = np.array(golden["predictions"])
        apart = np.abs(found.predict(found.of(rows, told)) - told)
    if not apart.max(initial=0.0) <= ROUNDED * golden["tolerance"]:
        raise ExportError(
            f"--explain: the effects in {name} do not add up to its golden predictions, but differ "
            f"by {apart.max():g} in the target's unit; train the model again"
        )
    return found


@contextmanager
def input_file(name: str) -> Iterator[Path]:
    """The path of the input; standard input is spooled to disk, so that it is read like a file."""
    if name != "-":
        path = Path(name)
        if not path.is_absolute() and not path.exists() and not set(name) & set("*?["):
            raise TableError(f"{name}: No such file or directory in {Path.cwd()}")
        yield path
        return
    spool, path = temporary()
    with spool:
        while piece := read_piece():
            with naming(tempfile.gettempdir()):
                spool.write(piece)
                spool.flush()
        try:
            yield path
        except TableError as error:
            message, *more = (line.replace(str(path), "standard input") for line in error.args)
            raise TableError(message, *more) from None


def read_piece() -> bytes:
    """The next bytes of standard input."""
    with naming("standard input"):
        return sys.stdin.buffer.read(PIECE)


def check_output(output: Output, options: argparse.Namespace) -> None:
    """Raises TableError where the output is an input, or would be one the next time, and where it
    may be a file of the model."""
    table = Path("/dev/stdin" if options.input == "-" else options.input)
    given = output.path if options.output == "-" else Path(options.output)
    if is_read(table, given) or is_read(table, output.path):
        several = table.is_dir() or is_glob(table)
        which = f"would be read as part of --input {table}" if several else "is the input"
        raise TableError(f"--output {output.name}: {which}; choose another --output")
    export = find_export(options.model).resolve()
    run = export.parent if (export.parent / "config.yaml").exists() else export
    of_a_table = SEPARATORS.keys() - {""}  # which no file of a run ends in
    if output.path.is_relative_to(run) and table_suffix(output.path) not in of_a_table:
        raise TableError(
            f"--output {output.name}: may be a file of the model; in {run}, expected a name that "
            "ends in .csv or .tsv"
        )


def predict(
    options: argparse.Namespace,
    contract: Contract,
    source: Path,
    output: Output,
    load: Callable[[], BasePredictor],
    explained: Contributions | None = None,
) -> None:
    """Write ids, prediction, effects where they are `explained` and, with --on-error flag, error: a
    line a row, in order; then warn of what is unlike training, and print metrics, where the target
    is known."""
    schema = Schema.read(contract["schema"])
    table = open_like(source, schema, Reading(**contract["reading"]))
    known, flag = schema.target in table.columns, options.on_error == "flag"
    encoders = [Encoder(column, contract["may_be_empty"]) for column in schema.features]
    target = [Encoder(schema.target_column, True, may_be_wrong=True)] if known else []
    ids = tuple(name for name in schema.ids if name in table.columns)
    layout = Layout((*encoders, *target), ids, flag, FLAGGED if flag else ADVICE)
    monitor, sums, wrong = Monitor(contract), Sums(), 0
    most = max(1, CELLS_AHEAD // (ROWS_PER_BATCH * len(layout.names)))
    with read_ahead(table.batches(layout), most) as batches:
        predictor = load()
        effects = effect_headers(explained) if explained else []
        headers = id_headers(ids, [*predictor.outputs, *effects])
        header = [*headers.values(), *predictor.outputs, *effects, *["error"] * flag]
        with output.open(options.safe_csv) as writer:
            writer.header(header)
            for batch in batches:
                rows, _, errors = batch
                features = np.ascontiguousarray(rows[:, :-1]) if known else rows
                features[list(errors)] = 0
                predictions = predictor.predict_outputs(features)
                named = dict(zip(predictor.outputs, predictions.T, strict=True))
                renamed = batch._replace(ids=batch.ids.rename(headers))
                lines = lines_of(named, renamed, flag)
                told = (features, predictions[:, 0], list(errors))
                for piece in with_effects(lines, *told, explained):
                    writer.write(piece)
                right = np.delete(features, list(errors), axis=0) if errors else features
                monitor.add(right, wrong=len(errors))
                wrong += len(errors)
                if known:
                    at = np.isfinite(rows[:, -1])
                    sums.add(rows[at, -1], predictions[at, 0])
    for encoder in encoders:
        monitor.count(encoder.column.name, encoder.missing, encoder.unknown)
    if explained:
        what = "log(1 + prediction)" if explained.log else "the prediction"
        say(f"note: {what} is {explained.center:.9g} and the effects", to=sys.stderr)
    for name, written in headers.items():
        if name != written:
            note = f"note: the id column {short(name)} is written as {short(written)}"
            say(note, to=sys.stderr)
    report(schema, table, monitor, sums, wrong)
    if target and (unread := target[0].unknown):
        rows_of = "1 row" if unread == 1 else f"{unread:,} rows"
        target_of = short(schema.target)
        note = f"note: {target_of} is not a number in {rows_of}; metrics leave them out"
        say(note, to=sys.stderr)


def lines_of(predictions: dict[str, NDArray[np.float32]], batch: Batch, flag: bool) -> pl.DataFrame:
    """The lines of a batch; with `flag`, a wrong row without prediction, but with the reason."""
    lines = {name: batch.ids[name] for name in batch.ids.columns}
    lines |= {name: pl.Series(values) for name, values in predictions.items()}
    if flag:
        wrong, reasons = list(batch.errors), list(map(visible, batch.errors.values()))
        empty = pl.repeat(None, len(batch.rows), dtype=pl.String, eager=True)
        lines["error"] = empty.scatter(wrong, reasons) if wrong else empty
        lines |= {name: lines[name].scatter(wrong, None) for name in predictions if wrong}
    return pl.DataFrame(lines)


def effect_headers(explained: Contributions) -> list[str]:
    """What the columns of effects are called, each otherwise."""
    headers: dict[str, None] = {}
    for name in explained.names:
        what = f"effect on log of {name}" if explained.log else f"effect of {name}"
        headers[free_name(what, headers)] = None
    return [*headers]


def with_effects(
    lines: pl.DataFrame,
    features: NDArray[np.float32],
    predictions: NDArray[np.float32],
    wrong: list[int],
    explained: Contributions | None,
) -> Iterator[pl.DataFrame]:
    """The lines of rows [n, D] and their predictions [n] with effects, none of those that are
    `wrong`, before a column `error`: so many at a time that memory does not grow with the number of
    effects."""
    if explained is None:
        yield lines
        return
    is_wrong = np.zeros(len(lines), dtype=np.bool_)
    is_wrong[wrong] = True
    names = effect_headers(explained)
    size = max(1, EFFECTS_AT_ONCE // len(names))
    for start in range(0, len(lines), size):
        part = slice(start, start + size)
        effects = explained.of(features[part], predictions[part]).round(explained.decimals)
        effects += 0.0  # no -0.0 is told
        effects[is_wrong[start : start + size]] = np.nan
        columns = pl.from_numpy(effects, names, orient="row").fill_nan(None)
        piece = lines[start : start + size]
        error = [name for name in piece.columns if name == "error"]
        yield pl.concat([piece.drop(error), columns, piece.select(error)], how="horizontal")


def report(schema: Schema, table: Table, monitor: Monitor, sums: Sums, wrong: int) -> None:
    """Say on stderr what a reader of the predictions should know."""
    if not monitor.rows:
        say(f"note: {table.path} has no rows, so there are no predictions", to=sys.stderr)
        return
    notes = [f"note: {note}" for note in table.notes]
    if ignored := [
        name for name in table.columns if name not in (*schema.names, *table.header.row_names)
    ]:
        notes.append(f"note: columns not trained on are ignored: {abridged(ignored)}")
    if wrong:
        notes.append(
            f"warning: {wrong:,} of {monitor.rows:,} rows have no prediction; "
            "the column error says why"
        )
    notes += [f"warning: {warning}" for warning in monitor.warnings()]
    if sums.rows:
        target = short(schema.target)
        notes.append(f"{target} is known in {sums.rows:,} of {monitor.rows:,} rows:")
        notes.append(str(sums.metrics()))
    if notes:
        say(*notes, to=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
