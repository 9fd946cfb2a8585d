"""NumPy and Paddle are the same, to the precision of float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from lesson import paddle_twin
from lesson.data import load_data, read_flat, split_rows, to_table
from lesson.network import Network
from model.linear import Linear

TRAINING, TEST = load_data()


def test_the_twin_is_the_projects_network_with_the_same_weights() -> None:
    net = Network(13)
    network = paddle_twin.twin(net)
    assert isinstance(network, Linear)
    np.testing.assert_allclose(network.linear.weight.numpy(), net.w, rtol=1e-7)
    x = paddle.to_tensor(TEST[:, :-1], "float32")
    np.testing.assert_allclose(network(x).numpy(), net.forward(TEST[:, :-1]), atol=1e-5)


def test_the_lessons_gradient_is_half_of_paddles() -> None:
    net = Network(13)
    x, y = TRAINING[:, :-1], TRAINING[:, -1:]
    w = paddle.to_tensor(net.w, stop_gradient=False)
    b = paddle.to_tensor([net.b], dtype="float64", stop_gradient=False)
    F.mse_loss(paddle.to_tensor(x) @ w + b, paddle.to_tensor(y)).backward()
    gradient_w, gradient_b = net.gradient(x, y)
    assert w.grad is not None
    assert b.grad is not None
    np.testing.assert_allclose(w.grad.numpy(), 2 * gradient_w, rtol=1e-12)
    assert b.grad.item() == pytest.approx(2 * gradient_b)


def test_every_step_agrees() -> None:
    net = Network(13)
    steps = paddle_twin.train_both(net, paddle_twin.twin(net), TRAINING, eta=0.1)
    assert len(steps) == 41
    for step in steps:
        assert step.paddle_loss == pytest.approx(step.numpy_loss, rel=1e-5, abs=1e-7)
        assert step.apart < 5e-6
    alone = Network(13)
    for start in range(0, 404, 10):
        rows = TRAINING[start : start + 10]
        alone.train(rows[:, :-1], rows[:, -1:], iterations=1, eta=0.1)
    np.testing.assert_array_equal(net.w, alone.w)


def test_the_static_graph_and_its_files_predict_the_same(tmp_path: Path) -> None:
    net = Network(13)
    regressor = paddle_twin.with_scaling(paddle_twin.twin(net))
    raw = split_rows(to_table(read_flat()))[1]
    rows = paddle.to_tensor(raw[:, :-1], "float32")
    expected = net.forward(TEST[:, :-1]) * 45 + 5  # the training prices run from 5 to 50
    dynamic = regressor(rows).numpy()
    static = paddle_twin.save_graph(regressor, tmp_path / "model", 13)(rows).numpy()
    read_back = paddle.jit.load(str(tmp_path / "model"))(rows).numpy()
    for prices in (dynamic, static, read_back):
        np.testing.assert_allclose(prices, expected, rtol=1e-4, atol=1e-3)


def test_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = paddle_twin.main(tmp_path)
    table = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert len(table) == 2 + 8
    for line in table[2:]:
        _, by_numpy, by_paddle, _ = line.split()
        assert float(by_numpy) == pytest.approx(float(by_paddle), rel=1e-5)
    assert float(facts["most_apart"]) < 5e-6
    assert float(facts["graphs_apart"]) < 1e-4
    assert {path.name for path in tmp_path.iterdir()} == {"twin-losses.svg", "twin-apart.svg"}
