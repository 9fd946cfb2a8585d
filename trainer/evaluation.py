"""What a regressor predicts for the rows of each part, each of them predicted once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reader.merge import join
from reader.metrics import Metrics, Sums
from reader.split import Split, evenly
from trainer.build import Fit

Found = tuple[Sums, list[NDArray[np.float32]]]
MOST_ROWS = 200_000  # of a part, whose predictions are kept


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Of one part: `metrics` over every row, and of evenly spaced `rows` [k] of the table the
    target and the prediction, float32 [k], in the target's unit."""

    metrics: Metrics
    rows: NDArray[np.integer]
    target: NDArray[np.float32]
    prediction: NDArray[np.float32]


def evaluate(fit: Fit, parts: Split) -> dict[str, Evaluation]:
    """Each part that has rows; of validation rows that calibrate intervals all predictions are
    kept."""
    results = {}
    for part, rows in parts._asdict().items():
        calibrates = part == "validation" and fit.settings.coverage
        if len(rows):
            results[part] = evaluate_rows(fit, rows, len(rows) if calibrates else MOST_ROWS)
    return results


def evaluate_rows(fit: Fit, rows: NDArray[np.integer], most: int) -> Evaluation:
    """The table's rows at these indices, block by block on all cores."""

    def predict(block: NDArray[np.float32]) -> tuple[Sums, NDArray[np.float32]]:
        outputs = fit.predict(block)
        target, prediction = block[:, -1:], outputs[:, :1]
        sums = Sums.of(target, prediction, losses(fit, target, outputs))
        return sums, np.hstack([target, prediction.astype(np.float32)])

    packed = fit.data.packed
    ranks = packed.ranks_for(len(rows), fit.width)
    mine = packed.share_of(rows, ranks)
    sums, pairs, start = Sums(), list[NDArray[np.float32]](), mine.start
    kept, step = evenly(len(rows), most), max(1, -(-len(rows) // most))
    for block_sums, block in packed.map(predict, rows[mine], fit.width):
        sums.merge(block_sums)
        pairs.append(block[-start % step :: step].copy())
        start += len(block)
    sums, pairs = ranks.merged((sums, pairs), both)
    target, prediction = np.concatenate(pairs).T
    return Evaluation(sums.metrics(), rows[kept], target, prediction)


def both(whole: Found, part: Found) -> Found:
    """What was found of some rows, and of those behind them."""
    return whole[0].merge(part[0]), join(whole[1], part[1])


def losses(fit: Fit, target: NDArray[Any], outputs: NDArray[Any]) -> NDArray[np.float64] | None:
    """The objective's loss [n] of targets [n, 1] and predictions [n, outputs], where it watches
    this and no other metric."""
    objective = fit.regressor.objective
    if objective.watched != "loss":
        return None
    scaled, wanted = fit.target.transform(outputs), fit.target.transform(target)
    return objective.measure(scaled.astype(np.float64), wanted.astype(np.float64))


def metrics_of(evaluations: Mapping[str, Evaluation]) -> dict[str, Metrics]:
    """The metrics alone, by part."""
    return {part: evaluation.metrics for part, evaluation in evaluations.items()}
