"""Chapter 2, page 5. The same by one command, and how its report shows each term.

python -m lesson.command
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import fill
from typing import Any

import numpy as np

from lesson.data import COLUMNS, PATH, PICTURES, Facts
from lesson.drawing import BLUE, Labels, picture
from lesson.terms import KNOTS, PAIRS

ROOT = PATH.parent.parent.parent
OPTIONS = (
    *("--data", "data/boston/housing.data", "--target", "MEDV"),
    *("-o", f"data.columns=[{','.join(COLUMNS)}]"),
    *("-o", "data.split.train=0.8", "-o", "data.split.validation=0", "-o", "data.split.test=0.2"),
    *("-o", "model.name=additive", "-o", f"model.knots={KNOTS}", "-o", f"model.pairs={PAIRS}"),
)
LINES = ("data/", "stopped", "train ", "test ", "terms", "optimum", "baseline")
WIDTH = 84  # of a line that the page shows whole
SHOWN = 12  # terms, of those that explain most
DRAWN = ("RM", "LSTAT", "DIS")


def train(folder: Path) -> tuple[str, dict[str, Any]]:
    """Run train.py into `folder`; what it prints, and its report."""
    command = [sys.executable, "train.py", *OPTIONS, "-o", f"run.dir={folder}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout, json.loads((folder / "report.json").read_text(encoding="utf-8"))


def show_run(printed: str, report: dict[str, Any]) -> Facts:
    print("python train.py", *OPTIONS[:4], "\\")
    for i in range(4, len(OPTIONS), 2):
        print("   ", *OPTIONS[i : i + 2], "\\" if i + 2 < len(OPTIONS) else "")
    print()
    print("What train.py prints, in part")
    for line in printed.splitlines():
        if line.startswith(LINES):
            print(fill(line, WIDTH, subsequent_indent=" " * 12))
    print()
    effects = report["effects"]
    print("Terms in report.json, the first 12")
    print("term               share of variance   degrees of freedom")
    for term in effects["terms"][:SHOWN]:
        name = " x ".join(term["features"])
        print(f"{name:<18}{term['share']:18.3f}{term['freedom']:21.1f}")
    print()
    first, metrics = effects["terms"][0], report["metrics"]
    return {
        "run_test": metrics["test"]["rmse"],
        "run_first": first["features"][0],
        "run_share": 100 * first["share"],
    }


def draw_curves(folder: Path, terms: list[dict[str, Any]]) -> None:
    """Curves with what lies within two standard errors."""
    for term in terms:
        if len(term["features"]) > 1 or (name := term["features"][0]) not in DRAWN:
            continue
        places, values, errors = (
            np.array(each) for each in (term["places"][0], term["values"], term["errors"])
        )
        labels: Labels = {"xlabel": name, "ylabel": "adds, 1,000 USD"}
        with picture(folder / f"command-{name.lower()}.svg", height=2.4, **labels) as axes:
            axes.fill_between(
                places, values - 2 * errors, values + 2 * errors, color=BLUE, alpha=0.2
            )
            axes.plot(places, values, color=BLUE)


def draw_pair(folder: Path, terms: list[dict[str, Any]]) -> None:
    """The pair that explains most, as a map of the places where rows are."""
    term = next(term for term in terms if len(term["features"]) == 2)
    (first, second), (up, across) = term["features"], term["places"]
    values, rows = (np.array(term[key]).reshape(len(up), len(across)) for key in ("values", "rows"))
    seen = np.ma.masked_where(rows == 0, values)
    far = float(np.ceil(np.abs(seen).max()))
    labels: Labels = {"xlabel": second, "ylabel": first}
    with picture(folder / "command-pair.svg", height=2.4, **labels) as axes:
        shown: Labels = {"cmap": "coolwarm", "vmin": -far, "vmax": far}
        drawn = axes.imshow(seen, origin="lower", aspect="auto", **shown)
        axes.set_xticks(range(len(across)), [f"{place:.4g}" for place in across])
        axes.set_yticks(range(len(up)), [f"{place:.4g}" for place in up])
        axes.figure.colorbar(drawn, label="adds, 1,000 USD", ticks=(-far, 0, far))


def main(folder: Path = PICTURES) -> Facts:
    """Print what the page shows, save its pictures to `folder`; the figures for the chapter."""
    with TemporaryDirectory() as run:
        printed, report = train(Path(run) / "additive")
    draw_curves(folder, report["effects"]["terms"])
    draw_pair(folder, report["effects"]["terms"])
    return show_run(printed, report)


if __name__ == "__main__":
    main()
