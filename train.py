"""Train a regressor on a table, export it, and prove that the export is the trained one.

python train.py -c configs/boston.yaml -o train.epochs=100
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from configs.load import describe_keys, load
from errors import UserError
from regressor import is_done, prepare
from regressor import train as train_regressor
from report.console import announce, choices, closing, noted
from run.folder import Begin
from run.signals import Signals, Stopped
from trainer.resume_check import resumes_exactly
from trainer.settings import experiment

MOST_FINDINGS = 8  # lines before a training


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    if options.device:
        options.override.append(f"train.device={options.device}")
    with Signals() as signals:
        try:
            if options.verify_resume:
                load(options.config, options.override)  # a mistake is told before two runs begin
                return 0 if resumes_exactly(Path(__file__), arguments) else 1
            train(options, signals)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except OSError as error:
            print(f"error: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
            return 2
        except Stopped as stopped:
            print(
                f"stopped by {stopped}; a run that had begun goes on with --resume", file=sys.stderr
            )
            return 128 + stopped.number
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-c", "--config", required=True, metavar="RECIPE", help="a YAML recipe")
    parser.add_argument(
        "-o", "--override", action="append", default=[], metavar="KEY=VALUE", help="set one key"
    )
    parser.add_argument("--device", metavar="auto|cpu|gpu|gpu:N", help="overrides train.device")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--overwrite", action="store_true", help="replace the run in run.dir")
    begin.add_argument(
        "--resume", action="store_true", help="go on with the run in run.dir, to the bit"
    )
    begin.add_argument(
        "--check", action="store_true", help="show what the table holds, and stop before training"
    )
    begin.add_argument(
        "--verify-resume",
        action="store_true",
        help="in a temporary folder, kill a run and resume it; exit code 0 if it ends the same",
    )
    if {"-h", "--help"} & set(arguments):
        parser.epilog = "keys of a recipe:\n\n" + describe_keys()
    return parser.parse_args(arguments)


def train(options: argparse.Namespace, signals: Signals) -> None:
    """One run, from the recipe to the report; nothing is written before the table has been read."""
    recipe = experiment(load(options.config, options.override))
    begin = Begin(options.overwrite or options.check, options.resume)
    if is_done(recipe, begin):
        print(f"{recipe.folder}: this run is done already")
        return
    prepared = prepare(recipe)
    most = len(prepared.findings) if options.check else MOST_FINDINGS
    found = noted(prepared.findings, most)
    print(announce(recipe.table.path, prepared.data), *found, sep="\n", flush=True)
    if options.check:
        return
    settings = recipe.resolve(prepared.data)
    print(*choices(settings), sep="\n", flush=True)
    report = train_regressor(recipe, prepared, settings, begin, signals)
    print(*closing(report, recipe.folder), sep="\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
