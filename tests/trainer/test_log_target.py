"""Predictions by the logarithm of a target, far from the training rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from model.predictor import Predictor
from tests.conftest import train_recipe


@pytest.mark.parametrize("model", ["linear", "additive", "mlp"])
@pytest.mark.parametrize("intervals", [[], ["intervals.coverage=0.8"]])
def test_no_prediction_leaves_the_range_of_the_logarithm_by_more_than_a_tenth(
    tmp_path: Path, model: str, intervals: list[str]
) -> None:
    random = np.random.default_rng(0)
    x = random.uniform(0, 3, size=300)
    y = np.exp(x + 0.1 * random.normal(size=300))
    pl.DataFrame({"x": x, "y": y}).write_csv(tmp_path / "t.csv")
    recipe = tmp_path / "t.yaml"
    recipe.write_text(
        f"data: {{path: {tmp_path / 't.csv'}, target: y, scale: {{target: log1p}}}}\n"
    )
    options = [f"model.name={model}", "train.epochs=3", "data.split.method=sequential", *intervals]
    report = train_recipe(tmp_path / "run", str(recipe), options)
    assert report["parity"]["max_abs_difference"] <= report["parity"]["tolerance"]
    logs = np.log1p(y[: report["metrics"]["train"]["rows"]])
    beyond = 0.1 * np.ptp(logs)
    low, high = np.expm1([logs.min() - beyond, logs.max() + beyond])
    far = np.array([[-1e6], [1e6]], dtype=np.float32)
    found = Predictor(tmp_path / "run").predict(far).reshape(2, -1)
    if model == "linear":
        np.testing.assert_allclose(found[:, 0], [low, high], rtol=1e-5)
    assert (found[:, 0] >= low * (1 - 1e-5)).all()
    assert (found[:, 0] <= high * (1 + 1e-5)).all()
    assert np.isfinite(found).all()
