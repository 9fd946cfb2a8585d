"""Training in half precision, as far as a CPU can do it: what paddle.amp would round is rounded by
hand, and the scale of the loss is that of a GPU."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

import train
from errors import DivergedError, RunError
from model import precision as module
from model.columns import Columns
from model.input_layers import TargetScale
from model.members import Dense
from model.network import Network
from model.networks import build_network
from model.objective import SquaredError
from model.optimizer import build_optimizer, get_optimizer_state
from model.precision import FIRST, MOST, SCALE, Float16, Precision, build_precision
from model.regressor import Regressor, get_state
from reader.dataset import TableDataset
from reader.inputs import InputColumn
from reader.pack import PackedTable
from run.checkpoint import Checkpoint, Checkpoints
from tests.conftest import numeric
from trainer.trainer import State, Trainer

COLUMNS = [InputColumn(name, "number") for name in "abc"]
NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": [16, 16], "dropout": 0.1},
    "resnet": {"width": 8},
    "tabm": {"hidden": [16, 16]},
}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {},
    "momentum": {"momentum": 0.9},
    "adam": {"clip": 0.05},
}
EPOCHS = 10
pytestmark = pytest.mark.filterwarnings("ignore:amp_guard can only be enabled")


def table() -> NDArray[np.float32]:
    """Rows [600, 4]; the target, last, is a curve of the others."""
    random = np.random.default_rng(0)
    x = random.normal(size=(600, 3))
    y = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * random.normal(size=600)
    return np.column_stack([x, y]).astype(np.float32)


def trainer(precision: str, name: str = "mlp", optimizer: str = "adam") -> Trainer:
    network = build_network(name, COLUMNS, seed=0, **NETWORKS[name])
    rows = PackedTable(numeric("abcy", "y"), table(), "")

    def parts(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return rows[:, :-1].copy(), rows[:, -1:].copy()

    loader = TableDataset(rows, np.arange(600), 32, 0, parts)
    made = build_optimizer(optimizer, network, 0.01, 0.0, **OPTIMIZERS[optimizer])
    objective = SquaredError(TargetScale(0.0, 1.0))
    trained = Trainer(
        network, objective, made, lambda step: 0.01 * max(0.0, 1 - step / (EPOCHS * 19)), loader
    )
    trained.precision = build_precision(precision, network)
    return trained


def error(trained: Trainer) -> float:
    """The mean squared error of all rows, by the network in float32."""
    network, objective = trained.network, trained.objective
    found = Regressor(paddle.nn.Identity(), network, objective).predict_inputs(table()[:, :-1])
    return float(np.square(found[:, 0] - table()[:, -1]).mean())


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """What enters and leaves a `matmul` within auto_cast is rounded, and so are its gradients."""

    @contextmanager
    def auto_cast(dtype: str, level: str, custom_black_list: set[str]) -> Iterator[None]:
        assert (level, custom_black_list) == ("O1", {"linear_v2"})
        exact: Any = paddle.matmul

        def rounded(x: paddle.Tensor) -> paddle.Tensor:
            return x.astype(getattr(paddle, dtype)).astype("float32")

        def matmul(x: paddle.Tensor, y: paddle.Tensor) -> paddle.Tensor:
            return rounded(exact(rounded(x), rounded(y)))

        with monkeypatch.context() as patch:
            patch.setattr(paddle, "matmul", matmul)
            yield

    monkeypatch.setattr(paddle.amp, "auto_cast", auto_cast)
    for layers in ("model.members", "model.tabm"):
        monkeypatch.setattr(f"{layers}.fuses", lambda: False)  # as on a GPU


@pytest.mark.parametrize("name", NETWORKS)
def test_half_precision_trains_to_about_the_same(
    by_hand: None, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    found = {}
    for precision in ("float32", "bfloat16", "float16"):
        trained = trainer(precision, name)
        trained.fit(State(), epochs=EPOCHS)
        assert {p.dtype for p in trained.network.parameters()} == {paddle.float32}
        found[precision] = error(trained)
    assert found["float32"] < 0.3 * float(table()[:, -1].var())
    for precision in ("bfloat16", "float16"):
        assert found[precision] != found["float32"]  # something was rounded
        assert found[precision] == pytest.approx(found["float32"], rel=0.15)


def test_only_network_and_loss_of_a_step_are_cast(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, seen = [False], []

    @contextmanager
    def auto_cast(**options: Any) -> Iterator[None]:
        inside[0] = True
        yield
        inside[0] = False

    trained = trainer("bfloat16")
    forward, loss = trained.network.forward, trained.objective.loss
    backward = paddle.Tensor.backward
    network, step = trained.network, trained.optimizer.step

    def told(what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*given: Any) -> Any:
            where = "training" if network.training else "evaluation"
            seen.append((what, where, inside[0]))
            return call(*given)

        return called

    monkeypatch.setattr(paddle.amp, "auto_cast", auto_cast)
    monkeypatch.setattr(trained.network, "forward", told("network", forward))
    monkeypatch.setattr(trained.objective, "loss", told("loss", loss))
    monkeypatch.setattr(paddle.Tensor, "backward", told("backward", backward))
    monkeypatch.setattr(trained.optimizer, "step", told("step", step))
    trained.fit(State(), epochs=1)
    error(trained)
    assert set(seen) == {
        ("network", "evaluation", False),
        ("network", "training", True),
        ("loss", "training", True),
        ("backward", "training", False),
        ("step", "training", False),
    }


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_scale_alone_changes_nothing(optimizer: str) -> None:
    """Where nothing is rounded, for all scales are powers of 2: what is clipped and what steps are
    made of is unscaled."""
    plain, scaled = (trainer(name, optimizer=optimizer) for name in ("float32", "float16"))
    for each in (plain, scaled):
        each.fit(State(), epochs=2)
    assert isinstance(scaled.precision, Float16)
    assert scaled.precision.scale == FIRST
    expected, found = get_state(plain.network), get_state(scaled.network)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


class One(Network):
    """A single layer."""

    def __init__(self, columns: Columns) -> None:
        super().__init__()
        self.layer = Dense(len(columns), 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.layer(x)


def test_small_gradients_are_not_lost(by_hand: None) -> None:
    """Of small errors over many rows: each row's share is below what float16 holds."""
    random = np.random.default_rng(0)
    x = random.normal(size=(4_096, 3)).astype(np.float16).astype(np.float32)
    errors = random.normal(size=(4_096, 1), scale=1e-5).astype(np.float32)

    def off(precision: Precision, network: One) -> float:
        """By what share, at most, a gradient is not what it should be."""
        with paddle.amp.auto_cast(  # without a scale, too
            dtype="float16", level="O1", custom_black_list={"linear_v2"}
        ):
            output = network(paddle.to_tensor(x))
        target = output.detach() - paddle.to_tensor(errors)
        precision.backward(paddle.nn.functional.mse_loss(output, target))
        precision.step(build_optimizer("sgd", network, 0.0, 0.0))
        left = output.numpy().astype(np.float64) - target.numpy()
        gradient = network.layer.weight.grad
        assert gradient is not None
        found = gradient.numpy()
        return float(np.abs(found / (2 * x.T @ left / len(x)) - 1).max())

    one, other = One(COLUMNS), One(COLUMNS)
    assert off(Float16(one), one) < 0.01
    assert off(Precision(), other) > 0.5


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_step_that_is_not_finite_is_left_out(optimizer: str) -> None:
    trained = trainer("float16", optimizer=optimizer)
    trained.fit(State(), epochs=1)
    network, precision = trained.network, trained.precision
    assert isinstance(precision, Float16)

    def standing() -> dict[str, NDArray[Any]]:
        return get_state(network) | get_optimizer_state(trained.optimizer, network)

    before, rows = standing(), paddle.to_tensor(table()[:32, :-1])
    network.train()
    trained.optimizer.clear_grad(set_to_zero=False)
    precision.backward(network(rows).sum() * 1e37)  # which only its scale makes infinite
    precision.step(trained.optimizer)
    assert (precision.scale, precision.steps) == (FIRST / 2, 0)
    for name, values in standing().items():
        np.testing.assert_array_equal(values, before[name], err_msg=name)
    trained.optimizer.clear_grad(set_to_zero=False)
    precision.backward(network(rows).mean())
    precision.step(trained.optimizer)
    assert any((values != before[name]).any() for name, values in standing().items())
    assert (precision.scale, precision.steps) == (FIRST / 2, 1)


def test_the_scale_grows_again_up_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS", 5)
    trained = trainer("float16")
    trained.fit(State(), epochs=1)  # 19 steps
    precision = trained.precision
    assert isinstance(precision, Float16)
    assert (precision.scale, precision.steps) == (8 * FIRST, 4)
    trained.fit(State(), epochs=5)
    assert precision.scale == MOST


def test_gradients_that_stay_infinite_end_training() -> None:
    trained = trainer("float16")
    precision = trained.precision
    assert isinstance(precision, Float16)
    for left in range(16, -1, -1):
        assert precision.scale == 2.0**left
        trained.optimizer.clear_grad(set_to_zero=False)
        precision.backward(trained.network(paddle.to_tensor(table()[:8, :-1])).sum() * 1e39)
        if left:
            precision.step(trained.optimizer)
    with pytest.raises(DivergedError, match=r"diverged; try -o train.precision=bfloat16"):
        precision.step(trained.optimizer)


def test_a_state_is_put_back_within_bounds() -> None:
    network = One(COLUMNS)
    precision, other = Float16(network), Float16(network)
    precision.scale, precision.steps = 8.0, 3
    other.restore(precision.state())
    assert (other.scale, other.steps) == (8.0, 3)
    for scale, steps in ((np.nan, np.nan), (np.inf, -np.inf), (-1.0, 1e30), (0.0, -1.0)):
        other.restore({SCALE: np.array([scale, steps], np.float32)})
        assert 1 <= other.scale <= MOST
        assert 0 <= other.steps < module.STEPS
    assert not Precision().state()


def files_of(run: Path) -> dict[str, Any]:
    last = max((run / "checkpoints").glob("step-*"), key=lambda path: int(path.name[5:]))
    arrays = {p.name: p.read_bytes() for p in last.glob("*.safetensors")}
    report = json.loads((run / "report.json").read_text())
    return arrays | {"history": report["history"], "metrics": report["metrics"]}


def test_a_resumed_run_has_the_scale_that_it_had(
    tmp_path: Path,
    recipe: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("model.device.check_precision", lambda *_: None)
    monkeypatch.setattr(module, "STEPS", 7)
    given = ["model.name=mlp", "model.hidden=[4]", "train.precision=float16", "train.epochs=6"]
    given += ["train.patience=0", "checkpoint.epochs=1", "checkpoint.keep=9"]

    def run(name: str, *more: str) -> int:
        keys = [*given, f"run.dir={tmp_path / name}"]
        options = [option for key in keys for option in ("-o", key)]
        return train.main(["-c", str(recipe), *options, *more])

    assert run("whole") == 0
    expected = files_of(tmp_path / "whole")
    save = Checkpoints.save

    def save_and_stop(self: Checkpoints, checkpoint: Checkpoint) -> None:
        save(self, checkpoint)
        if checkpoint.state["epoch"] == 3:
            raise RunError("enough")

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save_and_stop)
        assert run("parted") == 2
    (middle,) = (tmp_path / "parted" / "checkpoints").glob("step-18/optimizer.safetensors")
    assert load_file(middle)[SCALE].tolist() == [4 * FIRST, 4]
    assert run("parted", "--resume", "-o", "train.precision=bfloat16") == 2
    assert "train.precision" in capsys.readouterr().err
    assert run("parted", "--resume") == 0
    assert files_of(tmp_path / "parted") == expected
