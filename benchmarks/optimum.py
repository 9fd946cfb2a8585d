"""How long each side trains until it is within 0.1 % of the least-squares training loss.

Counted: scaling and training, from arrays in memory. Not counted: looking how far it is, reading
the table, importing packages, and the search for a peer's best setting on this table.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from benchmarks.tables import Table, Vector

GAP = 0.001
QUARTERS = 4  # looks at the gap in a pass
MOST_PASSES = 200
PASSES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, MOST_PASSES)
CAP = 60.0  # seconds of training after which a side never arrives

Predict = Callable[[], Vector]
"""The training rows' targets, standardised [N], as the weights of now predict them."""


class Setting(NamedTuple):
    """`train` trains on, a part of a pass or so, each time that it is asked for the next item.

    `restarts`: each item is a training of its own, from the start and with more passes than the
    last: for schedules that must know when they end, and for whole processes.
    """

    name: str
    train: Callable[[], Iterator[Predict]]
    restarts: bool = False


def reach(table: Table, setting: Setting, cap: float = CAP) -> float:
    """Seconds of training until the gap is GAP; infinite where it takes more than `cap`."""
    return _train(table, setting, cap)[0]


def _train(table: Table, setting: Setting, cap: float) -> tuple[float, float]:
    """The seconds, as above, and the last gap within `cap`."""
    spent, gap, steps = 0.0, math.inf, setting.train()
    while True:
        start = time.perf_counter()
        predict = next(steps, None)
        step = time.perf_counter() - start
        spent = step if setting.restarts else spent + step
        if predict is None or spent > cap:
            return math.inf, gap
        gap = table.gap(predict())
        if not math.isfinite(gap):  # it diverged
            return math.inf, math.inf
        if gap <= GAP:
            return spent, gap


def best(
    table: Table, settings: Sequence[Setting], cap: float = CAP, budget: float = 3 * CAP
) -> Setting | None:
    """The setting that gets there first; None where none is found to get there within `cap`.

    Successive halving (Jamieson and Talwalkar, 2016): all settings train for a short while, the
    better half for longer, and so on until some get there; the search takes about `budget` seconds
    at the most.
    """
    left, end = list(settings), time.perf_counter() + budget
    for limit in (cap / 256, cap / 64, cap / 16, cap / 4, cap):
        trials: list[tuple[float, float, int]] = []
        for setting in left:
            if time.perf_counter() > end:
                break
            trials.append((*_train(table, setting, limit), len(trials)))
        if not trials:
            break
        seconds, _, number = min(trials)
        if math.isfinite(seconds):
            return left[number]
        left = [left[number] for _, _, number in sorted(trials)[: -(-len(trials) // 2)]]
    return None
