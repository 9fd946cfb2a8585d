"""What two runs differ in, and what came of it: python -m report.compare runs/a runs/b."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from errors import RunError
from run.folder import DONE

METRICS = {"rmse": "RMSE", "mae": "MAE", "r2": "R2"}
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
    """A line for each key of the recipe that changed, and for each metric of each part.

    Raises RunError for a folder without a readable report.
    """
    old, new = _report(before), _report(after)
    lines = list(_keys(old.get("config", {}), new.get("config", {}))) or ["no key differs"]
    if old["data"].get("sha256") != new["data"].get("sha256"):
        lines.append("the tables differ")
    for part in dict.fromkeys([*old["metrics"], *new["metrics"]]):
        one, other = old["metrics"].get(part), new["metrics"].get(part)
        if one is None or other is None:
            lines.append(f"{part:<11}only in {before if other is None else after}")
            continue
        if one["rows"] != other["rows"]:
            lines.append(f"{part:<11}rows  {one['rows']:,} -> {other['rows']:,}")
        lines += [_move(part, name, one[name], other[name]) for name in METRICS]
    return lines


def against_previous(folder: Path) -> list[str]:
    """What the run in `folder` changed against the one before; nothing where it is the first."""
    if (before := previous_run(folder)) is None:
        return []
    try:
        return [f"against {before}:", *compare(before, folder), ""]
    except RunError as error:  # an old run that is broken does not make this one fail
        return [f"not compared with the run before: {error}", ""]


def _report(folder: Path) -> dict[str, Any]:
    try:
        report = json.loads((folder / "report.json").read_text())
        return {**report, "data": report["data"], "metrics": report["metrics"]}
    except OSError as error:
        raise RunError(
            f"{folder / 'report.json'}: {error.strerror}; expected the folder of a finished run"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise RunError(f"{folder / 'report.json'}: is no report; run that recipe again") from None


def _keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    for key in dict.fromkeys([*before, *after]):
        values = [json.dumps(side[key]) if key in side else "-" for side in (before, after)]
        if key != "run.dir" and values[0] != values[1]:
            yield f"{key}: {values[0]} -> {values[1]}"


def _leaves(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _move(part: str, name: str, old: float | None, new: float | None) -> str:
    """For errors in per cent, for R2, of which more is better, by how much."""
    head = f"{part:<11}{METRICS[name]:<4}"
    if old is None or new is None:
        return f"{head}  {_figure(old)} -> {_figure(new)}"
    move = new - old if name == "r2" else (new / old - 1 if old else float(new != old))
    shown = f"{move:+.4f}" if name == "r2" else f"{move:+.1%}"
    better = move > 0 if name == "r2" else move < 0
    verdict = "same" if abs(move) < SAME else ("better" if better else "worse")
    return f"{head}  {_figure(old):>10} -> {_figure(new):<10}  {shown:>8}  {verdict}"


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
