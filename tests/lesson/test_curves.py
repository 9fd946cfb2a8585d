"""The second chapter against SciPy, dense algebra and loops."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.interpolate import BSpline
from scipy.optimize import minimize

from lesson import one_step, smoothness, tents, terms
from lesson.data import Array

Problem = tuple[Array, Array, list[smoothness.Part]]


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture
def problem(random: np.random.Generator) -> Problem:
    """Two curves and their pair, on 120 rows, centred."""
    rows = random.uniform(size=(120, 2))
    y = np.sin(6 * rows[:, 0]) + rows[:, 1] + 0.3 * random.normal(size=120)
    knots = [tents.knots_of(rows[:, j], 7) for j in (0, 1)]
    some = [tents.knots_of(rows[:, j], 3) for j in (0, 1)]
    x, parts = terms.design(rows, [{0: knots[0]}, {1: knots[1]}, {0: some[0], 1: some[1]}])
    return x - x.mean(axis=0), y - y.mean(), parts


def test_tents_are_linear_b_splines(random: np.random.Generator) -> None:
    x = random.gamma(2.0, size=300)
    knots = tents.knots_of(x, 9)
    ends = np.concatenate([knots[:1], knots, knots[-1:]])
    expected = BSpline.design_matrix(x, ends, k=1).toarray()
    np.testing.assert_allclose(tents.tents(x, knots), expected, atol=1e-12)
    beyond = tents.tents(np.array([-9.0, 99.0]), knots)
    np.testing.assert_array_equal(beyond, np.eye(9)[[0, -1]])


def test_knots_are_values_each_once() -> None:
    x = np.array([0.0] * 50 + [1.0, 2.0, 7.0])
    knots = tents.knots_of(x, 12)
    assert set(knots) <= set(x)
    assert np.all(np.diff(knots) > 0)
    assert (knots[0], knots[-1]) == (0.0, 7.0)


def test_a_layer_of_paddle_is_the_curve() -> None:
    knots, heights = np.array([1.0, 2.0, 5.0]), np.array([3.0, -1.0, 4.0])
    x = np.linspace(0, 6, 50)
    straight = np.interp(x, knots, heights)
    np.testing.assert_allclose(tents.as_linear(x, knots, heights), straight, atol=1e-6)


@pytest.mark.parametrize("sizes", [(6,), (2,), (4, 5), (2, 3), (2, 2)])
def test_the_two_penalties_of_a_term_hold_all_of_it(sizes: tuple[int, ...]) -> None:
    term = {j: np.arange(float(size)) for j, size in enumerate(sizes)}
    parts = terms.parts_of(term, 0)
    roots = np.vstack([root for _, root in parts])
    assert np.linalg.matrix_rank(roots) == smoothness.ranks(parts).sum() == np.prod(sizes)
    grids = np.meshgrid(*term.values(), indexing="ij")
    smooth_one = (1 + sum(grids) + np.prod(grids, axis=0)).reshape(-1)
    for _, root in parts[:-1]:
        np.testing.assert_allclose(root @ smooth_one, 0, atol=1e-9)


def test_the_penalised_weights_are_least_squares_with_more_rows(problem: Problem) -> None:
    x, y, parts = problem
    found = smoothness.smooth(x, y, parts)
    expected = np.linalg.lstsq(*one_step.with_penalty(x, y, parts, found), rcond=None)[0]
    np.testing.assert_allclose(found.weights, expected, atol=1e-7)
    matrix = x.T @ x
    for (at, root), strength in zip(parts, found.strengths, strict=True):
        matrix[at, at] += strength * root.T @ root
    hat = x @ np.linalg.solve(matrix, x.T)
    assert found.freedom.sum() == pytest.approx(np.trace(hat), abs=1e-6)


def restricted(x: Array, y: Array, parts: list[smoothness.Part], strengths: Array) -> float:
    """The likelihood of y by its covariance [n, n], the mean being free; less a constant."""
    penalty = np.zeros((x.shape[1], x.shape[1]))
    for (at, root), strength in zip(parts, strengths, strict=True):
        penalty[at, at] += strength * root.T @ root
    covariance = np.eye(len(y)) + x @ np.linalg.solve(penalty, x.T)
    variance = y @ np.linalg.solve(covariance, y) / (len(y) - 1)
    return float(-((len(y) - 1) * np.log(variance) + np.linalg.slogdet(covariance)[1]) / 2)


def test_the_likelihood_is_that_of_the_rows_and_the_update_finds_its_peak(
    problem: Problem, random: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, parts = problem
    monkeypatch.setattr(smoothness, "SETTLED", 1e-6)
    monkeypatch.setattr(smoothness, "ROUNDS", 5000)
    found = smoothness.smooth(x, y, parts)
    best = restricted(x, y, parts, found.strengths)
    for strengths in 10.0 ** random.uniform(-2, 3, size=(5, len(parts))):
        ours = smoothness.likelihood(x, y, parts, strengths)
        ours -= smoothness.likelihood(x, y, parts, found.strengths)
        assert ours == pytest.approx(restricted(x, y, parts, strengths) - best, abs=1e-5)
    limits = [(np.log(1e-3), np.log(smoothness.MOST))] * len(parts)
    peak = minimize(
        lambda logs: -restricted(x, y, parts, np.exp(logs)),
        np.clip(np.log(found.strengths), *limits[0]),
        bounds=limits,
    )
    assert best == pytest.approx(-peak.fun, abs=1e-2)


def test_a_feature_of_noise_loses_its_freedom_and_a_curve_keeps_it(
    random: np.random.Generator,
) -> None:
    rows = np.column_stack([random.uniform(size=(400, 2)), np.zeros(400)])
    rows[:, -1] = np.sin(6 * rows[:, 0]) + 0.1 * random.normal(size=400)
    model = terms.fit(rows, [{j: tents.knots_of(rows[:, j], 12)} for j in (0, 1)])
    assert model.smooth.freedom[:2].sum() > 4
    assert model.smooth.freedom[2:].sum() < 2
    assert tents.rmse(terms.predict(model, rows), np.sin(6 * rows[:, 0])) < 0.05


def test_the_sums_by_cells_against_loops(random: np.random.Generator) -> None:
    rows, left = random.uniform(size=(200, 14)), random.normal(size=200)
    inside = (rows[:, 3] > 0.5) == (rows[:, 8] > 0.5)
    left += np.where(inside, 1.0, -1.0)
    found = terms.gains(rows, left, noise=2.0)
    assert found[0][1] == (3, 8)
    edges = [np.quantile(rows[:, j], [0, 0.25, 0.5, 0.75, 1]) for j in (3, 8)]
    gain = 0.0
    for a, b in pairwise(edges[0]):
        for c, d in pairwise(edges[1]):
            at = (rows[:, 3] >= a) & (rows[:, 3] < b + (b == edges[0][-1]))
            at &= (rows[:, 8] >= c) & (rows[:, 8] < d + (d == edges[1][-1]))
            gain += left[at].sum() ** 2 / at.sum() / 2.0 - 1 if at.any() else 0.0
    assert found[0][0] == pytest.approx(gain)


def test_one_step_on_whitened_columns_is_least_squares(problem: Problem) -> None:
    x, y, parts = problem
    white = x[:, :3] @ one_step.whitening(x[:, :3])
    np.testing.assert_allclose(white.T @ white, np.eye(3), atol=1e-10)
    x, y = one_step.with_penalty(x, y, parts, smoothness.smooth(x, y, parts))
    expected = np.linalg.lstsq(x, y, rcond=None)[0]
    np.testing.assert_allclose(x @ one_step.one_step(x, y), x @ expected, atol=1e-5)
    assert one_step.above_least(x, y, one_step.one_step(x, y)) < 1e-10
    falling = one_step.descend(x, y, steps=50)
    assert falling[0] == 1
    assert np.all(np.diff(falling) < 0)


def test_curves_beat_the_line_on_rows_held_out() -> None:
    training, test = tents.deal()
    model = terms.fit(training, terms.curves(training))
    _, line = tents.line_errors(list(range(13)))
    assert tents.rmse(terms.predict(model, test), test[:, -1]) < 0.85 * line
