"""Each key of a recipe changes something that can be seen."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from safetensors.numpy import load_file
from visualdl import LogReader
from xlsxwriter import Workbook

import train
from configs.keys import keys
from run.curves import LOG

pytestmark = pytest.mark.slow

MLP = ["model.name=mlp", "model.hidden=[4]"]
RESNET = ["model.name=resnet", "model.width=8"]
ADDITIVE = ["model.name=additive", "data.kinds={a: numeric, b: numeric}"]
ADAM = ["optimizer.name=adam"]
GROWING = ["train.epochs=3", "optimizer.learning_rate=1.2", "schedule.name=constant"]

# key: (what both runs share, the value in one, the value in the other)
CHANGES: dict[str, tuple[list[str], str, str]] = {
    "data.path": ([], "TABLE", "OTHER"),
    "data.format": ([], "csv", "white_space"),
    "data.separator": ([], "','", "b"),
    "data.sheet": (["data.path=BOOK"], "all", "half"),
    "data.encoding": ([], "utf-8", "utf-16"),
    "data.comment": ([], "null", "'9'"),
    "data.decimal_comma": ([], "false", "true"),
    "data.unpack_limit": (["data.path=PACKED", "train.batch_size=4096"], "1", "1024"),
    "data.memory_limit": (["data.cache=RUN/cache"], "256", "0"),
    "data.cache": (["data.memory_limit=0"], "RUN/one", "RUN/two"),
    "data.columns": ([], "null", "[p, q, y]"),
    "data.target": ([], "y", "a"),
    "data.exclude": ([], "[]", "[b]"),
    "data.kinds": ([], "{}", "{b: categorical}"),
    "data.time_format": ([], "'%d.%m.%Y'", "'%m.%d.%Y'"),
    "data.categories.one_hot": (["data.kinds={a: categorical}"], "32", "1"),
    "data.categories.min_count": (["data.kinds={a: categorical}"], "2", "50"),
    "data.missing.numeric": ([], "mean", "median"),
    "data.missing.constant": (["data.missing.numeric=constant"], "0", "7"),
    "data.missing.indicator": (["data.missing.numeric=mean"], "false", "true"),
    "data.missing.target": ([], "error", "drop"),
    "data.missing.values": (["data.missing.numeric=mean"], "[NA]", "['?']"),
    "data.split.method": ([], "random", "sequential"),
    "data.split.column": (["data.split.method=group"], "a", "b"),
    "data.split.train": ([], "0.8", "0.6"),
    "data.split.validation": (["data.split.train=0.5"], "0.1", "0.2"),
    "data.split.test": (["data.split.train=0.5"], "0.1", "0.2"),
    "data.split.seed": ([], "0", "1"),
    "data.split.validation_path": (["data.split.method=files"], "TABLE", "OTHER"),
    "data.split.test_path": (["data.split.method=files"], "TABLE", "OTHER"),
    "data.split.folds": ([], "2", "3"),
    "data.scale.features": ([], "standard", "min_max"),
    "data.scale.target": ([], "standard", "none"),
    "model.name": ([], "linear", "mlp"),
    "model.hidden": (["model.name=mlp"], "[4]", "[4, 4]"),
    "model.activation": (MLP, "relu", "tanh"),
    "model.embedding": (
        [*MLP, "data.kinds={a: categorical}", "data.categories.one_hot=1"],
        "8",
        "3",
    ),
    "model.dropout": (MLP, "0.0", "0.5"),
    "model.members": (MLP, "1", "2"),
    "model.numeric_embedding": (MLP, "none", "ple"),
    "model.knots": (ADDITIVE, "2", "8"),
    "model.beyond": (ADDITIVE, "flat", "line"),
    "model.pairs": (ADDITIVE, "0", "1"),
    "model.terms": (ADDITIVE, "[a]", "[a, b]"),
    "model.exclude_pairs": ([*ADDITIVE, "model.pairs=9"], "[]", "[[a, b]]"),
    "model.monotone": (ADDITIVE, "{}", "{a: down}"),
    "model.width": (["model.name=resnet"], "8", "16"),
    "model.blocks": (RESNET, "1", "2"),
    "model.normalization": (RESNET, "batch", "layer"),
    "loss.name": ([], "mse", "mae"),
    "loss.delta": (["loss.name=huber"], "0.1", "1.0"),
    "optimizer.name": ([], "sgd", "adam"),
    "optimizer.learning_rate": ([], "0.01", "0.02"),
    "optimizer.weight_decay": ([], "0.0", "0.1"),
    "optimizer.momentum": (["optimizer.name=momentum"], "0.9", "0.5"),
    "optimizer.beta1": (ADAM, "0.9", "0.5"),
    "optimizer.beta2": (ADAM, "0.999", "0.5"),
    "optimizer.clip": (ADAM, "0", "1e-12"),
    "schedule.name": ([], "cosine", "constant"),
    "schedule.every": (["schedule.name=step"], "1", "2"),
    "schedule.warm_up": (["schedule.name=cosine"], "0", "0.5"),
    "schedule.gamma": (["schedule.name=step", "schedule.every=1"], "0.1", "0.5"),
    "train.epochs": ([], "2", "3"),
    "train.batch_size": ([], "8", "16"),
    "train.seed": ([], "0", "1"),
    "train.device": ([], "cpu", "gpu:99"),
    "train.precision": (MLP, "float32", "bfloat16"),
    "train.average": ([], "false", "true"),
    "train.refit": ([], "false", "true"),
    "train.patience": (GROWING, "0", "1"),
    "train.export": (GROWING, "best", "last"),
    "train.log_every": ([], "1", "5"),
    "checkpoint.seconds": ([], "0", "1e-9"),
    "checkpoint.steps": (["checkpoint.seconds=0"], "0", "1"),
    "checkpoint.epochs": (["checkpoint.seconds=0"], "0", "1"),
    "checkpoint.keep": (["checkpoint.epochs=1"], "1", "2"),
    "intervals.coverage": ([], "null", "0.5"),
    "export.onnx": ([], "false", "true"),
    "card.intended_use": ([], "''", "'to learn'"),
    "card.data": ([], "''", "'made up'"),
    "card.known_bias": ([], "''", "'none'"),
    "run.dir": ([], "RUN/one", "RUN/two"),
}


def outcome(recipe: Path, run: Path, overrides: list[str]) -> Any:
    """Everything that a key may change: the exit code, the weights, the figures, the curves."""
    options = [option for override in overrides for option in ("-o", override)]
    code = train.main(["-c", str(recipe), "--overwrite", *options])
    folders = sorted(path.parent for path in run.rglob("report.json"))
    if code or not folders:
        return code
    report = json.loads((folders[-1] / "report.json").read_text())
    weights = load_file(folders[-1] / "checkpoints" / "last" / "weights.safetensors")
    curves = LogReader(file_path=str(folders[-1] / "curves" / "train" / LOG))
    return (
        [path.relative_to(run) for path in folders],
        {name: values.tolist() for name, values in weights.items()},
        report["metrics"],
        report.get("folds"),
        json.loads((folders[-1] / "schema.json").read_text()),
        report["card"],
        report.get("intervals"),
        sorted(path.name for path in (folders[-1] / "checkpoints").iterdir()),
        len(curves.get_data("scalar", "step/loss")),
        Path(folders[-1] / "export" / "model.pdiparams").read_bytes(),
        sorted(path.name for path in (folders[-1] / "export").iterdir()),
    )


def test_each_key_is_tried() -> None:
    of_several_processes = {"data.shards"}  # see tests/ranks/test_shards.py
    assert {key.path for key in keys()} == set(CHANGES) | of_several_processes


@pytest.mark.parametrize("key", CHANGES)
def test_key_changes_something(key: str, recipe: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    other = tmp_path / "other.csv"
    other.write_text(table.read_text().replace("9,", "8,"))
    if key == "data.decimal_comma":
        table.write_text(table.read_text().replace(",", ";").replace("9;", "9,5;"))
    if key == "data.time_format":
        table.write_text(re.sub(r"^(\d),", r"1\1.02.2024,", table.read_text(), flags=re.M))
    if key == "data.missing.target":
        table.write_text(table.read_text() + "1,2,\n")
    elif key.startswith("data.missing"):
        table.write_text(re.sub(r"^[0-2],", "NA,", table.read_text(), flags=re.MULTILINE))
    if key == "data.columns":
        table.write_text("\n".join(table.read_text().splitlines()[1:]))
    book = tmp_path / "book.xlsx"
    if key == "data.sheet":
        with Workbook(book) as workbook:
            frame = pl.read_csv(table)
            frame.write_excel(workbook, "all")
            frame[:30].write_excel(workbook, "half")
    packed = tmp_path / "table.csv.gz"
    if key == "data.unpack_limit":
        packed.write_bytes(gzip.compress(table.read_bytes() + b"1,2,-3\n" * 200_000))
    names = {
        "PACKED": packed,
        "TABLE": table,
        "OTHER": other,
        "RUN": tmp_path / "runs",
        "BOOK": book,
    }
    shared, *values = CHANGES[key]
    outcomes = []
    for index, value in enumerate(values):
        run = tmp_path / "runs" if key == "run.dir" else tmp_path / f"run{index}"
        overrides = [*shared, f"run.dir={run}", f"{key}={value}"]
        for word, meant in names.items():
            overrides = [override.replace(word, str(meant)) for override in overrides]
        found = outcome(recipe, run, overrides)
        outcomes.append((found, sorted(tmp_path.rglob("*.float32"))))
    assert outcomes[0] != outcomes[1]
