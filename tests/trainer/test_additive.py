"""An additive model against closed forms, simulated truths, and the promises of its keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize

import infer
import train
from model.contributions import Contributions
from model.predictor import Predictor
from model.smoothing import (
    End,
    Moments,
    Penalty,
    curvature,
    penalties,
    penalty_matrix,
    smooth,
    solve,
)
from reader.axes import Axis, quantile_knots
from reader.design import Design, Term
from tests.conftest import train_recipe

Vector = NDArray[np.float64]
NOISE = 0.3


def truth(x: Vector, z: Vector, level: NDArray[Any]) -> Vector:
    """A curve, levels, and a pair."""
    effect = np.array([1.0, -0.5, 0.2])[level]
    found: Vector = np.sin(2 * x) + effect + 2 * (x > 0) * (z - 0.5)
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run on 4,000 rows, of which some have holes."""
    folder = tmp_path_factory.mktemp("additive")
    random = np.random.default_rng(0)
    x, z = random.uniform(-2, 2, 4_000), random.uniform(size=4_000)
    level = random.integers(3, size=4_000)
    y = truth(x, z, level) + NOISE * random.normal(size=4_000)
    hole = random.uniform(size=4_000) < 0.05
    y[hole] = 3.0 + NOISE * random.normal(size=int(hole.sum()))
    cells = ["" if empty else repr(float(value)) for value, empty in zip(x, hole, strict=True)]
    lines = [
        f"{a},{float(b)!r},{'nsw'[c]},{float(d)!r}"
        for a, b, c, d in zip(cells, z, level, y, strict=True)
    ]
    (folder / "t.csv").write_text("x,z,side,y\n" + "\n".join(lines) + "\n")
    recipe = folder / "r.yaml"
    recipe.write_text(
        f"data: {{path: {folder / 't.csv'}, target: y, kinds: {{side: categorical}}}}\n"
        "model: {name: additive}\n"
        f"run: {{dir: {folder / 'run'}}}\n"
    )
    return folder, train_recipe(folder / "run", str(recipe))


def test_it_predicts_nearly_as_well_as_the_truth(run: tuple[Path, dict[str, Any]]) -> None:
    _, report = run
    assert NOISE * 0.85 < report["metrics"]["test"]["rmse"] < NOISE * 1.2
    assert report["optimum"]["gap"] < 1e-4
    names = [term["features"] for term in report["effects"]["terms"]]
    assert ["x", "z"] in names
    assert report["best_line"]["test"]["improvement"] > 0.5


def test_contributions_add_up_to_the_prediction(run: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = run
    predictor = Predictor(folder / "run")
    contract: Any = predictor.contract
    random = np.random.default_rng(1)
    rows = np.column_stack(
        [random.uniform(-3, 3, 500), random.uniform(-1, 2, 500), random.integers(4, size=500)]
    ).astype(np.float32)
    rows[::7, 0] = np.nan
    added = Contributions(contract["additive"], contract["features"]).of(rows)
    whole = contract["additive"]["center"] + added.sum(axis=1)
    np.testing.assert_allclose(whole, predictor.predict(rows), atol=1e-5)


def test_a_hole_is_a_level_of_its_own(run: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = run
    predictor = Predictor(folder / "run")
    found = predictor.predict(predictor.encode({"x": [None], "z": [0.5], "side": ["s"]}))
    assert abs(float(found[0]) - 3.0) < 1.0


def test_explain_writes_a_column_a_term(
    run: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, report = run
    arguments = ["--model", str(folder / "run"), "--input", str(folder / "t.csv"), "--explain"]
    capsys.readouterr()
    assert infer.main(arguments) == 0
    header, first, *_ = capsys.readouterr().out.splitlines()
    assert header.count("effect of") >= len(report["effects"]["terms"])
    assert len(first.split(",")) == len(header.split(","))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["model.terms=[x, zz]"], "model.terms: found zz"),
        (["model.monotone={side: up}"], "side is categorical"),
        (["model.exclude_pairs=[[x, nothing]]"], "model.exclude_pairs: found nothing"),
        (["optimizer.weight_decay=0.1"], "weight_decay"),
    ],
)
def test_wrong_keys_are_told(
    run: tuple[Path, dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    keys: list[str],
    message: str,
) -> None:
    folder, _ = run
    capsys.readouterr()
    overrides = [word for key in [*keys, f"run.dir={folder / 'no'}"] for word in ("-o", key)]
    assert train.main(["-c", str(folder / "r.yaml"), *overrides]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "no").exists()


def test_a_direction_holds_on_every_grid(run: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = run
    overrides = ["model.monotone={z: up, x: up}"]
    report = train_recipe(folder / "up", str(folder / "r.yaml"), overrides)
    assert report["effects"]["constraint"] > 0  # a sine does not only rise
    predictor, random = Predictor(folder / "up"), np.random.default_rng(2)
    for _ in range(200):
        grid = np.sort(random.uniform(-2.5, 2.5, 50))
        z, side = random.uniform(), random.integers(4)
        rows = np.column_stack([grid, np.full(50, z), np.full(50, side)]).astype(np.float32)
        assert (np.diff(predictor.predict(rows)) >= 0).all()
        rows = np.column_stack([np.full(50, grid[0]), np.sort(random.uniform(size=50)), rows[:, 2]])
        assert (np.diff(predictor.predict(rows.astype(np.float32))) >= 0).all()


def test_terms_are_those_that_are_asked_for(run: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = run
    report = train_recipe(folder / "t", str(folder / "r.yaml"), ["model.terms=[side, [x, z]]"])
    names = sorted(term["features"] for term in report["effects"]["terms"])
    assert names == [["side"], ["x"], ["x", "z"], ["z"]]


def test_the_same_rows_give_the_same_model(run: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = run
    export = json.loads((folder / "run" / "export" / "contract.json").read_text())
    again = train_recipe(folder / "again", str(folder / "r.yaml"))
    other = json.loads((folder / "again" / "export" / "contract.json").read_text())
    assert again["metrics"]["test"]["mse"] == pytest.approx(run[1]["metrics"]["test"]["mse"])
    assert export["additive"] == other["additive"]


def test_beyond_its_knots_a_curve_goes_on_as_a_line(run: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = run
    more = ["model.beyond=line", "data.missing={numeric: constant, constant: 0.25}"]
    train_recipe(folder / "line on", str(folder / "r.yaml"), more)
    predictor = Predictor(folder / "line on")
    contract: Any = predictor.contract
    assert contract["inference"]["fused"]
    far = np.array([[x, 0.5, 1] for x in (-12, -11, -10, 10, 11, 12, 0.25, np.nan)], np.float32)
    found = predictor.predict(far)
    assert abs(found[0] - found[1]) > 0.1
    np.testing.assert_allclose(np.diff(found[:3]), found[1] - found[0], rtol=1e-4)
    np.testing.assert_allclose(np.diff(found[3:6]), found[4] - found[3], rtol=1e-4)
    assert found[6] == found[7]  # the number that stands for a hole
    added = Contributions(contract["additive"], contract["features"]).of(far)
    np.testing.assert_allclose(contract["additive"]["center"] + added.sum(axis=1), found, rtol=1e-5)


def test_the_rarest_levels_above_the_most_count_as_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.additive_search.MOST_LEVELS", 40)
    monkeypatch.setattr("trainer.additive.MOST_PRODUCTS", 1)  # sums of some rows, weights of all
    random = np.random.default_rng(4)
    effect = random.normal(size=60)
    level = np.minimum(random.geometric(0.06, size=30_000) - 1, 59)
    y = effect[level] + 0.1 * random.normal(size=len(level))
    lines = [f"shop {a},{b!r}" for a, b in zip(level, y.tolist(), strict=True)]
    (tmp_path / "t.csv").write_text("shop,y\n" + "\n".join(lines) + "\n")
    (tmp_path / "r.yaml").write_text(
        f"data: {{path: {tmp_path / 't.csv'}, target: y}}\nmodel: {{name: additive}}\n"
    )
    report = train_recipe(tmp_path / "run", str(tmp_path / "r.yaml"))
    assert report["optimum"]["gap"] < 1e-4
    (term,) = report["effects"]["terms"]
    assert len(term["places"][0]) == 40
    predictor = Predictor(tmp_path / "run")
    often, rare, unknown = (
        predictor.predict(predictor.encode({"shop": [name]})) for name in ("shop 3", "shop 57", "?")
    )
    assert often == pytest.approx(effect[3], abs=0.02)
    assert rare == unknown
    told = [f["message"] for f in report["findings"] if f["kind"] == "levels"]
    assert any("an additive model knows 39 of its" in message for message in told)


@pytest.mark.slow
@pytest.mark.trial
def test_a_line_tells_what_an_additive_model_would_predict(
    run: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, report = run
    monkeypatch.setattr("pipeline.TRIAL", 1e6)  # a slow machine tries it to the end, too
    line = train_recipe(folder / "line", str(folder / "r.yaml"), ["model.name=linear"])
    expected = report["metrics"]["validation"]["rmse"]
    assert line["trial"]["model"] == "additive"
    assert line["trial"]["rmse"] == pytest.approx(expected, rel=1e-3)
    monkeypatch.setattr("pipeline.TRIAL", 1e-9)  # for no longer than that
    line = train_recipe(folder / "short", str(folder / "r.yaml"), ["model.name=linear"])
    assert "trial" not in line


def small(rows: int = 300, seed: int = 0) -> tuple[Design, NDArray[np.float32], Vector]:
    random = np.random.default_rng(seed)
    x = random.uniform(-2, 2, (rows, 2)).astype(np.float32)
    axes = [Axis(name, i, quantile_knots(x[:, i], 12)) for i, name in enumerate("ab")]
    y = np.sin(2 * x[:, 0].astype(float)) + 0.3 * x[:, 1] + NOISE * random.normal(size=rows)
    return Design(tuple(Term((axis,)) for axis in axes)), x, y


def parts_of(design: Design) -> list[Penalty]:
    found = []
    for index, (term, at) in enumerate(zip(design.terms, design.spans, strict=True)):
        found += penalties(index, at.start, [curvature(term.axes[0].knots)], hole=False)
    return found


def moments_of(design: Design, x: NDArray[np.float32], y: Vector) -> Moments:
    dense = design.dense(x, np.float64)
    centred, z = dense - dense.mean(axis=0), y - y.mean()
    return Moments(len(y), centred.T @ centred, centred.T @ z, float(z @ z))


def test_weights_are_those_of_a_dense_ridge() -> None:
    design, x, y = small()
    parts, moments = parts_of(design), moments_of(design, x, y)
    parameters = np.geomspace(0.1, 100, len(parts))
    found = solve(moments, parts, parameters, 0.0).weights
    dense = design.dense(x, np.float64)
    dense -= dense.mean(axis=0)
    root = np.linalg.cholesky(
        penalty_matrix(parts, parameters, design.width) + 1e-13 * np.eye(design.width)
    )
    stacked = np.vstack([dense, root.T])
    expected = np.linalg.lstsq(stacked, np.append(y - y.mean(), np.zeros(design.width)))[0]
    np.testing.assert_allclose(dense @ found, dense @ expected, rtol=1e-6, atol=1e-8)


def test_smoothing_maximises_the_likelihood() -> None:
    design, x, y = small()
    parts, moments = parts_of(design), moments_of(design, x, y)
    found = smooth(moments, parts, end=End(1e-7))

    def loss(logs: Vector) -> float:
        return -solve(moments, parts, np.exp(logs), 1e-10 * len(y)).likelihood

    start = np.log(np.clip(found.parameters, 1e-3, 1e5))
    bounds = [(-12.0, 14.0)] * len(parts)
    best = min(
        minimize(loss, at, method="L-BFGS-B", bounds=bounds).fun
        for at in (start, np.zeros(len(parts)), np.full(len(parts), 4.0))
    )
    assert -found.likelihood <= best + 1e-4 * abs(best)


def test_bands_cover_as_often_as_they_say() -> None:
    """Averaged over the range, as Nychka (1988) says."""
    inside = []
    for seed in range(60):
        design, x, y = small(400, seed)
        parts, moments = parts_of(design), moments_of(design, x, y)
        found = smooth(moments, parts)
        dense = design.dense(x, np.float64)
        dense[:, design.spans[1]] = 0
        dense -= dense.mean(axis=0)
        curve, real = dense @ found.weights, np.sin(2 * x[:, 0].astype(float))
        spread = np.sqrt(found.variance * np.square(dense @ found.inverse.T).sum(axis=1))
        inside.append(np.abs(curve - (real - real.mean())) <= 1.96 * spread)
    assert 0.93 <= np.mean(inside) <= 0.97
