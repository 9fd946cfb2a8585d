"""What `auto` chooses for a line: from what the moments of its training rows tell of its loss.

The squared loss of a line is a parabola, whose curvature is the second moment of the features: 1 in
all directions once they are whitened. One step of 1 / (2 * 1) on all rows then leads to its lowest
point. A mini-batch has a curvature of its own, and steps of at most 1 / (largest curvature + noise
/ batch_size) do not diverge in the mean square (Bach and Moulines, "Non-strongly-convex smooth
stochastic approximation with convergence rate O(1/n)", 2013); half of that is chosen.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bilingual import Text
from model.line import LinearProblem, fourth_moment, noise
from reader.merge import add
from reader.pack import PIECE
from reader.split import evenly
from reader.training_data import TrainingData

MOST_ROWS, MOST_NUMBERS = 65_536, 1 << 22  # of a mini-batch
MOST_CODED = 1 << 24  # numbers of one that looks up levels, which rows hold one by one
FEWEST_ROWS = 4_096  # of one that averages: a step then costs less than the rows it takes
PRODUCTS = 1 << 35  # of a pass that takes a few seconds
Size = tuple[int, Text]  # a value, and why
Rate = tuple[float, Text]


def linear_problem(data: TrainingData, scaling: str, by_level: bool) -> LinearProblem:
    """A line on the columns of these rows, scaled so."""
    center, matrix = data.scaling_matrix(scaling, by_level)
    return LinearProblem(
        rows=data.statistics.count,
        mean=data.statistics.mean,
        covariance=data.statistics.covariance,
        center=center,
        matrix=matrix,
        levels=data.levels,
        absorbed=data.absorbed,
        iterated=data.iterated,
        by_level=by_level,
        is_white=scaling == "whiten",
        known=data.factor(by_level=data.absorbed is not None),
    )


def largest_batch(data: TrainingData) -> int:
    """The rows of the largest mini-batch."""
    columns = len(data.encoding.columns)
    most = min(MOST_ROWS, max(FEWEST_ROWS, MOST_NUMBERS // columns))
    return max(most, MOST_CODED // columns) if data.encoding.codes else most


def averaging_batch(data: TrainingData, by_level: bool, most: int) -> tuple[Size, Rate]:
    """Of whitened features: the rows of a mini-batch, at most `most`, over which the differences
    between rows average out; and the learning rate for it."""
    problem = linear_problem(data, "whiten", by_level)
    level = row_noise(data, problem, "whiten", most)
    size = min(most, max(FEWEST_ROWS, 1 << int(level).bit_length()))
    why = Text(
        f"averages out differences between rows (curvature of up to {level:,.0f})",
        f"足以平均掉样本之间的差异（曲率最大为 {level:,.0f}）",
    )
    return (size, why), _half_of_the_largest(problem.curvature(), level / size)


def learning_rate(
    data: TrainingData, problem: LinearProblem, scaling: str, batch_size: int, keeps: float
) -> Rate:
    """For any loss: none here curves more than the squared error. `keeps`: 1 less momentum."""
    every = batch_size >= len(data.parts.train)
    level = 0.0 if every else row_noise(data, problem, scaling, batch_size) / batch_size
    return _half_of_the_largest(problem.curvature(), level, keeps)


def row_noise(data: TrainingData, problem: LinearProblem, scaling: str, batch_size: int) -> float:
    """How far the curvature of single rows may be from that of all: by the columns' extremes where
    these say that it is of no account, else by a pass over the training rows, or where there are
    very many columns over some of them."""
    width, by_level = problem.matrix.shape[1] + 1, problem.by_level
    ends = data.statistics.minimum[:-1], data.statistics.maximum[:-1]
    if not data.levels and (bound := problem.noise_bound(*ends)) <= FEWEST_ROWS / 8:
        return bound
    rows, inputs = data.parts.train, data.inputs(scaling, by_level)
    rows = rows[evenly(len(rows), max(PIECE, PRODUCTS // width**2))]

    def of_block(block: Any) -> Any:
        scaled = inputs.transform(block)[:, : width - 1].astype("float64")
        if data.levels:  # which rows share: the longest row then bounds the curvature of each
            return float(1 + (scaled**2).sum(axis=1).max())
        return fourth_moment(scaled)

    if data.levels:
        longest = data.packed.reduce(of_block, max, 0.0, rows, width)
        return float(longest + rarity(data, by_level, batch_size)) * problem.curvature()
    return noise(
        data.packed.reduce(of_block, add, np.zeros((width, width)), rows, width), len(rows)
    )


def rarity(data: TrainingData, by_level: bool, batch_size: int) -> float:
    """The square of the longest row that the levels of code columns make: see
    trainer.build.level_scaling."""
    levels = data.levels
    assert levels
    shares = np.where(levels.shares > 0, levels.shares, 1.0)
    rarest = [float(shares[at].min()) for at in levels.spans]
    first = max(rarest[0], 1 / batch_size)
    return 1 / first + sum(1 / (r if by_level else max(r, 1 / batch_size)) for r in rarest[1:])


def _half_of_the_largest(curvature: float, level: float, keeps: float = 1.0) -> Rate:
    rate = float(f"{0.5 * keeps / (curvature + level):.4g}")
    return rate, Text(
        f"half the largest stable step: curvature {curvature:.4g}, noise {level:.3g}",
        f"最大稳定步长的一半：曲率 {curvature:.4g}，噪声 {level:.3g}",
    )
