from __future__ import annotations

import numpy as np
import paddle
import pytest

from reader import dataset as module
from reader.dataset import TableDataset
from reader.pack import PackedTable
from tests.conftest import numeric

MATRIX = np.arange(60, dtype=np.float32).reshape(20, 3)
TABLE = PackedTable(numeric("aby", "y"), MATRIX, "")
ROWS = np.arange(2, 19)


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch) -> TableDataset:
    """17 rows in batches of 3, in blocks of 6."""
    monkeypatch.setattr(module, "ROWS_PER_BLOCK", 7)
    dataset = TableDataset(TABLE, ROWS, batch_size=3, seed=5)
    dataset.set_epoch(1)
    return dataset


def test_is_a_paddle_dataset(dataset: TableDataset) -> None:
    assert isinstance(dataset, paddle.io.Dataset)
    assert isinstance(dataset.loader(), paddle.io.DataLoader)


def test_an_epoch_has_each_row_once_in_blocks_of_whole_batches(dataset: TableDataset) -> None:
    blocks = [block.numpy() for _, block in dataset.blocks()]
    assert [len(block) for block in blocks] == [6, 6, 5]
    assert [dataset.batch_sizes(len(block)) for block in blocks] == [[3, 3], [3, 3], [3, 2]]
    assert dataset.steps == 6
    rows = np.concatenate(blocks)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[rows[:, 0].argsort()], MATRIX[ROWS])


def test_order_is_a_pure_function_of_seed_and_epoch(dataset: TableDataset) -> None:
    def order(epoch: int, seed: int = 5) -> list[float]:
        other = TableDataset(TABLE, ROWS, batch_size=3, seed=seed)
        np.random.seed(epoch)  # noqa: NPY002, to show that it decides nothing
        other.set_epoch(epoch)
        return [value for index in range(len(other)) for value in other[index][:, 0]]

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert order(1) != order(1, seed=6)
    expected = np.random.default_rng([5, 1]).permutation(ROWS)
    np.testing.assert_array_equal(order(1), MATRIX[expected, 0])


def test_block_seeds_differ(dataset: TableDataset) -> None:
    seeds = set()
    for epoch in (1, 2):
        dataset.set_epoch(epoch)
        seeds |= {dataset.block_seed(index) for index in range(3)}
    assert len(seeds) == 6
