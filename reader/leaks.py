"""Columns that give the target away: alone, or added up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reader.split import evenly

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

FEWEST = 30  # rows that can tell
NEARLY = (
    1e-3  # the share of the ranks' variance that a column that is nearly the target leaves open
)
EXACT = 1e-6  # the share of the variance that a sum leaves open: what rounding may
CLEARLY = 0.1  # of what the target's own past leaves open
PAST = 3  # values of a series before one
FIRST_LOOK, WORTH_A_LOOK = 500, 0.2  # rows, and the share they may leave open
MOST_COLUMNS = 400  # of a sum
MOST_TERMS = 12


class Leak(NamedTuple):
    """Positions of the columns that give the target, and whether it is by a sum of logarithms."""

    columns: tuple[int, ...]
    logarithms: bool = False


class Order(NamedTuple):
    """Neighbouring rows of the table in its order, `rows` [m, D + 1], and the positions of the
    columns that count time, `clocks`."""

    rows: Matrix
    clocks: Sequence[int] = ()


def leaks(rows: Matrix, coded: Sequence[int], order: Order) -> Iterator[Leak]:
    """The columns of `rows` [n, D + 1], the target last, that give the target away.

    One column does where the target never falls, or never rises, in its order; where it orders the
    target as well but for a thousandth of the variance of the ranks; or where each level of a
    category, at the positions `coded`, has a target of its own. Several do where a sum of multiples
    of them, or of their logarithms, is the target. A smooth series is told by its own past, in
    `order`, as well as by a column like it, and such a column is none.
    """
    target = rows[:, -1]
    if len(rows) < FEWEST or not target.std():
        return
    ranks, past = ranked(target), left_open_by_past(order.rows[:, -1])
    for clock in order.clocks:
        known = ~np.isnan(rows[:, clock])
        past = min(past, left_open(rows[known, clock], ranks[known]))
    alone = []
    looked_at = worth_a_look(rows[evenly(len(rows), FIRST_LOOK)], coded)
    for at in sorted({*looked_at} - {*order.clocks}):
        known = ~np.isnan(rows[:, at])
        column, its = rows[known, at], target[known]
        if len(its) < FEWEST:
            continue
        if at in coded:
            tells = levels_tell(column, ranks[known])
        else:
            tells = _column_tells(column, its, past, order.rows[:, [at, -1]])
        if tells:
            alone.append(at)
            yield Leak((at,))
    left = [at for at in range(rows.shape[1] - 1) if at not in (*alone, *coded, *order.clocks)]
    if not alone and left:
        yield from _sums(rows, left, past)


def worth_a_look(rows: Matrix, coded: Sequence[int]) -> list[int]:
    """The columns in whose order a few rows have somewhat ordered targets; and the categories."""
    ranks = ranked(rows[:, -1])
    ordered = ranks[np.argsort(rows[:, :-1], axis=0)]
    rest = np.mean(np.diff(ordered, axis=0) ** 2, axis=0) / (2 * (ranks.var() or 1.0))
    holes = np.isnan(rows[:, :-1]).mean(axis=0)  # at the end, in no order
    return sorted({*map(int, np.flatnonzero(rest < WORTH_A_LOOK + 2 * holes)), *coded})


def _column_tells(column: Vector, target: Vector, past: float, ordered: Matrix) -> bool:
    """Whether the order of a column is that of the target, for another reason than time."""
    if is_monotone(column, target):
        places = np.arange(len(ordered), dtype=np.float64)
        both = all(is_monotone(places, ordered[:, at]) for at in (0, 1))
        return not both or is_transform(column, target)
    rest = left_open(column, ranked(target))
    return rest < NEARLY and rest < CLEARLY * past


def ranked(values: Vector) -> Vector:
    """Ranks from 0 on; equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[inverse]


def is_monotone(column: Vector, target: Vector) -> bool:
    """Whether of two rows that differ in the column, the one with more has always at least as much
    of the target, or always at most as much; there are at least 5 different values of each."""
    order = np.argsort(column, kind="stable")
    starts = np.flatnonzero(np.diff(column[order], prepend=-np.inf))
    if len(starts) < 5 or len(np.unique(target[:1000])) < 5:
        return False
    low = np.minimum.reduceat(target[order], starts)
    high = np.maximum.reduceat(target[order], starts)
    return bool((high[:-1] <= low[1:]).all() or (low[:-1] >= high[1:]).all())


def is_transform(column: Vector, target: Vector) -> bool:
    """Whether the column is a multiple of the target, its logarithm, root, square or inverse, up to
    a constant."""
    with np.errstate(all="ignore"):
        forms = (target, np.log(target), np.sqrt(target), target**2, 1 / target)
        return any(
            np.isfinite(form).all() and abs(np.corrcoef(form, column)[0, 1]) > 1 - EXACT / 2
            for form in forms
        )


def left_open(column: Vector, target: Vector) -> float:
    """The share of the target's variance that no curve through one column could explain.

    Rows are put in the order of the column; what differs between neighbours is what it leaves
    open (von Neumann, "Distribution of the ratio of the mean square successive difference to the
    variance", 1941). Equal values of the column have no order among themselves.
    """
    if not target.var():
        return 1.0
    mixed = np.random.default_rng(0).permutation(len(target))
    ordered = target[mixed[np.argsort(column[mixed], kind="stable")]]
    return float(np.mean(np.diff(ordered) ** 2)) / (2 * float(ordered.var()))


def levels_tell(codes: Vector, ranks: Vector) -> bool:
    """Whether rows of one level have one target, nearly; most rows share theirs with another."""
    _, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    shared = counts[inverse] > 1
    if len(counts) < 5 or 2 * shared.sum() < len(codes) or not ranks.var():
        return False
    mean = np.bincount(inverse, ranks) / counts
    inner = ((ranks - mean[inverse]) ** 2)[shared].sum()
    freedom = shared.sum() - (counts > 1).sum()
    return bool(inner / freedom < NEARLY * ranks.var())


def left_open_by_past(series: Vector) -> float:
    """The share of the variance of a series that a line on the values before leaves open."""
    series = series[~np.isnan(series)]
    if len(series) < FEWEST + PAST or not series.std():
        return 1.0
    scaled = (series - series.mean()) / series.std()
    before = np.lib.stride_tricks.sliding_window_view(scaled[:-1], PAST)
    now = scaled[PAST:]
    weights = np.linalg.lstsq(np.column_stack([before, np.ones(len(now))]), now, rcond=None)[0]
    return float(np.mean((now - before @ weights[:-1] - weights[-1]) ** 2))


def _sums(rows: Matrix, left: Sequence[int], past: float) -> Iterator[Leak]:
    """A sum of a few columns that is the target; or, where all are positive, a product of powers.

    Rows without a hole in any column count."""
    known = rows[~np.isnan(rows).any(axis=1)]
    known = known[evenly(len(known), max(2_000, 6 * len(left)))]
    if len(known) < FEWEST:
        return
    limit = min(EXACT, CLEARLY * past)
    for logarithms in (False, True):
        x, y = known[:, left], known[:, -1]
        if logarithms:
            positive = (known[:, left] > 0).all(axis=0)
            if not positive.any() or (y <= 0).any():
                return
            x, y = np.log(x[:, positive]), np.log(y)
        names = np.array(left)[positive] if logarithms else np.array(left)
        if terms := exact_sum(x, y, limit):
            yield Leak(tuple(int(names[term]) for term in terms), logarithms)
            return


def exact_sum(x: Matrix, y: Vector, limit: float) -> list[int]:
    """The few columns of which multiples add up to y, but for a share `limit` of its variance, on
    rows that did not tell the multiples; none where there is no such sum."""
    x, y = x - x.mean(axis=0), y - y.mean()
    varies = np.flatnonzero(x.std(axis=0))
    if not 0 < len(varies) <= min(MOST_COLUMNS, len(x) // 4) or not y.std():
        return []
    x, y = x[:, varies] / x[:, varies].std(axis=0), y / y.std()
    if _residual(x, y).var() >= limit:
        return []
    terms: list[int] = []
    rest = y
    while len(terms) < MOST_TERMS:
        terms.append(int(np.argmax(np.abs(x.T @ rest))))
        rest = _residual(x[:, terms], y, held_out=False)
        if rest.var() < limit:
            return sorted(int(varies[term]) for term in _needed(x, y, terms, limit))
    return []


def _needed(x: Matrix, y: Vector, terms: Sequence[int], limit: float) -> Iterator[int]:
    """The terms without which the sum is not y."""
    for term in terms:
        others = [other for other in terms if other != term]
        if _residual(x[:, others], y).var() >= limit:
            yield term


def _residual(x: Matrix, y: Vector, held_out: bool = True) -> Vector:
    """What least squares on every other row leave open on the others; or on all."""
    learn, test = (slice(0, None, 2), slice(1, None, 2)) if held_out else (slice(None), slice(None))
    products = x[learn].T @ x[learn]
    products[np.diag_indices_from(products)] += 1e-10 * len(x)
    weights = np.linalg.solve(products, x[learn].T @ y[learn])
    rest: Vector = y[test] - x[test] @ weights
    return rest
