"""The neuron against what the course prints, finite differences and the closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lesson.data import Array, load_data
from lesson.network import Network, main

X, Y = load_data()[0][:, :-1], load_data()[0][:, -1:]


def half_loss(net: Network, w: Array, b: float) -> float:
    return float(np.sum((X @ w + b - Y) ** 2) / len(X) / 2)


def test_the_weights_are_those_of_numpys_seed_without_touching_it() -> None:
    np.random.seed(7)  # noqa: NPY002
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    net = Network(13)
    assert np.random.rand() == expected  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    np.testing.assert_array_equal(net.w, np.random.randn(13, 1))  # noqa: NPY002
    assert net.w.shape == (13, 1)
    assert net.b == 0
    assert not np.array_equal(Network(13, seed=1).w, net.w)


def test_one_and_three_samples_as_the_course_prints_them() -> None:
    net = Network(13)
    z = net.forward(X[:3])
    np.testing.assert_allclose(z[:, 0], [2.39362982, 2.46752393, 2.02483479], atol=5e-9)
    assert net.loss(z[:1], Y[:1]) == pytest.approx(3.88644793, abs=5e-9)
    assert net.loss(z, Y[:3]) == pytest.approx(3.384496992612791, rel=1e-14)
    np.testing.assert_allclose(net.forward(X[0]), z[0])


def test_the_gradient_as_the_course_prints_it() -> None:
    net = Network(13)
    net.w[[5, 9]] = 159  # where the course's drawing of the surface leaves them
    gradient_w, gradient_b = net.gradient(X, Y)
    published = [4.6555403, 19.35268996, 55.88081118, 14.00266972, 47.98588869, 76.87210821]
    published += [94.8555119, 36.07579608, 45.44575958, 59.65733292, 83.65114918]
    published += [134.80387478, 38.93998153]
    np.testing.assert_allclose(gradient_w[:, 0], published, rtol=1e-8)
    assert gradient_w.shape == (13, 1)
    assert gradient_b == pytest.approx(142.50289323156107, rel=1e-14)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_gradient_is_that_of_half_the_loss(seed: int) -> None:
    net, step = Network(13, seed), 1e-6
    gradient_w, gradient_b = net.gradient(X, Y)
    for j in range(13):
        move = np.zeros((13, 1))
        move[j] = step
        slope = half_loss(net, net.w + move, net.b) - half_loss(net, net.w - move, net.b)
        assert gradient_w[j, 0] == pytest.approx(slope / (2 * step), abs=1e-8)
    slope = half_loss(net, net.w, net.b + step) - half_loss(net, net.w, net.b - step)
    assert gradient_b == pytest.approx(slope / (2 * step), abs=1e-8)


def test_the_gradient_of_many_is_the_mean_of_the_gradients_of_each() -> None:
    net = Network(13)
    each = [net.gradient(X[i : i + 1], Y[i : i + 1]) for i in range(len(X))]
    gradient_w, gradient_b = net.gradient(X, Y)
    np.testing.assert_allclose(gradient_w, np.mean([w for w, _ in each], axis=0))
    assert gradient_b == pytest.approx(np.mean([b for _, b in each]))


def test_update_steps_against_the_gradient() -> None:
    net = Network(2)
    before = net.w.copy()
    net.update(np.array([[1.0], [-2.0]]), 4.0, eta=0.5)
    np.testing.assert_array_equal(net.w, before - [[0.5], [-1.0]])
    assert net.b == -2


def test_training_falls_to_the_closed_form() -> None:
    net = Network(13)
    losses = net.train(X, Y, iterations=40_000, eta=0.5)
    inputs = np.hstack([X, np.ones((404, 1))])
    best = np.linalg.lstsq(inputs, Y, rcond=None)[0]
    assert np.all(np.diff(losses) < 1e-15)
    assert losses[-1] == pytest.approx(float(np.mean((inputs @ best - Y) ** 2)), rel=1e-9)
    np.testing.assert_allclose(net.w, best[:-1], atol=1e-4)


def test_the_page(tmp_path: Path) -> None:
    facts = main(tmp_path)
    w = np.random.RandomState(0).randn(13, 1)
    assert facts["all_loss"] == pytest.approx(np.square(X @ w - Y).mean())
    assert facts["loss_after"] < facts["loss_before"]  # type: ignore[operator]
    assert (tmp_path / "network-neuron.svg").exists()
