"""The coefficients of a line in raw units, and how far each of them may be off by chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from reader.fitting import level_names
from reader.inputs import Inputs, OneHot
from reader.metrics import Metrics
from report.report import Coefficients, Weight
from report.significance import two_sided_p, variances
from trainer.build import Fit

Array = NDArray[np.float64]
NEAR = 0.01  # of the least MSE: further away, errors of least squares say nothing of a line


def coefficients(fit: Fit, metrics: Mapping[str, Metrics]) -> Coefficients:
    """The line on the encoded columns; a level's weight as its difference from the average row.

    The flags of a category add up to 1 in each row, so that only differences of their weights mean
    anything; the intercept is that of a row of zeros and average levels.
    """
    line, groups = fit.line(), level_groups(fit.data.encoding)
    mean = fit.problem.mean[:-1]
    weights = against_average(line.weights[:, None], mean, groups)[:, 0]
    intercept = line.bias + sum(float(mean[at] @ line.weights[at]) for at in groups)
    errors, free = standard_errors(fit, groups, metrics["train"].mse)
    names = fit.data.encoding.names
    tested = [_tested(*each, free) for each in zip(names, weights, errors[:-1], strict=True)]
    columns = {column.name: column for column in fit.data.schema.features}
    for code, table in zip(fit.data.encoding.codes, line.tables, strict=True):
        levels = zip(level_names(columns[code.name]), table, strict=True)
        tested += [Weight(name, float(weight), None) for name, weight in levels]
    target = fit.data.schema.target
    return Coefficients(
        intercept,
        tested,
        constant=_tested("intercept", intercept, errors[-1], free),
        has_levels=bool(groups or line.tables),
        of=f"log(1 + {target})" if fit.target.log else target,
    )


def level_groups(encoding: Inputs) -> list[slice]:
    """Where the flags of each category are among the encoded columns."""
    groups = []
    for step in encoding.steps:
        start = step.start if isinstance(step, OneHot) else 0
        for table in step.tables if isinstance(step, OneHot) else ():
            groups.append(slice(start, start + table.shape[1]))
            start += table.shape[1]
    return groups


def against_average(weights: Array, mean: Array, groups: Sequence[slice]) -> Array:
    """[D, n] weights, those of levels less their mean over the rows, in which the flags have the
    `mean` [D]."""
    result = weights.copy()
    for at in groups:
        result[at] -= mean[at] @ weights[at]
    return result


def standard_errors(fit: Fit, groups: Sequence[slice], mse: float) -> tuple[Array, int]:
    """(of each coefficient and of the intercept [D + 1], degrees of freedom); NaN where they are
    not known, as of a line that is not near least squares."""
    problem = fit.problem
    absorbed = problem.absorbed.rank if problem.absorbed else 0
    free = problem.rows - problem.factor.rank - absorbed - 1
    is_near = mse <= problem.optimum.mse * (1 + NEAR)
    settles = (
        fit.regressor.objective.quadratic and not fit.settings.weight_decay and not fit.target.log
    )
    if not settles or not is_near or free <= 0:
        return np.full(len(problem.center) + 1, math.nan), 0
    mean, scale = problem.mean[:-1], problem.factor.scale
    numbers = np.where(np.diag(problem.covariance)[:-1] > 0, mean, 0.0)
    for at in groups:
        numbers[at] = 0.0

    def combine(weights: Array) -> Array:
        return np.vstack([against_average(weights, mean, groups), numbers @ weights])

    size = np.append(1 / scale, float((np.abs(numbers) / scale).sum()))
    found = variances(problem.factor, combine, size)
    found[-1] += math.nan if problem.absorbed else 1.0  # the mean of the target has an error, too
    return np.sqrt(found * mse / free), free


def _tested(name: str, weight: float, error: float, free: int) -> Weight:
    """With t and p, where the error is known and not 0."""
    if not math.isfinite(error):
        return Weight(name, float(weight), None)
    if not error:
        return Weight(name, float(weight), 0.0)
    t = float(weight / error)
    return Weight(name, float(weight), float(error), t, two_sided_p(t, free))
