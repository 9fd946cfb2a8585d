"""What the training rows of a table teach: inputs, their statistics and scaling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from display import short
from errors import TableError
from factor import Factor
from reader.fitting import FittedInputs, InputOptions, choose_levels, fit_inputs
from reader.formats import Reading
from reader.inputs import (
    Beside,
    InputColumn,
    Inputs,
    NormalScores,
    Scale,
    Select,
    SmoothClip,
    TargetScale,
    Whiten,
)
from reader.levels import Absorbed, Iterated, Levels, absorb, iterate, measure
from reader.lookalikes import of_numbers
from reader.merge import add
from reader.normal_scores import normal_scores, quartiles
from reader.pack import PackedTable
from reader.schema import Column, Schema
from reader.source import SplitTable
from reader.split import Split, evenly
from reader.statistics import NOTHING, Moments, Statistics, merge, moments, rounding

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
OfBlock = Callable[[NDArray[np.float32]], Any]
SAMPLE = 4_096  # rows by which float32 is judged
MOST_RANKED, MOST_RANKED_CELLS = 200_000, 20_000_000  # rows, cells
BOUND = 3.0
BEYOND = 0.1  # of the range of the target's logarithm, how far predictions may leave it
RAREST = 0.1  # the least scale of a flag: the deviation of one that 1 % of the rows have


@dataclass(frozen=True)
class TrainingData:
    """Rows by part, the steps that make inputs of them, up to scaling, and the statistics of the
    columns that these yield, codes left out, the target last."""

    packed: PackedTable
    parts: Split
    fitted: FittedInputs
    statistics: Statistics

    @property
    def schema(self) -> Schema:
        return self.packed.schema

    @property
    def encoding(self) -> Inputs:
        """The steps up to scaling."""
        return self.fitted.inputs

    def scaling(self, method: str) -> tuple[Vector, Vector]:
        """(center [D], scale [D]) of the encoded features, column by column."""
        least = [0.0 if c.kind == "number" else RAREST for c in self.encoding.columns]
        least = [*least[: len(self.encoding.names)], 0.0]
        center, scale = self.statistics.scaling(method, np.array(least))
        return center[:-1], scale[:-1]

    def scaling_matrix(self, method: str, by_level: bool = False) -> tuple[Vector, Matrix]:
        """(center [D], matrix [D, r]): (x - center) @ matrix is what `method` makes of encoded x;
        with `by_level`, of x less its average row by level."""
        if not self.encoding.names:
            return np.zeros(0), np.zeros((0, 0))
        if method != "whiten":
            center, scale = self.scaling(method)
            return center, np.diag(1 / scale)
        matrix = self.factor(by_level).root()
        if not matrix.shape[1]:  # nothing varies: one column, of zeros
            matrix = np.zeros((len(matrix), 1))
        return self.statistics.mean[:-1], matrix

    def factor(self, by_level: bool = False) -> Factor:
        """Of the encoded features; with `by_level`, of what the levels leave of them."""
        return self._factor_by_level if by_level else self._factor

    @cached_property
    def rounding(self) -> Vector:
        """The variance [D] that float32 adds to the encoded features, by some training rows."""
        some = self.parts.train[evenly(len(self.parts.train), SAMPLE)]
        return rounding(self.encoding.encode(self.packed.sample(some)))

    @cached_property
    def _factor(self) -> Factor:
        return self.statistics.factor(self.rounding)

    @cached_property
    def _factor_by_level(self) -> Factor:
        assert self.absorbed
        return self.statistics.factor(self.rounding, self.absorbed.covariance)

    @cached_property
    def levels(self) -> Levels | None:
        """What training rows tell of the levels of code columns; None where there are none."""
        if not self.encoding.codes:
            return None
        sizes = [column.levels for column in self.encoding.codes]

        return measure(self.reduced, self.encoding.apply, self.statistics.mean, sizes)

    def reduced(self, function: OfBlock, merge: Callable[[Any, Any], Any], start: Any) -> Any:
        """A pass over all training rows: see PackedTable.reduce."""
        width = len(self.statistics.columns)
        return self.packed.reduce(function, merge, start, self.parts.train, width)

    @cached_property
    def iterated(self) -> Iterated | None:
        """Least squares with levels that are too many to be absorbed; else None."""
        if self.levels is None or self.absorbed:
            return None
        statistics, root = self.statistics, self.factor().root()
        return iterate(
            self.reduced,
            self.encoding.apply,
            self.levels,
            statistics.mean,
            statistics.covariance,
            root,
        )

    @cached_property
    def absorbed(self) -> Absorbed | None:
        """What the levels leave of features and target; None without levels, or with too many."""
        return absorb(self.levels, self.statistics.covariance) if self.levels else None

    def inputs(self, method: str, by_level: bool = False) -> Inputs:
        """All steps, the last of them scaling by `method`, or none where there is nothing to
        scale; with `by_level`, less the average row by level."""
        if not self.encoding.names:
            return self.encoding
        if method in ("quantile", "robust", "mixed"):
            return self.by_rank(method)
        center, matrix = self.scaling_matrix(method, by_level)
        if method != "whiten":
            return self.encoding.then(Scale(self.encoding.columns, *self.scaling(method)))
        names = [self.encoding.names[i] for i in self.factor(by_level).kept] or ["nothing"]
        columns = tuple(InputColumn(name, "number") for name in names[: matrix.shape[1]])
        _, deviation = self.scaling("standard")
        steepness = float(np.abs(matrix.T * deviation).max(initial=0.0))
        tables: tuple[Matrix, ...] = ()
        if by_level and self.absorbed and self.levels:
            whole = self.absorbed.by_level[:, :-1] @ matrix
            tables = tuple(whole[at] for at in self.levels.spans)
        columns = (*columns, *self.encoding.codes)
        return self.encoding.then(Whiten(columns, center, matrix, steepness, tables))

    def by_rank(self, method: str) -> Inputs:
        """All steps, the last of them by ranks of training rows: `quantile`, normal scores of the
        numbers; `robust`, their distance from the median, which is never more than 3 times the
        quartiles'; `mixed`, the scores, and the distances as further columns behind them."""
        if method == "mixed" and self._numbers:
            return self._mixed(self.by_rank("quantile"), self.by_rank("robust"))
        columns, mean, count = self.encoding.columns, self.statistics.mean[:-1], self._numbers
        some = min(MOST_RANKED, MOST_RANKED_CELLS // max(1, count))
        rows = self.packed.sample(self.parts.train[evenly(len(self.parts.train), some)])
        numbers = self.encoding.encode(rows)[:, :count].astype(np.float32)
        if method != "robust":
            found = [normal_scores(column) for column in numbers.T]
            knots, scores = (tuple(each[i] for each in found) for i in (0, 1))
            return self.encoding.then(NormalScores(columns, knots, scores, mean[count:]))
        center, scale = mean.copy(), np.ones(len(mean))
        if count:
            center[:count], scale[:count] = quartiles(numbers)
        scaled = self.encoding.then(Scale(columns, center, scale))
        return scaled.then(SmoothClip(columns, np.full(count, BOUND))) if count else scaled

    @property
    def _numbers(self) -> int:
        """How many of the encoded columns are numbers; they come first."""
        return sum(column.kind == "number" for column in self.encoding.columns)

    def _mixed(self, scores: Inputs, distances: Inputs) -> Inputs:
        """Both, those that are embedded first and the codes last."""
        columns, count = self.encoding.columns, self._numbers
        own = tuple(InputColumn(f"{c.name} by quartiles", "flag") for c in columns[:count])
        distances = distances.then(Select(own, tuple(range(count))))
        both = Beside((*columns, *own), scores, distances)
        end = len(columns)
        order = (*range(count), *range(end, end + count), *range(count, end))
        chosen = Select(tuple(both.columns[i] for i in order), order)
        return Inputs(self.encoding.packed).then(both).then(chosen)

    def target_scale(self, method: str, bounded: bool = False) -> TargetScale:
        """How the target is scaled; with log1p, its logarithm is. `bounded`: predictions then stay
        in the range of the training targets.

        An error of a logarithm grows as its exponential does. So predictions then stay between the
        logarithms of the training rows, and a tenth of their range beyond them on either side.
        """
        log, statistics = method == "log1p", self.statistics
        if log:
            reduced = partial(
                self.packed.reduce_in_batches, merge=merge, start=NOTHING, rows=self.parts.train
            )
            statistics = statistics.log1p(reduced)
        scaling = statistics.scaling("standard" if log else method)
        center, scale = (float(values[-1]) for values in scaling)
        if not log and not bounded:
            return TargetScale(center, scale)
        low, high = float(statistics.minimum[-1]), float(statistics.maximum[-1])
        beyond = 0.0 if bounded else BEYOND * (high - low)
        limits = (low - beyond - center) / scale, (high + beyond - center) / scale
        return TargetScale(center, scale, log, limits)

    def contract(self, reading: Reading, may_be_empty: bool) -> dict[str, Any]:
        """What an exported model says of the table: JSON values."""
        rows, missing = len(self.parts.train), self.missing
        return {
            "features": self.schema.packed,
            "target": self.schema.target,
            "schema": self.schema.describe(),
            "reading": asdict(reading),
            "may_be_empty": may_be_empty,
            "statistics": self.statistics.describe(),
            "shares": {
                column.name: {
                    "missing": missing[column.name] / rows,
                    "unknown": self.fitted.rare.get(column.name, 0) / rows,
                }
                for column in self.schema.features
            },
        }

    @cached_property
    def missing(self) -> dict[str, int]:
        """How many training rows have no value, by feature."""
        return {column.name: self._missing(column) for column in self.schema.features}

    def _missing(self, column: Column) -> int:
        if column.kind != "categorical":
            return self.fitted.missing[column.packed[0]]
        if None not in column.levels:
            return 0
        code, at = column.levels.index(None) + 1, self.packed.position[column.name]

        def of_block(block: NDArray[np.float32]) -> int:
            return int((block[:, at] == code).sum())

        return self.packed.reduce(of_block, add, 0, self.parts.train)


def fit(source: SplitTable, parts: Split, options: InputOptions) -> TrainingData:
    """What the training rows of `parts`, and they alone, tell of the columns.

    Raises TableError for a target that is constant, for columns of numbers that float32 cannot tell
    apart, and where no feature has a value.
    """
    check_target(source.packed, parts)
    packed = choose_levels(source.packed, parts.train, options.min_count)

    fitted = fit_inputs(packed.schema, partial(packed.reduce, rows=parts.train), options)
    columns = (*fitted.inputs.names, packed.schema.target)

    def encoded_moments(block: NDArray[np.float32]) -> Moments:
        return moments(np.column_stack([fitted.inputs.encode(block), block[:, -1:]]))

    whole = packed.reduce(encoded_moments, merge, NOTHING, parts.train, len(columns))
    statistics = Statistics.from_moments(columns, whole)
    check_digits(statistics, source)
    return TrainingData(packed, parts, fitted, statistics)


def check_target(packed: PackedTable, parts: Split, where: str = "training rows") -> None:
    """Raises TableError where the target has one value in all training rows."""
    rows, target = parts.train, packed.schema.target
    some = packed.sample(rows[evenly(len(rows), SAMPLE)])[:, -1]
    if some.min() < some.max():
        return

    def ends(block: NDArray[np.float32]) -> tuple[float, float]:
        return float(block[:, -1].min()), float(block[:, -1].max())

    low, high = packed.reduce(ends, wider, (np.inf, -np.inf), rows)
    if low < high:
        return
    found = f"{low:g} in all {len(rows):,} {where}"
    if len(rows) == 1:
        found = f"{low:g} in a single {where.replace('rows', 'row', 1)}"
    raise TableError(
        f"column {short(target)} (data.target): found {found}, expected different values: there is "
        "nothing to learn; choose another target, or divide the rows otherwise (data.split)"
    )


def wider(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    """From the least to the largest of both."""
    return min(a[0], b[0]), max(a[1], b[1])


def check_digits(statistics: Statistics, source: SplitTable) -> None:
    """Raises TableError for one of the `coarse` columns whose deviation float32 cannot show."""
    for name in sorted(set(source.coarse) & set(statistics.columns)):
        index = statistics.position[name]
        low, high = statistics.minimum[index], statistics.maximum[index]
        largest = max(abs(low), abs(high))
        apart = float(np.spacing(np.float32(largest)))
        if low == high and _extent(source.packed, name) > 16 * apart:
            continue  # it differs in other rows: a constant here, as the table has it
        if statistics.deviation[index] < 16 * apart:
            is_target = name == source.packed.schema.target
            or_else = "" if is_target else ", or leave it out (data.exclude)"
            raise TableError(
                f"column {short(name)}: its values are near {largest:g}, where float32 numbers are "
                f"{apart:g} apart, and differ by little more; subtract a constant from the "
                f"column{or_else}{_other_reading(source, name)}"
            )


def _extent(packed: PackedTable, name: str) -> float:
    """How far a column's least and largest number are apart, over all rows."""
    at = packed.position[name]

    def ends(block: NDArray[np.float32]) -> tuple[float, float]:
        cells = block[:, at]
        low, high = np.fmin.reduce(cells, initial=np.inf), np.fmax.reduce(cells, initial=-np.inf)
        return float(low), float(high)

    every = np.arange(len(packed), dtype=np.int32)
    low, high = packed.reduce(ends, wider, (np.inf, -np.inf), every)
    return high - low


def _other_reading(source: SplitTable, name: str) -> str:
    """What a column of numbers looks like, where it looks like something else."""
    if source.table is None:
        return ""
    cells = source.table.sample([name], numeric=False)[name].drop_nulls()
    found = of_numbers(name, cells, source.table.files[0].reading.decimal_comma)
    return f"; {found.message.en}" if found else ""
