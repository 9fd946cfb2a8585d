"""The best straight line by what training minimises: what a line should reach, and any other model
should pass."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.line import Line, WeightedMoments, exact_or, iterate
from reader.merge import add
from reader.metrics import Metrics, Sums
from reader.split import evenly
from trainer.build import Fit
from trainer.evaluation import losses

FEW_ROWS = 65_536  # on which a first line is found before all rows are looked at


class Optimum(NamedTuple):
    """The line, and the watched metric that it has on the training rows."""

    line: Line
    value: float


def optimum(fit: Fit) -> Optimum | None:
    """In closed form for the squared error; by iteration for any other loss, but None where this
    is one of the target's logarithm, or of several numbers."""
    line, rows, objective = fit.problem.optimum, fit.data.parts.train, fit.regressor.objective
    if fit.data.levels and not objective.quadratic:
        return None
    if objective.quadratic:
        return measured(fit, line)
    if fit.target.log or objective.width > 1:
        return None
    if not line.mse:
        return Optimum(line, 0.0)  # an exact fit has no error of any kind
    for some in (rows[evenly(len(rows), FEW_ROWS)], rows):
        line = iterate(line, partial(weigh, fit, some))
    return Optimum(line, float(getattr(line_metrics(fit, line, rows), objective.watched)))


def least_loss(fit: Fit, best_line: Optimum | None = None) -> float | None:
    """The watched metric of the training rows at the optimum of what is trained, where that is
    known: of the best line, given or found now, or of the penalised least squares on terms."""
    if not fit.settings.optimum_is_known:
        return None
    if fit.effects:
        found = fit.effects.fit
        return exact_or(found.squares / found.rows, 1.0) * fit.target.scale**2
    best_line = best_line or optimum(fit)
    return best_line.value if best_line else None


def measured(fit: Fit, line: Line) -> Optimum:
    """The line with the error that it has row by row: where it nearly fits, or the target is far
    from zero, the moments that it was solved from have few digits of that left."""
    data = fit.data

    def of_block(block: NDArray[np.float32]) -> float:
        residual = line.predict(data.encoding.apply(block)) - block[:, -1]
        return float(residual @ residual)

    squares = data.packed.reduce(of_block, add, 0.0, data.parts.train, len(data.encoding.columns))
    variance = float(data.statistics.covariance[-1, -1])
    mse = exact_or(squares / len(data.parts.train), variance)
    return Optimum(replace(line, mse=mse), mse)


def weigh(fit: Fit, rows: NDArray[Any], line: Line, smoothing: float) -> WeightedMoments:
    """One pass over the table's rows at these indices: see model.line.iterate."""
    objective, encoding = fit.regressor.objective, fit.data.encoding

    def of_block(block: NDArray[np.float32]) -> tuple[float, Any]:
        encoded, target = encoding.encode(block), block[:, -1].astype(np.float64)
        residual = (line.predict(encoded) - target) / fit.target.scale
        weights = objective.reweight(residual, smoothing)
        loss = float(objective.measure(residual[:, None], np.zeros((len(residual), 1))).sum())
        columns = np.column_stack([encoded, target, np.ones(len(target))])
        centred = columns - np.append(fit.data.statistics.mean, 0.0)
        return loss, (centred * weights[:, None]).T @ centred

    width = len(fit.data.statistics.mean) + 1
    start = 0.0, np.zeros((width, width))
    loss, products = fit.data.packed.reduce(of_block, add, start, rows, len(encoding.columns))
    mean = products[-1, :-1] / products[-1, -1]
    covariance = products[:-1, :-1] / products[-1, -1] - np.outer(mean, mean)
    return WeightedMoments(loss / len(rows), fit.data.statistics.mean + mean, covariance)


def line_metrics(fit: Fit, line: Line, rows: NDArray[Any]) -> Metrics:
    """Those of a line on the table's rows at these indices."""

    def of_block(block: NDArray[np.float32]) -> Sums:
        target = block[:, -1:]
        prediction = line.predict(fit.data.encoding.apply(block))[:, None]
        return Sums.of(target, prediction, losses(fit, target, prediction))

    return fit.data.packed.reduce_in_batches(of_block, Sums.merge, Sums(), rows).metrics()
