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

from display import say
from errors import TableError, UserError, tell
from files import naming, open_streams, temporary
from model.base_predictor import BasePredictor
from model.folder import find_export, read_export
from model.onnx_predictor import OnnxPredictor
from model.predictor import Predictor
from output import EXPECTED, WRITTEN, Output, output_of, table_suffix
from predictions import Wanted, contributions, predict
from reader.folder import is_glob, is_read
from run.signals import Signals, Stopped

PIECE = 1 << 20


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
            wanted = Wanted(options.columns, options.on_error == "flag", options.safe_csv)
            with input_file(options.input) as source:
                predict(export.contract, source, output, load, wanted, explained)
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
    """Ends the process with code 2 and a line where options are missing or wrong."""
    parser = parser_of_options()
    options = parser.parse_args(arguments)
    if options.model is None:
        parser.error("expected a model, as in --model runs/houses")
    if options.expect is not None and not re.fullmatch("[0-9a-fA-F]{64}", options.expect):
        parser.error("expected --expect to have 64 hexadecimal digits, as train.py prints them")
    if options.input is None and not options.verify:
        parser.error("expected a table to predict (--input TABLE), --verify, or both")
    if options.explain and options.input is None:
        parser.error("expected a table whose predictions --explain is of (--input TABLE)")
    if options.columns and options.input is None:
        parser.error("expected the table that --columns names columns of (--input TABLE)")
    return options


def parser_of_options() -> Parser:
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
        help=f"{EXPECTED}; - for standard output, as CSV (default)",
    )
    add(
        "--columns",
        metavar="NAME",
        nargs="+",
        action="extend",
        default=[],
        help="further columns of the table to write, after the ids; also a,b",
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
    return parser


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
    of_a_table = WRITTEN - {""}  # which no file of a run ends in
    if output.path.is_relative_to(run) and table_suffix(output.path) not in of_a_table:
        raise TableError(
            f"--output {output.name}: may be a file of the model; in {run}, expected {EXPECTED}"
        )
    if options.safe_csv and output.is_typed:
        raise TableError(
            f"--safe-csv is for .csv and .tsv; in {output.name}, no text is a formula: leave it out"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
