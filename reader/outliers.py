"""Numbers that are unlike all others of their column."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bilingual import Text
from display import short
from reader.findings import Finding
from reader.pack import PackedTable
from reader.places import places
from reader.source import SplitTable
from reader.split import evenly
from reader.training_data import TrainingData

Vector = NDArray[np.float64]
ABSURD = 1_000  # times as far from the median as all others
MOST = 2  # cells; more of them are no slip
FEWEST = 10  # cells that differ from the median, for others to be known by
SAMPLE = 10_000


def extreme_cells(source: SplitTable, data: TrainingData) -> Iterator[Finding]:
    """A number, or two, in a column of the training rows, so far out that they alone set its scale.

    Distances from the median are compared: that of such a cell with the largest of all others,
    which is less than a thousandth of it. A heavy tail does not do that: of draws from one of index
    a (Pareto), however many, the largest is k times the next with probability k^-a. That is 1 in
    1,000 for incomes or towns (a = 1), and far less for a lognormal. Deviations would not do as a
    measure, because the cell makes them: none of n is more than sqrt(n) of them out. Among 1,172
    columns of 58 real tables the largest factor is 32 (a wind of 1,048 miles an hour).
    """
    packed, statistics = source.packed, data.statistics
    some = packed.sample(data.parts.train[evenly(len(data.parts.train), SAMPLE)])
    names = [c.name for c in data.schema.features if c.kind == "numeric"]
    for name in (*names, data.schema.target):
        if name not in statistics.columns:
            continue
        at, index = packed.position[name], statistics.position[name]
        sample = some[:, at][~np.isnan(some[:, at])].astype(np.float64)
        center = float(np.median(sample))
        near = np.sort(np.abs(sample - center))[-1 - MOST :]
        far = max(statistics.maximum[index] - center, center - statistics.minimum[index])
        if far > ABSURD * near[0]:  # of all rows, the next is at least as far as in the sample
            yield from _extreme(source, data, at, center)


def _extreme(source: SplitTable, data: TrainingData, at: int, center: float) -> Iterator[Finding]:
    """That of the column at this place, if its `center` is far from one number or two alone."""
    rows, name = data.parts.train, source.packed.columns[at]
    far, cells = _farthest(source.packed, rows, at, center)
    away = np.nan_to_num(np.abs(cells - center), nan=0.0)
    if len(far) < MOST + FEWEST or not away[-1]:
        return
    factors = away[:MOST] / away[1 : MOST + 1]
    if factors.max() <= ABSURD:
        return
    count = int(factors.argmax()) + 1
    found = np.argsort(far[:count])
    where = zip(cells[found], far[found], places(source, far[found]), strict=True)
    named = [_named(cell, row, *place) for cell, row, place in where]
    key, advice = (
        "data.missing.values",
        Text("if it means missing, add it to", "如果表示缺失，请加入 "),
    )
    if name == data.schema.target:
        key, advice = "", Text("remove the row", "或删除该行")
    message = Text(
        f"{' and '.join(n.en for n in named)} {'is' if count == 1 else 'are'} over {ABSURD:,} "
        f"times as far from the median ({center:.4g}) as all other values, and would set the scale "
        f"of the column; correct it, or {advice.en}",
        f"{'、'.join(n.zh for n in named)} 与中位数（{center:.4g}）的距离超过其他所有取值的 "
        f"{ABSURD:,} 倍，会左右整列的尺度；请更正，{advice.zh}",
    )
    yield Finding.of_column("extreme", name, message, key)


def _farthest(
    packed: PackedTable, rows: NDArray[Any], at: int, center: float
) -> tuple[NDArray[Any], Vector]:
    """Of these rows those whose cells in a column are farthest from the center, the farthest first,
    and the cells: a meeting."""

    def of_all(some: list[tuple[NDArray[Any], Vector]]) -> tuple[NDArray[Any], Vector]:
        found, cells = (np.concatenate([each[i] for each in some]) for i in (0, 1))
        away = np.nan_to_num(np.abs(cells - center), nan=0.0)
        order = np.argsort(-away, kind="stable")[: MOST + FEWEST]
        return found[order], cells[order]

    mine = rows[packed.share_of(rows, packed.ranks)]
    cells = [block[:, at].astype(np.float64) for block in packed.blocks(mine)]
    own = of_all([(mine, np.concatenate([*cells, np.zeros(0)]))])
    return packed.ranks.merged(own, lambda a, b: of_all([a, b]))


def _named(value: float, row: int, file: str, line: int | None) -> Text:
    """A cell, and where it stands in the table."""
    english = f"line {line:,}" if line else f"row {row + 1:,}"
    chinese = f"第 {line:,} 行" if line else f"第 {row + 1:,} 条"
    if file:
        english, chinese = f"{short(file)}, {english}", f"{short(file)} {chinese}"
    return Text(f"{value:g} ({english})", f"{value:g}（{chinese}）")


def missing_mark(values: NDArray[np.float64], counts: NDArray[np.int64]) -> str:
    """A number such as -999 that some cells have, and that is far from all others, or the only one
    below zero; else ""."""
    if len(values) < 10:
        return ""
    for at, others in ((0, values[1:]), (-1, values[:-1])):
        far = np.abs(values[at] - others).min() > 2 * (others[-1] - others[0])
        only = values[at] < 0 <= others[0]
        if counts[at] > 2 and (far or only) and re.fullmatch("-1|-?9+", f"{values[at]:g}"):
            return f"{values[at]:g}"
    return ""
