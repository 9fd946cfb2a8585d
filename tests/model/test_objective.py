"""What each objective minimises and gives, against its formula in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
import pytest
from numpy.typing import NDArray

from model.input_layers import TargetScale
from model.intervals import Margins
from model.objective import OBJECTIVES, Objective, SquaredError
from reader.metrics import METRICS

OPTIONS: dict[str, dict[str, Any]] = {"mse": {}, "mae": {}, "huber": {"delta": 1.2}}


def objective(name: str, margin: float | None = None) -> Objective:
    """With `margin`: of intervals, in the target's unit."""
    made = OBJECTIVES[name](TargetScale(5.0, 2.0), **OPTIONS[name])
    if margin is not None:
        made.calibrate(Margins(np.zeros(1), np.full(1, margin), np.full(1, margin)))
    return made


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_loss_is_the_mean_of_what_is_measured(name: str) -> None:
    random = np.random.default_rng(0)
    output, target = random.normal(size=(2, 50, 1)).astype(np.float32) * 3
    loss = objective(name).loss(paddle.to_tensor(output), paddle.to_tensor(target)).item()
    each = objective(name).measure(output.astype(np.float64), target.astype(np.float64))
    assert each.shape == (50,)
    assert loss == pytest.approx(each.mean(), rel=1e-5)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_members_have_losses_of_their_own_and_one_prediction(name: str) -> None:
    """As many members as rows: what broadcast against each other would go unnoticed."""
    random = np.random.default_rng(1)
    output, target = random.normal(size=(7, 7, 1)), random.normal(size=(7, 1))
    members, rows = (paddle.to_tensor(values, "float32") for values in (output, target))
    objective(name).check_shapes(members, rows)
    each = [objective(name).measure(output[:, k], target).mean() for k in range(7)]
    assert objective(name).loss(members, rows).item() == pytest.approx(np.mean(each), rel=1e-5)
    found = objective(name, margin=0.5).finish(members).numpy()
    np.testing.assert_allclose(found[:, 0], output.mean(axis=1)[:, 0] * 2 + 5, rtol=1e-5)
    assert found.shape == (7, 3)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_reweighted_squares_have_the_slope_of_the_loss(name: str) -> None:
    """d loss / d residual = c * weight * residual, with one c for all residuals."""
    residual = np.array([-4.0, -1.3, -0.2, 0.3, 0.9, 7.0])

    def measured(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return objective(name).measure(values[:, None], np.zeros((len(values), 1)))

    slope = (measured(residual + 1e-6) - measured(residual - 1e-6)) / 2e-6
    ratio = slope / (objective(name).reweight(residual, 1e-9) * residual)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
    assert np.isfinite(objective(name).reweight(np.zeros(3), 1e-6)).all()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_is_watched_is_a_metric(name: str) -> None:
    assert objective(name).watched in METRICS
    assert objective(name).is_better(1.0, None)
    assert objective(name).is_better(1.0, 2.0)
    assert not objective(name).is_better(2.0, 2.0)


@pytest.mark.parametrize("margin", [None, 1.0])
def test_a_prediction_is_in_the_targets_unit(margin: float | None) -> None:
    squared = objective("mse", margin)
    rows = squared.finish(paddle.to_tensor([[0.0], [1.0]])).numpy().tolist()
    assert squared.outputs == ["prediction", "lower", "upper"][: len(rows[0])]
    assert rows == ([[5.0], [7.0]] if margin is None else [[5.0, 4.0, 6.0], [7.0, 6.0, 8.0]])


def test_shapes_are_checked_on_the_objectives_terms() -> None:
    squared = SquaredError(TargetScale(0.0, 1.0))
    squared.check_shapes(paddle.zeros([3, 1]), paddle.zeros([3, 1]))
    for output, target in (([3], [3, 1]), ([3, 1], [3]), ([3, 2], [3, 1])):
        with pytest.raises(AssertionError):
            squared.check_shapes(paddle.zeros(output), paddle.zeros(target))
