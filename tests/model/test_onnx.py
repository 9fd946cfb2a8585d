"""What ONNX Runtime computes, held against Paddle: layer by layer, and of whole exports."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import onnxruntime
import paddle
import pytest
from numpy.typing import NDArray
from onnx import helper

import infer
import train
from errors import DeviceError, ExportError, TableError
from files import digest
from model import onnx as converting
from model.contract import FORMAT, WITH_ONNX, Contract
from model.export import Proof, _save_graph, export, write_contract
from model.folder import CONTRACT, GRAPH, ONNX, WEIGHTS, Export, read_export
from model.graph import OPERATORS
from model.input_layers import (
    Beside,
    Fill,
    Indicate,
    NormalScores,
    OneHot,
    Places,
    Scale,
    Select,
    SmoothClip,
    TargetScale,
    Whiten,
    layers_of,
)
from model.intervals import Ends, Margins
from model.networks import build_network
from model.objective import SquaredError
from model.onnx import CONVERT, onnx_model
from model.onnx_graph import check_onnx
from model.onnx_predictor import ROWS_AT_ONCE, OnnxPredictor
from model.predictor import Predictor
from model.regressor import Regressor
from reader import inputs as steps
from reader.axes import Axis
from reader.inputs import InputColumn
from tests.conftest import command, plain_contract, train_recipe

pytestmark = pytest.mark.xdist_group("onnx")  # one worker makes what they share

Rows = NDArray[np.float32]
RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(5, 3, size=(100, 5)).astype(np.float32)
ROWS[:, 3:] = RANDOM.integers(0, 4, size=(100, 2))  # codes
ROWS[::7, 0] = np.nan
ROWS[1, 1:3] = 1e30, -1e30
COLUMNS = (
    *(InputColumn(name, "number") for name in "ab"),
    InputColumn("c", "flag"),
    *(InputColumn(name, "code", 4) for name in "de"),
)
THREE = np.array([1.0, 2.0, 3.0])
KNOTS = [
    np.sort(RANDOM.normal(5, 3, size=size)).astype(np.float32).astype(np.float64)
    for size in (100, 7, 2)
]
ROOTS = RANDOM.normal(size=(2, 4, 2))
del RANDOM  # a test draws from its own
SCORES = [np.linspace(-2, 2, len(knots)) for knots in KNOTS]
AXES = (
    Axis("a", 0, knots=KNOTS[1], has_holes=True),
    Axis("d", 3, levels=4),
    Axis("b", 1, knots=KNOTS[0], fill=5.0),
    Axis("e", 4, levels=3, codes=np.array([0, 1, 2, 0])),
)


class InSingle(paddle.nn.Layer):
    """A step, whose result may be float64, as a whole graph."""

    def __init__(self, step: paddle.nn.Layer) -> None:
        super().__init__()
        self.step = step
        self.register_buffer("zero", paddle.zeros([1]))  # Paddle saves no graph without numbers

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.step(x).astype("float32") + self.zero


class Inverse(InSingle):
    """The same of a target's scaling, from the first scaled column."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.step.inverse(x[:, 1:2]).astype("float32")


class First(InSingle):
    """The same of the ends around the second column."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.step(x[:, 1:2]).astype("float32")


def margins(log: bool) -> Margins:
    return Margins(np.array([0.0, 5.0, 9.0]), np.array([1.0, 2, 3]), np.array([1.0, 3, 2]), log)


LAYERS: dict[str, Callable[[], paddle.nn.Layer]] = {
    "select": lambda: InSingle(Select([4, 0, 1])),
    "indicate": lambda: InSingle(Indicate([0, 2], 3)),
    "fill": lambda: InSingle(Fill(THREE)),
    "one-hot": lambda: InSingle(OneHot(3, [np.eye(4), np.eye(4)[:, 1:]])),
    "scale": lambda: InSingle(Scale(THREE, THREE + 1)),
    "scale far from zero": lambda: InSingle(Scale(THREE + 1e6 + 0.01, THREE / 1e6)),
    "fill, scale and clip": lambda: InSingle(
        layers_of(
            [
                steps.Fill(COLUMNS, THREE),
                steps.Scale(COLUMNS, THREE, THREE),
                steps.Clip(COLUMNS, THREE),
            ]
        )
    ),
    "whiten": lambda: InSingle(Whiten(THREE, ROOTS[0, :3], 0.0, [ROOTS[1]] * 2)),
    "normal scores": lambda: InSingle(NormalScores(KNOTS[:2], SCORES[:2], THREE[:1])),
    "smooth clip": lambda: InSingle(SmoothClip(THREE)),
    "beside": lambda: InSingle(
        Beside(
            steps.Inputs(COLUMNS, (steps.Scale(COLUMNS, THREE, THREE),)),
            steps.Inputs(COLUMNS, (steps.SmoothClip(COLUMNS, THREE),)),
        )
    ),
    "places": lambda: InSingle(Places(AXES, (2,))),
    "places of codes alone": lambda: InSingle(Places((AXES[3], AXES[1]))),
    "target": lambda: Inverse(TargetScale(50.0, 9.0, limits=(-1.0, 2.0))),
    "log of the target": lambda: Inverse(TargetScale(1e-4, 1e-5, log=True, limits=(-9.0, 9.0))),
    "ends": lambda: First(Ends(margins(False), 5.0, 2.0)),
    "ends of a log": lambda: First(Ends(margins(True), 0.1, 0.01)),
}
SMALL: dict[str, Any] = {"hidden": [6, 5]}
NETWORKS: dict[str, dict[str, Any]] = {
    "linear": {},
    "mlp": {**SMALL, "activation": "mish"},
    "mlp, pbld": {**SMALL, "activation": "swish", "numeric_embedding": "pbld"},
    "mlp, ple": {**SMALL, "activation": "tanh", "numeric_embedding": "ple"},
    "mlp, sigmoid": {**SMALL, "activation": "sigmoid"},
    "resnet": {"width": 8, "normalization": "batch"},
    "resnet, layer": {"width": 8, "normalization": "layer"},
    "realmlp": SMALL,
    "tabm": SMALL,
}


def saved(
    layer: paddle.nn.Layer, folder: Path, rows: Rows
) -> tuple[onnxruntime.InferenceSession, Rows]:
    """A layer, converted, and what Paddle makes of rows."""
    layer.eval()
    expected = layer(paddle.to_tensor(rows)).numpy()
    _save_graph(layer, folder, rows.shape[1])
    graph, weights = ((folder / name).read_bytes() for name in (GRAPH, WEIGHTS))
    names = {"features": [*"abcde"], "outputs": [*range(expected.shape[1])]}
    model = onnx_model(Export(cast(Contract, names), graph, weights, ""))
    check_onnx(model)
    return onnxruntime.InferenceSession(model), expected


def assert_the_same(layer: paddle.nn.Layer, folder: Path, rows: Rows = ROWS) -> None:
    session, expected = saved(layer, folder, rows)
    assert np.isfinite(expected).any()
    for part in (rows, rows[:1], rows[:2]):
        (found,) = session.run(None, {"features": part})
        np.testing.assert_allclose(found, expected[: len(part)], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_each_step(tmp_path: Path, name: str) -> None:
    assert_the_same(LAYERS[name](), tmp_path)


@pytest.mark.parametrize("name", NETWORKS)
def test_each_network(tmp_path: Path, name: str) -> None:
    network = build_network(name.partition(",")[0], COLUMNS, seed=0, **NETWORKS[name])
    rows = ROWS.clip(-9, 9)
    network.start(np.nan_to_num(rows), 0)
    for parameter in network.parameters():  # some are 0 at first
        parameter.set_value(parameter + 0.1 * paddle.randn(parameter.shape))
    regressor = Regressor(Fill(THREE), network, SquaredError(TargetScale(5.0, 2.0)))
    assert_the_same(regressor, tmp_path, rows)


def test_each_operator_of_a_graph_converts() -> None:
    assert CONVERT.keys() | {"1.data", "1.fetch"} == OPERATORS.keys()


RECIPES = {
    "linear": ["data.scale.target=log1p", "data.missing.indicator=true", "intervals.coverage=0.8"],
    "additive": ["model.name=additive", "model.beyond=line"],
    "blend": [
        *("model.name=blend", "model.hidden=[8]", "model.members=2", "train.patience=0"),
        *("data.categories.one_hot=1", "intervals.coverage=0.8", "data.scale.target=log1p"),
    ],
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Exports with ONNX of a table with holes, texts, flags and times."""
    folder = tmp_path_factory.mktemp("onnx")
    random = np.random.default_rng(0)
    lines = ["key,a,b,town,new,day,y"]
    for i in range(240):
        a = "" if i % 9 == 0 else f"{random.normal():.3f}"
        town = "" if i % 17 == 0 else f"t{random.integers(9)}"
        day = f"2024-{1 + i // 28:02}-{1 + i % 28:02} {i % 24:02}:00:00"
        numbers = f"k{i},{a},{100 + random.normal():.2f}"
        lines.append(f"{numbers},{town},{('yes', 'no')[i % 2]},{day},{random.exponential():.3f}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    (folder / "recipe.yaml").write_text(
        f"data: {{path: {folder / 'table.csv'}, target: y}}\n"
        "train: {epochs: 2}\nexport: {onnx: true}\n"
    )
    for name, overrides in RECIPES.items():
        train_recipe(folder / name, str(folder / "recipe.yaml"), overrides)
    return {name: folder / name for name in RECIPES}


def rows_of(contract: Contract, count: int) -> Rows:
    """Rows whose cells are those of the golden ones: real, extreme, missing and unknown."""
    golden = np.array(contract["golden"]["rows"], dtype=np.float32)
    at = np.random.default_rng(0).integers(len(golden), size=(count, golden.shape[1]))
    return golden[at, np.arange(golden.shape[1])]


@pytest.mark.parametrize("name", RECIPES)
def test_exports_predict_the_same(runs: dict[str, Path], name: str) -> None:
    by_paddle, by_onnx = Predictor(runs[name]), OnnxPredictor(runs[name])
    contract = by_onnx.contract
    assert contract["format"] == WITH_ONNX
    assert contract["onnx"]["max_abs_difference"] <= contract["onnx"]["tolerance"]
    most = 5_000 if name == "blend" else 70_000
    rows = rows_of(contract, most)
    for count in (most, ROWS_AT_ONCE, 2, 1, 0):
        expected, found = (p.predict_outputs(rows[:count]) for p in (by_paddle, by_onnx))
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(found, expected, atol=contract["golden"]["tolerance"])
    assert by_onnx.verify()[0] == len(contract["golden"]["rows"])
    table = {"a": [0.5, None], "b": [100, 99.5], "town": ["t1", "elsewhere"], "new": ["no", "yes"]}
    days = {"day": ["2024-02-03 04:00:00", None]}
    np.testing.assert_allclose(
        by_onnx.predict(table | days), by_paddle.predict(table | days), rtol=1e-5
    )


def test_many_threads_get_their_own_answers(runs: dict[str, Path]) -> None:
    predictor = OnnxPredictor(runs["blend"])
    sizes = [1, 2, 3, 700, ROWS_AT_ONCE + 1, 5_000] * 20
    inputs = {size: rows_of(predictor.contract, size) for size in set(sizes)}
    expected = {size: predictor.predict(rows) for size, rows in inputs.items()}
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda size: predictor.predict(inputs[size]), sizes)
        for size, values in zip(sizes, found, strict=True):
            np.testing.assert_array_equal(values, expected[size])


@pytest.mark.parametrize("engine", [Predictor, OnnxPredictor])
def test_a_code_below_zero_is_refused(runs: dict[str, Path], engine: type[Predictor]) -> None:
    """Another number than one of the table's would else be looked up."""
    predictor = engine(runs["blend"])
    rows = rows_of(predictor.contract, 2)
    rows[1, predictor.features.index("town")] = -1
    with pytest.raises(TableError, match="town: found the code -1"):
        predictor.predict(rows)


def test_infer_needs_no_paddle(runs: dict[str, Path], tmp_path: Path) -> None:
    """And writes what it writes with Paddle."""
    listed = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"
    (tmp_path / "sitecustomize.py").write_text(listed)
    table, out = runs["linear"].parent / "table.csv", tmp_path / "out.csv"
    arguments = ["infer.py", "--model", str(runs["linear"]), "--input", str(table), "--verify"]
    done = command(
        *(*arguments, "--engine", "onnx", "--output", str(out)),
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert "verified: 4 files by SHA-256" in done.stderr
    assert "onnxruntime" in done.stderr.split()
    assert not {"paddle", "onnx"} & set(done.stderr.split())
    assert infer.main([*arguments[1:], "--output", str(tmp_path / "paddle.csv")]) == 0
    by_onnx, by_paddle = (
        np.genfromtxt(path, delimiter=",", skip_header=1, usecols=(1, 2, 3))
        for path in (out, tmp_path / "paddle.csv")
    )
    np.testing.assert_allclose(by_onnx, by_paddle, rtol=1e-5)


def small(folder: Path, onnx: bool = True) -> Path:
    """An export of an untrained network."""
    columns, rows = COLUMNS[:2], np.nan_to_num(ROWS[:, :2])
    network = build_network("mlp", columns, seed=0, hidden=[4])
    scaled = Regressor(Scale(*np.ones((2, 2))), network, SquaredError(TargetScale(50.0, 9.0)))
    proof = Proof(rows, scaled.predict, 10.0)
    export(scaled, folder, plain_contract("ab"), proof, onnx=onnx)
    return folder


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small(tmp_path_factory.mktemp("sound") / "export")


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "copy"))


def seal(folder: Path, model: bytes) -> None:
    """What an attacker does: note the sums of other files."""
    (folder / ONNX).write_bytes(model)
    write_contract(folder, json.loads((folder / CONTRACT).read_text()))


def test_what_onnx_runtime_computes_must_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another(exported: Export) -> bytes:
        model = onnx.load_from_string(onnx_model(exported))
        (center,) = [c for c in model.graph.initializer if 50.0 in onnx.numpy_helper.to_array(c)]
        center.raw_data = np.array([50.1]).tobytes()
        return bytes(model.SerializeToString())

    monkeypatch.setattr(converting, "onnx_model", another)
    with pytest.raises(ExportError, match=r"model\.onnx: differs .*0\.09999.*onnx=false"):
        small(tmp_path / "export")
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_onnx(tmp_path: Path, sound: Path) -> None:
    folder = small(tmp_path / "export", onnx=False)
    assert read_export(folder).contract["format"] == FORMAT
    with pytest.raises(ExportError, match=r"no model\.onnx.*-o export\.onnx=true"):
        OnnxPredictor(folder)
    shutil.copy(sound / ONNX, folder)  # which the contract does not list
    assert read_export(folder).onnx is None
    with pytest.raises(ExportError, match=r"no model\.onnx"):
        OnnxPredictor(folder)


def test_onnx_runtime_is_missing(sound: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ExportError, match=r"missing.*pip install -r requirements-onnx\.txt"):
        OnnxPredictor(sound)


@pytest.mark.parametrize("device", ["gpu", "gpu:1", "cuda"])
def test_devices(sound: Path, device: str) -> None:
    with pytest.raises(DeviceError, match=f"device {device}: .*cpu"):
        OnnxPredictor(sound, device)


def test_a_missing_package_is_told_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(converting, "find_spec", lambda name: None if name == "onnx" else name)
    recipe = ["-c", "configs/boston.yaml", "-o", f"run.dir={tmp_path / 'run'}"]
    assert train.main([*recipe, "-o", "export.onnx=true"]) == 2
    told = "error: export.onnx=true needs onnx: pip install -r requirements-onnx.txt\n"
    assert capsys.readouterr().err.endswith(told)
    assert not (tmp_path / "run").exists()


def remove(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [remove, cut, alter])
def test_damage_is_noticed(copy: Path, damage: Callable[[Path], None]) -> None:
    damage(copy / ONNX)
    for engine in (Predictor, OnnxPredictor):  # what is listed is there, whatever is used
        with pytest.raises(ExportError, match=ONNX):
            engine(copy)


def external(model: onnx.ModelProto) -> None:
    constant = model.graph.initializer[0]
    constant.ClearField("raw_data")
    constant.data_location = onnx.TensorProto.EXTERNAL
    constant.external_data.add(key="location", value="/etc/passwd")


def of_another(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = "com.microsoft"


def unknown(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "Loop"


def inside(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("body", onnx.GraphProto(name="x")))


def function(model: onnx.ModelProto) -> None:
    model.functions.add(name="Relu", domain="")


def opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 7


def other_domain(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


@pytest.mark.parametrize(
    "change", [external, of_another, unknown, inside, function, opset, other_domain]
)
def test_what_no_export_has_is_not_run(
    copy: Path, change: Callable[[onnx.ModelProto], None]
) -> None:
    model = onnx.load_from_string((copy / ONNX).read_bytes())
    change(model)
    seal(copy, model.SerializeToString())
    with pytest.raises(ExportError, match=rf"{ONNX}: .*no export has"):
        OnnxPredictor(copy)


@pytest.mark.parametrize("content", [b"", b"\x00", b"\xff" * 99, b"\x0b" * 9, b"{}", b"\x3a\x7f"])
def test_models_that_are_none(copy: Path, content: bytes) -> None:
    seal(copy, content)
    with pytest.raises(ExportError):
        OnnxPredictor(copy)


def test_any_byte_may_be_another(copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Refused, or ONNX Runtime runs it: the process goes on, and nothing is printed."""
    content = (copy / ONNX).read_bytes()
    random, taken = np.random.default_rng(0), 0
    for at in random.integers(len(content), size=150):
        changed = bytearray(content)
        changed[at] ^= 1 << random.integers(8)
        seal(copy, bytes(changed))
        try:
            taken += bool(len(OnnxPredictor(copy).predict(np.zeros((3, 2)))))
        except ExportError:
            continue
    assert 0 < taken < 150
    assert capfd.readouterr() == ("", "")


def test_the_contract_and_its_files_agree(copy: Path) -> None:
    values = json.loads((copy / CONTRACT).read_text())
    for change in ({"format": 6}, {"onnx": None}):
        other = {k: v for k, v in {**values, **change}.items() if v is not None}
        write_contract(copy, other)
        with pytest.raises(ExportError, match=r"onnx: expected|files: expected|sizes: expected"):
            read_export(copy)
    assert digest((copy / ONNX).read_bytes()) == values["files"][ONNX]
