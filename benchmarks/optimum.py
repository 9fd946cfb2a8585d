"""How long each side trains until it is within 0.1 % of the least-squares training loss.

Counted: scaling and training, from arrays in memory. Not counted: looking how far it is, reading
the table, importing packages, and the search for a peer's best setting on this table.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.tables import Table, Vector
from benchmarks.timing import Clock

GAP = 0.001
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
    spent, steps = 0.0, setting.train()
    while True:
        start = time.perf_counter()
        predict = next(steps, None)
        step = time.perf_counter() - start
        spent = step if setting.restarts else spent + step
        if predict is None or spent > cap:
            return math.inf
        gap = table.gap(predict())
        if not np.isfinite(gap):  # it diverged
            return math.inf
        if gap <= GAP:
            return spent


def best(
    table: Table, settings: Sequence[Setting], cap: float = CAP, budget: float = 2 * CAP
) -> Setting | None:
    """The setting that gets there first; None where none does within `cap` seconds.

    All are tried for a short while, then for longer, until some get there or, at the longest, the
    search itself has taken `budget` seconds.
    """
    end = time.perf_counter() + budget
    for limit in (cap / 256, cap / 32, cap / 4, cap):
        seconds = []
        for setting in settings:
            seconds.append(reach(table, setting, limit))
            if time.perf_counter() > end:
                break
        if (least := min(seconds)) < math.inf:
            return settings[seconds.index(least)]
        if time.perf_counter() > end:
            break
    return None


def clock(table: Table, setting: Setting, cap: float = CAP) -> Clock:
    return lambda: reach(table, setting, cap)
