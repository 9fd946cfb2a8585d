"""Train a regressor on a table, export it, and check that the export is what was trained.

python train.py --data houses.csv --target price
python train.py -c configs/boston.yaml -o train.epochs=100
"""

from __future__ import annotations

import os
import signal
import sys

if __name__ == "__main__":  # Ctrl-C while packages are imported: nothing has begun, nothing is said
    signal.signal(signal.SIGINT, lambda *_: os._exit(128 + signal.SIGINT))

    from ranks.restart import keep

    keep()  # one of several processes trains in a child, which is started again if it dies

import argparse
from collections.abc import Sequence
from pathlib import Path

from configs.command_line import parse
from display import say
from errors import UserError, tell
from pipeline import is_done, plan, prepare, write_recipe
from pipeline import train as train_regressor
from ranks.alone import Ranks
from ranks.job import joined, leave
from report.console import announce, closing, stopped_lines
from run.folder import Begin
from run.signals import Signals, Stopped
from trainer.progress import Progress, Silence
from trainer.resume_check import resumes_exactly


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments, __doc__ or "")
    with Signals() as signals:
        try:
            if options.verify_resume:
                plan(options.config, options.overrides)  # a mistake is told before two runs begin
                return 0 if resumes_exactly(Path(__file__), arguments) else 1
            with joined(signals) as ranks:
                train(options, signals, ranks)
        except (UserError, OSError) as error:
            tell(error)
            return 2
        except Stopped as stopped:
            say(*stopped_lines(stopped, arguments), to=sys.stderr)
            return 128 + stopped.number
    return 0


def train(options: argparse.Namespace, signals: Signals, ranks: Ranks) -> None:
    """One run, from the recipe to the report; nothing is written before the table has been read. Of
    several processes, `ranks`, the first writes and speaks."""
    progress = Progress(options.quiet, options.verbose) if ranks.is_first else Silence()
    recipe = plan(options.config, options.overrides)
    if options.init:
        if ranks.is_first:
            progress.say(write_recipe(recipe, options.overrides))
        return
    begin = Begin(options.overwrite, options.resume)
    if ranks.restarts:
        begin = begin.again(recipe.folder)
    if not options.check and is_done(recipe, begin, ranks):
        progress.say(f"{recipe.folder}: this run is finished already; there is nothing to resume")
        return
    own = None if options.check else signals
    prepared = prepare(recipe, progress=progress, signals=own, ranks=ranks)
    data, findings = prepared.data, prepared.findings
    progress.say(*announce(recipe.table.path, data, findings, every=options.check))
    if prepared.source.table:
        progress.say(*(f"note: {note}" for note in prepared.source.table.notes))
    if options.check:
        return
    settings = recipe.resolve(data)
    report = train_regressor(recipe, prepared, settings, begin, signals)
    if report:
        progress.say(*closing(report, recipe.folder, options.quiet), always=True)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
