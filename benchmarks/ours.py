"""Our side of each comparison, and what it could not be faster than."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.optimum import QUARTERS, Predict, Setting
from benchmarks.tables import TARGET, Matrix, Table
from benchmarks.timing import Clock, timed
from configs.load import check
from configs.yaml_text import dump
from model.folder import GRAPH, WEIGHTS, find_export
from model.predictor import Predictor
from ranks.alone import ALONE, Ranks
from reader.fitting import InputOptions
from reader.inputs import InputColumn
from reader.pack import PackedTable
from reader.schema import Column, Schema
from reader.source import SplitTable
from reader.split import Split
from reader.training_data import fit as fit_rows
from trainer.build import Fit, build, build_trainer
from trainer.settings import experiment
from trainer.trainer import State, Trainer


@dataclass(frozen=True)
class Run:
    """train.py with `recipe`, into `folder`."""

    recipe: str
    folder: Path

    @property
    def command(self) -> list[str]:
        return [sys.executable, "train.py", "-c", self.recipe, "-o", f"run.dir={self.folder}"]

    def clear(self) -> None:
        """Take back all that it left behind, what it may read again next time included."""
        for path in (self.folder, cache(self.folder)):
            shutil.rmtree(path, ignore_errors=True)


def recipe(folder: Path, table: Path, train: Mapping[str, Any]) -> Run:
    """A run over every row of a table of `write_csv`; `train`: keys of that section."""
    data = {
        "path": str(table),
        "target": TARGET,
        "cache": str(cache(folder)),
        "split": {"train": 1, "validation": 0, "test": 0},
    }
    path = folder.with_suffix(".yaml")
    path.write_text(dump({"data": data, "train": dict(train), "run": {"dir": str(folder)}}))
    return Run(str(path), folder)


def cache(folder: Path) -> Path:
    return folder.with_suffix(".cache")


def infer_process(folder: Path, table: Path, output: Path) -> list[str]:
    files = ("--input", str(table), "--output", str(output))
    return [sys.executable, "infer.py", "--model", str(folder), *files]


def trainer(
    matrix: Matrix,
    batch: int | None = None,
    model: Mapping[str, Any] | None = None,
    ranks: Ranks = ALONE,
) -> tuple[Trainer, Fit]:
    """What train.py trains, on arrays; no setting chosen by hand, except the batch size and the
    keys of the section `model` where they are given. `matrix`: float32 [N, D + 1], the target
    last."""
    names = [f"x{i}" for i in range(matrix.shape[1] - 1)]
    columns = (*(Column(name, "numeric") for name in names), Column(TARGET, "target"))
    every = np.arange(len(matrix), dtype=np.int32)
    parts = Split(every, every[:0], every[:0])
    source = SplitTable(None, PackedTable(Schema(columns), matrix, "", ranks=ranks), parts)
    data = fit_rows(source, parts, InputOptions())
    values = {"data": {"path": "rows", "target": TARGET}, "run": {"dir": "runs/memory"}}
    chosen: dict[str, Any] = {"train": {"batch_size": batch}} if batch else {}
    if model:
        chosen["model"] = dict(model)
    settings = experiment(check(values | chosen, "benchmark")).resolve(data)
    fit = build(settings, data)
    return build_trainer(fit), fit


def to_optimum(table: Table) -> Setting:
    def steps() -> Iterator[Predict]:
        training, fit = trainer(np.column_stack([table.x, table.y]))
        state, all_steps = State(), training.loader.steps
        quarter = -(-all_steps // QUARTERS)
        while state.epoch < fit.settings.epochs:
            for step, _ in enumerate(training.steps(state), start=1):
                if step % quarter == 0 or step == all_steps:
                    yield lambda: table.standardise(fit.regressor.predict(table.x)[:, 0])
            training.end_epoch(state, {})

    return Setting("defaults", steps)


def epochs(training: Trainer) -> Callable[[], None]:
    """A pass over the rows, the next one at each call."""
    state = State()

    def epoch() -> None:
        training.fit(state, state.epoch + 1)

    return epoch


def floor(table: Table, batch: int, stock: bool = False) -> Clock:
    """Seconds a step of the same loop over tensors that are all made; with `stock`, of
    paddle.optimizer.SGD."""
    import paddle
    import paddle.nn.functional as F

    from model.networks import build_network
    from model.optimizer import build_optimizer

    x = (table.x - table.x.mean(axis=0)) / table.x.std(axis=0)
    y = table.target.astype(np.float32)[:, None]
    batches = []
    for start in range(0, len(x), batch):
        rows = slice(start, start + batch)
        batches.append((paddle.to_tensor(x[rows]), paddle.to_tensor(y[rows])))
    network = build_network("linear", [InputColumn("x", "number")] * x.shape[1], seed=0)
    optimizer = build_optimizer("sgd", network, 0.01, weight_decay=0.0)
    if stock:
        optimizer = paddle.optimizer.SGD(0.01, parameters=network.parameters())

    def epoch() -> None:
        for x, y in batches:
            loss = F.mse_loss(network(x), y)
            optimizer.clear_grad(set_to_zero=False)
            loss.backward()
            optimizer.step()

    return timed(epoch, steps=len(batches))


def predictions(folder: Path, rows: Matrix, calls: int) -> Clock:
    """Seconds a call of Predictor.predict."""
    return timed(partial(Predictor(folder).predict, rows), calls)


def bare_predictions(folder: Path, rows: Matrix, calls: int) -> Clock:
    """Seconds a prediction by the calls of Paddle Inference alone, settings as in the contract."""
    from paddle import inference

    contract, export = Predictor(folder).contract, find_export(folder)
    config = inference.Config(str(export / GRAPH), str(export / WEIGHTS))
    config.disable_glog_info()
    config.disable_gpu()
    (config.enable_onednn if contract["inference"]["onednn"] else config.disable_onednn)()
    predictor = inference.create_predictor(config)
    source = predictor.get_input_handle(predictor.get_input_names()[0])
    output = predictor.get_output_handle(predictor.get_output_names()[0])

    def call() -> Any:
        source.copy_from_cpu(rows)
        predictor.run()
        return output.copy_to_cpu()

    return timed(call, calls)
