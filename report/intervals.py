"""Intervals that hold a share of the true values, by split conformal prediction.

The margin of a row is a scale times one number for all rows. The scale follows the prediction: it
is the local quantile of the errors of the training rows. The number is calibrated on the validation
rows, which have no part in the scale. A new row of the same kind therefore lies in its interval
with at least the probability asked for, on average over all rows; see `calibrate` for the limits of
the target. Papadopoulos, Gammerman and Vovk, "Normalized nonconformity measures for regression
conformal prediction" (2008); Lei et al., "Distribution-free predictive inference for regression"
(2018), section 5.2.

A network that fits its training rows more closely than new ones, by more than chance explains, does
not show on them where its errors are large. Then the margin is the local quantile of the errors of
the validation rows themselves: the same guarantee, in each part of the predictions, but for the
lines between the parts. Boström and Johansson, "Mondrian conformal regressors" (2020).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.intervals import Margins
from reader.fitting import OTHER
from report.report import Band, LevelBand

Vector = NDArray[np.float64]
MOST_KNOTS = 20
FEWEST_ROWS = 30  # for a knot; with fewer than twice as many, all rows have the same margin
OVERFITTED = 3.0  # standard errors by which the mean error of validation rows is the larger one
LEAST = 1e-3  # of the largest scale: it would be 0 where training rows are fitted exactly
CHANCE = 1e-3
MOST_LEVELS = 20
FEWEST_IN_LEVEL = 30


class Predicted(Protocol):
    """Rows with their target and prediction [n], in the target's unit."""

    @property
    def target(self) -> NDArray[np.float32]: ...

    @property
    def prediction(self) -> NDArray[np.float32]: ...


def calibrate(
    training: Predicted, validation: Predicted, coverage: float, log: bool = False
) -> Margins:
    """The margins that hold ceil((n + 1) coverage) of the n validation rows. With `log` they are of
    log(1 + y), so that they grow with the prediction in any case.

    No end leaves the range of these targets unless the prediction does. A new target lies outside
    the range of n others with a probability of at most 2 / (n + 1), by which coverage may be less.
    """
    unit = Margins(np.zeros(1), np.ones(1), np.ones(1), log)
    target, z = unit.straighten(training.target), unit.straighten(training.prediction)
    known, predicted = unit.straighten(validation.target), unit.straighten(validation.prediction)
    error, known_error = np.abs(target - z), np.abs(known - predicted)
    # The deviation of an error's size is about its mean.
    if known_error.mean() > (1 + OVERFITTED / math.sqrt(len(known))) * error.mean():
        knots, margin = local_quantile(predicted, known_error, coverage)
    else:
        knots, scale = local_quantile(z, error, coverage)
        scale = np.maximum(scale, LEAST * scale.max() or 1.0)
        ratio = known_error / np.interp(predicted, knots, scale)
        margin = scale * quantile(ratio, coverage)
    margins = Margins(knots, margin, margin, log).eased()
    return margins.within(-limit(-target, -known), limit(target, known))


def local_quantile(prediction: Vector, error: Vector, share: float) -> tuple[Vector, Vector]:
    """(knots [K], quantile [K]) of the errors [n] of predictions [n] near each knot."""
    order = np.argsort(prediction, kind="stable")
    prediction, error = prediction[order], error[order]
    fewest = max(FEWEST_ROWS, math.ceil(share / (1 - share) - 1e-9))
    parts = list(_parts(prediction, fewest))
    knots = np.array([prediction[part].mean() for part in parts])
    return knots, np.array([quantile(error[part], share) for part in parts])


def _parts(ordered: Vector, fewest: int) -> Iterator[slice]:
    """Up to MOST_KNOTS parts of about equal size; equal values stay together."""
    rows, start = len(ordered), 0
    count = max(1, min(MOST_KNOTS, rows // fewest))
    for part in range(1, count):
        stop = int(np.searchsorted(ordered, ordered[part * rows // count - 1], side="right"))
        if stop - start >= fewest and rows - stop >= fewest:
            yield slice(start, stop)
            start = stop
    yield slice(start, rows)


def quantile(values: Vector, share: float) -> float:
    """The ceil((n + 1) share)-th smallest of [n], or the largest."""
    rank = min(len(values), math.ceil((len(values) + 1) * share - 1e-9))
    return float(np.partition(values, rank - 1)[rank - 1])


def limit(training: Vector, validation: Vector) -> float:
    """The largest target of training [n] and validation rows [m]; infinity where more validation
    rows exceed the training rows than chance explains. A target that grows with time has no limit,
    for one."""
    beyond = int((validation > training.max()).sum())
    expected = len(validation) / (len(training) + len(validation))
    return float(max(training.max(), validation.max())) if expected**beyond > CHANCE else math.inf


@dataclass(frozen=True, eq=False)
class Measured:
    """Intervals of rows whose target is known: whether each holds it, and its width, [n]."""

    prediction: NDArray[np.float32]
    held: NDArray[np.bool_]
    width: Vector

    @classmethod
    def of(cls, margins: Margins, rows: Predicted) -> Measured:
        lower, upper = margins.ends(rows.prediction)
        held = (lower <= rows.target) & (rows.target <= upper)
        return cls(rows.prediction, held, upper.astype(np.float64) - lower)

    def by_prediction(self, count: int = 10) -> list[Band]:
        """By tenth of the prediction, the lowest first."""
        order = np.argsort(self.prediction, kind="stable")
        parts = [part for part in np.array_split(order, count) if len(part)]
        return [
            Band(float(self.prediction[part[0]]), float(self.prediction[part[-1]]), *self._of(part))
            for part in parts
        ]

    def by_level(
        self, column: str, levels: Sequence[str | None], codes: NDArray[np.integer]
    ) -> list[LevelBand]:
        """By level of a category, the commonest first, where there are rows enough to say.
        `codes` [n] count the levels from 1, and 0 is an unknown one."""
        rows = np.bincount(codes, minlength=len(levels) + 1)
        often = np.argsort(-rows, kind="stable")[:MOST_LEVELS]
        names = [OTHER, *levels]
        return [
            LevelBand(column, names[code], *self._of(np.flatnonzero(codes == code)))
            for code in often
            if rows[code] >= FEWEST_IN_LEVEL
        ]

    def _of(self, rows: NDArray[np.intp]) -> tuple[int, float, float]:
        """(rows, the share that is held, the mean width) of those at these places."""
        return len(rows), float(self.held[rows].mean()), float(self.width[rows].mean())
