"""What a run says of itself: before training, in report.json, and in closing."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from shlex import quote
from typing import Any

from numpy.typing import NDArray

MOST_LINES = 40


def announce(
    source: str, columns: Sequence[tuple[str, ...]], parts: dict[str, NDArray[Any]]
) -> str:
    """The lines printed before training: a row for each column of the table, and the split."""
    head = ("column", "kind", "missing", "in the training rows")
    shown = [head, *columns[:MOST_LINES]]
    widths = [max(len(row[i]) for row in shown) for i in range(3)]
    lines = [
        f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]}".rstrip()
        for row in shown
    ]
    if len(columns) > MOST_LINES:
        lines.append(f"and {len(columns) - MOST_LINES:,} more, all in schema.json")
    sizes = ", ".join(f"{len(rows):,} {part}" for part, rows in parts.items() if len(rows))
    return "\n".join([*lines, f"{source}: {sizes} rows"])


def versions() -> dict[str, str]:
    packages = {"paddle": "paddlepaddle", "numpy": "numpy", "polars": "polars"}
    return {"python": platform.python_version()} | {
        name: version(package) for name, package in packages.items()
    }


def epoch_line(epoch: int, epochs: int, rmse: dict[str, float]) -> str | None:
    """A line for about ten epochs of a run; None for the others. `rmse`: by part."""
    if epoch % -(-epochs // 10) and epoch not in (1, epochs):
        return None
    errors = "   ".join(f"{part} RMSE {error:.5g}" for part, error in rmse.items())
    return f"epoch {epoch:>{len(str(epochs))}}/{epochs}   {errors}"


def summary(report: dict[str, Any], folder: Path) -> str:
    """The lines printed after training: proofs, and the two commands to type next."""
    lines = []
    if "folds" in report:
        rmse, count = report["folds"]["rmse"], report["folds"]["count"]
        lines.append(
            f"{f'{count} folds':<11} RMSE {rmse['mean']:.5g}, standard deviation "
            f"{rmse['deviation']:.2g} over the folds"
        )
    if "optimum" in report:
        exact, gap = report["optimum"]["train_mse"], report["optimum"]["gap"]
        distance = "the fit is exact" if gap is None else f"this run is {gap:.2%} above it"
        lines.append(f"optimum     MSE {exact:.6g} on train by exact least squares; {distance}")
    part = list(report["metrics"])[-1]
    if "best_line" in report:
        line, better = report["best_line"][part]["mse"], report["best_line"][part]["improvement"]
        side = "below" if better >= 0 else "above"
        lines.append(
            f"best line   MSE {line:.6g} on {part}; this model is {abs(better):.1%} {side} it"
        )
    if "intervals" in report:
        found = report["intervals"]
        lines.append(
            f"intervals   {found['measured']:.1%} of {found['rows']:,} {found['part']} rows lie in "
            f"theirs ({found['coverage']:.0%} asked for); mean width {found['mean_width']:.5g}"
        )
    parity, timing = report["parity"], report["timing"]
    lines += [
        f"parity      exported = trained within {parity['max_abs_difference']:.1e} "
        f"(tolerance {parity['tolerance']:.1e}, {parity['rows']:,} rows)",
        f"time        {timing['total_s']:.1f} s, {timing['train_s']:.2f} s of it in the loop "
        f"({timing['rows_per_second']:,.0f} rows/s)",
        "",
        f"predict:    {_beside_python('python')} infer.py --model {quote(str(folder))} "
        f"--input {quote(report['data']['path'])}",
        f"report:     {quote(str(folder / 'report.html'))}",
        f"see curves: {_beside_python('visualdl')} --logdir {quote(str(folder.parent))} "
        "--host 127.0.0.1 --language en",
    ]
    return "\n".join(lines)


def _beside_python(program: str) -> str:
    """A command that works as typed: in a virtual environment, the one beside this Python."""
    if sys.prefix == sys.base_prefix:
        return program
    path = Path(sys.executable).with_name(program)
    inside = path.is_relative_to(Path.cwd())
    return quote(str(path.relative_to(Path.cwd()) if inside else path))
