from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import paddle
import pytest

from model.impute import Impute
from reader.missing import Filling
from reader.schema import TableError

ROWS = np.random.default_rng(0).normal(3, 2, size=(60, 4)).astype(np.float32)
ROWS[::5, 1] = np.nan
ROWS[1::2, 2] = np.nan


def blocks() -> Iterator[np.ndarray]:
    yield from np.split(ROWS, [7, 30])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("mean", np.nanmean), ("median", np.nanmedian), ("constant", lambda *_, **__: [-1] * 3)],
)
def test_values_that_fill_in(rule: str, expected: object) -> None:
    filling = Filling.of("abc", blocks, rule, constant=-1, indicator=False)
    values = expected(ROWS[:, :-1].astype(np.float64), axis=0)  # type: ignore[operator]
    np.testing.assert_allclose(filling.values, values, rtol=1e-6)
    assert filling.counts.tolist() == [0, 12, 30]


@pytest.mark.parametrize("indicator", [True, False])
def test_graph_fills_in_what_the_statistics_saw(indicator: bool) -> None:
    filling = Filling.of("abc", blocks, "mean", 0, indicator)
    rows = np.concatenate(list(filling.apply(blocks())))
    assert filling.columns == ("a", "b", "c") + ("b is missing", "c is missing") * indicator
    assert rows.shape == (60, len(filling.columns) + 1)
    layer = Impute(filling.values, filling.indicated)
    found = layer(paddle.to_tensor(ROWS[:, :-1])).numpy()
    np.testing.assert_allclose(found, rows[:, :-1], rtol=1e-6)
    np.testing.assert_array_equal(rows[:, -1], ROWS[:, -1])


def test_column_without_any_value() -> None:
    empty = ROWS.copy()
    empty[:, 0] = np.nan
    with pytest.raises(TableError, match="no training row has a value of a;"):
        Filling.of("abc", lambda: [empty], "mean", 0, indicator=False)


def test_error_leaves_rows_as_they_are() -> None:
    filling = Filling.of("abc", blocks, "error", 0, indicator=False)
    np.testing.assert_array_equal(np.concatenate(list(filling.apply(blocks()))), ROWS)
