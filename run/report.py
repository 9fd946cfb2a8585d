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


def announce(
    source: str,
    columns: Sequence[str],
    parts: dict[str, NDArray[Any]],
    constant: Sequence[str],
    filled: Sequence[str],
) -> str:
    """The lines printed before training; `columns` are the features, then the target."""
    sizes = ", ".join(f"{len(rows):,} {part}" for part, rows in parts.items() if len(rows))
    lines = [f"{source}: {len(columns) - 1} features, target {columns[-1]}; rows: {sizes}"]
    if filled:
        lines.append(f"missing numbers filled in: {'; '.join(filled)}")
    if constant:
        lines.append(f"warning: constant in the training rows: {', '.join(constant)}")
    return "\n".join(lines)


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
    if "optimum" in report:
        exact, gap = report["optimum"]["train_mse"], report["optimum"]["gap"]
        distance = "the fit is exact" if gap is None else f"this run is {gap:.2%} above it"
        lines.append(f"optimum     MSE {exact:.6g} on train by exact least squares; {distance}")
    parity, timing = report["parity"], report["timing"]
    lines += [
        f"parity      exported = trained within {parity['max_abs_difference']:.1e} "
        f"(tolerance {parity['tolerance']:.1e}, {parity['rows']:,} rows)",
        f"time        {timing['total_s']:.1f} s, {timing['train_s']:.2f} s of it in the loop "
        f"({timing['rows_per_second']:,.0f} rows/s)",
        "",
        f"predict:    {_beside_python('python')} infer.py --model {quote(str(folder))} "
        f"--input {quote(report['data']['path'])}",
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
