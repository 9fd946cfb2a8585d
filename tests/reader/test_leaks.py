"""Columns that give the target away are told; good features, series and noise are not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from reader.leaks import Leak, Order, exact_sum, leaks, left_open, ranked

Vector = NDArray[np.float64]
ROWS = 3_000
TIME = np.arange(ROWS, dtype=np.float64)
RANDOM = np.random.default_rng(5)
A, B, C, NOISE = RANDOM.normal(size=(4, ROWS))
HEAVY = np.exp(2 * RANDOM.normal(size=ROWS))
CASUAL, REGISTERED = RANDOM.poisson(np.exp(3 + A / 2)), RANDOM.poisson(np.exp(5 + 0.3 * B))
PRICE, QUANTITY = np.round(np.exp(3 + A / 2), 2), RANDOM.integers(1, 40, ROWS)
PARTS = RANDOM.gamma(2, 1, size=(5, ROWS))
TOWN = RANDOM.integers(0, 90, ROWS).astype(np.float64)
OF_TOWN = RANDOM.normal(size=90)[TOWN.astype(int)]
WALK = np.cumsum(NOISE)
SMOOTH = np.convolve(WALK, np.ones(30) / 30, "same")
SINE = np.sin(TIME / 50)
CUMULATIVE, OTHER = np.cumsum(RANDOM.poisson(5, ROWS)), np.cumsum(RANDOM.poisson(3, ROWS))
RISING = np.argsort(HEAVY)
del RANDOM  # a test draws from its own


def found(
    features: Sequence[Any], target: Any, coded: Sequence[int] = (), clocks: Sequence[int] = ()
) -> list[Leak]:
    """As a table of float32 has it: four rows of five train."""
    rows = np.column_stack([*features, target]).astype(np.float32).astype(np.float64)
    kept = np.arange(len(rows)) % 5 > 0
    return list(leaks(rows[kept], coded, Order(rows, clocks)))


@pytest.mark.parametrize(
    "column",
    [
        np.log(HEAVY),
        np.sqrt(HEAVY),
        HEAVY**2,
        1 / HEAVY,
        -HEAVY,
        np.round(7.13 * HEAVY, 2),
        np.digitize(HEAVY, [0.1, 0.5, 1, 2, 5]),
        ranked(HEAVY),
        HEAVY * (1 + 0.001 * NOISE),
    ],
    ids=[
        "log",
        "root",
        "square",
        "inverse",
        "negative",
        "cents",
        "bins",
        "ranks",
        "measured again",
    ],
)
def test_a_transform_of_a_heavy_tailed_target_is_a_leak(column: Vector) -> None:
    assert found([A, B, column, C], HEAVY) == [Leak((2,))]
    holes = np.where(NOISE > 1, np.nan, column)
    assert found([A, B, holes, C], HEAVY) == [Leak((2,))]


@pytest.mark.parametrize(
    ("features", "target", "columns", "logarithms"),
    [
        ([A, CASUAL, REGISTERED], CASUAL + REGISTERED, (1, 2), False),
        ([A, CASUAL, REGISTERED], REGISTERED - CASUAL, (1, 2), False),
        ([A, PRICE, QUANTITY], np.round(PRICE * QUANTITY, 2), (1, 2), True),
        ([A, PRICE, QUANTITY], PRICE / QUANTITY, (1, 2), True),
        ([A, *PARTS], PARTS.sum(axis=0), (1, 2, 3, 4, 5), False),
        ([A, B, C], (CASUAL + REGISTERED)[RISING], (), False),
    ],
    ids=["sum", "difference", "product", "quotient", "five parts", "none"],
)
def test_parts_that_add_up_are_a_leak(
    features: list[Any], target: Any, columns: tuple[int, ...], logarithms: bool
) -> None:
    assert found(features, target) == ([Leak(columns, logarithms)] if columns else [])


def test_a_leak_in_a_table_sorted_by_its_target() -> None:
    order = np.argsort(CASUAL + REGISTERED)
    both = [CASUAL[order], REGISTERED[order]]
    assert found(both, sum(both)) == [Leak((0, 1))]
    assert found([A, np.log(HEAVY)[RISING]], HEAVY[RISING]) == [Leak((1,))]
    assert found([2 * CUMULATIVE, TIME], CUMULATIVE) == [Leak((0,))]


def test_a_category_whose_levels_each_have_one_target() -> None:
    assert found([A, TOWN], OF_TOWN, coded=[1]) == [Leak((1,))]
    assert found([A, TOWN], OF_TOWN + NOISE / 10, coded=[1]) == []


@pytest.mark.parametrize(
    ("features", "target"),
    [
        ([A, B, C], 2 * A - 3 * B + C + 0.004 * NOISE),
        ([A, B, C], A + 0.03 * NOISE),
        ([TIME, np.roll(WALK, 1)], WALK),
        ([TIME, np.roll(SMOOTH, 1), np.roll(SMOOTH, 2)], SMOOTH),
        ([TIME, np.roll(SINE, 1), np.roll(SINE, 2)], SINE),
        ([TIME, A], CUMULATIVE),
        ([OTHER, TIME], CUMULATIVE),
        ([TIME, A], 0.01 * TIME + NOISE / 2),
        ([A, B], np.sort(A + 0.3 * NOISE)),
    ],
    ids=[
        *("sum and noise", "one strong feature", "walk", "smooth", "sine", "cumulative"),
        *("two cumulative", "trend", "sorted"),
    ],
)
def test_good_features_and_smooth_series_are_no_leak(features: list[Any], target: Any) -> None:
    features, target = [np.asarray(f)[5:-5] for f in features], target[5:-5]
    assert found(features, target) == []


def test_a_smooth_series_in_mixed_order_is_told_by_its_time() -> None:
    mixed = np.random.default_rng(0).permutation(np.arange(5, ROWS - 5))
    features = [TIME[mixed], np.roll(SMOOTH, 1)[mixed]]
    assert found(features, SMOOTH[mixed], clocks=[0]) == []
    assert found(features, SMOOTH[mixed]) == [Leak((0,)), Leak((1,))]  # no time to be told by


def test_noise_of_many_columns_explains_nothing() -> None:
    random = np.random.default_rng(0)
    for rows, columns in ((400, 60), (100, 60), (20, 3)):
        noise = random.normal(size=(columns + 1, rows))
        assert found(list(noise[:-1]), noise[-1]) == []


def test_what_a_curve_leaves_open() -> None:
    assert left_open(A, ranked(np.exp(A))) < 1e-5
    assert left_open(A, B) == pytest.approx(1, abs=0.1)
    assert left_open(A, A + 0.1 * NOISE) == pytest.approx(0.01, rel=0.2)


def test_a_sum_is_proved_on_rows_that_did_not_make_it() -> None:
    x = np.random.default_rng(0).normal(size=(100, 20))
    assert exact_sum(x, x[:, 3] - 2 * x[:, 7], 1e-6) == [3, 7]
    assert exact_sum(x, x[:, 3] + 0.01 * x[:, 7] ** 2, 1e-6) == []
