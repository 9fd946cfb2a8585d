"""The arguments of train.py: its options, and the keys of a recipe that they set."""

from __future__ import annotations

import argparse
import platform
import sys
import tomllib
from collections.abc import Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

from configs.keys import by_path, describe
from configs.overrides import joined
from configs.suggest import key_like
from display import for_shell, say, short
from errors import ConfigError, UserError, tell
from files import open_streams
from spelling import nearest

USAGE = """\
Train a regressor on a table, and predict with it:

  python train.py --data houses.csv --target price       train on your table
  python train.py -c configs/boston.yaml                 train by a recipe
  python infer.py --model runs/houses --input new.csv    predict

train.py --help lists the options."""
KEYS = {"data": "data.path", "target": "data.target", "device": "train.device"}
BEGIN = {
    "--check": "show what the table holds, then stop before training",
    "--resume": "continue the run in run.dir from its last checkpoint (bit-identical)",
    "--overwrite": "replace the run in run.dir",
    "--verify-resume": "kill and resume a run in a temporary folder; exit code 0 if it ends equal",
}


def parse(arguments: Sequence[str], description: str) -> argparse.Namespace:
    """The options, and under `overrides` the keys that they set, as key=value.

    Ends the process where they are wrong (2), or where they ask for a text alone (0).
    """
    open_streams()
    if not arguments:
        say(*USAGE.splitlines(), to=sys.stderr)
        raise SystemExit(2)
    parser = _parser(description)
    options, unknown = parser.parse_known_args(arguments)
    if options.version:
        _leave(versions())
    if options.help_keys is not None:
        try:
            _leave(describe(options.help_keys))
        except ConfigError as error:
            _refuse(str(error))
    if unknown:
        _refuse(explain(unknown, list(parser._option_string_actions)))
    if options.init and (options.config or options.data):
        _refuse("--init TABLE writes a new recipe; leave -c and --data out")
    options.data = options.init or options.data
    if not options.config and not options.data:
        _refuse("expected a table (--data TABLE --target COLUMN) or a recipe (-c RECIPE)")
    given = [f"{key}={getattr(options, name)}" for name, key in KEYS.items() if vars(options)[name]]
    options.overrides = [*(o for words in options.override for o in joined(words)), *given]
    return options


class _Parser(argparse.ArgumentParser):
    """Says what is wrong on one line, and prints as all else is printed."""

    def _print_message(self, message: str, file: Any = None) -> None:
        say(*message.splitlines(), to=file)

    def error(self, message: str) -> NoReturn:
        _refuse(f"{message}; train.py --help lists the options")


def _parser(description: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="train.py",
        description=description,
        usage="train.py (--data TABLE --target COLUMN | -c RECIPE) [options]",
        formatter_class=partial(
            argparse.RawDescriptionHelpFormatter, max_help_position=30, width=110
        ),
        add_help=False,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--data", metavar="TABLE", help="the table: a file, a folder or a pattern (data.path)")
    add("--target", metavar="COLUMN", help="the column to predict (data.target)")
    add("-c", "--config", metavar="RECIPE", help="a YAML file of keys")
    keys: dict[str, Any] = {"nargs": "+", "action": "append", "default": [], "dest": "override"}
    meaning = "set keys, as in -o model.name=mlp train.epochs=100; also --override"
    add("-o", metavar="KEY=VALUE", help=meaning, **keys)
    add("--override", help=argparse.SUPPRESS, **keys)
    add("--device", metavar="NAME", help="auto (default), cpu, gpu or gpu:N (train.device)")
    begin, loudness = (parser.add_mutually_exclusive_group() for _ in range(2))
    begin.add_argument(
        "--init", metavar="TABLE", help="write a commented recipe for a table, then stop"
    )
    for name, meaning in BEGIN.items():
        begin.add_argument(name, action="store_true", help=meaning)
    loudness.add_argument(
        "-q", "--quiet", action="store_true", help="print errors and one line of results, no more"
    )
    loudness.add_argument("-v", "--verbose", action="store_true", help="print each epoch")
    add(
        "--help-keys",
        nargs="?",
        const="",
        metavar="SECTION",
        help="list all keys, or those of a section such as data.split",
    )
    add("--version", action="store_true", help="print versions")
    add("-h", "--help", action="help", help="print this")
    return parser


def explain(unknown: Sequence[str], options: Sequence[str]) -> str:
    """What to say of arguments that are no options."""
    word, value = unknown[0], unknown[1] if len(unknown) > 1 else "..."
    if not word.startswith("-"):
        if "=" in word:
            return f"{short(word)}: keys are set with -o, as in -o {for_shell(word)}"
        flag = "-c" if word.endswith((".yaml", ".yml")) else "--data"
        return f"{short(word)}: expected an option; did you mean {flag} {for_shell(word)}?"
    name, _, inline = word.partition("=")
    plain = name.lstrip("-").replace("-", "_")
    key = plain if plain in by_path() else key_like(plain)
    if key in by_path() and plain not in ("val", "out"):
        setting = for_shell(f"{key}={inline or value}")
        return f"{name} is not an option; set the key with -o {setting}"
    near = nearest(name, [option for option in options if option.startswith("--")])
    hint = f"did you mean {near}?" if near else "train.py --help lists the options"
    return f"{short(name)} is not an option; {hint}"


def versions() -> str:
    """The versions of this project, by pyproject.toml, and of what it runs on."""
    file = Path(__file__).resolve().parent.parent / "pyproject.toml"
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    lines = [f"{project['name']} {project['version']}", f"Python {platform.python_version()}"]
    for package in ("paddlepaddle", "paddlepaddle-gpu", "polars", "numpy"):
        try:
            lines.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(lines)


def _leave(text: str) -> NoReturn:
    """Print a text of several lines, and end."""
    say(*text.splitlines())
    raise SystemExit(0)


def _refuse(message: str) -> NoReturn:
    """Print what is wrong with the arguments, and end."""
    tell(UserError(message))
    raise SystemExit(2)
