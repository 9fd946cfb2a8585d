"""The encoding, and the layer that must do the same in the exported graph."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import paddle
import pytest

from errors import TableError
from model.preprocess import Preprocess
from reader.encoding import Encoding, choose_levels, learn
from reader.pack import PackedTable
from reader.schema import Column, Schema

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(3, 2, size=(60, 5)).astype(np.float32)
ROWS[::5, 0] = np.nan
ROWS[1::2, 2] = np.nan
ROWS[:, 1] = RANDOM.integers(1, 4, size=60)
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


def learned(rule: str = "mean", indicator: bool = False, most_flags: int = 4) -> Encoding:
    return learn(PACKED.schema, lambda f: map(f, blocks()), rule, -1, indicator, most_flags)


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
    encoding = learned(rule)
    values = expected(ROWS[:, [0, 2]].astype(np.float64), axis=0)  # type: ignore[operator]
    np.testing.assert_allclose(encoding.fill, values, rtol=1e-6)
    assert encoding.missing.tolist() == [12, 30]


@pytest.mark.parametrize("indicator", [True, False])
@pytest.mark.parametrize("most_flags", [0, 4, 9])
def test_graph_encodes_what_the_statistics_saw(indicator: bool, most_flags: int) -> None:
    encoding = learned(indicator=indicator, most_flags=most_flags)
    rows = np.concatenate(list(map(encoding.apply, blocks())))
    assert rows.shape == (60, len(encoding.names) + 1)
    embedded = [position for position, _ in encoding.embedded]
    layer = Preprocess(
        encoding.numbers.tolist(),
        encoding.fill,
        encoding.indicated.tolist(),
        encoding.one_hot,
        embedded,
    )
    raw = PACKED.take(np.arange(60))[:, :-1]
    found = layer(paddle.to_tensor(raw)).numpy()
    np.testing.assert_allclose(found[:, : len(encoding.names)], rows[:, :-1], rtol=1e-6)
    np.testing.assert_array_equal(found[:, len(encoding.names) :], raw[:, embedded])


def test_names() -> None:
    assert learned(indicator=True).names == (
        *("a", "b", "a is missing", "b is missing"),
        *("c = (other)", "c = a", "c = z", "c = (missing)"),
    )
    assert learned().embedded == ((3, 7),)


def test_a_level_never_seen_is_the_average_row() -> None:
    encoding = learned(most_flags=9)
    (_, with_rare), (_, without) = encoding.one_hot
    np.testing.assert_array_equal(with_rare, np.eye(4))
    np.testing.assert_allclose(without[0], np.full(6, 1 / 6))


def test_column_without_any_value() -> None:
    empty = PACKED.take(np.arange(60))
    empty[:, 0] = np.nan
    with pytest.raises(TableError, match="no training row has a value of a;"):
        learn(PACKED.schema, lambda f: map(f, [empty]), "mean", 0, indicator=False, most_flags=4)
