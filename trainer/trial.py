"""What an additive model of the same training rows, with nothing set, predicts of rows that neither
it nor a line has seen."""

from __future__ import annotations

import time
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reader.merge import add
from reader.training_data import TrainingData
from trainer.additive import MOST_PRODUCTS, PRECISE_PRODUCTS, OutOfTimeError, TrainingRows
from trainer.additive_search import AdditiveOptions, AdditiveSearch
from trainer.build import scaled_target
from trainer.settings import Settings

LONGEST = 30.0  # seconds


class Trial(NamedTuple):
    """The error on the validation rows, in the target's unit, and the seconds that it took."""

    rmse: float
    seconds: float


def additive_trial(settings: Settings, data: TrainingData, seconds: float) -> Trial | None:
    """Of a recipe that trains a line by the squared error; None for others, where there are no
    validation rows, and where it takes more `seconds`."""
    rows, seconds = data.parts.validation, min(seconds, LONGEST)
    if not (settings.is_line and settings.loss.name == "mse" and len(rows) and seconds):
        return None
    width = AdditiveOptions().knots * len(data.schema.packed)
    if min(len(data.parts.train) * width**2, MOST_PRODUCTS) > seconds * PRECISE_PRODUCTS:
        return None  # the first pass alone would take longer
    started = time.perf_counter()
    target = data.target_scale(settings.target_scaling, bounded=True)
    training = TrainingRows(
        data.packed, data.parts.train, partial(scaled_target, target), started + seconds
    )
    try:
        fit = AdditiveSearch(training, AdditiveOptions(fill=settings.fill)).fit()
    except OutOfTimeError:
        return None

    def of_block(block: NDArray[np.float32]) -> float:
        error = target.inverse(fit.predict(block)) - block[:, -1]
        return float(error @ error)

    squares = data.packed.reduce(of_block, add, 0.0, rows, fit.design.width)
    return Trial(float(np.sqrt(squares / len(rows))), time.perf_counter() - started)
