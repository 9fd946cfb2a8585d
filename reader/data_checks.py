"""What a person should know of a table before training on it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from reader.schema import Column
from reader.split import evenly
from reader.training_data import TrainingData

SAMPLE = 10_000
LEAK = 0.99


def overview(data: TrainingData) -> list[tuple[str, str, str, str]]:
    """For each column of the table: name, kind, missing training rows, and what it holds there."""
    missing = data.missing
    rows = []
    for column in data.schema.columns:
        holes = f"{missing[column.name]:,}" if missing.get(column.name) else ""
        rows.append((column.name, column.kind, holes, _content(column, data)))
    return rows


def _content(column: Column, data: TrainingData) -> str:
    if column.kind == "categorical":
        rare = data.fitted.rare[column.name]
        folded = f"; {rare:,} rows of rarer ones count as unknown" if rare else ""
        embedded = column.name in {code.name for code in data.encoding.codes}
        return f"{len(column.levels):,} levels{', embedded' if embedded else ''}{folded}"
    if column.kind in ("ignored", "id"):
        return "passed through to the predictions" if column.kind == "id" else ""
    names = data.statistics.columns
    index = names.index(column.packed[0] if column.parts else column.name)
    low, high = data.statistics.minimum[index], data.statistics.maximum[index]
    if column.parts:
        return f"{low:.0f} to {high:.0f}: {', '.join(column.parts)}"
    return f"{low:.6g} to {high:.6g}"


def warnings(data: TrainingData) -> Iterator[str]:
    """A line for each column that is constant, the double of another, or gives the target away."""
    for name in data.statistics.constant:
        yield f"constant: {name} has one value in all training rows"
    members = data.parts.train[evenly(len(data.parts.train), SAMPLE)]
    rows = data.packed.take(members).astype(np.float64)
    names = data.packed.columns
    for one, other in _doubles(rows[:, :-1]):
        yield f"duplicated: {names[other]} follows from {names[one]} (correlation 1)"
    for index, name in enumerate(names[:-1]):
        share = explained(rows[:, index], rows[:, -1])
        if share > LEAK:
            yield (
                f"likely leak: {name} alone explains {share:.1%} of {names[-1]}; "
                "is it known when a prediction is needed?"
            )


def _doubles(rows: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Pairs of columns that are each other's multiple, up to a constant; no constant columns."""
    filled = np.where(np.isnan(rows), np.nanmean(np.atleast_2d(rows), axis=0), rows)
    centred = filled - filled.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    varies = np.flatnonzero(length > 0)
    unit = centred[:, varies] / length[varies]
    same = np.triu(np.abs(unit.T @ unit) > 1 - 1e-9, k=1)
    doubles: set[int] = set()
    for one, other in np.argwhere(same):
        if other not in doubles:
            doubles.add(int(other))
            yield int(varies[one]), int(varies[other])


def explained(column: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    """The share of the target's variance that a curve through one column could explain.

    Rows are put in the order of the column; what differs between neighbours is what it leaves
    open (von Neumann, "Distribution of the ratio of the mean square successive difference to the
    variance", 1941). Rows without a value are left out.
    """
    known = ~np.isnan(column)
    ordered = target[known][np.lexsort((target[known], column[known]))]
    groups = np.cumsum(np.diff(np.sort(column[known]), prepend=-np.inf) > 0)
    if len(ordered) < 20 or len(np.unique(groups)) < 2 or not ordered.var():
        return 0.0
    within = np.random.default_rng(0).permutation(len(ordered))  # no order among equal values
    ordered = ordered[within[np.argsort(groups[within], kind="stable")]]
    return 1 - float(np.mean(np.diff(ordered) ** 2)) / (2 * float(ordered.var()))
