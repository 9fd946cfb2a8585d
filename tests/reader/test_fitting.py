"""What is learned of columns from training rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import reduce
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from errors import TableError
from reader.fitting import FittedInputs, InputOptions, Reduce, choose_levels, fit_inputs
from reader.formats import Reading
from reader.frame import encode
from reader.inputs import Fill, Inputs, OneHot
from reader.kinds import Encoder, infer
from reader.moments import WEEKDAYS
from reader.pack import PackedTable
from reader.schema import Column, Schema

ROWS = np.random.default_rng(0).normal(3, 2, size=(60, 5)).astype(np.float32)
ROWS[::5, 0] = np.nan
ROWS[1::2, 2] = np.nan
ROWS[:, 1] = np.random.default_rng(1).integers(1, 4, size=60)
ROWS[7, 1] = 4  # a level of one row
ROWS[:, 3] = 1 + np.arange(60) // 10
TEXTS: dict[str, list[str | None]] = {"c": ["z", "a", None, "q"], "d": list("uvwxyz")}
SCHEMA = Schema(
    (
        Column("a", "numeric"),
        Column("c", "categorical"),
        Column("b", "numeric"),
        Column("d", "categorical"),
        Column("y", "target"),
    )
)
PACKED = choose_levels(PackedTable(SCHEMA, ROWS, "", TEXTS), np.arange(60), min_count=2)


def over(blocks: Iterable[NDArray[np.float32]]) -> Reduce:
    """A pass over these blocks."""
    kept = list(blocks)
    return lambda function, merge, start: reduce(merge, map(function, kept), start)


def blocks() -> Iterator[np.ndarray]:
    yield from PACKED.blocks(np.arange(60))


def learned(rule: Any = "mean", indicator: bool = False, one_hot: int = 4) -> FittedInputs:
    options = InputOptions(rule, -1, indicator, one_hot)
    return fit_inputs(PACKED.schema, over(blocks()), options)


def test_levels_are_in_order_of_their_texts_and_rare_ones_are_unknown() -> None:
    assert PACKED.schema.columns[1].levels == ("a", "z", None)
    texts = [TEXTS["c"][int(code) - 1] for code in ROWS[:, 1]]
    codes = PACKED.take(np.arange(60))[:, 1]
    assert codes.tolist() == [{"z": 2, "a": 1, None: 3, "q": 0}[text] for text in texts]


def test_levels_come_from_the_given_rows_alone() -> None:
    table = PackedTable(SCHEMA, ROWS, "", TEXTS)
    assert choose_levels(table, np.arange(20), 2).schema.columns[3].levels == ("u", "v")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("mean", np.nanmean), ("median", np.nanmedian), ("constant", lambda *_, **__: [-1, -1])],
)
def test_values_that_fill_in(rule: str, expected: object) -> None:
    fitted = learned(rule)
    (fill,) = [step for step in fitted.inputs.steps if isinstance(step, Fill)]
    values = expected(ROWS[:, [0, 2]].astype(np.float64), axis=0)  # type: ignore[operator]
    np.testing.assert_allclose(fill.values, values, rtol=1e-6)
    assert fitted.missing == {"a": 12, "b": 30}


def test_names_and_kinds() -> None:
    columns = learned(indicator=True).inputs.columns
    assert [(column.name, column.kind) for column in columns] == [
        *(("a", "number"), ("b", "number")),
        *(("a is missing", "flag"), ("b is missing", "flag")),
        *((f"c = {level}", "flag") for level in ("(other)", "a", "z", "(missing)")),
        ("d", "code"),
    ]
    (code,) = learned().inputs.codes
    assert code.levels == 7
    assert [c.kind for c in learned(one_hot=0).inputs.columns] == ["number"] * 2 + ["code"] * 2


@pytest.mark.parametrize("indicator", [True, False])
@pytest.mark.parametrize("one_hot", [0, 4, 9])
def test_rows_become_what_their_cells_say(indicator: bool, one_hot: int) -> None:
    inputs = learned(indicator=indicator, one_hot=one_hot).inputs
    packed = PACKED.take(np.arange(60))
    by_name = dict(zip([c.name for c in inputs.columns], inputs.apply(packed).T, strict=True))
    np.testing.assert_allclose(
        by_name["a"], np.where(np.isnan(ROWS[:, 0]), np.nanmean(ROWS[:, 0]), ROWS[:, 0]), rtol=1e-6
    )
    if indicator:
        np.testing.assert_array_equal(by_name["b is missing"], np.isnan(ROWS[:, 2]))
    if one_hot:
        np.testing.assert_array_equal(by_name["c = z"], packed[:, 1] == 2)
    if one_hot < 9:
        np.testing.assert_array_equal(by_name["d"], packed[:, 3])


def test_a_level_never_seen_is_the_average_row() -> None:
    (one_hot,) = [step for step in learned(one_hot=9).inputs.steps if isinstance(step, OneHot)]
    with_rare, without = one_hot.tables
    np.testing.assert_array_equal(with_rare, np.eye(4))
    np.testing.assert_allclose(without[0], np.full(6, 1 / 6))


def test_a_column_without_any_value_is_left_out() -> None:
    empty = PACKED.take(np.arange(60))
    empty[:, 0] = np.nan
    fitted = fit_inputs(PACKED.schema, over([empty]), InputOptions(indicator=True))
    assert fitted.missing["a"] == 60
    assert not any(column.name.startswith("a") for column in fitted.inputs.columns)
    assert np.isfinite(fitted.inputs.apply(empty)).all()
    nothing = Schema((Column("a", "numeric"), Column("y", "target")))
    with pytest.raises(TableError, match="no feature is left: no training row has a value of a"):
        fit_inputs(nothing, over([empty[:, [0, -1]]]), InputOptions())


def test_names_that_a_level_and_a_column_share_are_told_apart() -> None:
    columns = (Column("c = a", "numeric"), *SCHEMA.columns[1:])
    packed = choose_levels(PackedTable(Schema(columns), ROWS, "", TEXTS), np.arange(60), 2)
    inputs = fit_inputs(packed.schema, over(blocks()), InputOptions()).inputs
    names = [column.name for column in inputs.columns]
    assert {"c = a", "c = a_"} < set(names)
    assert len(set(names)) == len(names)


SOLD = infer("sold", pl.Series(["2024-01-01 00:00"]))
TIMES = Schema((Column("area", "numeric"), SOLD, Column("y", "target")))
DAYS = [f"2024-{1 + day // 28:02}-{1 + day % 28:02} 07:{day % 60:02}" for day in range(140)]
DAYS[3] = "2024-12-24 07:00"  # a month of one row


def rows_of(times: Sequence[str | None]) -> np.ndarray:
    frame = {"area": [1.0] * len(times), "sold": times, "y": [0.0] * len(times)}
    encoders = [Encoder(column, may_be_empty=True) for column in TIMES.columns]
    return encode(frame, encoders, Reading())


def of_times(**options: Any) -> Inputs:
    rows = rows_of([*DAYS, None, None])
    return fit_inputs(TIMES, over([rows[:50], rows[50:]]), InputOptions(**options)).inputs


def test_months_and_weekdays_are_flags_of_what_training_rows_have() -> None:
    assert [column.name for column in of_times().columns] == [
        "area",
        "sold.elapsed",
        *(f"sold.month = {month}" for month in range(1, 6)),
        *(f"sold.day_of_week = {day}" for day in WEEKDAYS),
    ]  # the hour does not vary, and December has one row
    indicated = of_times(indicator=True).columns
    assert [c.name for c in indicated if "missing" in c.name] == ["sold.elapsed is missing"]


@pytest.mark.parametrize("numeric", ["mean", "median", "constant"])
@pytest.mark.parametrize("indicator", [True, False])
def test_a_month_never_seen_and_a_missing_time_are_the_average_row(
    numeric: str, indicator: bool
) -> None:
    inputs = of_times(numeric=numeric, indicator=indicator)
    rows = rows_of(["2024-03-05 07:00", "2025-11-09 23:00", None])  # a Tuesday, a Sunday
    of_rows = [
        dict(zip([c.name for c in inputs.columns], row, strict=True)) for row in inputs.apply(rows)
    ]
    months = [
        [value for name, value in row.items() if name.startswith("sold.month")] for row in of_rows
    ]
    average = [27 / 139, *[28 / 139] * 4]
    assert months[0] == [0, 0, 1, 0, 0]
    np.testing.assert_allclose(months[1:], [average] * 2)
    weekdays = [
        [value for name, value in row.items() if name.startswith("sold.day")] for row in of_rows
    ]
    assert weekdays[:2] == [[0, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 1]]
    np.testing.assert_allclose(weekdays[2], np.bincount(rows_of(DAYS)[:, 2].astype(int))[1:] / 140)
    elapsed = rows_of(DAYS)[:, -2].astype(np.float64)
    middle = {"mean": elapsed.mean(), "median": np.median(elapsed), "constant": 0.0}[numeric]
    assert of_rows[2]["sold.elapsed"] == pytest.approx(middle)
    if indicator:
        assert [row["sold.elapsed is missing"] for row in of_rows] == [0, 0, 1]
