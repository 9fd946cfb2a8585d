"""Whole runs, held against closed-form least squares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from visualdl import LogReader

import infer
import train
from model.predictor import Predictor
from run.checkpoint import load_checkpoint
from run.curves import HYPER_PARAMETERS, LOG
from tests.conftest import COLUMNS, SOAK, train_recipe

pytestmark = pytest.mark.slow

BOSTON, LESSON = "configs/boston.yaml", "configs/boston_lesson.yaml"
TABLE = np.loadtxt("data/boston/housing.data")


def least_squares(rows: NDArray[np.float64]) -> tuple[NDArray[Any], float]:
    """Weights with the bias last, and the MSE, of the best line through rows (target last)."""
    design = np.column_stack([rows[:, :-1], np.ones(len(rows))])
    weights = np.linalg.lstsq(design, rows[:, -1], rcond=None)[0]
    return weights, float(np.mean((design @ weights - rows[:, -1]) ** 2))


def test_run_folder_is_complete(boston_run: Path) -> None:
    found = {str(path.relative_to(boston_run)) for path in boston_run.rglob("*") if path.is_file()}
    assert found == {
        "config.yaml",
        "schema.json",
        "report.json",
        "report.html",
        ".lock",
        f"curves/optimum/{LOG}",
        "checkpoints/step-600/weights.safetensors",
        "checkpoints/step-600/best.safetensors",
        "checkpoints/step-600/state.json",
        f"curves/train/{LOG}",
        f"curves/validation/{LOG}",
        "checkpoints/last/weights.safetensors",
        "checkpoints/last/state.json",
        "checkpoints/best/weights.safetensors",
        "checkpoints/best/state.json",
        "export/model.json",
        "export/model.pdiparams",
        "export/contract.json",
        "DONE",
    }


def test_report_has_the_keys_that_scripts_rely_on(boston_run: Path) -> None:
    report = json.loads((boston_run / "report.json").read_text())
    for part, rows in (("train", 354), ("validation", 51), ("test", 101)):
        assert set(report["metrics"][part]) == {"mse", "rmse", "mae", "r2", "rows"}
        assert report["metrics"][part]["rows"] == rows
    assert set(report["optimum"]) == {"train_mse", "gap", "epochs"}
    assert set(report["parity"]) == {"max_abs_difference", "rows", "tolerance"}
    assert report["data"]["rows"] == 506
    assert report["parity"]["rows"] == 354
    assert report["model"]["parameters"] == 14
    assert report["best"]["value"] > 0
    assert {"total_s", "train_s", "rows_per_second"} <= set(report["timing"])
    assert {"python", "paddle"} <= set(report["versions"])


def test_resolved_recipe_repeats_the_run(boston_run: Path, tmp_path: Path) -> None:
    train_recipe(tmp_path / "again", str(boston_run / "config.yaml"))
    assert weights_of(tmp_path / "again") == weights_of(boston_run)


@pytest.mark.soak
def test_boston_reaches_the_optimum_for_any_seed(tmp_path: Path) -> None:
    gaps = []
    for seed in range(3 * SOAK):
        seeds = [f"train.seed={seed}", f"data.split.seed={seed}"]
        report = train_recipe(tmp_path / str(seed), BOSTON, seeds)
        gaps.append(report["optimum"]["gap"])
    assert max(gaps) <= 0.01
    assert min(gaps) > -1e-6


def test_averaging_takes_the_noise_out_of_a_constant_step(tmp_path: Path) -> None:
    plain, averaged = (
        train_recipe(tmp_path / on, BOSTON, ["schedule.name=constant", f"train.average={on}"])
        for on in ("false", "true")
    )
    assert averaged["optimum"]["gap"] < 0.005 < plain["optimum"]["gap"]


def test_optimum_of_the_sequential_split(tmp_path: Path) -> None:
    sequential = ["data.split.method=sequential", "data.split.train=0.8", "data.split.validation=0"]
    report = train_recipe(tmp_path / "run", BOSTON, sequential)
    assert report["optimum"]["train_mse"] == pytest.approx(22.778380, rel=1e-6)
    assert report["metrics"]["train"]["mse"] == pytest.approx(22.778380, rel=0.01)
    assert report["metrics"]["test"]["mse"] == pytest.approx(32.799863, rel=0.05)


def test_lesson_of_ten_epochs_learns_little_and_says_so(tmp_path: Path) -> None:
    report = train_recipe(tmp_path / "run", LESSON)
    assert report["metrics"]["train"]["rows"] == 404
    assert report["metrics"]["test"]["rows"] == 102
    assert report["optimum"]["gap"] > 1
    _, state = load_checkpoint(tmp_path / "run" / "checkpoints" / "last")
    assert state["step"] == 10 * 41


@pytest.mark.soak
@pytest.mark.skipif(SOAK == 1, reason="make soak: a thousand epochs, of 41 steps each")
def test_lesson_of_a_thousand_epochs_ends_at_least_squares(tmp_path: Path) -> None:
    report = train_recipe(tmp_path / "run", LESSON, ["train.epochs=1000"])
    rows = TABLE[:404]
    expected, mse = least_squares(rows)
    assert report["metrics"]["train"]["mse"] == pytest.approx(mse, rel=0.01)

    weights, _ = load_checkpoint(tmp_path / "run" / "checkpoints" / "last")
    extent = np.ptp(rows, axis=0)
    raw = weights["linear.weight"][:, 0] * extent[-1] / extent[:-1]
    # Each by what one standard deviation of its column moves, in the target's unit: 1,000 USD.
    deviation = rows[:, :-1].std(axis=0)
    np.testing.assert_allclose(raw * deviation, expected[:-1] * deviation, atol=0.25)


def weights_of(folder: Path, name: str = "last") -> dict[str, bytes]:
    weights, _ = load_checkpoint(folder / "checkpoints" / name)
    return {name: values.tobytes() for name, values in weights.items()}


@pytest.mark.parametrize(
    "overrides",
    [[], ["model.name=mlp", "model.dropout=0.3", "optimizer.name=adam"]],
    ids=["linear", "mlp with dropout"],
)
def test_seed_decides_every_bit(tmp_path: Path, overrides: list[str]) -> None:
    for name, seed in (("one", 4), ("same", 4), ("other", 5)):
        few = ["train.epochs=3", f"train.seed={seed}"]
        train_recipe(tmp_path / name, BOSTON, [*few, *overrides])
    assert weights_of(tmp_path / "one") == weights_of(tmp_path / "same")
    assert weights_of(tmp_path / "one") != weights_of(tmp_path / "other")


def test_exported_model_is_the_trained_line(boston_run: Path) -> None:
    """Weights, scaled by hand in float64, against the exported graph on all 506 rows."""
    weights, _ = load_checkpoint(boston_run / "checkpoints" / "last")
    contract = json.loads((boston_run / "export" / "contract.json").read_text())
    moments = contract["statistics"]["columns"]
    mean = np.array([moments[name]["mean"] for name in COLUMNS])
    deviation = np.array([moments[name]["deviation"] for name in COLUMNS])
    scaled = (TABLE[:, :-1] - mean[:-1]) / deviation[:-1]
    line = scaled @ weights["linear.weight"][:, 0] + weights["linear.bias"][0]
    expected = line * deviation[-1] + mean[-1]
    found = Predictor(boston_run).predict(TABLE[:, :-1])
    assert np.abs(found - expected).max() <= 1e-4 * np.ptp(TABLE[:, -1])


def test_statistics_come_from_the_training_rows_alone(tmp_path: Path) -> None:
    train_recipe(tmp_path / "run", LESSON)
    contract = json.loads((tmp_path / "run" / "export" / "contract.json").read_text())
    assert contract["statistics"]["rows"] == 404
    greatest = contract["statistics"]["columns"]["INDUS"]["maximum"]
    assert greatest == pytest.approx(TABLE[:404, 2].max())
    assert greatest < TABLE[404:, 2].max()


def test_without_the_column_b(tmp_path: Path) -> None:
    report = train_recipe(tmp_path / "run", BOSTON, ["data.exclude=[B]"])
    assert report["model"]["parameters"] == 13
    predictor = Predictor(tmp_path / "run")
    assert "B" not in predictor.features
    kinds = json.loads((tmp_path / "run" / "schema.json").read_text())["columns"]
    assert {"name": "B", "kind": "ignored"} in kinds


@pytest.fixture
def product(tmp_path: Path) -> str:
    """A table whose target, a times b, no line can follow."""
    random = np.random.default_rng(0)
    a, b = random.uniform(-1, 1, size=(2, 2_000))
    lines = [f"{x},{y},{x * y}" for x, y in zip(a, b, strict=True)]
    (tmp_path / "product.csv").write_text("\n".join(["a,b,y", *lines]))
    (tmp_path / "product.yaml").write_text(
        f"data: {{path: {tmp_path / 'product.csv'}, target: y}}\n"
    )
    return str(tmp_path / "product.yaml")


def test_mlp_learns_what_no_line_can(tmp_path: Path, product: str) -> None:
    line = train_recipe(tmp_path / "line", product)
    mlp = ["model.name=mlp", "optimizer.name=adam", "optimizer.learning_rate=0.01"]
    network = train_recipe(tmp_path / "mlp", product, [*mlp, "train.epochs=20"])
    assert line["metrics"]["test"]["r2"] < 0.1
    assert network["metrics"]["test"]["r2"] > 0.98
    assert "optimum" not in network


@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_resnet_learns_what_no_line_can(tmp_path: Path, product: str, normalization: str) -> None:
    blocks = ["model.name=resnet", "model.width=32", f"model.normalization={normalization}"]
    adam = ["optimizer.name=adam", "optimizer.learning_rate=0.005", "train.epochs=15"]
    report = train_recipe(tmp_path / "run", product, [*blocks, *adam])
    assert report["metrics"]["test"]["r2"] > 0.97
    # 2 x 32 and 32 into it, 2 blocks of 32 x 64 x 2 + 96, their norms, the last one, and out
    assert report["model"]["parameters"] == 96 + 2 * (4_096 + 96 + 64) + 64 + 33
    assert report["parity"]["max_abs_difference"] <= report["parity"]["tolerance"]


@pytest.fixture
def holes(recipe: Path, tmp_path: Path) -> Path:
    """The small table with every seventh `a` missing."""
    table = tmp_path / "table.csv"
    header, *lines = table.read_text().splitlines()
    lines[::7] = ["NA," + line.split(",", 1)[1] for line in lines[::7]]
    table.write_text("\n".join([header, *lines]))
    return recipe


def test_holes_may_be_errors(holes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["-c", str(holes), "-o", "data.missing.numeric=error"]) == 2
    assert "line 2, column a: found an empty cell, expected a number" in capsys.readouterr().err


@pytest.mark.parametrize("rule", ["mean", "median", "constant"])
@pytest.mark.parametrize("indicator", ["true", "false"])
def test_holes_are_filled_in_by_the_exported_graph(
    tmp_path: Path, holes: Path, rule: str, indicator: str
) -> None:
    missing = [f"data.missing.numeric={rule}", f"data.missing.indicator={indicator}"]
    report = train_recipe(
        tmp_path / "run",
        str(holes),
        [*missing, "data.missing.constant=2.5", "train.epochs=60", "train.export=last"],
    )
    assert abs(report["optimum"]["gap"]) < 0.01
    assert report["model"]["parameters"] == (4 if indicator == "true" else 3)
    contract = json.loads((tmp_path / "run" / "export" / "contract.json").read_text())
    assert None in [value for row in contract["golden"]["rows"] for value in row]
    predictor = Predictor(tmp_path / "run")
    assert np.isfinite(predictor.predict([[np.nan, 3.0], [4.0, np.nan]])).all()
    if rule == "constant" and indicator == "false":
        filled, given = predictor.predict([[np.nan, 3.0], [2.5, 3.0]])
        assert filled == pytest.approx(given, rel=1e-6)
    code = infer.main(["--model", str(tmp_path / "run"), "--input", str(tmp_path / "table.csv")])
    assert code == 0


def test_log1p_learns_a_target_that_grows_in_per_cent(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.uniform(0, 5, size=1_000)
    y = np.exp(1 + x + random.normal(scale=0.05, size=1_000)) - 1
    lines = [f"{a},{b}" for a, b in zip(x, y, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *lines]))
    recipe = tmp_path / "t.yaml"
    recipe.write_text(
        f"data: {{path: {tmp_path / 't.csv'}, target: y, scale: {{target: log1p}}}}\n"
    )
    report = train_recipe(tmp_path / "run", str(recipe), ["train.epochs=100"])
    assert report["metrics"]["test"]["r2"] > 0.98
    assert "optimum" not in report
    found = Predictor(tmp_path / "run").predict([[1.0], [4.0]])
    np.testing.assert_allclose(found, np.exp([2.0, 5.0]) - 1, rtol=0.03)


def test_log1p_refuses_a_target_below_its_range(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(["-c", str(recipe), "-o", "data.scale.target=log1p"]) == 2
    assert "column y: found -14, expected values above -1" in capsys.readouterr().err


def test_stops_early_and_exports_the_best_epoch(tmp_path: Path, recipe: Path) -> None:
    diverging = ["optimizer.learning_rate=1.2", "schedule.name=constant", "train.patience=2"]
    report = train_recipe(tmp_path / "run", str(recipe), [*diverging, "train.epochs=50"])
    _, last = load_checkpoint(tmp_path / "run" / "checkpoints" / "last")
    best_weights, best = load_checkpoint(tmp_path / "run" / "checkpoints" / "best")
    assert best["epoch"] == report["best"]["epoch"] == last["epoch"] - 2
    assert best["mse"] == report["best"]["value"] < last["mse"]
    assert report["metrics"]["validation"]["mse"] == pytest.approx(best["mse"])
    assert best_weights


def test_a_loss_that_is_not_finite_stops_the_run(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["-o", "optimizer.learning_rate=50", "-o", "train.epochs=500"]
    assert train.main(["-c", str(recipe), *options]) == 2
    assert "training diverged; try a smaller step, -o optimizer.learning_rate=5," in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "run" / "DONE").exists()
    assert not (tmp_path / "run" / "export").exists()
    assert train.main(["-c", str(recipe), *options, "--resume"]) == 2
    assert "this run diverged, and would again" in capsys.readouterr().err
    assert train.main(["-c", str(recipe), "-q"]) == 0  # it does not stand in the way
    said = capsys.readouterr()
    assert said.out.startswith(f"{tmp_path / 'run'}: test MSE ")
    assert (said.out.count("\n"), said.err) == (1, "")


@pytest.mark.parametrize(
    ("method", "cells", "sizes"),
    [
        ("column", ["train", "test", "train", "validation"], [30, 15, 15]),
        ("group", [f"town {number}" for number in range(30)], None),
        ("time", [f"2024-{month:02}-01" for month in range(1, 13)], [45, 10, 5]),
    ],
)
@pytest.mark.parametrize("kind", [None, "ignored", "categorical"])
def test_a_column_that_rows_are_divided_by(
    tmp_path: Path,
    recipe: Path,
    method: str,
    cells: list[str],
    sizes: list[int] | None,
    kind: str | None,
) -> None:
    """A time is a feature, others are not, unless the recipe says so."""
    table = tmp_path / "table.csv"
    header, *lines = table.read_text().splitlines()
    lines = [f"{line},{cells[index % len(cells)]}" for index, line in enumerate(lines)]
    table.write_text("\n".join([f"{header},c", *lines, "", ""]))
    shares = [f"data.split.{name}" for name in ("train=0.7", "validation=0.2", "test=0.1")]
    overrides = [f"data.split.method={method}", "data.split.column=c", *shares]
    overrides += [f"data.kinds={{c: {kind}}}"] * (kind is not None)
    report = train_recipe(tmp_path / "run", str(recipe), overrides)
    found = [report["metrics"][part]["rows"] for part in ("train", "validation", "test")]
    assert sum(found) == 60
    if sizes:
        assert found == sizes
    else:
        assert all(size % 2 == 0 for size in found)
    by_kind = {"categorical": ["c"], "ignored": []}
    parts = ["c.month", "c.elapsed"] if method == "time" else []
    more = parts if kind is None else by_kind[kind]
    assert Predictor(tmp_path / "run").features == ("a", "b", *more)


def test_patience_without_a_validation_part_writes_nothing(
    tmp_path: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.csv"
    header, *lines = table.read_text().splitlines()
    table.write_text("\n".join([f"{header},c", *(f"{line},train" for line in lines)]))
    options = ["data.split.method=column", "data.split.column=c", "train.patience=3"]
    given = [option for override in options for option in ("-o", override)]
    assert train.main(["-c", str(recipe), *given]) == 2
    assert "data.split.column marks none" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def points(folder: Path, part: str, component: str) -> dict[str, list[Any]]:
    log = LogReader(file_path=str(folder / "curves" / part / LOG))
    tags: dict[str, list[str]] = log.get_tags()
    return {tag: log.get_data(component, tag) for tag in tags.get(component, [])}


def test_curves_hold_what_the_run_did(boston_run: Path) -> None:
    scalars = points(boston_run, "train", "scalar")
    assert set(scalars) == {
        "step/loss",
        "step/learning_rate",
        *(f"epoch/{name}" for name in ("loss", "rmse", "mae", "r2", "rows_per_second")),
        *(f"result/{name}" for name in ("rmse", "mae", "r2")),
    }
    assert [point.id for point in scalars["epoch/rmse"]] == list(range(1, 101))
    assert [point.id for point in scalars["step/loss"]] == list(range(0, 100 * 6, 3))
    assert set(points(boston_run, "validation", "scalar")) == {
        f"epoch/{name}" for name in ("loss", "rmse", "mae", "r2")
    }
    report = json.loads((boston_run / "report.json").read_text())["metrics"]
    last = scalars["epoch/rmse"][-1].value
    assert last == pytest.approx(report["train"]["rmse"], rel=1e-6)
    assert scalars["result/rmse"][0].value == pytest.approx(report["test"]["rmse"], rel=1e-6)
    assert set(points(boston_run, "train", "histogram")) == {
        f"{kind}/linear.{name}" for kind in ("weights", "gradients") for name in ("weight", "bias")
    }
    assert len(points(boston_run, "train", "image")) == 2
    texts = points(boston_run, "train", "text")
    assert "recipe/data" in texts
    assert "learning_rate: 0.08" in str(texts["recipe/optimizer"][0])
    log = LogReader(file_path=str(boston_run / "curves" / "train" / LOG))
    (shown,) = log.get_data("hyper_parameters", log.get_tags()["hyper_parameters"][0])
    names = {value.name for value in shown.hparam.hparamInfos}
    assert names == set(HYPER_PARAMETERS)


def test_table_with_a_constant_column(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("a,c,y\n" + "".join(f"{v},7,{2 * v}\n" for v in range(50)))
    (tmp_path / "t.yaml").write_text(f"data: {{path: {tmp_path / 't.csv'}, target: y}}\n")
    report = train_recipe(tmp_path / "run", str(tmp_path / "t.yaml"), ["train.epochs=200"])
    assert "constant: c" in capsys.readouterr().out
    assert report["metrics"]["test"]["r2"] > 0.999
    assert report["optimum"]["train_mse"] == 0.0
    assert report["optimum"]["gap"] is None
