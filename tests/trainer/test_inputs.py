"""Input steps: what NumPy does in training, the layer of the same name does in the graph."""

from __future__ import annotations

from pathlib import Path
from typing import get_type_hints

import numpy as np
import paddle
import pytest
from numpy.typing import NDArray

from configs.load import load
from model import input_layers
from model.input_layers import Chain, ScaleAndClip, layer_of, layers_of
from reader import inputs as steps
from reader.axes import Axis
from reader.inputs import (
    Beside,
    Clip,
    Fill,
    Indicate,
    InputColumn,
    Inputs,
    NormalScores,
    OneHot,
    Places,
    Scale,
    Select,
    SmoothClip,
    Step,
    Whiten,
)
from reader.source import read
from reader.training_data import fit
from trainer.build import build
from trainer.settings import experiment

A, B, C = (InputColumn(name, "number") for name in "abc")
CODE, MANY = InputColumn("d", "code", 3), InputColumn("e", "code", 9)
FLAG = InputColumn("a is missing", "flag")
LEVELS = tuple(InputColumn(f"d = {level}", "flag") for level in range(2))
TABLE = np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]])
MATRIX = np.array([[1.0, 0.5, 0], [0.5, 2.0, 0], [0, -1.0, 1.0]])
CENTER = np.array([3.0, -2.0, 0.5])
BEYOND = InputColumn("b beyond", "number")
AXES = (
    Axis("a", 0, np.array([-1.0, 0.5, 2.0, 7.0]), has_holes=True),
    Axis("b", 1, np.array([0.0, 3.0])),
    Axis("c", 2, np.linspace(-2, 5, 40), fill=1.5),
    Axis("code", 3, levels=3),
    Axis("many", 4, levels=4, codes=np.array([0, 1, 0, 2, 3, 0, 0, 1, 2])),
)
KNOTS = (np.array([-1.0, 0.5, 2.0]), np.array([1.5]), np.linspace(-9, 9, 40))
SCORES = (np.array([-1.0, 0.0, 2.0]), np.array([0.0]), np.linspace(-2, 2, 40))
STEPS: dict[str, tuple[Step, ...]] = {
    "select": (Select((C, A, B, MANY, CODE), (2, 0, 1, 4, 3)),),
    "indicate": (Indicate((A, B, C, FLAG, CODE, MANY), (0,), 3),),
    "fill": (Fill((A, B, C, CODE, MANY), np.array([3.0, 4.0, 5.0])),),
    "one-hot": (OneHot((A, B, C, *LEVELS, MANY), 3, (TABLE,)),),
    "one-hot of two": (OneHot((A, B, C, *LEVELS, *LEVELS), 3, (TABLE, np.eye(9)[:, :2])),),
    "scale": (Scale((A, B, C, CODE, MANY), CENTER, np.array([2.0, 0.1, 7.0])),),
    "whiten": (Whiten((A, B, C, CODE, MANY), CENTER, MATRIX, 2.0),),
    "clip": (Clip((A, B, C, CODE, MANY), np.array([1.0, 4.0, 0.5])),),
    "all": (
        Select((B, A, C, MANY, CODE), (1, 0, 2, 4, 3)),
        Select((B, A, C, CODE, MANY), (0, 1, 2, 4, 3)),
        Indicate((B, A, C, FLAG, CODE, MANY), (1,), 3),
        Fill((B, A, C, FLAG, CODE, MANY), np.array([3.0, 4.0, 5.0])),
        OneHot((B, A, C, FLAG, *LEVELS, MANY), 4, (TABLE,)),
        Scale((B, A, C, FLAG, *LEVELS, MANY), np.arange(6.0), np.arange(1.0, 7.0)),
        Clip((B, A, C, FLAG, *LEVELS, MANY), np.full(6, 0.8)),
    ),
    "normal scores": (NormalScores((A, B, C, CODE, MANY), KNOTS, SCORES, np.zeros(0)),),
    "normal scores and flags": (
        Indicate((A, B, C, FLAG, CODE, MANY), (0,), 3),
        Fill((A, B, C, FLAG, CODE, MANY), np.array([3.0, 4.0, 5.0])),
        NormalScores((A, B, C, FLAG, CODE, MANY), KNOTS, SCORES, np.array([0.25])),
    ),
    "smooth clip": (SmoothClip((A, B, C, CODE, MANY), np.array([3.0, 1.0, 0.5])),),
    "beside": (
        Beside(
            (C, A, A, B, C, CODE, MANY),
            Inputs((A, B, C, CODE, MANY), (Select((C, A), (2, 0)),)),
            Inputs(
                (A, B, C, CODE, MANY),
                (Scale((A, B, C, CODE, MANY), CENTER, np.array([2.0, 0.1, 7.0])),),
            ),
        ),
    ),
    "places": (Places((A, B, C, CODE, MANY, BEYOND), AXES, (1,)),),
    "nothing": (),
}
NO_HOLES = {
    "scale",
    "whiten",
    "clip",
    "normal scores",
    "smooth clip",
    "beside",
}  # holes are filled before


def rows(holes: bool) -> NDArray[np.float32]:
    """Packed rows [50, 5]: three numbers and two codes."""
    random = np.random.default_rng(0)
    numbers = random.normal(2, 3, size=(50, 3))
    if holes:
        numbers[random.random((50, 3)) < 0.3] = np.nan
    codes = np.column_stack([random.integers(0, 3, 50), random.integers(0, 9, 50)])
    return np.column_stack([numbers, codes]).astype(np.float32)


@pytest.mark.parametrize("name", STEPS)
def test_a_step_and_its_layer_do_the_same(name: str) -> None:
    chain = Inputs((A, B, C, CODE, MANY), STEPS[name])
    packed = rows(holes=name not in NO_HOLES)
    layers = paddle.nn.Sequential(*map(layer_of, chain.steps))
    by_layers = layers(paddle.to_tensor(packed)).numpy()
    by_fewer = layers_of(chain.steps)(paddle.to_tensor(packed)).numpy()
    np.testing.assert_allclose(by_fewer, by_layers, rtol=1e-6, atol=1e-6)
    by_numpy = chain.apply(packed)
    assert by_numpy.dtype == np.float64
    assert by_layers.dtype == (np.float64 if name == "places" else np.float32)
    assert by_numpy.shape == by_layers.shape == (50, len(chain.columns))
    np.testing.assert_allclose(by_layers, by_numpy, rtol=1e-5, atol=1e-5)
    transformed = chain.transform(np.column_stack([packed, packed[:, :1] * 0 + 1]))  # and a target
    assert transformed.dtype == np.float32
    np.testing.assert_array_equal(transformed, by_numpy.astype(np.float32))


def test_scaling_and_clipping_are_one_layer_for_all_values() -> None:
    columns, far = (A, B, C), np.array([1.0, 20_000_003.0, -7.0])  # b is far from zero
    scale = Scale(columns, far, np.array([2.0, 0.5, 1e-3]))
    fill = Fill(columns, np.array([0.0, 20_000_000.0, 1.0]))
    clip = Clip(columns, np.array([8.0, 3.0, 0.7]))
    (layer,) = layers_of([fill, scale, clip])
    assert isinstance(layer, Chain)
    assert isinstance(layer.steps[1], ScaleAndClip)
    sizes = np.array([0, 1e-3, 0.999, 1, 1.001, 2, 8, 8.001, 1e3, 1e9, 1e30])
    values = np.concatenate([sizes, -sizes])[:, None] * [1, 4, 1] + [0, 20_000_000, 0]
    packed = np.vstack([values, np.full((1, 3), np.nan)]).astype(np.float32)
    found = layer(paddle.to_tensor(packed)).numpy()
    expected = Inputs(columns, (fill, scale, clip)).apply(packed)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)
    assert (np.abs(found) <= 2 * clip.bound).all()


def test_a_center_is_subtracted_in_two_parts_only_where_some_column_is_far() -> None:
    near, far = np.array([1.1, 5.3]), np.array([1.1, 20_000.3])
    assert not input_layers.Scale(near, np.ones(2)).is_far
    assert input_layers.Scale(far, np.ones(2)).is_far
    assert input_layers.Scale(far, np.ones(2), np.full(2, 1e6)).is_far  # whatever the unit


def test_every_step_has_a_layer_and_was_tried() -> None:
    known = {
        name
        for name, kind in vars(steps).items()
        if isinstance(kind, type) and "columns" in get_type_hints(kind) and hasattr(kind, "apply")
    }
    known -= {"Inputs", "Step"}
    assert known == {type(step).__name__ for chain in STEPS.values() for step in chain}
    assert known | {"TargetScale"} == set(input_layers.LAYERS)


@pytest.mark.parametrize("kind", [Scale, Whiten])
@pytest.mark.parametrize("holes", [True, False])
def test_plain_numbers_may_stay_float32(kind: type, holes: bool) -> None:
    """The short way gives what the long one does, but for rounding."""
    columns = (A, B, C)
    last: Step = (
        Scale(columns, CENTER, np.array([2.0, 0.1, 7.0]))
        if kind is Scale
        else Whiten(columns, CENTER, MATRIX, 2.0)
    )
    chain = Inputs(columns, (Fill(columns, np.zeros(3)), last))
    packed = rows(holes)[:, :3]
    np.testing.assert_allclose(chain.transform(packed), chain.apply(packed), rtol=1e-4, atol=1e-4)
    steep = Inputs(columns, (Whiten(columns, CENTER, MATRIX, 1e3),))
    exact = steep.apply(rows(holes=False)[:, :3]).astype(np.float32)
    np.testing.assert_array_equal(steep.transform(rows(holes=False)[:, :3]), exact)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Numbers with holes, near each other and far from zero; a category of few levels and one of
    many."""
    random = np.random.default_rng(0)
    a = random.normal(2_000, 3, size=400)
    lines = [
        (f"{x:.3f}", "" if i % 7 == 0 else f"{x + e:.4f}", f"c{i % 3}", f"d{i % 50}", f"{i % 9}")
        for i, (x, e) in enumerate(zip(a, random.normal(0, 0.01, 400), strict=True))
    ]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,few,many,y", *map(",".join, lines)]))
    (tmp_path / "t.yaml").write_text(f"data: {{path: {tmp_path / 't.csv'}, target: y}}\n")
    return tmp_path / "t.yaml"


@pytest.mark.parametrize("scaling", ["standard", "min_max", "none", "whiten"])
@pytest.mark.parametrize("target", ["standard", "log1p", "none"])
@pytest.mark.parametrize("columns", ["[]", "[b, few, many]", "[many]"])
def test_both_arithmetics_agree_on_a_table(
    mixed: Path, scaling: str, target: str, columns: str
) -> None:
    chosen = [f"data.scale.features={scaling}", f"data.scale.target={target}"]
    holes = ["data.missing.indicator=true", f"data.exclude={columns}"]
    recipe = experiment(load(mixed, [*chosen, *holes, "train.batch_size=64"]))
    source = read(recipe.table)
    data = fit(source, source.parts, recipe.inputs)
    fitted = build(recipe.resolve(data), data)
    packed = data.packed.take(np.arange(400))
    inputs, scaled = fitted.inputs.transform(packed), fitted.target.transform(packed[:, -1:])
    by_layers = fitted.regressor.inputs(paddle.to_tensor(packed[:, :-1])).numpy()
    assert inputs.dtype == np.float32
    assert inputs.shape == by_layers.shape
    size = np.abs(by_layers).max(axis=0) + 1e-6
    np.testing.assert_allclose(inputs / size, by_layers / size, atol=2e-4)
    target_by_layers = fitted.regressor.target(paddle.to_tensor(packed[:, -1:])).numpy()
    np.testing.assert_allclose(scaled, target_by_layers, atol=1e-5)
    np.testing.assert_allclose(fitted.target.inverse(scaled), packed[:, -1:], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(fitted.inputs.transform(packed[:, :-1]), inputs)
