"""Compare with peers, and write down the ratios.

python -m benchmarks
python -m benchmarks --only optimum --table California=housing.csv:median_house_value
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.comparisons import COMPARISONS, Options, Result
from benchmarks.optimum import CAP
from benchmarks.peers import PEERS, say_who_is_missing
from benchmarks.timing import machine
from trainer.machine import share_machine

RESULTS = Path(__file__).parent / "results.md"
FOLDER = Path(".cache/benchmarks")
PACKAGES = ("paddlepaddle", "numpy", "polars")


def main(arguments: Sequence[str]) -> int:
    given = parse(arguments)
    options = Options(given.folder.resolve(), given.rounds, given.quick, given.table, given.cap)
    options.folder.mkdir(parents=True, exist_ok=True)
    share_machine()  # as train.py does before it makes a thread
    say_who_is_missing()
    results = []
    for name in given.only or COMPARISONS:
        for result in COMPARISONS[name](options):
            print(result, flush=True)
            results.append(result)
    # What was measured in part, or in small, does not replace the whole.
    whole = not given.only and not given.quick
    path = given.output or (RESULTS if whole else options.folder / RESULTS.name)
    path.write_text(report(results, arguments, options))
    print(f"written to {path}")
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=COMPARISONS, help="may be repeated")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each side (default: 5)")
    parser.add_argument("--quick", action="store_true", help="tables of a hundredth of the rows")
    parser.add_argument(
        "--table",
        action="append",
        type=table,
        default=[],
        metavar="NAME=PATH:TARGET",
        help="a table to compare training on, too; may be repeated",
    )
    parser.add_argument(
        "--cap",
        type=float,
        default=CAP,
        help="seconds of training after which a side never arrives (default: 60)",
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"files made ({FOLDER})")
    parser.add_argument("--output", type=Path, help=f"where results go ({RESULTS.name})")
    return parser.parse_args(arguments)


def table(text: str) -> tuple[str, str, str]:
    """NAME=PATH:TARGET -> the three of them."""
    name, _, rest = text.partition("=")
    path, _, target = rest.rpartition(":")
    if not (name and path and target):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected NAME=PATH:TARGET")
    return name, path, target


def report(results: Sequence[Result], arguments: Sequence[str], options: Options) -> str:
    """The results as a page of Markdown."""
    command = shlex.join(["python", "-m", "benchmarks", *arguments])
    described = machine(dict.fromkeys([*PACKAGES, *(peer.package for peer in PEERS)]))
    lines = [
        "# Side by side",
        "",
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d}; the sides took turns, {options.rounds} rounds "
        "after one to warm up. A ratio is that of one round: median [least - most]. Never: no "
        f"setting was found that arrives within {options.cap:g} s of training.",
        "",
        *(f"- {name}: {value}" for name, value in described.items()),
        "",
        "| what | ratio | times | aim | holds |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        aim = "" if result.limit is None else f"{result.limit:.3g}"
        lines.append(
            f"| {result.what} | {result.text} | {result.sides} | {aim} | {result.verdict} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
