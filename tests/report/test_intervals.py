"""What intervals hold, on rows whose distribution is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from report.intervals import (
    FEWEST_IN_LEVEL,
    FEWEST_ROWS,
    MOST_KNOTS,
    Measured,
    calibrate,
    limit,
    quantile,
)

Vector = NDArray[Any]


@dataclass(frozen=True)
class Rows:
    target: NDArray[np.float32]
    prediction: NDArray[np.float32]


def rows(prediction: Vector, noise: Vector) -> Rows:
    return Rows((prediction + noise).astype(np.float32), prediction.astype(np.float32))


def heteroscedastic(count: int, seed: int, kind: str) -> Rows:
    """Noise whose deviation grows with the prediction, is largest in the middle, or has two
    values; by `skewed`, an exponential noise with the same expectation."""
    random = np.random.default_rng(seed)
    x = random.gamma(2.0, 2.0, size=count)
    if kind == "skewed":
        return rows(x, x * (random.exponential(size=count) - 1))
    deviation = {
        "growing": 0.1 + 0.4 * x,
        "bump": 0.2 + np.exp(-((x - 4) ** 2)),
        "step": np.where(x < 5, 0.2, 3.0),
    }[kind]
    return rows(x, deviation * random.normal(size=count))


def held_by_tenth(measured: Measured) -> list[float]:
    return [band.covered for band in measured.by_prediction()]


@pytest.mark.parametrize("coverage", [0.5, 0.9, 0.95])
@pytest.mark.parametrize("kind", ["growing", "bump", "step", "skewed"])
def test_each_tenth_holds_the_share_asked_for(kind: str, coverage: float) -> None:
    training, validation, test = (
        heteroscedastic(count, seed, kind) for seed, count in enumerate((20_000, 5_000, 50_000))
    )
    measured = Measured.of(calibrate(training, validation, coverage), test)
    assert measured.held.mean() == pytest.approx(coverage, abs=0.02)
    assert min(held_by_tenth(measured)) >= coverage - 0.05
    constant = quantile(np.abs(validation.target - validation.prediction), coverage)
    outside = np.abs(test.target - test.prediction) > constant
    worst = max(outside[part].mean() for part in np.array_split(np.argsort(test.prediction), 10))
    assert 1 - worst < coverage - 0.1  # one margin for all does not


def test_where_noise_is_the_same_everywhere_so_is_the_margin() -> None:
    random = np.random.default_rng(0)
    training, validation, test = (
        rows(random.normal(size=count), random.normal(size=count)) for count in (4000, 500, 20_000)
    )
    width = Measured.of(calibrate(training, validation, 0.9), test).width.mean()
    constant = 2 * quantile(np.abs(validation.target - validation.prediction), 0.9)
    assert width == pytest.approx(constant, rel=0.05)


@pytest.mark.parametrize("count", [1, 20, 2 * FEWEST_ROWS - 1])
def test_few_training_rows_have_one_margin(count: int) -> None:
    """And that of the validation rows is then what it would be without a scale."""
    training, validation = heteroscedastic(count, 0, "growing"), heteroscedastic(29, 1, "growing")
    upper = calibrate(training, validation, 0.9).ends(np.array([2.0, 3.0]))[1]
    errors = np.sort(np.abs(validation.target - validation.prediction))
    margin = errors[math.ceil(30 * 0.9) - 1]
    reach = [max(part.target.max() for part in (training, validation))] * 2
    np.testing.assert_allclose(upper, np.minimum(np.array([2.0, 3.0]) + margin, reach), rtol=1e-5)


@pytest.mark.parametrize("coverage", [0.5, 0.9, 0.95])
@pytest.mark.parametrize("kind", ["growing", "bump", "step", "skewed"])
def test_a_network_that_knows_its_training_rows_by_heart(kind: str, coverage: float) -> None:
    """Their errors are small, and do not show where those of other rows are large."""
    validation, test = heteroscedastic(5000, 1, kind), heteroscedastic(50_000, 2, kind)
    noise = np.random.default_rng(0).normal(scale=0.1, size=len(test.prediction))
    measured = Measured.of(
        calibrate(rows(test.prediction, noise), validation, coverage),
        test,
    )
    assert measured.held.mean() == pytest.approx(coverage, abs=0.025)
    assert min(held_by_tenth(measured)) >= coverage - 0.07


@pytest.mark.parametrize("seed", range(5))
def test_as_many_validation_rows_are_held_as_the_guarantee_needs(seed: int) -> None:
    training, validation = heteroscedastic(300, seed, "step"), heteroscedastic(57, seed + 9, "step")
    held = Measured.of(calibrate(training, validation, 0.8), validation).held
    assert held.sum() >= math.ceil(58 * 0.8)


@pytest.mark.slow
def test_coverage_is_that_of_the_guarantee_with_few_rows() -> None:
    """On average over many small tables, each with 19 validation rows: 18 of 20 places are in."""
    random, held = np.random.default_rng(0), []
    for _ in range(1000):
        x = random.uniform(1, 2, size=(3, 400))
        training, validation, test = (
            rows(part[:n], part[:n] ** 3 * random.normal(size=n))
            for part, n in zip(x, (400, 19, 100), strict=True)
        )
        held.append(Measured.of(calibrate(training, validation, 0.9), test).held.mean())
    assert np.mean(held) == pytest.approx(0.9, abs=0.01)


def test_predictions_of_a_few_values() -> None:
    """As of a table with a single category: each value has a margin of its own."""
    random = np.random.default_rng(0)

    def sample(count: int) -> Rows:
        x = random.choice([1.0, 2.0, 10.0], size=count, p=[0.6, 0.3, 0.1])
        return rows(x, x * random.normal(size=count))

    test = sample(20_000)
    measured = Measured.of(calibrate(sample(5000), sample(1000), 0.9), test)
    for value in (1.0, 2.0, 10.0):
        assert measured.held[test.prediction == value].mean() == pytest.approx(0.9, abs=0.04)


def test_training_rows_that_are_fitted_exactly() -> None:
    x = np.linspace(0, 1, 1000)
    exact, validation = rows(x, 0 * x), rows(x[::7], 0.01 * np.sin(np.arange(143)))
    margins = calibrate(exact, validation, 0.9)
    assert 0.9 <= Measured.of(margins, validation).held.mean() <= 0.97
    lower, upper = calibrate(exact, exact, 0.9).ends(exact.prediction)
    assert (lower == upper).all()


def test_margins_of_a_logarithm_grow_with_the_prediction() -> None:
    random = np.random.default_rng(0)
    straight = [rows(random.uniform(1, 5, n), random.normal(size=n)) for n in (2000, 500)]
    training, validation = (Rows(*map(np.expm1, (r.target, r.prediction))) for r in straight)
    lower, upper = calibrate(training, validation, 0.9, log=True).ends(np.expm1([2.0, 4.0]))
    free = calibrate(straight[0], straight[1], 0.9).ends(np.array([2.0, 4.0]))
    np.testing.assert_allclose([lower, upper], np.expm1(free), rtol=1e-4)


@pytest.mark.parametrize("kind", ["growing", "skewed"])
def test_no_end_leaves_the_range_of_the_targets(kind: str) -> None:
    training, validation = (heteroscedastic(n, n, kind) for n in (1000, 200))
    targets = np.concatenate([training.target, validation.target])
    inside = np.linspace(targets.min(), targets.max(), 101, dtype=np.float32)
    lower, upper = calibrate(training, validation, 0.9).ends(inside)
    assert lower.min() == targets.min()
    assert upper.max() <= targets.max()


def test_targets_that_go_on_growing_have_no_limit() -> None:
    trend = np.arange(1000.0)
    assert limit(trend[:800], trend[800:]) == math.inf
    assert limit(-trend[:800], -trend[800:]) == 0
    shuffled = np.random.default_rng(0).permutation(trend)
    assert limit(shuffled[:800], shuffled[800:]) == 999


def test_bands_count_what_they_say() -> None:
    random = np.random.default_rng(0)
    test = heteroscedastic(205, 0, "growing")
    measured = Measured.of(calibrate(test, test, 0.8), test)
    bands = measured.by_prediction()
    assert sum(band.rows for band in bands) == 205
    ordered = np.sort(test.prediction)
    assert [bands[0].low, bands[-1].high] == [ordered[0], ordered[-1]]
    assert all(a.high <= b.low for a, b in pairwise(bands))
    codes = random.choice(4, p=[0.2, 0.5, 0.25, 0.05], size=205)
    levels = measured.by_level("town", ["north", None, "south"], codes)
    assert [band.level for band in levels] == ["north", None, "(other)"]
    assert (codes == 3).sum() < FEWEST_IN_LEVEL
    for band, code in zip(levels, (1, 2, 0), strict=True):
        at = codes == code
        assert (band.column, band.rows) == ("town", at.sum())
        assert band.covered == pytest.approx(measured.held[at].mean())
        assert band.width == pytest.approx(measured.width[at].mean())


def test_there_are_no_more_knots_than_promised() -> None:
    training = heteroscedastic(30_000, 0, "growing")
    margins = calibrate(training, heteroscedastic(500, 1, "growing"), 0.9)
    assert len(margins.hinges().gain) <= MOST_KNOTS + 10
