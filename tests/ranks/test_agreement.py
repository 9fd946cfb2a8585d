"""Several processes train what one process trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import train
from tests.ranks.jobs import apart, job

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("jobs")]

ROWS = 1_013  # a prime: no batch size and no number of processes divides it
NEAR = 1e-5
MODELS = {
    "linear by sgd": ("model.name=linear", "train.batch_size=101", "optimizer.name=sgd"),
    "linear by adam": ("model.name=linear", "train.batch_size=101", "optimizer.name=adam"),
    "additive": ("model.name=additive",),
    "mlp by sgd": (
        *("model.name=mlp", "model.hidden=[16]", "model.dropout=0.2", "train.batch_size=75"),
        *("optimizer.name=sgd", "optimizer.learning_rate=0.02"),
    ),
    "mlp by adam": ("model.name=mlp", "model.hidden=[16]", "model.members=2"),
    "realmlp": ("model.name=realmlp", "model.members=2", "model.hidden=[32]"),
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("agreement")
    x = random.normal(size=(ROWS, 3))
    town = random.integers(0, 4, ROWS)
    y = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + town + 0.1 * random.normal(size=ROWS)
    lines = [f"{a},{b},{c},{'nesw'[t]},{v}" for (a, b, c), t, v in zip(x, town, y, strict=True)]
    (folder / "t.csv").write_text("\n".join(["a,b,c,town,y", *lines]))
    return folder / "t.csv"


def report(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "report.json").read_text())
    return found


@pytest.mark.parametrize("model", MODELS)
def test_two_and_three_processes_agree_with_one(model: str, table: Path, tmp_path: Path) -> None:
    count = 3 if model == "mlp by adam" else 2
    keys = ["train.epochs=3", f"data.cache={tmp_path / 'cache'}", *MODELS[model]]
    arguments = ["--quiet", "--data", str(table), "--target", "y"]
    arguments += [part for key in keys for part in ("-o", key)]
    assert train.main([*arguments, "-o", f"run.dir={tmp_path / 'one'}"]) == 0
    with job(count, tmp_path, *arguments, "-o", f"run.dir={tmp_path / 'several'}") as running:
        assert running.wait() == [0] * count, running.texts()
    assert apart(tmp_path / "one", tmp_path / "several") < NEAR
    one, several = report(tmp_path / "one"), report(tmp_path / "several")
    for part in ("train", "validation", "test"):
        found, expected = several["metrics"][part]["mse"], one["metrics"][part]["mse"]
        assert found == pytest.approx(expected, rel=1e-4)
    assert several["data"]["sha256"] == one["data"]["sha256"]
    assert several["parity"]["rows"] == one["parity"]["rows"]
