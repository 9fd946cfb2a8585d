"""What two runs differ in, and what came of it: python -m report.compare runs/a runs/b."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from configs.flatten import leaves
from errors import RunError
from reader.metrics import Metrics, title
from report.report import PARTS, Report
from run.folder import DONE

COMPARED = ("rmse", "mae", "r2")
SAME = 5e-5  # a move smaller than what is printed


def previous_run(folder: Path) -> Path | None:
    """The run beside `folder` that was finished last."""
    beside = [
        path.parent
        for path in folder.absolute().parent.glob(f"*/{DONE}")
        if path.parent.name != folder.name
        and not path.parent.name.endswith(".previous")
        and not path.parent.name.startswith(".")
    ]
    newest = max(beside, key=lambda path: (path / DONE).stat().st_mtime_ns, default=None)
    return folder.parent / newest.name if newest else None


def compare(before: Path, after: Path) -> list[str]:
    """What two finished runs differ in. Raises RunError for a folder without a readable report."""
    names = str(before), str(after)
    return differences(Report.read(before), Report.read(after), names)


def differences(old: Report, new: Report, names: tuple[str, str]) -> list[str]:
    """A line for each key of the recipe that changed, and for each metric of each part; `names`:
    what the two runs are called."""
    lines = list(_keys(old.config, new.config)) or ["no key differs"]
    if old.data.sha256 != new.data.sha256:
        lines.append("the tables differ")
    for part in PARTS:
        one, other = old.metrics.get(part), new.metrics.get(part)
        if one and other:
            lines += _moves(part, one, other)
        elif one or other:
            lines.append(f"{part:<11}only in {names[0] if one else names[1]}")
    return lines


def against_previous(report: Report, folder: Path) -> list[str]:
    """What the run in `folder` changed against the one before; nothing where it is the first."""
    if (before := previous_run(folder)) is None:
        return []
    try:
        names = str(before), str(folder)
        return [f"against {before}:", *differences(Report.read(before), report, names), ""]
    except RunError as error:  # an old run that is broken does not make this one fail
        return [f"not compared with the run before: {error}", ""]


def _keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = dict(leaves(old)), dict(leaves(new))
    for key in dict.fromkeys([*before, *after]):
        values = [json.dumps(side[key]) if key in side else "-" for side in (before, after)]
        if key != "run.dir" and values[0] != values[1]:
            yield f"{key}: {values[0]} -> {values[1]}"


def _moves(part: str, old: Metrics, new: Metrics) -> Iterator[str]:
    if old.rows != new.rows:
        yield f"{part:<11}rows  {old.rows:,} -> {new.rows:,}"
    losses = ["loss"] if old.loss is not None and new.loss is not None else []
    for name in [*COMPARED, *losses]:
        move = _move(name, getattr(old, name), getattr(new, name))
        yield f"{part:<11}{title(name):<4}  {move}"


def _move(name: str, old: float | None, new: float | None) -> str:
    """For errors in per cent, for R2, of which more is better, by how much."""
    if old is None or new is None:
        return f"{_figure(old)} -> {_figure(new)}"
    move = new - old if name == "r2" else (new / old - 1 if old else float(new != old))
    shown = f"{move:+.4f}" if name == "r2" else f"{move:+.1%}"
    better = move > 0 if name == "r2" else move < 0
    verdict = "same" if abs(move) < SAME else ("better" if better else "worse")
    return f"{_figure(old):>10} -> {_figure(new):<10}  {shown:>8}  {verdict}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path, help="the folder of a finished run")
    parser.add_argument("after", type=Path, help="that of another one")
    options = parser.parse_args(arguments)
    try:
        print(*compare(options.before, options.after), sep="\n")
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
