"""Serve exported models over HTTP: the Open Inference Protocol, rows as JSON or CSV, and a page.

python serve.py --model runs/houses
python serve.py --model houses=runs/houses --model rents=runs/rents --port 9000 --workers 4
"""

from __future__ import annotations

import argparse
import re
import signal
import sys

if __name__ == "__main__":  # Ctrl-C while packages are imported ends the process, and says nothing
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from collections.abc import Sequence
from importlib.util import find_spec
from typing import NoReturn

from errors import UserError, tell
from files import open_streams
from service.metrics import Metrics
from service.names import described, named_exports
from service.server import Plan, run

NEEDED = ("starlette", "uvicorn", "httptools", "orjson")
MOST_WORKERS = 256
MEBIBYTE = 1 << 20


def main(arguments: Sequence[str]) -> int:
    open_streams()
    options = parse(arguments)
    try:
        if missing := [name for name in NEEDED if find_spec(name) is None]:
            raise UserError(
                f"{', '.join(missing)} is missing; install what serving needs: "
                "pip install -r requirements-serve.txt"
            )
        exports = named_exports(options.model, options.expect)
        told = [described(name, export, options.engine) for name, export in exports.items()]
        plan = Plan(
            exports,
            options.engine,
            options.device,
            options.host,
            options.port,
            options.workers,
            int(options.max_body * MEBIBYTE),
            Metrics(told, options.workers),
        )
        return run(plan)
    except (UserError, OSError) as error:
        tell(error)
        return 2


class Parser(argparse.ArgumentParser):
    """Says what is wrong on one line."""

    def error(self, message: str) -> NoReturn:
        tell(UserError(f"{message}; serve.py --help lists the options"))
        self.exit(2)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(
        description=__doc__,
        usage="serve.py --model FOLDER [--model NAME=FOLDER ...] [options]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--model",
        metavar="[NAME=]FOLDER",
        action="append",
        help="a run folder, or its export folder; give it again for more models",
    )
    add(
        "--host", default="127.0.0.1", help="the address to listen at; 127.0.0.1, this machine only"
    )
    add("--port", type=int, default=8080, help="8080; 0 for any free one")
    add("--workers", type=int, default=1, metavar="N", help="processes that share the port (1)")
    add("--device", metavar="NAME", default="cpu", help="cpu (default), auto, gpu or gpu:N")
    add(
        "--engine",
        choices=("paddle", "onnx"),
        default="paddle",
        help="what computes: paddle (default), or onnx, ONNX Runtime, without Paddle",
    )
    add(
        "--max-body",
        type=float,
        default=16.0,
        metavar="MIB",
        help="refuse larger requests (16 MiB)",
    )
    add(
        "--expect",
        metavar="SHA256",
        help="refuse a model whose contract.json has another SHA-256; train.py prints it",
    )
    options = parser.parse_args(arguments)
    check(parser, options)
    return options


def check(parser: Parser, options: argparse.Namespace) -> None:
    """End the program where an option cannot be meant."""
    if not options.model:
        parser.error("expected a model, as in --model runs/houses")
    if options.expect is not None and len(options.model) > 1:
        parser.error("--expect is of one model, found several")
    if options.expect is not None and not re.fullmatch("[0-9a-fA-F]{64}", options.expect):
        parser.error("expected --expect to have 64 hexadecimal digits, as train.py prints them")
    if not 0 <= options.port <= 65_535:
        parser.error(f"found --port {options.port}, expected 0 to 65535")
    if not 1 <= options.workers <= MOST_WORKERS:
        parser.error(f"found --workers {options.workers}, expected 1 to {MOST_WORKERS}")
    if not 0 < options.max_body <= 1_024:
        parser.error(f"found --max-body {options.max_body:g}, expected up to 1024 MiB")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
