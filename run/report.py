"""What a run says of itself: before training, in report.json, and in closing."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from run.metrics import Metrics


def announce(
    source: str, columns: Sequence[str], parts: dict[str, NDArray[Any]], constant: Sequence[str]
) -> str:
    """The lines printed before training; `columns` are the features, then the target."""
    sizes = ", ".join(f"{len(rows):,} {part}" for part, rows in parts.items() if len(rows))
    lines = [f"{source}: {len(columns) - 1} features, target {columns[-1]}; rows: {sizes}"]
    if constant:
        lines.append(f"warning: constant in the training rows: {', '.join(constant)}")
    return "\n".join(lines)


def versions() -> dict[str, str]:
    packages = {"paddle": "paddlepaddle", "numpy": "numpy", "polars": "polars"}
    return {"python": platform.python_version()} | {
        name: version(package) for name, package in packages.items()
    }


def epoch_line(epoch: int, epochs: int, metrics: dict[str, Metrics]) -> str | None:
    """A line for about ten epochs of a run; None for the others."""
    if epoch % -(-epochs // 10) and epoch not in (1, epochs):
        return None
    errors = "   ".join(f"{part} RMSE {found.rmse:.5g}" for part, found in metrics.items())
    return f"epoch {epoch:>{len(str(epochs))}}/{epochs}   {errors}"


def summary(report: dict[str, Any], folder: Path) -> str:
    """The lines printed after training: errors, proofs, and the two commands to type next."""
    lines = [""]
    for part, found in report["metrics"].items():
        r2 = "" if found["r2"] is None else f"   R2 {found['r2']:.4f}"
        lines.append(
            f"{part:<11} MSE {found['mse']:.6g}   RMSE {found['rmse']:.5g}   "
            f"MAE {found['mae']:.5g}{r2}   ({found['rows']:,} rows)"
        )
    if "optimum" in report:
        exact, gap = report["optimum"]["train_mse"], report["optimum"]["gap"]
        distance = "the fit is exact" if gap is None else f"the run ended {gap:.2%} above it"
        lines.append(f"optimum     training MSE {exact:.8g} by exact least squares; {distance}")
    parity = report["parity"]
    lines += [
        f"parity      exported = trained within {parity['max_abs_difference']:.1e} "
        f"(tolerance {parity['tolerance']:.1e}, {parity['rows']:,} rows)",
        f"time        {report['timing']['total_s']:.1f} s, {report['timing']['train_s']:.2f} s of it "
        f"training at {report['timing']['rows_per_second']:,.0f} rows/s",
        "",
        f"predict:    {_beside_python('python')} infer.py --model {folder} "
        f"--input {report['data']['path']}",
        f"curves:     {_beside_python('visualdl')} --logdir {folder.parent} "
        "--host 127.0.0.1 --language en",
    ]
    return "\n".join(lines)


def _beside_python(program: str) -> str:
    """A command that works as typed: the one beside this Python, if it is a virtual environment's."""
    if sys.prefix == sys.base_prefix:
        return program
    path = os.path.join(os.path.dirname(sys.executable), program)
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
