"""Training and export on a GPU, beside the same on the CPU. `make gpu` runs these tests."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import polars as pl
import pytest
from numpy.typing import NDArray

import train
from model.device import use_device
from model.precision import Float16
from model.predictor import Predictor
from model.regressor import get_state, set_state
from pipeline import look_at, plan
from regressor import Regressor
from tests.conftest import command
from trainer.build import Fit, build, build_trainer
from trainer.progress import Progress
from trainer.trainer import State

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

ROWS = 3_000
SMALL = {"hidden": [32, 32], "members": 2}
MODELS: dict[str, dict[str, Any]] = {
    "linear": {},
    "additive": {},
    "mlp": {"hidden": [32, 32], "dropout": 0.1},
    "resnet": {"width": 16},
    "realmlp": SMALL,
    "tabm": SMALL,
    "blend": SMALL,
}
NETWORKS = [name for name in MODELS if name not in ("linear", "additive")]
EXACT = {"linear": 1e-4, "additive": 1e-4}  # deviations of the target; the rest learn step by step


def columns() -> dict[str, NDArray[Any]]:
    """A table whose target is a curve of two columns and a level of a third, and noise."""
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, ROWS))
    level = random.integers(0, 3, ROWS)
    y = np.sin(2 * a) + a * b + level + 0.2 * random.normal(size=ROWS)
    return {"a": a, "b": b, "level": np.array(["x", "y", "z"])[level], "y": y}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gpu") / "table.csv"
    pl.DataFrame(columns()).write_csv(path)
    return path


@pytest.fixture(autouse=True)
def back_to_the_cpu() -> Iterator[None]:
    yield
    paddle.set_device("cpu")


def recipe(table: Path, model: str, *more: str) -> list[str]:
    keys = [f"model.name={model}", *more]
    keys += [f"model.{key}={value}" for key, value in MODELS[model].items()]
    keys += ["data.cache=" + str(table.parent / "cache")]
    named = ["--data", str(table), "--target", "y"]
    return [*named, *(option for key in keys for option in ("-o", key))]


def fit_of(table: Path, device: str, model: str, *more: str) -> Fit:
    """A regressor with first weights, on a device."""
    use_device(device)
    given = recipe(table, model, f"run.dir={table.parent / 'none'}", *more)
    overrides = [f"data.path={table}", "data.target=y", *given[5::2]]
    experiment = plan(None, overrides)
    prepared = look_at(experiment, None, Progress(quiet=True))
    return build(experiment.resolve(prepared.data), prepared.data)


def run(table: Path, folder: Path, model: str, *more: str) -> dict[str, Any]:
    """A whole run on the GPU; its report."""
    given = recipe(table, model, f"run.dir={folder}", *more)
    assert train.main([*given, "--device", "gpu", "-q"]) == 0
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def test_float32_is_float32() -> None:
    """And not TF32, whose products are off by a thousandth."""
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 512, 512)).astype(np.float32)
    use_device("gpu")
    found = paddle.matmul(paddle.to_tensor(a), paddle.to_tensor(b)).numpy()
    exact = a.astype(np.float64) @ b.astype(np.float64)
    assert np.abs(found - exact).max() < 1e-5 * np.abs(exact).max()


@pytest.mark.parametrize("model", MODELS)
def test_the_first_steps_are_those_of_the_cpu(table: Path, model: str) -> None:
    """From the same weights, on the same rows, with the same dropout."""
    found = {}
    on_cpu = fit_of(table, "cpu", model, "train.epochs=1")
    first = get_state(on_cpu.network)
    for device in ("cpu", "gpu"):
        fit = on_cpu if device == "cpu" else fit_of(table, device, model, "train.epochs=1")
        use_device(device)
        set_state(fit.network, first)
        trainer, state = build_trainer(fit), State()
        steps = trainer.steps(state)
        for _ in range(5):
            next(steps, None)
        found[device] = get_state(fit.network)
    for name, values in found["cpu"].items():
        moved = np.abs(values - first[name]).max()
        np.testing.assert_allclose(
            found["gpu"][name], values, atol=1e-2 * moved + 1e-6, err_msg=name
        )


@pytest.mark.parametrize("model", MODELS)
def test_it_predicts_as_well_as_what_the_cpu_trained(model: str) -> None:
    x, found = columns(), {}
    y = x.pop("y")
    for device in ("cpu", "gpu"):
        made = Regressor({"name": model, **MODELS[model]}, train={"device": device, "epochs": 20})
        found[device] = made.fit(pl.DataFrame(x), y).predict(pl.DataFrame(x))
    if model in EXACT:
        np.testing.assert_allclose(found["gpu"], found["cpu"], atol=EXACT[model] * y.std())
    rmse = {device: float(np.sqrt(np.square(p - y).mean())) for device, p in found.items()}
    assert rmse["gpu"] == pytest.approx(rmse["cpu"], rel=0.1)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("model", NETWORKS)
def test_half_precision_trains_to_about_the_same(
    table: Path, tmp_path: Path, model: str, precision: str
) -> None:
    found = {
        name: run(table, tmp_path / name, model, "train.epochs=20", f"train.precision={name}")
        for name in ("float32", precision)
    }
    rmse = {name: report["metrics"]["test"]["rmse"] for name, report in found.items()}
    assert rmse[precision] != rmse["float32"]
    assert rmse[precision] == pytest.approx(rmse["float32"], rel=0.1)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_products_are_made_in_half_precision_and_the_rest_is_not(
    table: Path, precision: str
) -> None:
    fit = fit_of(table, "gpu", "mlp", f"train.precision={precision}")
    trainer, seen = build_trainer(fit), set()
    matmul: Any = paddle.matmul

    def watched(*given: Any, **options: Any) -> paddle.Tensor:
        product = matmul(*given, **options)
        seen.add(product.dtype)
        return product

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paddle, "matmul", watched)
        steps = trainer.steps(State())
        losses = [next(steps) for _ in range(3)]
    assert seen == {getattr(paddle, precision)}
    assert {loss.dtype for loss in losses} == {paddle.float32}
    parameters = fit.network.parameters()
    gradients = [p.grad for p in parameters if p.grad is not None]
    assert len(gradients) == len(parameters)
    assert {tensor.dtype for tensor in [*parameters, *gradients]} == {paddle.float32}


def test_the_scale_of_float16_finds_its_place(table: Path) -> None:
    """From one that is far too large: steps are left out until gradients are finite."""
    fit = fit_of(table, "gpu", "mlp", "train.precision=float16", "train.epochs=2")
    trainer = build_trainer(fit)
    assert isinstance(trainer.precision, Float16)
    trainer.precision.restore({"loss/scale": np.array([2.0**24, 0], np.float32)})
    trainer.fit(State(), 2)
    assert 1 < trainer.precision.scale < 2.0**24
    assert all(np.isfinite(values).all() for values in get_state(fit.network).values())


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("model", NETWORKS)
def test_a_resumed_run_is_the_same_to_the_bit(table: Path, model: str, precision: str) -> None:
    given = recipe(table, model, "train.epochs=3", f"train.precision={precision}")
    done = command("train.py", *given, "--device", "gpu", "--verify-resume")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("model", MODELS)
def test_what_a_gpu_exports_predicts_the_same_on_a_cpu(
    table: Path, tmp_path: Path, model: str
) -> None:
    """By Paddle Inference on either, from an export that passed its proof."""
    report = run(table, tmp_path / "run", model, "train.epochs=3")
    raw = {name: values for name, values in columns().items() if name != "y"}
    found = {}
    for device in ("cpu", "gpu"):
        predictor = Predictor(tmp_path / "run", device)
        predictor.verify()
        found[device] = predictor.predict(predictor.encode(raw))
    tolerance = report["parity"]["tolerance"]
    np.testing.assert_allclose(found["gpu"], found["cpu"], rtol=0, atol=10 * tolerance)


def test_blocks_are_on_the_gpu_before_they_are_asked_for(table: Path) -> None:
    fit = fit_of(table, "cpu", "mlp", "train.batch_size=64")
    on_cpu = build_trainer(fit).loader
    on_cpu.block_size = 512
    on_cpu.set_epoch(1)
    expected = [[part.numpy() for part in block] for _, block in on_cpu.blocks()]
    use_device("gpu")
    found = [block for _, block in on_cpu.blocks()]
    assert len(found) == len(expected) > 3
    for block, parts in zip(found, expected, strict=True):
        for part, values in zip(block, parts, strict=True):
            assert part.place.is_gpu_place()
            np.testing.assert_array_equal(part.numpy(), values)


@pytest.mark.parametrize("model", ["linear", "mlp", "realmlp"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_steps_do_not_wait_for_the_gpu(table: Path, model: str, precision: str) -> None:
    """While it still has a second of other work before them, further steps are asked for: so few
    that their kernels fit into the queue of a device, 1,024 long."""
    if model == "linear" and precision != "float32":
        pytest.skip("a line is trained in float32")
    more = ["train.batch_size=64", f"train.precision={precision}"]
    steps = build_trainer(fit_of(table, "gpu", model, *more)).steps(State())
    for _ in range(10):  # memory is taken, and kernels are loaded, at first
        next(steps)
    paddle.device.synchronize()
    work = paddle.ones([8_192, 8_192])
    done, began = paddle.device.Event(), time.perf_counter()
    for _ in range(60):
        work = paddle.matmul(work, work) * 1e-4
    done.record()
    for _ in range(2):
        next(steps)
    seconds, is_done = time.perf_counter() - began, done.query()
    assert not is_done, f"the GPU was done when the steps had been asked for, in {seconds:.3f} s"
    paddle.device.synchronize()
    assert done.query()
