"""What a run says on the console, before training and in closing."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping, Sequence, Sized
from importlib.metadata import version
from pathlib import Path
from shlex import quote

from reader.data_checks import overview
from reader.findings import Finding
from reader.metrics import title
from reader.training_data import TrainingData
from report.compare import against_previous
from report.report import PARTS, BestLine, Intervals, Optimum, Report
from run.signals import Stopped
from trainer.settings import Settings

MOST_LINES = 40
MOST_FINDINGS = 8  # lines before a training


def announce(
    source: str, data: TrainingData, findings: Sequence[Finding], every: bool = False
) -> list[str]:
    """The lines printed before training: a row for each column of the table, the split, and the
    first findings, or `every` one."""
    table = columns_and_parts(source, overview(data), data.parts._asdict())
    return [table, *noted(findings, len(findings) if every else MOST_FINDINGS)]


def columns_and_parts(
    source: str, columns: Sequence[tuple[str, ...]], parts: Mapping[str, Sized]
) -> str:
    """A row for each column, and below them the rows of each part."""
    head = ("column", "kind", "missing", "in the training rows")
    shown = [head, *columns[:MOST_LINES]]
    widths = [max(len(row[i]) for row in shown) for i in range(3)]
    lines = [
        f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}".rstrip()
        for row in shown
    ]
    if len(columns) > MOST_LINES:
        lines.append(f"and {len(columns) - MOST_LINES:,} more, all in schema.json")
    sizes = ", ".join(f"{len(parts[part]):,} {part}" for part in PARTS if len(parts[part]))
    return "\n".join([*lines, f"{source}: {sizes} rows"])


def noted(findings: Sequence[Finding], most: int) -> list[str]:
    """A line for each of the first findings, and how many more there are."""
    lines = [_line("found", finding.message) for finding in findings[:most]]
    if (more := len(findings) - most) > 0:
        lines.append(_line("found", f"and {more:,} more, in report.html; --check prints them all"))
    return lines


def choices(settings: Settings, verbose: bool = False) -> list[str]:
    """What `auto` chose; of how often a curve has a point only where `verbose`."""
    return [
        _line("auto", f"{key}={choice.value} ({choice.why})")
        for key, choice in settings.chosen.items()
        if verbose or key != "train.log_every"
    ]


def stopped_lines(stopped: Stopped, arguments: Sequence[str]) -> list[str]:
    """What a run that was interrupted has saved, and the command that continues it."""
    if not stopped.saved:
        return [f"stopped by {stopped}; no checkpoint was written, so there is nothing to resume"]
    given = [a for a in arguments if a not in ("--overwrite", "--resume")]
    command = " ".join([_beside_python("python"), "train.py", *map(quote, given), "--resume"])
    return [f"stopped by {stopped}; {stopped.saved}. Continue with", f"  {command}"]


def closing(report: Report, folder: Path, brief: bool = False) -> list[str]:
    """The lines printed after training: metrics, what moved since the run before, and summary; a
    `brief` one is the metrics of the last part alone."""
    warning = [_line("warning", report.warning)] if report.warning else []
    if brief:
        return [*warning, f"{folder}: {report.last_part} {report.metrics[report.last_part]}"]
    metrics = [_line(part, str(report.metrics[part])) for part in PARTS if part in report.metrics]
    return [*warning, *metrics, *against_previous(report, folder), summary(report, folder)]


def versions() -> dict[str, str]:
    packages = {"paddle": "paddlepaddle", "numpy": "numpy", "polars": "polars"}
    return {"python": platform.python_version()} | {
        name: version(package) for name, package in packages.items()
    }


def summary(report: Report, folder: Path) -> str:
    """The lines printed after training: proofs, and the commands to type next."""
    python, visualdl = _beside_python("python"), _beside_python("visualdl")
    lines = [
        *_comparisons(report),
        _line(
            "parity",
            f"exported = trained within {report.parity.max_abs_difference:.1e} "
            f"(tolerance {report.parity.tolerance:.1e}, {report.parity.rows:,} rows)",
        ),
        _line(
            "time",
            f"{report.timing.total_s:.1f} s, {report.timing.train_s:.2f} s of it in the loop "
            f"({report.timing.rows_per_second:,.0f} rows/s)",
        ),
        "",
        _line(
            "predict:",
            f"{python} infer.py --model {quote(str(folder))} --input {quote(report.data.path)}",
        ),
        _line("report:", quote(str(folder / "report.html"))),
        _line(
            "see curves:",
            f"{visualdl} --logdir {quote(str(folder.parent))} --host 127.0.0.1 --language en",
        ),
    ]
    return "\n".join(lines)


def _comparisons(report: Report) -> Iterator[str]:
    """What the metrics of the run can be held against, as far as it is known."""
    if folds := report.folds:
        yield _line(
            f"{folds.count} folds",
            f"RMSE {folds.rmse.mean:.5g}, standard deviation {folds.rmse.deviation:.2g} "
            "over the folds",
        )
    if report.optimum:
        yield _line("optimum", _optimum(report.optimum))
    if report.best_line:
        yield _line("best line", _best_line(report.best_line[report.last_part], report.last_part))
    if report.intervals:
        yield _line("intervals", _intervals(report.intervals))


def _optimum(optimum: Optimum) -> str:
    solution = "exact least squares" if optimum.metric == "mse" else "the best line"
    value = f"{title(optimum.metric)} {optimum.value:.6g} on train by {solution}"
    if optimum.gap is None:
        return f"{value}; the fit is exact"
    side = "below" if optimum.gap < 0 else "above"
    return f"{value}; this run is {abs(optimum.gap):.2%} {side} it"


def _best_line(line: BestLine, part: str) -> str:
    share, side = abs(line.improvement), "above" if line.improvement < 0 else "below"
    return f"{title(line.metric)} {line.value:.6g} on {part}; this model is {share:.1%} {side} it"


def _intervals(intervals: Intervals) -> str:
    return (
        f"{intervals.measured:.1%} of {intervals.rows:,} {intervals.part} rows lie in theirs "
        f"({intervals.coverage:.0%} asked for); mean width {intervals.mean_width:.5g}"
    )


def _line(name: str, text: str) -> str:
    return f"{name:<11} {text}"


def _beside_python(program: str) -> str:
    """A command that works as typed: in a virtual environment, the one beside this Python."""
    if sys.prefix == sys.base_prefix:
        return program
    path = Path(sys.executable).with_name(program)
    inside = path.is_relative_to(Path.cwd())
    return quote(str(path.relative_to(Path.cwd()) if inside else path))
