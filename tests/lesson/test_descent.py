"""The way down against what the course prints and against least squares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lesson import descent
from lesson.data import load_data, read_flat, split_rows, to_table
from lesson.network import Network

X, Y = load_data()[0][:, :-1], load_data()[0][:, -1:]


def test_two_weights_as_the_course_prints_them() -> None:
    points, losses, _ = descent.descend_on_two(X, Y, iterations=2000, eta=0.01)
    assert points.shape == (2000, 2)
    np.testing.assert_array_equal(points[0], [-100, -100])
    published = {
        0: ([-99.54120317118768, -99.64497631155172], 7873.345739941161),
        500: ([-7.161782280775628, -24.451346444229817], 121.65711285489998),
        1000: ([1.6107694974712377, -12.955502492189021], 9.670616807081698),
        1950: ([0.24524412503452966, -8.065729922139326], 3.3047037451160453),
    }
    for i, (point_after, loss_before) in published.items():
        np.testing.assert_allclose(points[i + 1], point_after, rtol=1e-10)
        assert losses[i] == pytest.approx(loss_before, rel=1e-10)


def test_only_the_two_weights_move() -> None:
    _, _, net = descent.descend_on_two(X, Y, iterations=3, eta=0.01)
    fixed = [j for j in range(13) if j not in (5, 9)]
    np.testing.assert_array_equal(net.w[fixed], Network(13).w[fixed])
    assert net.b == 0


def test_one_step_of_a_tenth_as_the_course_prints_it() -> None:
    points, losses, _ = descent.descend_on_two(X, Y, iterations=2, eta=0.1)
    np.testing.assert_allclose(points[1], [-95.41203171187678, -96.4497631155171], rtol=1e-12)
    assert losses[1] == pytest.approx(7214.694816482369, rel=1e-12)


def test_all_parameters_as_the_course_prints_them() -> None:
    losses = Network(13).train(X, Y, iterations=1000, eta=0.01)
    published = {9: 5.143394325795511, 99: 0.9033048096880774, 499: 0.31576574305173283}
    for i, loss in published.items():
        assert losses[i] == pytest.approx(loss, rel=1e-12)
    assert np.all(np.diff(losses) < 0)
    assert losses[-1] > descent.optimum(X, Y)


def test_the_surface_is_the_loss_of_the_network() -> None:
    w5, w9 = np.array([-160.0, 3.0]), np.array([-100.0, 0.0, 160.0])
    losses = descent.surface(X, Y, w5, w9)
    for i, a in enumerate(w5):
        for j, c in enumerate(w9):
            net = Network(13)
            net.w[5], net.w[9] = a, c
            assert losses[i, j] == pytest.approx(net.loss(net.forward(X), Y))


def test_the_lowest_point_of_the_surface(tmp_path: Path) -> None:
    facts = descent.main(tmp_path)
    net = Network(13)
    net.w[5], net.w[9] = facts["best_w5"], facts["best_w9"]
    gradient_w, _ = net.gradient(X, Y)
    np.testing.assert_allclose(gradient_w[[5, 9]], 0, atol=1e-10)
    assert len(list(tmp_path.glob("descent-*.svg"))) == 8


def test_the_square_ends_at_the_bottom_and_the_absolute_value_jumps_about() -> None:
    smooth = descent.walk(descent.squared_slope, 1.0, eta=0.3, steps=50)
    kinked = descent.walk(descent.absolute_slope, 1.0, eta=0.3, steps=50)
    assert abs(smooth[-1]) < 1e-12
    assert abs(kinked[-1] - kinked[-2]) == pytest.approx(0.3)


@pytest.mark.parametrize("scaled", [True, False])
def test_beyond_the_largest_step_the_loss_climbs(scaled: bool) -> None:
    x = X if scaled else split_rows(to_table(read_flat()))[0][:, :-1]
    limit = descent.largest_step(x)
    assert np.all(np.diff(Network(13).train(x, Y, 200, eta=0.99 * limit)) < 0)
    beyond = Network(13).train(x, Y, 5000, eta=1.02 * limit)
    assert beyond[-1] > beyond[0]


def test_scaling_makes_the_valley_rounder() -> None:
    raw = split_rows(to_table(read_flat()))[0][:, [5, 9]]
    stretch = [np.linalg.cond(descent.valley(pair)[0]) for pair in (X[:, [5, 9]], raw)]
    assert stretch[0] < 20
    assert stretch[1] > 1000
    path = descent.valley(X[:, [5, 9]])[1]
    assert np.linalg.norm(path[-1]) < 0.05
