"""What a run says on the console, before training and in closing."""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence, Sized
from importlib.metadata import version
from pathlib import Path

from display import for_shell, padded, short, width
from reader.findings import Finding
from reader.metrics import title
from reader.overview import overview
from reader.training_data import TrainingData
from report import figures
from report.advice import advice
from report.compare import against_previous
from report.effects import STRONGEST, cost, effect_name, size
from report.figures import apart, baseline, distance, least_of, percent
from report.report import PARTS, BestLine, Effects, Intervals, Optimum, Report, Trial
from run.signals import Stopped
from trainer.settings import Settings

MOST_LINES = 40
MOST_FINDINGS = 8  # lines before a training


def announce(
    source: str, data: TrainingData, findings: Sequence[Finding], every: bool = False
) -> list[str]:
    """The lines printed before training: a row for each column of the table, the split, and the
    first findings, or `every` one."""
    lines = columns_and_parts(source, overview(data), data.parts._asdict())
    if count := data.packed.without_target:
        rows = "rows have" if count > 1 else "row has"
        without = f"{count:,} {rows} no {short(data.schema.target)} and stay out of all parts"
        lines.append(f"{without} (data.missing.target=drop)")
    return [*lines, *noted(findings, len(findings) if every else MOST_FINDINGS)]


def columns_and_parts(
    source: str, columns: Sequence[tuple[str, ...]], parts: Mapping[str, Sized]
) -> list[str]:
    """A row for each column, and below them the rows of each part."""
    head = ("column", "kind", "missing", "in the training rows")
    shown = [head, *((short(name), *others) for name, *others in columns[:MOST_LINES])]
    name_width, kind_width, missing_width = (max(width(row[i]) for row in shown) for i in range(3))
    lines = [
        f"{padded(name, name_width)}  {kind:<{kind_width}}  {missing:>{missing_width}}  {content}"
        for name, kind, missing, content in shown
    ]
    lines = [line.rstrip() for line in lines]
    if len(columns) > MOST_LINES:
        lines.append(f"and {len(columns) - MOST_LINES:,} more, all in schema.json")
    sizes = ", ".join(f"{len(parts[part]):,} {part}" for part in PARTS if len(parts[part]))
    return [*lines, f"{source}: {sizes} rows"]


def noted(findings: Sequence[Finding], most: int) -> list[str]:
    """A line for each of the first findings, and how many more there are."""
    lines = [_line("found", finding.message.en) for finding in findings[:most]]
    if (more := len(findings) - most) > 0:
        lines.append(_line("found", f"and {more:,} more, in report.html; --check prints them all"))
    return lines


def choices(settings: Settings, verbose: bool = False) -> list[str]:
    """What `auto` chose; what no user acts on only where `verbose`."""
    minor = {"train.log_every", *(["train.patience"] if settings.is_line else [])}
    return [
        _line("auto", f"{key}={choice.value} ({choice.why.en})")
        for key, choice in settings.chosen.items()
        if verbose or key not in minor
    ]


def stopped_lines(stopped: Stopped, arguments: Sequence[str]) -> list[str]:
    """What a run that was interrupted has saved, and the command that continues it."""
    told = "".join(f"; {note}" for note in getattr(stopped, "__notes__", ()))
    if not stopped.saved:
        early = f"stopped by {stopped} before the first checkpoint: there is nothing to resume"
        return [f"{early}{told}"]
    given = [a for a in arguments if a not in ("--overwrite", "--resume")]
    command = " ".join([python(), "train.py", *map(for_shell, given), "--resume"])
    return [
        f"stopped by {stopped}; saved: {stopped.saved}{told}. Continue with",
        f"  {command}",
    ]


def closing(report: Report, folder: Path, brief: bool = False) -> list[str]:
    """The lines printed after training: what must be known first, metrics, what these can be held
    against, and what to do next; a `brief` one is the first and the metrics of the last part."""
    first = [f"warning: {report.warning}"] if report.warning else []
    if brief:
        return [*first, f"{folder}: {report.last_part} {report.metrics[report.last_part]}"]
    metrics = [_line(part, str(report.metrics[part])) for part in PARTS if part in report.metrics]
    return [
        *first,
        *metrics,
        *summary(report),
        *against_previous(report, folder),
        *after(report, folder),
    ]


def python() -> str:
    """The command that runs this Python."""
    return _beside_python("python")


def versions() -> dict[str, str]:
    packages = {"paddle": "paddlepaddle", "numpy": "numpy", "polars": "polars"}
    return {"python": platform.python_version()} | {
        name: version(package) for name, package in packages.items()
    }


def summary(report: Report) -> list[str]:
    """What the metrics can be held against, the check of the export, and the time."""
    folds, parity, timing, lines = report.folds, report.parity, report.timing, []
    if report.effects and report.effects.terms:
        lines.append(_line("terms", _terms(report.effects)))
    if folds:
        deviation = f"standard deviation {folds.rmse.deviation:.2g}"
        lines.append(_line(f"{folds.count} folds", f"RMSE {folds.rmse.mean:.5g}, {deviation}"))
    if report.optimum:
        lines.append(_line("optimum", _optimum(report, report.optimum)))
    if report.best_line:
        lines.append(
            _line("baseline", _baseline(report.best_line[report.last_part], report.last_part))
        )
    lines += _several(report)
    if report.trial:
        lines.append(_line(report.trial.model, _trial(report, report.trial)))
    if report.intervals:
        lines.append(_line("intervals", _intervals(report.intervals)))
    return [
        *lines,
        _line(
            "export",
            f"check passed: differs from the trained network by at most "
            f"{parity.max_abs_difference:.1e} (allowed {parity.tolerance:.1e}; "
            f"{parity.rows:,} rows)",
        ),
        _line(
            "time",
            f"{timing.total_s:.1f} s (training loop {timing.train_s:.2f} s, "
            f"{timing.rows_per_second:,.0f} rows/s)",
        ),
    ]


def after(report: Report, folder: Path) -> list[str]:
    """The step that would help most, and the commands to type next."""
    python, visualdl = _beside_python("python"), _beside_python("visualdl")
    next_step, known = advice(report), report.export_sha256
    return [
        *([_line("next", next_step.plain)] if next_step else []),
        _line("predict", f"{python} infer.py --model {for_shell(str(folder))} --input new.csv"),
        *([_line("sha256", f"{known} (of the export; infer.py --expect)")] if known else []),
        _line("report", for_shell(str(folder / "report.html"))),
        _line(
            "curves",
            f"{visualdl} --logdir {for_shell(str(folder.parent))} --host 127.0.0.1 --language en",
        ),
    ]


def _optimum(report: Report, optimum: Optimum) -> str:
    solution = least_of(report, optimum)
    value = f"{title(optimum.metric)} {optimum.value:.6g} ({solution.en} on train)"
    return f"{value}; {distance(report, optimum).plain}"


def _baseline(line: BestLine, part: str) -> str:
    metric, value, ratio = baseline(line)
    model = f"this model: {apart(ratio).plain}"
    return f"{title(metric)} {value:.5g} of the best line on {part}; {model}"


def _trial(report: Report, trial: Trial) -> str:
    own = report.metrics["validation"].rmse
    than = apart(trial.rmse / own if own else math.nan).plain
    value = f"{title('rmse')} {trial.rmse:.5g} on validation, found in {trial.seconds:.1f} s"
    return f"{value}; against this line: {than}"


def _terms(effects: Effects) -> str:
    names = ", ".join(effect_name(effect).plain for effect in effects.terms[:STRONGEST])
    told = f"{size(effects).plain}; strongest: {names}"
    if effects.constraint is None:
        return told
    return f"{told}; model.monotone: {cost(effects.constraint).plain}"


def _intervals(intervals: Intervals) -> str:
    return (
        f"cover {percent(intervals.measured)} of {intervals.rows:,} {intervals.part} rows "
        f"(target {percent(intervals.coverage, 0)}); mean width {intervals.mean_width:.5g}"
    )


def _several(report: Report) -> Iterator[str]:
    """Of networks, trainings and processes, where there are several."""
    if report.members:
        yield _line("members", figures.members_told(report.members).plain)
    if report.blend and report.blend.rmse:
        yield _line("blend", figures.blend_told(report.blend).plain)
    if report.refit:
        yield _line("refit", figures.refit_told(report.refit).plain)
    if report.processes:
        yield _line("processes", figures.processes_told(report.processes).plain)


def _line(name: str, text: str) -> str:
    return f"{name:<11} {text}"


def _beside_python(program: str) -> str:
    """A command that works as typed: in a virtual environment, the one beside this Python."""
    if sys.prefix == sys.base_prefix:
        return program
    path = Path(sys.executable).with_name(program)
    inside = path.is_relative_to(Path.cwd())
    return for_shell(str(path.relative_to(Path.cwd()) if inside else path))
