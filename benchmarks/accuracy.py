"""How well the defaults predict: the line and a network, side by side with peers' defaults.

python benchmarks/fetch_tables.py FOLDER
python -m benchmarks.accuracy FOLDER
python -m benchmarks.accuracy FOLDER --only boston ames --splits 3 --model resnet

Every side trains on the same rows and is measured on the same test rows. Results are kept in
FOLDER/results.json, so that a run goes on where the last one ended.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from configs.load import load
from errors import UserError
from files import to_json, write_atomically
from reader.fitting import InputOptions
from reader.source import SplitTable, read
from reader.split import evenly
from reader.training_data import fit
from run.signals import Signals
from trainer.build import build
from trainer.machine import share_machine
from trainer.progress import Progress
from trainer.session import train
from trainer.settings import CheckpointOptions, experiment

WIDEST = 1_500  # columns of a table, for whose least squares there is time
Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Result = dict[str, float]


class Arrays(NamedTuple):
    """Standardised inputs [n, D], every level a column, and the target by its deviation."""

    x: Matrix
    y: Vector
    x_test: Matrix
    y_test: Vector

    def error(self, prediction: NDArray[Any]) -> float:
        """The root mean squared error on the test rows."""
        return float(np.sqrt(np.mean((np.asarray(prediction, np.float64) - self.y_test) ** 2)))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="tables, and index.json: see fetch_tables.py")
    parser.add_argument("--only", nargs="+", help="names of tables")
    parser.add_argument("--splits", type=int, default=1, help="random splits a table (default: 1)")
    parser.add_argument("--rows", type=int, default=20_000, help="most training rows (20000)")
    parser.add_argument("--model", default="mlp", help="the network (default: mlp)")
    given = parser.parse_args(arguments)
    share_machine()
    index = json.loads((given.folder / "index.json").read_text(encoding="utf-8"))
    path = given.folder / "results.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    chosen = [entry for entry in index if not given.only or entry["name"] in given.only]
    for seed in range(given.splits):
        for entry in chosen:
            key = f"{entry['name']} {seed} {given.rows} {given.model}"
            if key not in results:
                results[key] = measure(given.folder / entry["path"], entry["target"], seed, given)
                write_atomically(path, to_json(results).encode())
                print(key, results[key], flush=True)
    keys = [f"{{}} {seed} {given.rows} {given.model}" for seed in range(given.splits)]
    for line in table(chosen, results, keys):
        print(line)
    return 0


def measure(path: Path, target: str, seed: int, given: argparse.Namespace) -> Result:
    """The test error of each side, in deviations of the training target; seconds; and the gap of
    the line to least squares on the training rows."""
    recipe = [f"data.path={path}", f"data.target={target}", f"data.split.seed={seed}"]
    source = read(experiment(load(None, recipe)).table)
    train_rows = source.parts.train
    few = source.parts._replace(train=train_rows[evenly(len(train_rows), given.rows)])
    source = replace(source, parts=few)
    arrays, result = encoded(source), Result()
    unit = float(np.std(source.packed.take(few.train)[:, -1].astype(np.float64)))
    for side, model in (("line", "linear"), ("network", given.model)):
        clock = time.perf_counter()
        errors = ours(source, [*recipe, f"model.name={model}", f"train.seed={seed}"])
        result |= {side: errors[0] / unit, f"{side}_s": time.perf_counter() - clock}
        if side == "line" and arrays.x.shape[1] <= WIDEST:
            least = least_squares(arrays)
            result["gap"] = (errors[1] / unit) ** 2 / least - 1 if least > 1e-12 else 0.0
    return result | peers(arrays)


def ours(source: SplitTable, recipe: list[str]) -> tuple[float, float]:
    """The RMSE on test and training rows; NaN where training diverges."""
    planned = experiment(load(None, recipe))
    data = fit(source, source.parts, planned.inputs)
    fitted = build(planned.resolve(data), data)
    never = CheckpointOptions(seconds=0)
    with tempfile.TemporaryDirectory() as folder:
        try:
            _, found = train(
                fitted, Path(folder), never, Signals(), Progress(quiet=True), least=None
            )
        except UserError as error:
            print(f"{recipe}: {error}", file=sys.stderr)
            return math.nan, math.nan
    return found["test"].metrics.rmse, found["train"].metrics.rmse


def encoded(source: SplitTable) -> Arrays:
    """What peers are given."""
    data = fit(source, source.parts, InputOptions(one_hot=1 << 30))
    center, scale = data.scaling("standard")
    parts = []
    for rows in (source.parts.train, source.parts.test):
        blocks = list(data.packed.blocks(rows))
        x = [(data.encoding.encode(b) - center) / scale for b in blocks]
        parts += [np.concatenate(x), np.concatenate([b[:, -1] for b in blocks]).astype(float)]
    mean, deviation = parts[1].mean(), parts[1].std()
    return Arrays(parts[0], (parts[1] - mean) / deviation, parts[2], (parts[3] - mean) / deviation)


def least_squares(arrays: Arrays) -> float:
    """The least mean squared error of a line on the training rows, by singular values."""
    x = arrays.x
    weights = np.linalg.lstsq(x, arrays.y, rcond=1e-10)[0]
    return float(np.mean((x @ weights - arrays.y) ** 2))


def peers(arrays: Arrays) -> Result:
    """Their test errors with all on default, where they are installed."""
    result = Result()
    try:
        network = import_module("sklearn.neural_network").MLPRegressor(random_state=0)
        network.fit(arrays.x, arrays.y)
        result["scikit-learn"] = arrays.error(network.predict(arrays.x_test))
    except ImportError:
        pass
    try:
        trees = import_module("lightgbm").LGBMRegressor(n_jobs=1, verbose=-1)
        trees.fit(arrays.x, arrays.y)
        result["LightGBM"] = arrays.error(trees.predict(arrays.x_test))
    except ImportError:
        pass
    return result


def table(
    index: Iterable[dict[str, Any]], results: dict[str, Result], keys: Sequence[str]
) -> list[str]:
    """A page of Markdown: by table the root mean square over its splits, then geometric means."""
    sides = ["line", "network", "scikit-learn", "LightGBM"]
    lines = [
        "| table | rows | columns | line, gap | line | network | scikit-learn | LightGBM | s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    errors: list[Result] = []
    for entry in index:
        found = [results[key] for key in (k.format(entry["name"]) for k in keys) if key in results]
        if not found:
            continue
        mean = {
            side: math.sqrt(sum(r[side] ** 2 for r in found) / len(found))
            for side in sides
            if all(side in r for r in found)
        }
        errors.append(mean)
        gaps = [r["gap"] for r in found if "gap" in r]
        cells = [f"{mean[side]:.4f}" if side in mean else "" for side in sides]
        lines.append(
            f"| {entry['name']} | {entry['rows']:,} | {entry['columns']} "
            f"| {f'{max(gaps):.1e}' if gaps else ''} | {' | '.join(cells)} "
            f"| {sum(r['network_s'] for r in found) / len(found):.0f} |"
        )
    for other in sides:
        ratios = [e["network"] / e[other] for e in errors if other in e]
        if other != "network" and ratios:
            mean_ratio = math.exp(sum(map(math.log, ratios)) / len(ratios))
            lines.append(
                f"\nnetwork / {other}: geometric mean {mean_ratio:.3f}, "
                f"greatest {max(ratios):.3f}, over {len(ratios)} tables"
            )
    return lines


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
