"""Intervals that hold a share of the true values, by split conformal prediction.

Papadopoulos et al., "Inductive confidence machines for regression" (2002); Lei et al.,
"Distribution-free predictive inference for regression" (2018).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reader.training_data import TrainingData

if TYPE_CHECKING:
    from model.regressor import Regressor


def calibrate(regressor: Regressor, data: TrainingData, coverage: float) -> float:
    """The margin on the scaled target that holds ceil((n + 1) coverage) of n validation rows."""
    errors = np.concatenate(list(_errors(regressor, data)))
    rank = math.ceil((len(errors) + 1) * coverage - 1e-9)
    return float(np.partition(errors, rank - 1)[rank - 1])


def _errors(regressor: Regressor, data: TrainingData) -> Iterator[NDArray[np.float32]]:
    """How far off each validation row is on the scaled target."""
    import paddle

    regressor.eval()
    for block in data.packed.blocks(data.parts.validation):
        with paddle.no_grad():
            scaled = regressor.network(regressor.prepare(paddle.to_tensor(block[:, :-1])))
            target = regressor.scale_target(paddle.to_tensor(block[:, -1:]))
            yield paddle.abs(scaled - target).numpy()[:, 0]


def measure(regressor: Regressor, data: TrainingData, coverage: float) -> dict[str, Any]:
    """What share of the test part's true values the intervals hold, and how wide they are."""
    part = "test" if len(data.parts.test) else "validation"
    rows, held, width = getattr(data.parts, part), 0, 0.0
    for block in data.packed.blocks(rows):
        _, lower, upper = regressor.predict(block[:, :-1]).T
        held += int(((lower <= block[:, -1]) & (block[:, -1] <= upper)).sum())
        width += float((upper - lower).sum(dtype=np.float64))
    return {
        "coverage": coverage,
        "part": part,
        "rows": len(rows),
        "measured": held / len(rows),
        "mean_width": width / len(rows),
        "calibration_rows": len(data.parts.validation),
    }
