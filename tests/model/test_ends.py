"""The ends of an interval: in the graph as in NumPy, in order, and within the target's range."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from model.intervals import STEEPEST, Ends, Margins


def random_margins(seed: int, log: bool = False) -> Margins:
    random = np.random.default_rng(seed)
    knots = np.sort(random.normal(size=random.integers(1, 21)))
    below, above = random.lognormal(-1, 1, size=(2, len(knots)))
    return Margins(knots, below, above, log)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_the_layer_gives_what_numpy_gives(seed: int, log: bool) -> None:
    margins = random_margins(seed, log).eased().within(-1.0, 1.5 if seed % 2 else np.inf)
    z = np.linspace(-5, 5, 1001)
    layer = Ends(margins, center=0.5, scale=2.0)
    prediction, *ends = layer(paddle.to_tensor((z[:, None] - 0.5) / 2)).numpy().T
    np.testing.assert_allclose(prediction, np.expm1(z) if log else z, rtol=1e-12, atol=1e-12)
    for found, expected in zip(ends, margins.ends(prediction), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_ends_stay_within_the_range_unless_the_prediction_does_not(seed: int) -> None:
    low, high = np.float32(-1.1), np.float32(0.7)
    free = random_margins(seed)
    z = np.linspace(-3, 3, 1001).astype(np.float32)
    lower, upper = free.within(float(low), float(high)).ends(z)
    wide_lower, wide_upper = free.ends(z)
    np.testing.assert_allclose(lower, np.minimum(z, np.maximum(wide_lower, low)), atol=1e-6)
    np.testing.assert_allclose(upper, np.maximum(z, np.minimum(wide_upper, high)), atol=1e-6)
    exact = Ends(free.within(float(low), float(high)), 0.0, 1.0)(paddle.to_tensor(z[:, None]))
    for first, last in ((lower, upper), exact.astype("float32").numpy().T[1:]):
        # To the bit: many targets may lie on the end of the range, such as counts of 0.
        assert (first[z >= low] >= low).all()
        assert (last[z <= high] <= high).all()
        assert (first[(z >= low) & (wide_lower <= low)] == low).all()
        assert (last[(z <= high) & (wide_upper >= high)] == high).all()
        assert (first <= z).all()
        assert (last >= z).all()


@pytest.mark.parametrize("seed", range(10))
def test_an_end_moves_little_where_its_prediction_does(seed: int) -> None:
    steep = random_margins(seed)
    steep = Margins(steep.knots / 200, steep.below, steep.above)
    eased = steep.eased()
    assert (eased.below >= steep.below).all()
    assert (eased.above >= steep.above).all()
    for side in (eased.below, eased.above):
        assert (np.abs(np.diff(side)) <= STEEPEST * np.diff(eased.knots) + 1e-12).all()
