"""What two runs differ in, and how their metrics moved: python -m report.compare runs/a runs/b.

"no difference": other rows might have shown as large a difference by chance (95 %).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from configs.flatten import leaves
from display import say, short
from errors import RunError, tell
from files import parse_json, read_plain
from reader.metrics import title
from report import figures
from report.report import FILE, MOST_BYTES, PARTS, Report
from run.contents import DONE

COMPARED = ("rmse", "mae", "r2")
SAME = 5e-5  # a move smaller than what is printed
NEWEST = 50  # runs that are looked at for the one to compare with
MOST_KEYS = 8
LONG = 200  # columns of a value


def previous_run(folder: Path, report: Report) -> Path | None:
    """The run beside `folder` that was finished last, of those on the same table and target."""
    beside = [
        path.parent
        for path in folder.absolute().parent.glob(f"*/{DONE}")
        if path.parent.name != folder.name and not path.parent.name.startswith(".")
    ]
    beside.sort(key=lambda path: -(path / DONE).stat().st_mtime_ns)
    for path in beside[:NEWEST]:
        try:
            content = parse_json(read_plain(path / FILE, MOST_BYTES, link=True))
        except (OSError, ValueError):
            continue  # an old run that is broken does not make this one fail
        data = content.get("data") if isinstance(content, dict) else None
        known = (data.get("sha256"), data.get("target")) if isinstance(data, dict) else None
        if known == (report.data.sha256, report.data.target):
            return folder.parent / path.name
    return None


def compare(before: Path, after: Path) -> list[str]:
    """What two finished runs differ in. Raises RunError for a folder without a readable report."""
    names = str(before), str(after)
    return differences(Report.read(before), Report.read(after), names)


def differences(old: Report, new: Report, names: tuple[str, str]) -> list[str]:
    """A line for each key of the recipe that changed, and for each metric of each part; `names`:
    what the two runs are called. Figures of other tables or targets are not compared."""
    lines = list(_keys(old.config, new.config)) or ["same recipe"]
    if old.data.target != new.data.target:
        targets = [short(report.data.target) for report in (old, new)]
        return [*lines, f"different targets: {', '.join(targets)}"]
    if old.data.sha256 != new.data.sha256:
        return [*lines, "different tables: their figures cannot be compared"]
    for part in PARTS:
        one, other = old.metrics.get(part), new.metrics.get(part)
        if one and other:
            lines += _moves(part, old, new)
        elif one or other:
            lines.append(f"{part:<11} only in {names[0] if one else names[1]}")
    return lines


def against_previous(report: Report, folder: Path) -> list[str]:
    """What the run in `folder` changed against the one before on the same table, in its last part;
    nothing where it is the first."""
    if (before := previous_run(folder, report)) is None:
        return []
    try:
        old = Report.read(before)
    except RunError:
        return []
    keys = list(_keys(old.config, report.config)) or ["same recipe"]
    if len(keys) > MOST_KEYS:
        keys[MOST_KEYS:] = [f"and {len(keys) - MOST_KEYS} more keys"]
    part = report.last_part
    moves = list(_moves(part, old, report)) if part in old.metrics else []
    return [f"compared with {before}:", *(f"  {line}" for line in [*keys, *moves])]


def _keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = dict(leaves(old)), dict(leaves(new))
    for key in dict.fromkeys([*before, *after]):
        values = [
            json.dumps(side[key], ensure_ascii=False) if key in side else "-"
            for side in (before, after)
        ]
        if key != "run.dir" and values[0] != values[1]:
            yield f"{key}: {short(values[0], LONG)} -> {short(values[1], LONG)}"


def _moves(part: str, old: Report, new: Report) -> Iterator[str]:
    one, other = old.metrics[part], new.metrics[part]
    if one.rows != other.rows:
        yield f"{part:<11} rows  {one.rows:,} -> {other.rows:,}"
    losses = ["loss"] if one.loss is not None and other.loss is not None else []
    for name in [*COMPARED, *losses]:
        before, after = getattr(one, name), getattr(other, name)
        shown = f"{_figure(before):>10} -> {_figure(after):<10}"
        if before is not None and after is not None:
            is_noise = name != "loss" and _is_noise(part, name, old, new)
            shown += f"  {_move(name, before, after, is_noise)}"
        yield f"{part:<11} {title(name):<4}  {shown.rstrip()}"


def _move(name: str, old: float, new: float, is_noise: bool) -> str:
    """By how much, and whether that is better: of R2 more is, of errors less."""
    move = new - old if name == "r2" else (new / old - 1 if old else float(new != old))
    shown = f"{move:+.4f}" if name == "r2" else figures.change(1 + move).replace("−", "-")
    better = move > 0 if name == "r2" else move < 0
    if abs(move) < SAME:
        return f"{shown:>8}  same"
    return f"{shown:>8}  {'no difference' if is_noise else 'better' if better else 'worse'}"


def _is_noise(part: str, name: str, old: Report, new: Report) -> bool:
    """Whether other rows might have shown as large a difference by chance.

    Of the same rows: where the mean difference of the rows' squared (or absolute) errors is within
    1.96 of its standard errors, which are estimated on the examples in the reports. Otherwise:
    where each value is in the other's 95 % interval.
    """
    one, other = old.examples, new.examples
    before, after = old.metrics[part], new.metrics[part]
    same_rows = one.part == other.part == part and one.actual == other.actual
    if same_rows and before.rows == after.rows and len(one.actual) > 1:
        actual = np.array(one.actual)
        errors = [np.abs(np.array(side.predicted) - actual) for side in (one, other)]
        power = 1 if name == "mae" else 2
        with np.errstate(all="ignore"):  # another run's figures may be of any size
            differences = errors[1] ** power - errors[0] ** power
            deviation = float(differences.std(ddof=1))
        move = after.mae - before.mae if name == "mae" else after.mse - before.mse
        return abs(move) <= 1.96 * deviation / math.sqrt(after.rows)
    if part not in old.confidence or part not in new.confidence:
        return False
    ranges = [getattr(side.confidence[part], name) for side in (old, new)]
    values = [getattr(side, name) for side in (after, before)]
    return all(r is not None and r[0] <= v <= r[1] for r, v in zip(ranges, values, strict=True))


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path, help="the folder of a finished run")
    parser.add_argument("after", type=Path, help="that of another one")
    options = parser.parse_args(arguments)
    try:
        say(*compare(options.before, options.after))
    except RunError as error:
        tell(error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
