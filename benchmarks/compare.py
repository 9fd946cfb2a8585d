"""Training on your own table, side by side with peers in their best settings.

python -m benchmarks.compare --data houses.csv --target price
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.__main__ import FOLDER
from benchmarks.comparisons import Options, optima
from benchmarks.peers import say_who_is_missing
from benchmarks.tables import from_file
from errors import TableError
from trainer.machine import share_machine


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="a table, as in data.path of a recipe")
    parser.add_argument("--target", required=True, help="the column to predict")
    parser.add_argument("--exclude", nargs="+", default=[], help="columns that are no features")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side (default: 5)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"files made ({FOLDER})")
    given = parser.parse_args(arguments)
    share_machine()
    try:
        table = from_file(Path(given.data).stem, given.data, given.target, given.exclude)
    except (TableError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{table.name}: {len(table.x):,} rows, {table.x.shape[1]} columns of numbers", flush=True)
    say_who_is_missing()
    for result in optima(table, Options(given.folder.resolve(), given.rounds)):
        print(result, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
