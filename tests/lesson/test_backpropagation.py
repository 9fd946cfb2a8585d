"""Gradients by hand against finite differences and Paddle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lesson import backpropagation, purchase
from lesson.data import load_data

X, Y = load_data()[0][:, :-1], load_data()[0][:, -1:]


def test_the_bill_for_apples() -> None:
    edges = purchase.buy_apples(price=100, count=2, discount=0.9)
    assert {name: edge.value for name, edge in edges.items()} == {
        "price": 100,
        "count": 2,
        "cost": 200,
        "discount": 0.9,
        "bill": 180,
    }
    gradients = [edges[name].gradient for name in ("price", "count", "cost", "discount", "bill")]
    assert gradients == pytest.approx([1.8, 90, 0.9, 200, 1])


def test_the_bill_for_fruit_against_differences_and_paddle() -> None:
    order = [100.0, 2.0, 150.0, 3.0, 0.9]
    names = ["apple price", "apple count", "orange price", "orange count", "discount"]
    edges = purchase.buy_fruit(*order)
    by_hand = [edges[name].gradient for name in names]
    assert edges["bill"].value == pytest.approx(585)
    assert by_hand == pytest.approx([1.8, 90, 2.7, 135, 650])
    assert purchase.paddle_fruit_gradients(order) == pytest.approx(by_hand, rel=1e-6)
    for i in range(5):
        above, below = order.copy(), order.copy()
        above[i] += 1e-6
        below[i] -= 1e-6
        slope = purchase.buy_fruit(*above)["bill"].value - purchase.buy_fruit(*below)["bill"].value
        assert by_hand[i] == pytest.approx(slope / 2e-6, rel=1e-6)


@pytest.mark.parametrize("seed", [0, 1])
def test_two_layers_against_paddle_and_differences(seed: int) -> None:
    net = backpropagation.TwoLayerNetwork(13, 13, seed)
    before = [parameter.copy() for parameter in net.parameters()]
    by_hand = net.gradient(X, Y)
    assert [slope.shape for slope in by_hand] == [(13, 13), (13,), (13, 1), (1,)]
    for a, c in zip(by_hand, backpropagation.paddle_gradients(net, X, Y), strict=True):
        np.testing.assert_allclose(a, c, atol=1e-13)
    for a, c in zip(by_hand, backpropagation.finite_differences(net, X, Y), strict=True):
        np.testing.assert_allclose(a, c, atol=1e-9)
    for parameter, kept in zip(net.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter, kept)


def test_two_layers_learn_what_one_neuron_cannot() -> None:
    net = backpropagation.TwoLayerNetwork(2, 13)
    x = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = np.array([[0.0], [1.0], [1.0], [0.0]])  # the exclusive or; one neuron is stuck at 1/4
    losses = net.train(x, y, iterations=20_000, eta=0.5)
    assert losses[-1] < 0.01


@pytest.mark.slow
def test_the_pages(tmp_path: Path) -> None:
    purchase.main(tmp_path)
    facts = backpropagation.main(tmp_path)
    assert float(facts["two_layers_last"]) < float(facts["one_neuron_best"])
    assert facts["parameters"] == 13 * 13 + 13 + 13 + 1
    assert len(list(tmp_path.glob("*.svg"))) == 4
