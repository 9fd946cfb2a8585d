"""How well models predict: ours beside scikit-learn, XGBoost, LightGBM and CatBoost.

python -m benchmarks.accuracy FOLDER                  the tables of benchmarks/fetch_tables.py
python -m benchmarks.accuracy --data houses.csv --target price
python -m benchmarks.accuracy -c houses.yaml --ours additive "mlp model.hidden=[64,64]"

All train on the same rows, with the same validation rows, and are measured on the same test rows.
Each figure is kept as soon as it is known, as long as the table stays the same, and a run continues
where the last one ended. To measure a model again, remove its part of the file of results.
"""

from __future__ import annotations

import os

if __name__ == "__main__":  # before a library starts its threads; see THREADS
    os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
import math
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.regressors import REGRESSORS, THREADS, Regressor
from benchmarks.timing import machine
from configs.load import check, load
from configs.overrides import apply, joined
from configs.paths import run_name
from errors import ConfigError, RunError, UserError, tell
from files import digest, to_json, write_atomically
from reader.source import SplitTable, read
from reader.training_data import fit
from trainer.build import build
from trainer.machine import share_machine
from trainer.progress import Progress
from trainer.session import train
from trainer.settings import Experiment, experiment

PAGE = Path(__file__).parent / "accuracy.md"
KEPT = Path(".cache/benchmarks/accuracy.json")
OURS = ("linear", "additive", "mlp")
RECIPE = "recipe"
REFERENCE = "CatBoost"
TINY = sys.float_info.min  # an error of 0 has no logarithm
PACKAGES = ("paddlepaddle", "scikit-learn", "xgboost", "lightgbm", "catboost")
METHOD = """\
In each cell: the root mean squared error on the test rows divided by that of {reference}, and in brackets CPU seconds from the rows in memory to the predictions. {seeds}; at most {rows:,} training rows; {threads} thread.

All get the same rows. Our models (lower-case names) have nothing set but what their names say. The libraries have their defaults and see no validation rows. Tuned: the tuned defaults of [Holzmüller and others 2024](https://arxiv.org/abs/2407.04491), which stop by the validation rows, as our networks do. Boosted trees get categories as categories and missing numbers as missing; scikit-learn's network gets standardised inputs, one-hot categories and a standardised target. What has no figure was not measured.
"""  # noqa: E501


class Table(NamedTuple):
    """A recipe, if any, and what is set beside it: the table, and how it is divided."""

    name: str
    recipe: str | None
    overrides: list[str]


class Figure(NamedTuple):
    """The root mean squared error on the test rows, in the target's unit, and CPU seconds."""

    rmse: float
    seconds: float


Measure = Callable[[SplitTable, Table, int], float]  # test error of a table's parts, by a seed
Results = dict[str, dict[str, list[float]]]  # by side, and by table, seed and rows: a Figure
Figures = dict[str, dict[str, Figure]]  # by table and by side


def main(arguments: Sequence[str]) -> int:
    given = parse(arguments)
    share_machine()
    try:
        compare(given, arguments)
    except (UserError, OSError) as error:
        tell(error)
        return 2
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("folder", nargs="?", type=Path, help="tables, and index.json: see fetch_tables.py")
    add("--only", nargs="+", help="names of tables in the folder")
    add("--data", help="your own table, in place of a folder")
    add("--target", help="the column to predict")
    add("-c", "--config", help="a recipe, whose data section counts; it is measured as it is, too")
    add("-o", nargs="+", action="append", default=[], metavar="KEY=VALUE", help="keys to set")
    add("--ours", nargs="*", default=OURS, metavar="MODEL", help=f"default: {' '.join(OURS)}")
    add("--peers", nargs="*", default=list(REGRESSORS), choices=REGRESSORS, help="default: all")
    add("--seeds", type=int, default=1, help="splits and first weights a table (default: 1)")
    add("--rows", type=int, default=20_000, help="most training rows (default: 20000)")
    add("--results", type=Path, help=f"figures kept (FOLDER/accuracy.json, or {KEPT})")
    add(
        "--page", type=Path, help="the tables as a file (of a whole folder: benchmarks/accuracy.md)"
    )
    given = parser.parse_args(arguments)
    if bool(given.folder) == bool(given.data or given.config):
        parser.error("expected either a folder of tables, or a table (--data) or recipe (-c)")
    return given


def compare(given: argparse.Namespace, arguments: Sequence[str]) -> None:
    """Measure what is not known yet, and show it all. Raises UserError."""
    tables = tables_of(given)
    sides = {**our_sides(given, tables[0]), **their_sides(given)}
    path = given.results or (given.folder / "accuracy.json" if given.folder else KEPT)
    figures = measure_all(tables, sides, path, given)
    known = list(dict.fromkeys(side for found in figures.values() for side in found))
    if not known:
        raise RunError("no model could be measured")
    reference = REFERENCE if REFERENCE in known else known[0]
    lines = told(figures, known, reference)
    print("", *lines, sep="\n")
    whole = given.folder and not given.only
    if page := given.page or (PAGE if whole else None):
        text = "\n".join([*head(given, arguments, reference), *lines, ""])
        write_atomically(page, text.encode())
        print(f"\nwritten to {page}")


def measure_all(
    tables: Sequence[Table],
    sides: Mapping[str, Measure | None],
    path: Path,
    given: argparse.Namespace,
) -> Figures:
    """What is kept at `path`, and what is measured where that lacks it; of each side the tables of
    which every seed is known. A recipe is always measured. Raises UserError."""
    results: Results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    known: dict[str, dict[str, list[Figure]]] = {table.name: {} for table in tables}
    for seed in range(given.seeds):
        for table in tables:
            source = divided(table, seed, given.rows)
            key = f"{table.name}, seed {seed}, {fingerprint(source)}"
            for side, measure in sides.items():
                kept = results.setdefault(side, {})
                if measure and (side == RECIPE or key not in kept):
                    kept.pop(key, None)
                    what = f"{table.name}, seed {seed}, {side}"
                    if figure := measured(partial(measure, source, table, seed), what):
                        kept[key] = list(figure)
                        write_atomically(path, to_json(results).encode())
                if key in kept:
                    known[table.name].setdefault(side, []).append(Figure(*kept[key]))
    return {
        table: {s: merged(each) for s, each in found.items() if len(each) == given.seeds}
        for table, found in known.items()
    }


def merged(figures: Sequence[Figure]) -> Figure:
    """Over seeds: the root mean square of the errors, the mean of the seconds."""
    errors, seconds = np.array(figures).T
    return Figure(max(float(np.sqrt(np.mean(errors**2))), TINY), float(seconds.mean()))


def fingerprint(source: SplitTable) -> str:
    """Of what all models are given: the files, what their columns are, and the parts."""
    columns = [(column.name, column.kind) for column in source.packed.schema.columns]
    parts = [part.tobytes() for part in source.parts]
    return digest(b"".join([source.packed.sha256.encode(), repr(columns).encode(), *parts]))[:12]


def tables_of(given: argparse.Namespace) -> list[Table]:
    """The tables of the folder, or the one that is named. Raises ConfigError where none is."""
    overrides = [o for words in given.o for o in joined(words)]
    if not given.folder:
        name = " ".join([run_name(given.config or given.data), *overrides])
        keys = {"data.path": given.data, "data.target": given.target}
        overrides += [f"{key}={value}" for key, value in keys.items() if value]
        return [Table(name, given.config, overrides)]
    index = json.loads((given.folder / "index.json").read_text(encoding="utf-8"))
    tables = []
    for entry in index:
        keys = {"data.path": given.folder / entry["path"], "data.target": entry["target"]}
        own = [f"{key}={value}" for key, value in keys.items()]
        if not given.only or entry["name"] in given.only:
            tables.append(Table(entry["name"], None, [*overrides, *own]))
    if not tables:
        raise ConfigError(
            f"{given.folder / 'index.json'}: none of {', '.join(given.only)} is there"
        )
    return tables


def our_sides(given: argparse.Namespace, table: Table) -> dict[str, Measure]:
    """By name, what measures each of our models. Raises ConfigError where one is no model."""
    sides: dict[str, Measure] = {}
    for side in given.ours:
        name, *words = side.split()
        overrides = [f"model.name={name}", *joined(words)]
        if plan(table, overrides, 0).table != plan(table, [], 0).table:
            raise ConfigError(f"--ours {side}: the table is the same for all; set its keys with -o")
        sides[side] = partial(ours, overrides)
    if given.config:
        sides[RECIPE] = partial(ours, [])
    return sides


def their_sides(given: argparse.Namespace) -> dict[str, Measure | None]:
    """By name, what measures each library; None where it is not installed, which is said."""
    sides: dict[str, Measure | None] = {}
    for side in given.peers:
        peer = REGRESSORS[side]
        sides[side] = partial(theirs, peer) if peer.load() else None
        if not sides[side]:
            print(f"{side}: not installed, left out; pip install -r requirements-accuracy.txt")
    return sides


def plan(table: Table, overrides: Sequence[str], seed: int) -> Experiment:
    """One of our models, which these overrides make, on the data of the recipe; or, without them,
    the recipe as it is. Raises ConfigError."""
    values = load(table.recipe, table.overrides).model_dump()
    if overrides:
        values = {"data": values["data"], "run": values["run"]}
    for override in overrides:
        apply(values, override)
    seeds = values.setdefault("train", {})
    seeds["seed"] = seeds.get("seed", 0) + seed
    values["data"]["split"]["seed"] += seed
    return experiment(check(values, f"--ours {' '.join(overrides)}"))


def divided(table: Table, seed: int, rows: int) -> SplitTable:
    """The table's parts, with at most `rows` to train on. Raises TableError, RunError."""
    source = read(plan(table, [], seed).table)
    parts = source.parts
    if not len(parts.test):
        raise RunError(f"{table.name}: there are no test rows; set data.split.test")
    if len(parts.train) > rows:
        evenly = np.linspace(0, len(parts.train), rows, endpoint=False).astype(np.int64)
        parts = parts._replace(train=parts.train[evenly])
    return replace(source, parts=parts)


def measured(measure: Callable[[], float], what: str) -> Figure | None:
    """The error and the CPU seconds that it took; None where there is none, which is said."""
    clock = time.process_time()
    try:
        error = measure()
    except Exception as failure:  # of any library: it does not end a night's measurements
        print(f"{what}: {type(failure).__name__}: {failure}", file=sys.stderr, flush=True)
        return None
    figure = Figure(error, time.process_time() - clock)
    print(f"{what}: RMSE {figure.rmse:.5g}, {figure.seconds:.2f} CPU s", flush=True)
    return figure if math.isfinite(error) else None


def ours(overrides: Sequence[str], source: SplitTable, table: Table, seed: int) -> float:
    """The test error of a model of this project."""
    planned = plan(table, overrides, seed)
    data = fit(source, source.parts, planned.inputs)
    fitted = build(planned.resolve(data), data)
    _, found = train(fitted, None, Progress(quiet=True), least=None)
    return found["test"].metrics.rmse


def theirs(peer: Regressor, source: SplitTable, table: Table, seed: int) -> float:
    """The test error of a library's model."""
    target = source.packed.take(source.parts.test)[:, -1].astype(np.float64)
    return float(np.sqrt(np.mean((peer.predict(source, seed) - target) ** 2)))


def told(figures: Figures, sides: Sequence[str], reference: str) -> list[str]:
    """Two tables of Markdown: table by table, and over all of them; those without a figure of the
    `reference` are left out."""
    known = {table: found for table, found in figures.items() if reference in found}
    ratios = {
        side: [
            found[side].rmse / found[reference].rmse for found in known.values() if side in found
        ]
        for side in sides
    }
    first = [min(found, key=lambda side: found[side].rmse) for found in known.values()]
    by_table, over_all = [], []
    for table, found in known.items():
        unit = found[reference].rmse
        cells = {
            s: f"{figure.rmse / unit:.3f} ({figure.seconds:.2f})" for s, figure in found.items()
        }
        by_table.append([table, f"{unit:.5g}", *(cells.get(side, "") for side in sides)])
    for side, each in ratios.items():
        mean = math.exp(sum(map(math.log, each)) / len(each)) if each else math.nan
        seconds = sum(found[side].seconds for found in known.values() if side in found)
        counts = (sum(ratio < 1 for ratio in each), first.count(side))
        over_all.append([side, str(len(each)), f"{mean:.3f}", *map(str, counts), f"{seconds:.1f}"])
    titles = ["", "tables", "geometric mean", f"ahead of {reference}", "ahead of all", "CPU s, sum"]
    return [
        *grid(["table", f"RMSE of {reference}", *sides], by_table),
        "",
        *grid(titles, over_all),
    ]


def grid(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table of Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def head(given: argparse.Namespace, arguments: Sequence[str], reference: str) -> list[str]:
    """What was measured, how, and where."""
    command = shlex.join(["python", "-m", "benchmarks.accuracy", *arguments])
    seeds = (
        "One split" if given.seeds == 1 else f"Root mean squares and means of {given.seeds} splits"
    )
    method = METHOD.format(reference=reference, seeds=seeds, rows=given.rows, threads=THREADS)
    described = [f"- {name}: {value}" for name, value in machine(PACKAGES).items()]
    written = f"Written on {datetime.now(UTC):%Y-%m-%d} by `{command}`, here:"
    return ["# Accuracy", "", method, written, "", *described, ""]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
