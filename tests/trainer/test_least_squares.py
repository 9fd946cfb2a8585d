"""The default line on tables of many kinds, against least squares on a 0/1 column a level."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

import reader.levels
from model.predictor import Predictor
from tests.conftest import train_recipe

Vector = NDArray[np.float64]
Columns = dict[str, Any]
ALL = (
    "data.split.train=1",
    "data.split.validation=0",
    "data.split.test=0",
    "data.categories.min_count=1",
)


def table(
    seed: int, numbers: Vector, codes: dict[str, NDArray[np.int64]], noise: float = 1.0
) -> Columns:
    """A target to which every number, and every level of the codes, adds something."""
    random = np.random.default_rng(seed)
    y = noise * random.normal(size=len(numbers)) + numbers @ random.normal(size=numbers.shape[1])
    for values in codes.values():
        y = y + 2 * random.normal(size=values.max() + 1)[values]
    columns: Columns = {f"x{i}": x for i, x in enumerate(numbers.T)}
    columns |= {name: [f"level {code}" for code in values] for name, values in codes.items()}
    return columns | {"y": y}


def dominant(share: float) -> Columns:
    """One level of sixty has most of the rows."""
    random = np.random.default_rng(0)
    codes = np.where(random.random(2_000) < share, 0, random.integers(1, 60, 2_000))
    return table(1, random.normal(5, 2, size=(2_000, 2)), {"c": codes})


def crossed() -> Columns:
    """Three columns of many levels, which go together, one of them within another; and numbers
    that nearly follow from a level."""
    random = np.random.default_rng(2)
    city, shop = random.integers(0, 90, 4_000), random.integers(0, 50, 4_000)
    shop = np.where(random.random(4_000) < 0.5, city % 50, shop)
    latitude = city + 0.001 * random.normal(size=4_000)
    numbers = np.column_stack([latitude, random.normal(size=4_000)])
    return table(3, numbers, {"city": city, "region": city // 2, "shop": shop})


def categories_alone() -> Columns:
    random = np.random.default_rng(4)
    codes = {"few": random.integers(0, 5, 800), "many": random.integers(0, 40, 800)}
    return table(5, np.zeros((800, 0)), codes)


def far_from_zero() -> Columns:
    random = np.random.default_rng(6)
    degrees = np.round(random.normal([121.473, 31.23], 0.01, size=(3_000, 2)), 6)
    columns = table(7, random.normal(size=(3_000, 1)), {})
    y = columns["y"] + 300 * (degrees - [121.473, 31.23]).sum(axis=1)
    return {"longitude": degrees[:, 0], "latitude": degrees[:, 1]} | columns | {"y": y}


def wide() -> Columns:
    """300 columns of which most is common to all."""
    random = np.random.default_rng(8)
    common = random.normal(size=(1_500, 4)) @ random.normal(size=(4, 300))
    return table(9, common + 0.05 * random.normal(size=(1_500, 300)), {})


def extreme() -> Columns:
    random = np.random.default_rng(10)
    columns = table(11, random.normal(size=(500, 3)), {})
    return columns | {"x0": columns["x0"] * 1e12, "x1": 1e-12 * (columns["x1"] + 3)}


def more_columns_than_rows() -> Columns:
    random = np.random.default_rng(12)
    return table(13, random.normal(size=(60, 100)), {}, noise=0.1)


def least_squares(columns: Columns) -> tuple[float, Vector]:
    """The least mean squared error of any line, and its predictions."""
    parts = []
    for name, values in columns.items():
        if isinstance(values, list):
            levels, codes = np.unique(values, return_inverse=True)
            parts.append(np.eye(len(levels))[codes])
        elif name != "y":
            parts.append(np.asarray(values)[:, None])
    design = np.hstack(parts)
    design = design - design.mean(axis=0)
    design /= np.where(design.std(axis=0) > 0, design.std(axis=0), 1)
    y = columns["y"]
    fitted = design @ np.linalg.lstsq(design, y - y.mean(), rcond=1e-10)[0] + y.mean()
    return float(np.mean((y - fitted) ** 2)), fitted


def run(folder: Path, columns: Columns, *overrides: str) -> dict[str, Any]:
    pl.DataFrame(columns).write_csv(folder / "t.csv")
    (folder / "t.yaml").write_text(f"data: {{path: {folder / 't.csv'}, target: y}}\n")
    return train_recipe(folder / "run", str(folder / "t.yaml"), [*ALL, *overrides])


TABLES: dict[str, Callable[[], Columns]] = {
    "dominant level": lambda: dominant(0.6),
    "nearly all in one level": lambda: dominant(0.97),
    **{f.__name__: f for f in (crossed, categories_alone, far_from_zero, wide, extreme)},
}


@pytest.mark.parametrize("name", TABLES)
def test_the_default_line_is_that_of_least_squares(tmp_path: Path, name: str) -> None:
    columns = TABLES[name]()
    least, fitted = least_squares(columns)
    report = run(tmp_path, columns)
    assert report["metrics"]["train"]["mse"] == pytest.approx(least, rel=1e-4)
    assert report["optimum"]["train_mse"] == pytest.approx(least, rel=1e-4)  # of float32 cells
    assert 0 <= report["optimum"]["gap"] < 1e-4
    predictor = Predictor(tmp_path / "run")
    rows = predictor.encode({name: list(v) for name, v in columns.items() if name != "y"})
    found = predictor.predict(rows)
    assert np.abs(found - fitted).max() < 1e-3 * np.ptp(fitted)


def test_levels_too_many_to_be_absorbed_are_iterated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader.levels, "MOST_REST", 10)
    columns = crossed()
    columns.pop("region")
    least, _ = least_squares(columns)
    report = run(tmp_path, columns)
    assert report["optimum"]["train_mse"] == pytest.approx(least, rel=1e-6)
    assert report["metrics"]["train"]["mse"] == pytest.approx(least, rel=2e-4)


def test_coefficients_are_those_that_made_the_target(tmp_path: Path) -> None:
    random = np.random.default_rng(14)
    codes, x = random.integers(0, 40, 2_000), random.normal(1e4, 3, size=2_000)
    columns = {"x": x, "c": [f"no {code:02}" for code in codes], "y": 2.5 * x + codes + 7.0}
    weights = run(tmp_path, columns)["coefficients"]["weights"]
    found = {weight["name"]: weight["weight"] for weight in weights}
    assert found["x"] == pytest.approx(2.5, abs=1e-3)
    assert found["c = no 30"] - found["c = no 10"] == pytest.approx(20, abs=1e-3)


def test_more_columns_than_rows_are_fitted_exactly_by_the_shortest_weights(tmp_path: Path) -> None:
    columns = more_columns_than_rows()
    columns["copy"] = columns["x0"]
    report = run(tmp_path, columns)
    assert report["optimum"]["gap"] is None
    assert report["metrics"]["train"]["r2"] > 1 - 1e-9
    assert len(report["history"]) < 10
    x = np.column_stack([values for name, values in columns.items() if name != "y"])
    expected = np.linalg.lstsq((x - x.mean(axis=0)) / x.std(axis=0), columns["y"], rcond=1e-9)[0]
    found = [weight["weight"] for weight in report["coefficients"]["weights"]] * x.std(axis=0)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_a_small_error_beside_a_large_target_has_its_digits(tmp_path: Path) -> None:
    """The optimum by its rows, and metrics not rounded to float32: neither is below the other."""
    random = np.random.default_rng(15)
    x = random.normal(size=(2_000, 2))
    x[:, 1] = x[:, 0] + 1e-4 * x[:, 1]
    y = np.round(1e5 + x @ [1.0, 1.0] + random.normal(size=2_000), 2)
    report = run(tmp_path, {"a": x[:, 0], "b": x[:, 1], "y": y})
    assert 0 <= report["optimum"]["gap"] < 1e-5
    assert report["optimum"]["train_mse"] == pytest.approx(
        least_squares({"a": x[:, 0], "b": x[:, 1], "y": y})[0], rel=1e-3
    )


@pytest.mark.parametrize("changed", ["loss.name=mae", "optimizer.name=momentum", "decay", "adam"])
def test_nothing_diverges_beside_a_dominant_level(tmp_path: Path, changed: str) -> None:
    given = {
        "decay": ["optimizer.weight_decay=0.001"],
        "adam": ["optimizer.name=adam", "optimizer.learning_rate=0.01"],
    }.get(changed, [changed])
    report = run(tmp_path, dominant(0.9), *given, "train.epochs=20")
    assert report["metrics"]["train"]["r2"] > 0.7
    assert report.get("warning") is None


@pytest.mark.parametrize("model", ["mlp", "resnet"])
def test_networks_need_no_number(tmp_path: Path, model: str) -> None:
    report = run(tmp_path, categories_alone(), f"model.name={model}", "train.epochs=3")
    assert report["parity"]["max_abs_difference"] <= report["parity"]["tolerance"]
    assert report["best_line"]["train"]["mse"] == pytest.approx(
        least_squares(categories_alone())[0], rel=1e-6
    )


def test_a_model_worse_than_the_mean_says_so_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = ["data.scale.target=none", "optimizer.learning_rate=1e-6", "train.epochs=1"]
    report = run(tmp_path, dominant(0.5) | {"y": dominant(0.5)["y"] + 100}, *slow)
    assert "worse than their mean" in report["warning"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "worse than their mean" in page
    out = capsys.readouterr().out
    assert out.index("worse than their mean") < out.index("R2")


def test_what_fills_holes_of_nearly_collinear_columns_is_exported(tmp_path: Path) -> None:
    """A mean rounded on one side alone would be 3,000 times as far off on whitened columns."""
    random = np.random.default_rng(9)
    year, apart = 87.5 + random.normal(size=600), random.normal(size=600)
    holes = random.random(600) < 0.3

    def with_holes(values: Vector) -> list[float | None]:
        return [None if hole else x for hole, x in zip(holes, values, strict=True)]

    same = with_holes(year + 3e-4 * apart)
    report = run(tmp_path, {"year": with_holes(year), "same": same, "y": apart})
    assert report["parity"]["max_abs_difference"] <= report["parity"]["tolerance"]
