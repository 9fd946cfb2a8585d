"""What is learned of columns from training rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from errors import TableError
from reader.fitting import FittedInputs, InputOptions, choose_levels, fit_inputs
from reader.inputs import Fill, OneHot
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


def blocks() -> Iterator[np.ndarray]:
    yield from PACKED.blocks(np.arange(60))


def learned(rule: Any = "mean", indicator: bool = False, one_hot: int = 4) -> FittedInputs:
    options = InputOptions(rule, -1, indicator, one_hot)
    return fit_inputs(PACKED.schema, lambda f: map(f, blocks()), options)


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


def test_column_without_any_value() -> None:
    empty = PACKED.take(np.arange(60))
    empty[:, 0] = np.nan
    with pytest.raises(TableError, match="no training row has a value of a;"):
        fit_inputs(PACKED.schema, lambda f: map(f, [empty]), InputOptions())
