"""The best line by each loss, against solvers of other kinds; and that training arrives there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog, minimize

from configs.load import load
from reader.source import read
from reader.training_data import fit
from tests.conftest import train_recipe
from trainer.build import Fit, build
from trainer.optimum import optimum
from trainer.settings import experiment

Array = NDArray[np.float64]
BOSTON = "configs/boston.yaml"


def fitted(*overrides: str) -> tuple[Fit, Array, Array]:
    """What is built, and the training rows: encoded features with a 1 behind them, and target."""
    recipe = experiment(load(BOSTON, overrides))
    source = read(recipe.table)
    data = fit(source, source.parts, recipe.inputs)
    rows = data.packed.take(data.parts.train)
    design = np.column_stack([data.encoding.encode(rows), np.ones(len(rows))])
    return build(recipe.resolve(data), data), design, rows[:, -1].astype(np.float64)


def least_absolute(design: Array, target: Array) -> float:
    """The least mean of |target - design w|, as a linear program: the errors are u - v, both
    positive."""
    rows, columns = design.shape
    scale = np.abs(design).max(axis=0)
    errors = sparse.eye(rows)
    found = linprog(
        np.concatenate([np.zeros(columns), np.full(2 * rows, 1 / rows)]),
        A_eq=sparse.hstack([sparse.csr_matrix(design / scale), errors, -errors]),
        b_eq=target,
        bounds=[(None, None)] * columns + [(0, None)] * (2 * rows),
        method="highs",
    )
    return float(found.fun)


def test_least_absolute_errors() -> None:
    built, design, target = fitted("loss.name=mae")
    best = optimum(built)
    assert best
    assert best.value == pytest.approx(least_absolute(design, target), rel=1e-5)
    error = best.line.predict(design[:, :-1]) - target
    assert np.abs(error).mean() == pytest.approx(best.value, rel=1e-6)


@pytest.mark.parametrize("delta", [0.2, 1.0, 50.0])
def test_huber(delta: float) -> None:
    built, design, target = fitted("loss.name=huber", f"loss.delta={delta}")
    scaled, center, scale = design.copy(), design.mean(axis=0), design.std(axis=0)
    scaled[:, :-1] = (design - center)[:, :-1] / scale[:-1]
    z = (target - built.target.center) / built.target.scale

    def loss(weights: Array) -> tuple[float, Array]:
        residual = scaled @ weights - z
        far = np.abs(residual) > delta
        each = np.where(far, delta * (np.abs(residual) - delta / 2), residual**2 / 2)
        slope = np.clip(residual, -delta, delta)
        return float(each.mean()), scaled.T @ slope / len(z)

    found = minimize(loss, np.zeros(design.shape[1]), jac=True, method="BFGS", tol=1e-10)
    best = optimum(built)
    assert best
    assert best.value == pytest.approx(found.fun, rel=1e-6)
    if delta == 50:  # no error is so large: half of least squares
        assert best.value == pytest.approx(built.problem.optimum.mse / built.target.scale**2 / 2)


def test_no_line_is_known_for_another_loss_of_the_logarithm() -> None:
    """A line on the target itself is none on its logarithm."""
    built, _, _ = fitted("loss.name=huber", "data.scale.target=log1p")
    assert optimum(built) is None


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_an_exact_fit_is_told_as_one(tmp_path: Path, loss: str) -> None:
    random = np.random.default_rng(0)
    lines = [f"{x},{3 * x + 1}" for x in random.normal(size=200)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *lines]))
    (tmp_path / "t.yaml").write_text(f"data: {{path: {tmp_path / 't.csv'}, target: y}}\n")
    report = train_recipe(tmp_path / "run", str(tmp_path / "t.yaml"), [f"loss.name={loss}"])
    assert report["optimum"]["gap"] is None


def test_an_exact_fit_of_the_target_is_none_of_its_logarithm(tmp_path: Path) -> None:
    """The line through positive targets goes below -1 outside the training rows."""
    lines = [f"{x},{x / 10 + 0.1}" for x in range(200)]
    lines += [f"{-x},{0.5}" for x in range(100, 150)]
    parts = ["train"] * 200 + ["test"] * 50
    rows = [f"{line},{part}" for line, part in zip(lines, parts, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y,part", *rows]))
    split = "split: {method: column, column: part}, scale: {target: log1p}"
    data = f"data: {{path: {tmp_path / 't.csv'}, target: y, {split}}}\n"
    (tmp_path / "t.yaml").write_text(data)
    network = ["model.name=mlp", "loss.name=huber", "train.epochs=2"]
    report = train_recipe(tmp_path / "run", str(tmp_path / "t.yaml"), network)
    assert "best_line" not in report


@pytest.mark.parametrize("target", ["standard", "log1p", "none"])
@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
@pytest.mark.parametrize("model", ["linear", "mlp"])
def test_every_loss_goes_with_every_target(
    tmp_path: Path, target: str, loss: str, model: str
) -> None:
    asked = [f"data.scale.target={target}", f"loss.name={loss}", f"model.name={model}"]
    small = ["train.epochs=2", "optimizer.learning_rate=0.001", "intervals.coverage=0.8"]
    report = train_recipe(tmp_path / "run", BOSTON, [*asked, *small])
    known = {"optimum", "best_line"} & set(report)
    assert len(known) == (0 if target == "log1p" and loss != "mse" else 1)
    assert report["parity"]["max_abs_difference"] <= report["parity"]["tolerance"]


@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_training_arrives_at_the_best_line(tmp_path: Path, loss: str) -> None:
    recipe = [f"loss.name={loss}", "train.export=last", "train.epochs=200"]
    report = train_recipe(tmp_path / "run", BOSTON, recipe)
    watched = {"mae": "mae", "huber": "loss"}[loss]
    assert report["best"]["metric"] == watched
    assert report["optimum"][f"train_{watched}"] > 0
    assert -1e-6 < report["optimum"]["gap"] < 0.002
    assert report["metrics"]["train"][watched] == report["history"][-1]["train"]
    assert all(weight["standard_error"] is None for weight in report["coefficients"]["weights"])


def test_a_few_wild_rows_do_not_move_the_middle(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=600)
    y = 3 * x + 1 + random.normal(scale=0.1, size=600)
    y[::20] += 500
    lines = [f"{a},{b}" for a, b in zip(x, y, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *lines]))
    (tmp_path / "t.yaml").write_text(f"data: {{path: {tmp_path / 't.csv'}, target: y}}\n")
    weights = {}
    for loss in ("mse", "mae"):
        given = [f"loss.name={loss}", "optimizer.learning_rate=0.02", "train.epochs=100"]
        report = train_recipe(tmp_path / loss, str(tmp_path / "t.yaml"), given)
        weights[loss] = report["coefficients"]
    assert weights["mae"]["intercept"] == pytest.approx(1, abs=1)
    assert weights["mae"]["weights"][0]["weight"] == pytest.approx(3, abs=1)
    assert abs(weights["mse"]["intercept"] - 1) > 10


@pytest.mark.parametrize("loss", ["mae", "huber"])
def test_other_models_are_held_against_the_best_line(tmp_path: Path, loss: str) -> None:
    adam = ["optimizer.name=adam", "optimizer.learning_rate=0.01"]
    network = ["model.name=mlp", *adam, "train.epochs=30", f"loss.name={loss}"]
    report = train_recipe(tmp_path / "run", BOSTON, network)
    watched = {"mae": "mae", "huber": "loss"}[loss]
    for part, line in report["best_line"].items():
        better = 1 - report["metrics"][part][watched] / line[watched]
        assert line["improvement"] == pytest.approx(better)
    assert report["best_line"]["train"]["improvement"] > 0
