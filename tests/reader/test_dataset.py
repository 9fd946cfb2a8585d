from __future__ import annotations

import numpy as np
import paddle
import pytest
from numpy.typing import NDArray

from reader import dataset as module
from reader.dataset import Numbers, TableDataset
from reader.pack import PackedTable
from tests.conftest import numeric

MATRIX = np.arange(60, dtype=np.float32).reshape(20, 3)
TABLE = PackedTable(numeric("aby", "y"), MATRIX, "")
ROWS = np.arange(2, 19)


def parts(rows: Numbers) -> tuple[Numbers, Numbers]:
    return rows[:, :-1].copy(), rows[:, -1:].copy()


def of(rows: NDArray[np.int64], seed: int = 5) -> TableDataset:
    return TableDataset(TABLE, rows, batch_size=3, seed=seed, transform=parts)


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch) -> TableDataset:
    """17 rows in batches of 3, in blocks of 6."""
    monkeypatch.setattr(module, "ROWS_PER_BLOCK", 7)
    dataset = of(ROWS)
    dataset.set_epoch(1)
    return dataset


def test_is_a_paddle_dataset(dataset: TableDataset) -> None:
    assert isinstance(dataset, paddle.io.Dataset)
    assert isinstance(dataset.loader(), paddle.io.DataLoader)


def test_an_epoch_has_each_row_once_in_blocks_of_whole_batches(dataset: TableDataset) -> None:
    blocks = [block for _, block in dataset.blocks()]
    assert [len(features) for features, _ in blocks] == [6, 6, 5]
    sizes = [[len(x) for x, _ in dataset.batches(block)] for block in blocks]
    assert sizes == [[3, 3], [3, 3], [3, 2]]
    assert dataset.steps == 6
    rows = np.concatenate([np.hstack([x.numpy(), y.numpy()]) for x, y in blocks])
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[rows[:, 0].argsort()], MATRIX[ROWS])


def test_blocks_for_a_gpu_wait_on_it(
    dataset: TableDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made in memory of the CPU, and copied ahead by the loader's buffer, which a CPU goes without;
    the blocks are the same, in the same order."""
    expected = [[part.numpy() for part in block] for _, block in dataset.blocks()]
    assert dataset.loader().use_buffer_reader is False
    monkeypatch.setattr(paddle, "get_device", lambda: "gpu:0")
    loader = dataset.loader()
    assert loader.use_buffer_reader is True
    assert loader.pin_memory is False
    assert all(part.place.is_cpu_place() for part in dataset[0])
    found = list(dataset.blocks())
    assert [index for index, _ in found] == [0, 1, 2]
    for (_, block), parts in zip(found, expected, strict=True):
        for part, values in zip(block, parts, strict=True):
            np.testing.assert_array_equal(part.numpy(), values)


def test_batches_are_views_of_their_block(dataset: TableDataset) -> None:
    block = dataset[2]
    batches = list(dataset.batches(block))
    for position, width in ((0, 2), (1, 1)):
        starts = [batch[position].data_ptr() - block[position].data_ptr() for batch in batches]
        assert starts == [0, 3 * width * 4]


def test_order_is_a_pure_function_of_seed_and_epoch(dataset: TableDataset) -> None:
    def order(epoch: int, seed: int = 5, first_block: int = 0) -> list[float]:
        other = of(ROWS, seed)
        np.random.seed(epoch)  # noqa: NPY002, to show that it decides nothing
        other.set_epoch(epoch, first_block)
        return [float(x) for index in range(len(other)) for x in other[index][0][:, 0]]

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert order(1) != order(1, seed=6)
    assert order(1, first_block=1) == order(1)[6:]


def test_block_seeds_differ(dataset: TableDataset) -> None:
    seeds = set()
    for epoch in (1, 2):
        dataset.set_epoch(epoch)
        seeds |= {dataset.block_seed(index) for index in range(3)}
    assert len(seeds) == 6


def test_without_a_seed_rows_stay_as_they_are() -> None:
    loader = TableDataset(TABLE, ROWS, batch_size=3, seed=None, transform=parts)
    loader.set_epoch(1)
    rows = np.concatenate([x.numpy() for _, (x, _) in loader.blocks()])
    np.testing.assert_array_equal(rows, MATRIX[ROWS][:, :-1])
