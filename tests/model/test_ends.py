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


@pytest.mark.parametrize("bounds", [(0.0, np.inf), (-1.1, 0.7), (-np.inf, -0.5), (0.0, 1.0)])
@pytest.mark.parametrize("seed", range(10))
def test_ends_stay_within_the_range_unless_the_prediction_does(
    seed: int, bounds: tuple[float, float]
) -> None:
    low, high = np.float32(bounds[0]), np.float32(bounds[1])
    free, z = random_margins(seed).eased(), np.linspace(-3, 3, 20_001).astype(np.float32)
    wide_lower, wide_upper = free.ends(z)
    touches_low, touches_high = wide_lower <= low, wide_upper >= high
    touches_low |= z < z[touches_low].max(initial=-np.inf)
    touches_high |= z > z[touches_high].min(initial=np.inf)
    margins = free.within(float(low), float(high))
    layer = Ends(margins, center=0.3, scale=1.7)
    exact = layer((paddle.to_tensor(z[:, None], "float64") - 0.3) / 1.7).astype("float32").numpy().T
    for lower, upper in (margins.ends(z), exact[1:]):
        np.testing.assert_allclose(
            lower, np.where(touches_low, np.minimum(z, low), wide_lower), atol=1e-6
        )
        np.testing.assert_allclose(
            upper, np.where(touches_high, np.maximum(z, high), wide_upper), atol=1e-6
        )
        inside = (z > low + 1e-6) & (z < high - 1e-6)
        assert (lower[inside] >= low).all()
        assert (upper[inside] <= high).all()
        assert (lower[inside & touches_low] == low).all()
        assert (upper[inside & touches_high] == high).all()
        assert (lower <= z + 1e-6).all()
        assert (upper >= z - 1e-6).all()


@pytest.mark.parametrize("seed", range(10))
def test_an_end_moves_little_where_its_prediction_does(seed: int) -> None:
    steep = random_margins(seed)
    steep = Margins(steep.knots / 500, steep.below, steep.above)
    eased = steep.eased()
    assert (eased.below >= steep.below).all()
    assert (eased.above >= steep.above).all()
    for side in (eased.below, eased.above):
        assert (np.abs(np.diff(side)) <= STEEPEST * np.diff(eased.knots) + 1e-12).all()
