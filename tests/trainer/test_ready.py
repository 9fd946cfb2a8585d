"""Rows as NumPy makes them ready, against the layers of the graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest

from configs.load import load
from trainer.auto import settle
from trainer.recipe import build, read_table, ready_of, study_rows


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Numbers with holes, near each other and far from zero; a category of few levels and one of
    many."""
    random = np.random.default_rng(0)
    a = random.normal(2_000, 3, size=400)
    rows = [
        (f"{x:.3f}", "" if i % 7 == 0 else f"{x + e:.4f}", f"c{i % 3}", f"d{i % 50}", f"{i % 9}")
        for i, (x, e) in enumerate(zip(a, random.normal(0, 0.01, 400), strict=True))
    ]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,few,many,y", *map(",".join, rows)]))
    (tmp_path / "t.yaml").write_text(f"data: {{path: {tmp_path / 't.csv'}, target: y}}\n")
    return tmp_path / "t.yaml"


@pytest.mark.parametrize("scaling", ["standard", "min_max", "none", "whiten"])
@pytest.mark.parametrize("target", ["standard", "log1p", "none"])
@pytest.mark.parametrize("columns", ["[]", "[b, few, many]", "[many]"])
def test_both_arithmetics_agree(mixed: Path, scaling: str, target: str, columns: str) -> None:
    chosen = [f"data.scale.features={scaling}", f"data.scale.target={target}"]
    holes = ["data.missing.indicator=true", f"data.exclude={columns}"]
    recipe = load(mixed, [*chosen, *holes, "train.batch_size=64"])
    source = read_table(recipe.data)
    data = study_rows(recipe.data, source, source.parts)
    config, _ = settle(recipe, data)
    regressor, ready = build(config, data), ready_of(config, data)
    rows = data.packed.take(np.arange(400))
    features, scaled = ready(rows)
    regressor.eval()
    by_layers = regressor.prepare(paddle.to_tensor(rows[:, :-1])).numpy()
    assert features.dtype == np.float32
    assert features.shape == by_layers.shape
    size = np.abs(by_layers).max(axis=0) + 1e-6
    np.testing.assert_allclose(features / size, by_layers / size, atol=2e-4)
    target_by_layers = regressor.scale_target(paddle.to_tensor(rows[:, -1:])).numpy()
    np.testing.assert_allclose(scaled, target_by_layers, atol=1e-5)
    np.testing.assert_array_equal(ready.features(rows[:, :-1]), features)


@pytest.mark.parametrize("scaling", ["standard", "whiten", "min_max"])
def test_noise_has_the_bound_of_the_extremes(mixed: Path, scaling: str) -> None:
    source = read_table(load(mixed).data)
    data = study_rows(load(mixed, ["data.exclude=[many]"]).data, source, source.parts)
    assert 1 <= data.curvature(scaling) <= data.noise(scaling) <= data.most_noise(scaling) * 1.0001
