"""A blend of an additive model and a network, and a second training on all rows."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from model.predictor import Predictor
from tests.conftest import command, train_recipe
from trainer.blending import PRIOR_ROWS, Parts, best_share

pytestmark = pytest.mark.xdist_group("blend")  # one worker makes what they share

SMALL = ["model.hidden=[16]", "model.members=2", "train.epochs=4", "train.batch_size=64"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """800 rows: two numbers, one with holes, and a category; a product, which no curve tells."""
    random = np.random.default_rng(0)
    a, b, c = random.normal(size=800), random.normal(size=800), random.integers(0, 4, 800)
    y = 10 + a * b + np.sin(2 * a) + c + 0.2 * random.normal(size=800)
    holes = [None if i % 17 == 0 else value for i, value in enumerate(b.tolist())]
    columns = {"a": a, "b": holes, "c": [f"level {code}" for code in c], "y": y}
    path = tmp_path_factory.mktemp("blend") / "table.csv"
    pl.DataFrame(columns).write_csv(path)
    return path


def run(folder: Path, table: Path, *overrides: str) -> dict[str, Any]:
    recipe = folder / "recipe.yaml"
    recipe.write_text(f"data: {{path: {table}, target: y}}\n")
    return train_recipe(folder / "run", str(recipe), overrides)


def test_a_blend_tells_what_its_parts_predict_and_explains_itself(
    table: Path, tmp_path: Path
) -> None:
    target = ["data.scale.target=log1p", "intervals.coverage=0.8", "train.refit=true"]
    report = run(tmp_path, table, "model.name=blend", *SMALL, *target)
    found = report["blend"]["rmse"]
    for part in ("validation", "test"):
        assert found[part]["together"] == report["metrics"][part]["rmse"]
        worse = max(found[part]["additive"], found[part]["network"])
        assert found[part]["together"] <= worse * 1.001
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "the best epoch are of the network in the blend" in page
    assert report["refit"] == {"rows": 720, "epochs": report["best"]["epoch"]}
    assert len(report["members"]["rmse"]) == 2
    assert report["members"]["spread"] > 0
    assert 0.6 < report["intervals"]["measured"] <= 1
    assert (tmp_path / "run" / "refit" / "checkpoints" / "last").is_dir()

    options = ["--model", str(tmp_path / "run"), "--input", str(table), "--explain"]
    done = command("infer.py", *options)
    assert done.returncode == 0, done.stderr
    lines = pl.read_csv(io.StringIO(done.stdout), infer_schema_length=None)
    assert lines.columns[-1] == "effect on log of network"
    center = float(done.stderr.split("log(1 + prediction) is ")[1].split(" ")[0])
    total = center + lines.select(pl.sum_horizontal(pl.col("^effect .*$"))).to_series()
    prediction = lines["prediction"].to_numpy()
    np.testing.assert_allclose(np.expm1(total.to_numpy()), prediction, rtol=1e-5)


class Squares:
    def measure(self, output: NDArray[Any], target: NDArray[Any]) -> NDArray[Any]:
        return np.square(output - target)[:, 0]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_the_share_is_that_of_least_loss(share: float) -> None:
    """Known where the target is a blend itself; of few rows, as if PRIOR_ROWS more had asked for a
    half."""
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 20_000, 1))
    parts = Parts(one, other, share * one + (1 - share) * other)
    assert best_share(Squares(), parts) == pytest.approx(share, abs=0.001)
    few = Parts(*(each[:30] for each in parts))
    expected = (30 * share + PRIOR_ROWS * 0.5) / (30 + PRIOR_ROWS)
    assert best_share(Squares(), few) == pytest.approx(expected, abs=0.006)


def test_refit_is_least_squares_on_training_and_validation_rows(tmp_path: Path) -> None:
    """By NumPy on the same rows; the test rows have no part in it, and figures of the validation
    rows are those of the first training."""
    random = np.random.default_rng(1)
    x = random.normal(size=(100, 3))
    y = x @ [1.0, -2.0, 0.5] + 3 + random.normal(size=100)
    path = tmp_path / "table.csv"
    frame = pl.DataFrame(np.column_stack([x, y]), schema=["a", "b", "c", "y"])
    parts = np.array(["train"] * 60 + ["validation"] * 20 + ["test"] * 20)
    frame.with_columns(part=pl.Series(parts)).write_csv(path)
    split = ["data.split.method=column", "data.split.column=part"]
    reports = {}
    for refit in (True, False):
        (folder := tmp_path / str(refit)).mkdir()
        reports[refit] = run(folder, path, *split, f"train.refit={str(refit).lower()}")
        rows = 80 if refit else 60
        columns = np.column_stack([x, np.ones(100)])
        weights = np.linalg.lstsq(columns[:rows], y[:rows], rcond=None)[0]
        found = Predictor(folder / "run").predict(x.astype(np.float32))
        np.testing.assert_allclose(found, columns @ weights, atol=1e-4)
        rmse = np.sqrt(np.mean((columns[80:] @ weights - y[80:]) ** 2))
        assert reports[refit]["metrics"]["test"]["rmse"] == pytest.approx(rmse, rel=1e-4)
    for part in ("train", "validation"):
        assert reports[True]["metrics"][part] == reports[False]["metrics"][part]


def test_refit_needs_validation_rows(table: Path, tmp_path: Path) -> None:
    data = ["--data", str(table), "--target", "y", "-o", "data.split.validation=0"]
    done = command("train.py", *data, "-o", "train.refit=true", "-o", f"run.dir={tmp_path / 'r'}")
    assert done.returncode == 2
    assert "train.refit needs a validation part: set data.split.validation" in done.stderr
    assert not (tmp_path / "r").exists()
