from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from errors import ExportError
from model import export as module
from model import predictor
from model.export import Proof, export, parity_tolerance
from model.folder import GRAPH, read_export
from model.input_layers import Scale, TargetScale
from model.networks import build_network
from model.objective import SquaredError
from model.predictor import Predictor
from model.regressor import Regressor
from reader.inputs import InputColumn
from tests.conftest import plain_contract

COLUMNS = [InputColumn(name, "number") for name in "abc"]
ROWS = np.random.default_rng(0).normal(5, 3, size=(100, 3)).astype(np.float32)
NETWORKS: dict[str, dict[str, Any]] = {
    "linear": {},
    "mlp": {"hidden": [8, 8], "activation": "relu", "dropout": 0.2},
    "resnet": {"width": 8, "normalization": "batch"},
    "resnet with layer norm": {"width": 8, "normalization": "layer"},
}


def regressor(name: str = "linear") -> Regressor:
    network = build_network(name.split()[0], COLUMNS, seed=0, **NETWORKS[name])
    scale = Scale(ROWS.mean(axis=0), ROWS.std(axis=0))
    return Regressor(scale, network, SquaredError(TargetScale(50.0, 9.0)))


def export_of(
    trained: Regressor, folder: Path, contract: dict[str, Any], fused: Regressor | None = None
) -> dict[str, Any]:
    proof = Proof(ROWS, trained.predict, 10.0)
    return dict(export(trained, folder, contract, proof, fused).contract["parity"])


def exported(folder: Path, name: str = "linear") -> dict[str, Any]:
    contract = plain_contract("abc")
    return export_of(regressor(name), folder, contract)


@pytest.mark.parametrize("name", NETWORKS)
def test_exported_graph_predicts_what_the_layers_predict(tmp_path: Path, name: str) -> None:
    trained = regressor(name)
    trained.eval()
    expected = trained(paddle.to_tensor(ROWS)).numpy()[:, 0]
    parity = exported(tmp_path / "export", name)
    assert parity["rows"] == 100
    assert parity["max_abs_difference"] <= 1e-4
    loaded = Predictor(tmp_path / "export")
    for batch in (ROWS, ROWS[:7], ROWS[:1]):
        np.testing.assert_allclose(loaded.predict(batch), expected[: len(batch)], atol=1e-4)


def test_parity_is_measured_against_the_dynamic_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph that computes something else is noticed, and nothing is left behind."""
    save = paddle.jit.save

    def save_another(layer: paddle.nn.Layer, path: str) -> None:
        layer.target.center += 0.1
        save(layer, path)

    monkeypatch.setattr(paddle.jit, "save", save_another)
    with pytest.raises(ExportError, match=r"differs .* by 0\.1"):
        exported(tmp_path / "export")
    assert list(tmp_path.iterdir()) == []


def test_a_fused_form_is_exported_where_it_predicts_the_same(tmp_path: Path) -> None:
    right, wrong = regressor(), regressor()
    wrong.target.center += 1
    for name, fused, shortened in (("right", right, True), ("wrong", wrong, False)):
        contract = plain_contract("abc")
        trained, folder = regressor(), tmp_path / name
        expected = trained.predict(ROWS)[:, 0]
        parity = export_of(trained, folder, contract, fused)
        assert parity["max_abs_difference"] < 1e-4
        assert read_export(folder).contract["inference"]["fused"] is shortened
        np.testing.assert_allclose(Predictor(folder).predict(ROWS), expected, atol=1e-4)


def test_onednn_is_turned_off_where_it_alone_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def load(graph: Path, weights: Path, device: str, onednn: bool) -> Any:
        asked.append(onednn)
        return predictor.load_graph(graph, weights, device, onednn)

    def run(loaded: Any, rows: Any) -> Any:
        return predictor.run_graph(loaded, rows) + (1 if asked[-1] else 0)

    monkeypatch.setattr(module, "load_graph", load)
    monkeypatch.setattr(module, "run_graph", run)
    parity = exported(tmp_path / "export")
    assert read_export(tmp_path / "export").contract["inference"]["onednn"] is False
    assert parity["max_abs_difference"] < 1e-4


def test_dropout_leaves_no_operator(tmp_path: Path) -> None:
    trained = regressor("mlp")
    assert trained.network.masks
    assert trained.network.masks.share == 0.2
    export_of(trained, tmp_path / "export", plain_contract("abc"))
    assert "dropout" not in (tmp_path / "export" / GRAPH).read_text()


def test_a_network_that_predicts_nan_is_not_exported(tmp_path: Path) -> None:
    broken = regressor()
    broken.target.center += np.nan
    with pytest.raises(ExportError, match="NaN"):
        export_of(broken, tmp_path / "export", {})


def test_golden_rows_are_predicted_again(tmp_path: Path) -> None:
    exported(tmp_path / "export")
    golden = read_export(tmp_path / "export").contract["golden"]
    found = Predictor(tmp_path / "export").predict(np.array(golden["rows"], dtype=np.float32))
    np.testing.assert_allclose(found, golden["predictions"], atol=1e-5)


def test_tolerance_grows_with_range_and_magnitude() -> None:
    expected = np.array([-2.0, 10.0])
    assert parity_tolerance(10, expected) == pytest.approx(1.1e-4)
    assert parity_tolerance(0, expected) > 0


def test_predictor_says_what_it_wants(tmp_path: Path) -> None:
    exported(tmp_path / "run" / "export")
    loaded = Predictor(tmp_path / "run")
    assert (loaded.features, loaded.target) == (("a", "b", "c"), "y")
    assert loaded.predict(np.empty((0, 3))).shape == (0,)
    assert loaded.predict([[1, 2, 3]]).dtype == np.float32
    for wrong in ([1, 2, 3], [[1, 2]]):
        with pytest.raises(ValueError, match=r"expected \[rows, 3\] \(a, b, c\)"):
            loaded.predict(wrong)


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [remove, truncate, alter])
@pytest.mark.parametrize("name", ["contract.json", "model.json", "model.pdiparams"])
def test_damage_is_noticed(tmp_path: Path, damage: Callable[[Path], None], name: str) -> None:
    exported(tmp_path / "export")
    damage(tmp_path / "export" / name)
    with pytest.raises(ExportError, match=name):
        Predictor(tmp_path / "export")


def test_every_bit_of_the_contract_counts(tmp_path: Path) -> None:
    exported(tmp_path / "export")
    path = tmp_path / "export" / "contract.json"
    content = path.read_bytes()
    for position in np.linspace(0, len(content) - 1, num=200, dtype=int):
        changed = bytearray(content)
        changed[position] ^= 2
        path.write_bytes(bytes(changed))
        with pytest.raises(ExportError):
            read_export(tmp_path / "export")


def test_contract_of_another_format(tmp_path: Path) -> None:
    exported(tmp_path / "export")
    folder = tmp_path / "export"
    contract = json.loads((folder / "contract.json").read_text()) | {"format": 99}
    module.write_contract(folder, contract)
    with pytest.raises(ExportError, match="format 99"):
        read_export(folder)


def test_export_is_replaced_whole_beside_the_files_of_others(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    exported(folder)
    (folder / "notes.txt").write_text("the user's")
    before = read_export(folder).contract["files"]
    exported(folder, "mlp")
    assert before.keys() == read_export(folder).contract["files"].keys()
    assert before != read_export(folder).contract["files"]
    assert (folder / "notes.txt").read_text() == "the user's"


@pytest.mark.gpu
def test_prediction_on_gpu(tmp_path: Path) -> None:
    exported(tmp_path / "export", "mlp")
    on_cpu, on_gpu = (Predictor(tmp_path / "export", device) for device in ("cpu", "gpu"))
    np.testing.assert_allclose(on_gpu.predict(ROWS), on_cpu.predict(ROWS), atol=1e-3)
