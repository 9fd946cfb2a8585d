"""What a person should know of a table before training on it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bilingual import Text
from display import short
from reader.findings import KINDS, Finding, exclude, listed
from reader.leaks import Leak, Order, leaks
from reader.lookalikes import TIME_NAME, look_alikes
from reader.merge import join
from reader.outliers import extreme_cells, missing_mark
from reader.pack import PackedTable
from reader.schema import Column
from reader.source import SplitTable, TableOptions
from reader.split import Split, evenly
from reader.training_data import TrainingData

SAMPLE = 10_000
NUMBERS = 4_000_000  # of a sample; a wide table has fewer rows of it
NEIGHBOURS = 8_192
COMPARED = 2_000_000  # rows that are looked through for copies
HASHES = 200_000  # of them that are kept
MOSTLY = 0.95
SKEWED = 2.0
DIVERSE = 3  # columns
FEW_COPIES = 0.001  # of the rows
ROUNDED = 1e-6  # of a target's variance
NETWORK = "model.name: mlp"
MISREAD = ("numbers", "dates", "codes")
Matrix = NDArray[np.float64]


def find(
    source: SplitTable, data: TrainingData, options: TableOptions, skew_counts: bool
) -> tuple[Finding, ...]:
    """What a person should know of the table before training, the most pressing first; see
    `value_findings` and reader.lookalikes."""
    found = [*value_findings(data, skew_counts), *extreme_cells(source, data)]
    found += rounded_target(source, data)
    if source.table:
        comma = options.reading.decimal_comma
        found += look_alikes(source.table, data.schema, options.kinds, comma)
    texts = {name for finding in found if finding.kind in MISREAD for name in finding.columns}
    found = [f for f in found if f.kind != "constant" or not texts.issuperset(f.columns)]
    return tuple(sorted(found, key=lambda finding: KINDS.index(finding.kind)))


def value_findings(data: TrainingData, skew_counts: bool) -> Iterator[Finding]:
    """What the training rows hold that a person should know before training.

    `skew_counts`: whether a few large targets would outweigh the others, as the squared error of
    the target itself has it.
    """
    packed, members = data.packed, data.parts.train
    most = max(500, min(SAMPLE, NUMBERS // len(packed.columns)))
    rows = packed.sample(members[evenly(len(members), most)]).astype(np.float64)
    yield from leak_findings(packed, rows)
    yield from target_findings(packed.schema.target, rows[:, -1], skew_counts)
    yield from few_rows(data)
    yield from copied_rows(packed, data.parts, rows)
    yield from constant_columns(data)
    yield from nearly_empty_columns(data.missing, len(members))
    yield from copied_columns(packed, rows)
    yield from number_findings(data, rows)


def leak_findings(packed: PackedTable, rows: Matrix) -> Iterator[Finding]:
    """The columns that give the target away."""
    names, target = packed.columns, packed.columns[-1]
    coded = [packed.position[name] for name in packed.texts]
    times = (column for column in packed.schema.features if column.parts)
    clocks = [packed.position[name] for column in times for name in column.packed]
    neighbours = packed.sample(np.arange(min(len(packed), NEIGHBOURS))).astype(np.float64)
    neighbours = neighbours[~np.isnan(neighbours[:, -1])]
    found = list(leaks(rows, coded, Order(neighbours, clocks)))
    all_leak = {at for leak in found for at in leak.columns} >= {*range(len(names) - 1)}
    for leak in found:
        columns = tuple(names[at] for at in leak.columns)
        tells = _leak_tells(leak, columns, short(target), leak.columns[0] in coded)
        key = "" if all_leak else exclude(*columns)
        advice = Text(
            f"if unknown when a prediction is needed: {key}",
            f"如果需要预测时还不知道，请设置 {key}",
        )
        if all_leak:
            advice = Text(
                "a formula, unless they are unknown when a prediction is needed",
                "除非需要预测时还不知道这些值，否则这就是一个公式",
            )
        message = Text(
            f"likely leak: {tells.en}; {advice.en}", f"疑似泄漏：{tells.zh}；{advice.zh}"
        )
        yield Finding("leak", columns, message, key)


def _leak_tells(leak: Leak, columns: Sequence[str], target: str, is_coded: bool) -> Text:
    """How columns give the target away."""
    of = listed(columns)
    if len(columns) > 1 and leak.logarithms:
        return Text(
            f"{of.en} (times constants) multiply to {target}",
            f"{of.zh}（乘以常数后）之积等于 {target}",
        )
    if len(columns) > 1:
        return Text(
            f"{of.en} (times constants) add up to {target}",
            f"{of.zh}（乘以常数后）之和等于 {target}",
        )
    if is_coded:
        return Text(
            f"{of.en} alone gives {target}: rows of one level have one target",
            f"仅凭 {of.zh} 就能得出 {target}（同一类别的行目标值都相同）",
        )
    return Text(
        f"{of.en} alone gives {target}: it puts the rows in the same order",
        f"仅凭 {of.zh} 就能得出 {target}（按它排序与按目标排序结果相同）",
    )


def target_findings(name: str, target: NDArray[np.float64], skew_counts: bool) -> Iterator[Finding]:
    """A target that is a class, or one whose large values outweigh all others."""
    values = np.unique(target)
    if len(values) == 2 and len(target) > 10:
        message = Text(
            f"the target has two values, {values[0]:g} and {values[1]:g}, as in a classification; "
            "a regressor predicts a number between them, not a class",
            f"目标只有 {values[0]:g} 和 {values[1]:g} 两个取值，像是分类问题；"
            "回归模型预测的是介于两者之间的数，而不是类别",
        )
        yield Finding.of_column("target", name, message)
    if not skew_counts or len(target) < 100 or values[0] < 0 or len(values) < 20:
        return
    before, after = skewness(target), skewness(np.log1p(target))
    if before > SKEWED and abs(after) < before / 2:
        median, largest = np.median(target), values[-1]
        message = Text(
            f"the target is skewed (median {median:.4g}, largest {largest:.4g}), and its largest "
            "values dominate the squared error; try",
            f"目标分布偏斜（中位数 {median:.4g}，最大值 {largest:.4g}），"
            "平方误差主要由最大的值决定；可尝试 ",
        )
        key = "data.scale.target: log1p"
        yield Finding.of_column("target", name, message, key)


def rounded_target(source: SplitTable, data: TrainingData) -> Iterator[Finding]:
    """A target that float32, in which the table is packed, rounds by more than a millionth of its
    variance: the part of it that a good line leaves is then not known to 4 digits."""
    statistics, name = data.statistics, data.schema.target
    largest = max(abs(statistics.minimum[-1]), abs(statistics.maximum[-1]))
    apart = float(np.spacing(np.float32(largest)))
    if name in source.coarse and apart**2 / 12 > ROUNDED * statistics.covariance[-1, -1]:
        deviation = statistics.deviation[-1]
        message = Text(
            f"its values are near {largest:.4g}, where float32 numbers, as which they are read, "
            f"are {apart:g} apart, and vary by {deviation:.3g}; all errors are measured on rounded "
            "values; subtract a constant from the column",
            f"取值在 {largest:.4g} 附近，读作 float32 时相邻两数相差 {apart:g}，而标准差只有 "
            f"{deviation:.3g}；所有误差都按舍入后的值计算；请先把该列减去一个常数",
        )
        yield Finding.of_column("digits", name, message)


def few_rows(data: TrainingData) -> Iterator[Finding]:
    """No more training rows than columns, levels counted one by one."""
    varying = set(data.encoding.names).difference(data.statistics.constant)
    columns, rows = len(varying) + sum(c.levels for c in data.encoding.codes), len(data.parts.train)
    if rows <= columns:
        message = Text(
            f"{columns:,} columns, levels counted one by one, and {rows:,} training rows: a line "
            "fits so few rows whatever their target, and says little of others; more rows help, "
            "fewer columns (data.exclude), or a network, which starts from a ridge line: "
            f"{NETWORK}",
            f"列数 {columns:,}（每个类别算一列），训练行数 {rows:,}：行这么少，无论目标如何，"
            "直线都能拟合，对其他行却说明不了什么；可增加行、减少列（data.exclude），"
            f"或改用从岭回归出发的神经网络：{NETWORK}",
        )
        yield Finding("few_rows", (), message, NETWORK)


def skewness(values: NDArray[np.float64]) -> float:
    """The third moment about the mean, in standard deviations."""
    scaled = (values - values.mean()) / (values.std() or 1.0)
    return float(np.mean(scaled**3))


def copied_rows(packed: PackedTable, parts: Split, rows: Matrix) -> Iterator[Finding]:
    """Rows that are there more than once: more than a few, and more than a table of few values has
    by chance, as its most diverse columns tell; the others may follow from these."""
    same = math.prod(sorted(_equal_by_chance(column) for column in rows.T)[:DIVERSE])
    kept, hashes = row_hashes(packed)
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    copies, share = len(hashes) - len(counts), len(kept) / len(packed)
    if copies <= max(1, FEW_COPIES * len(hashes), 10 * same * len(hashes) ** 2 / share / 2):
        return
    about = Text("", " ") if share == 1 else Text("about ", "约 ")
    count, held_out = f"{round(copies / share):,}", list[Text]()
    part = np.zeros(len(packed), dtype=np.int8)
    part[parts.validation], part[parts.test] = 1, 2
    trained = np.zeros(len(counts), dtype=bool)
    trained[inverse[part[kept] == 0]] = True
    for index, name in ((1, Text("validation", "验证集")), (2, Text("test", "测试集"))):
        held = inverse[part[kept] == index]
        if leaked := int(trained[held].sum()):
            leak = f"{leaked / len(held) * 100:.1f} %"
            held_out.append(Text(f"{leak} of the {name.en} rows", f"{name.zh}中 {leak} 的行"))
    also = Text("", "")
    if held_out:
        also = Text(
            f"; {' and '.join(some.en for some in held_out)} are also training rows",
            f"；{'、'.join(some.zh for some in held_out)}也是训练样本",
        )
    message = Text(
        f"{about.en}{count} of {len(packed):,} rows are copies of another row{also.en}; "
        "remove the copies from the table",
        f"{len(packed):,} 行中有{about.zh}{count} 行与其他行重复{also.zh}；请从表格中删除重复的行",
    )
    yield Finding("copied_rows", (), message)


def row_hashes(packed: PackedTable) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """The rows looked at, and a number for each that is the same for equal rows: a meeting.

    Of many rows those are kept whose number is small: of a row all copies are, or none.
    """
    step = max(1, -(-len(packed) // COMPARED))
    limit = np.uint64(min(1.0, HASHES * step / len(packed)) * (2**64 - 2**12))
    kept, hashes = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.uint64)]
    mine = packed.span
    for at in range(0, len(packed), step * NEIGHBOURS):
        start, stop = max(at, mine.start), min(at + NEIGHBOURS, mine.stop)
        if start >= stop:
            continue
        block = packed.raw(np.arange(start, stop))
        if block.shape[1] % 2:
            block = np.column_stack([block, np.zeros(len(block), dtype=np.float32)])
        each = np.zeros(len(block), dtype=np.uint64)
        for column in np.ascontiguousarray(block).view(np.uint64).T:
            each = (each ^ column) * np.uint64(0x9E3779B97F4A7C15)
            each ^= each >> np.uint64(29)
        small = np.flatnonzero(each <= limit)
        kept.append(small + start)
        hashes.append(each[small])
    found = [(np.concatenate(kept), np.concatenate(hashes))]
    of_each = packed.ranks.merged(found, join)
    return np.concatenate([k for k, _ in of_each]), np.concatenate([h for _, h in of_each])


def _equal_by_chance(column: NDArray[np.float64]) -> float:
    """The share of pairs of rows that are equal in one column."""
    counts = np.unique(column, return_counts=True)[1].astype(np.float64)
    return float((counts * (counts - 1)).sum() / max(1.0, len(column) * (len(column) - 1.0)))


def constant_columns(data: TrainingData) -> Iterator[Finding]:
    """Columns that tell no row from another."""
    constant = set(data.statistics.constant)

    def is_constant(column: Column) -> bool:
        if column.kind == "categorical":
            return len(column.levels) + bool(data.fitted.rare[column.name]) < 2
        return constant.issuperset(column.packed)

    if names := [column.name for column in data.schema.features if is_constant(column)]:
        verb, key = "has" if len(names) == 1 else "have", exclude(*names)
        columns = listed(names)
        message = Text(
            f"constant: {columns.en} {verb} one value in all training rows: {key}",
            f"取值恒定：{columns.zh} 在所有训练样本中只有一个取值；可排除：{key}",
        )
        yield Finding("constant", tuple(names), message, key)


def nearly_empty_columns(missing: Mapping[str, int], rows: int) -> Iterator[Finding]:
    """Columns with a value in very few training rows."""
    for name, count in missing.items():
        if MOSTLY * rows < count:
            share = f"{count / rows * 100:.1f} %"
            message = Text(
                f"missing in {share} of the training rows:",
                f"{share} 的训练样本缺失该值；可排除：",
            )
            if count == rows:
                message = Text(
                    "no training row has a value, and it is not used:",
                    "所有训练样本都没有取值，因此不会使用；可排除：",
                )
            yield Finding.of_column("missing", name, message, exclude(name))


def copied_columns(packed: PackedTable, rows: Matrix) -> Iterator[Finding]:
    """Columns that are another one's multiple, up to a constant; no constant columns."""
    names = [c.name for c in packed.schema.features if not c.parts]
    at = {name: position for position, name in enumerate(packed.columns)}
    rows = rows[:, [at[name] for name in names]]
    mean = np.nanmean(np.vstack([rows, np.zeros((1, rows.shape[1]))]), axis=0)
    centred = np.where(np.isnan(rows), mean, rows)
    centred -= centred.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    varies = np.flatnonzero(length > 0)
    if not len(varies):
        return
    unit = centred[:, varies] / length[varies]
    # Copies have the same product with any vector: only neighbours in its order are compared.
    mark = np.abs(np.random.default_rng(0).normal(size=len(rows)) @ unit)
    order = [int(at) for at in np.argsort(mark, kind="stable")]
    alike = [order[:1]]
    for one, other in pairwise(order):
        near = abs(mark[one] - mark[other]) < 1e-6 * mark[one]
        if near and abs(unit[:, one] @ unit[:, other]) > 1 - 1e-9:
            alike[-1].append(other)
        else:
            alike.append([other])
    for first, *copies in sorted(map(sorted, alike)):
        for name in (names[varies[copy]] for copy in copies):
            of = short(names[varies[first]])
            message = Text(
                f"a copy of {of}, perhaps in another unit (correlation 1):",
                f"与 {of} 重复，可能只是单位不同（相关系数为 1）；可排除：",
            )
            yield Finding.of_column("copied_column", name, message, exclude(name))


def number_findings(data: TrainingData, rows: Matrix) -> Iterator[Finding]:
    """Columns of numbers that number the rows, or have a number that stands for a missing one."""
    if len(rows) < 50:
        return
    statistics = data.statistics
    low_of = dict(zip(statistics.columns, statistics.minimum, strict=True))
    high_of = dict(zip(statistics.columns, statistics.maximum, strict=True))
    numeric = {column.name for column in data.schema.features if column.kind == "numeric"}
    for at, name in enumerate(data.packed.columns):
        if name not in numeric or name not in low_of:
            continue
        cells, low, high = rows[:, at], low_of[name], high_of[name]
        values, counts = np.unique(cells[~np.isnan(cells)], return_counts=True)
        counts_up = low in (0, 1) and len(values) == len(cells) and bool((np.diff(cells) > 0).all())
        total = (high - low + 1) / len(data.packed)
        if counts_up and 0.9 < total < 1.1 and not TIME_NAME.search(name):
            message = Text(
                f"it numbers the rows, from {low:.0f} to {high:.0f}; if that means nothing:",
                f"是从 {low:.0f} 到 {high:.0f} 的行号；如果没有实际含义，可排除：",
            )
            yield Finding.of_column("row_number", name, message, exclude(name))
        elif mark := missing_mark(values, counts):
            message = Text(
                f"{mark} is unlike its other values; if it means missing, add it to",
                f"{mark} 与其他取值明显不同；如果表示缺失，请加入 ",
            )
            yield Finding.of_column("marks", name, message, "data.missing.values")
