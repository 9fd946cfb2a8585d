"""The order of an epoch: each row once, mixed well, the same for the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from reader.shuffle import GROUP, RUN, Order


def of(rows: int, seed: int = 0, epoch: int = 1) -> Order:
    return Order(np.arange(rows), seed, epoch)


def whole(order: Order, piece: int) -> NDArray[Any]:
    pieces = range(0, len(order), piece)
    return np.concatenate([order.take(a, min(a + piece, len(order))) for a in pieces])


@pytest.mark.parametrize(
    "rows", [1, 2, 17, GROUP - 1, GROUP, GROUP + 1, GROUP + RUN, 3 * GROUP - 5]
)
def test_each_row_comes_once(rows: int) -> None:
    found = whole(of(rows, 3, 4), 65_500)
    np.testing.assert_array_equal(np.sort(found), np.arange(rows))


def test_pieces_of_any_size_make_the_same_order() -> None:
    order = of(200_001, 1, 2)
    np.testing.assert_array_equal(whole(order, 65_500), whole(order, 12_345))
    np.testing.assert_array_equal(order.take(70_000, 70_010), whole(order, GROUP)[70_000:70_010])


def test_seed_and_epoch_decide() -> None:
    orders = {(s, e): whole(of(1_000, s, e), 100).tolist() for s in (0, 1) for e in (1, 2)}
    assert whole(of(1_000), 100).tolist() == orders[0, 1]
    assert len({tuple(order) for order in orders.values()}) == 4


@pytest.mark.parametrize("rows", [10_000, 40 * GROUP])
def test_a_batch_of_a_sorted_table_is_like_the_table(rows: int) -> None:
    """Means of mini-batches scatter as those of rows drawn at random do."""
    order = of(rows)
    batches = whole(order, GROUP)[: rows // 1_000 * 1_000].reshape(-1, 1_000) / rows
    deviations = (batches.mean(axis=1) - 0.5) * np.sqrt(12 * 1_000)
    assert np.abs(deviations).max() < 5.5
    assert 0.5 < deviations.std() < 1.2


def test_neighbours_are_not_left_together() -> None:
    found = whole(of(4 * GROUP), GROUP).astype(np.int64)
    assert (np.abs(np.diff(found)) < RUN).mean() < 0.005
