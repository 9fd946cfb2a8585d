from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.groups import deal_groups
from reader.split import SplitOptions, folds, split

SHARES = np.array([0.8, 0.1, 0.1])
SIZES = st.lists(st.integers(1, 40), min_size=3, max_size=60)


def groups_of(sizes: list[int]) -> pl.Series:
    return pl.Series([f"g{number}" for number, size in enumerate(sizes) for _ in range(size)])


@given(SIZES, st.integers(0, 9), st.sampled_from([(0.8, 0.1, 0.1), (0.5, 0.0, 0.5), (1, 0, 0)]))
def test_each_part_with_a_share_has_a_group(
    sizes: list[int], seed: int, shares: tuple[float, ...]
) -> None:
    cells = groups_of(sizes)
    part = deal_groups([cells[:7], cells[7:]], seed, np.array(shares))
    by_group = pl.DataFrame({"group": cells, "part": part}).group_by("group").n_unique()
    assert by_group["part"].to_list() == [1] * len(sizes)
    counts = np.bincount(part, minlength=3)
    assert [count > 0 for count in counts] == [share > 0 for share in shares]


@pytest.mark.parametrize("seed", range(20))
def test_ten_equal_groups_keep_the_shares_exactly(seed: int) -> None:
    part = deal_groups([groups_of([7] * 10)], seed, SHARES)
    assert np.bincount(part).tolist() == [56, 7, 7]


@pytest.mark.parametrize("seed", range(5))
def test_a_giant_group_is_trained_on(seed: int) -> None:
    sizes = [600, *[20] * 20]
    part = deal_groups([groups_of(sizes)], seed, SHARES)
    assert part[0] == 0
    assert np.bincount(part) / 1_000 == pytest.approx(SHARES, abs=0.011)


def test_a_group_keeps_its_part_whatever_other_rows_there_are() -> None:
    """As long as none has to be moved: here each table keeps its shares by the hash alone."""
    cells = pl.Series([f"g{number}" for number in range(3_000)])
    whole = dict(zip(cells, deal_groups([cells], 3, SHARES), strict=True))
    some = cells.gather_every(2).extend(pl.Series([f"other {number}" for number in range(900)]))
    part = dict(zip(some, deal_groups([some], 3, SHARES), strict=True))
    assert all(part[cell] == whole[cell] for cell in cells.gather_every(2))


def test_few_groups_are_moved_as_others_come() -> None:
    """Most groups stay where they were."""
    before = deal_groups([groups_of([5] * 40)], 0, SHARES)
    after = deal_groups([groups_of([5] * 44)], 0, SHARES)
    assert np.mean(before == after[: len(before)]) >= 0.9


def test_one_and_one_point_zero_are_one_group() -> None:
    cells = pl.Series(["1", "1.0", "1.00", *map(str, range(2, 40))])
    part = deal_groups([cells], 0, np.array([0.5, 0.25, 0.25]))
    assert part[0] == part[1] == part[2]


def test_rows_without_an_id_go_by_their_place() -> None:
    ids = [None if row % 3 else f"id {row}" for row in range(300)]
    texts = pl.Series(ids, dtype=pl.String)
    by_id = split(300, SplitOptions(column="id"), [texts[:50], texts[50:]])
    by_place = split(300, SplitOptions())
    for one, other in zip(by_id, by_place, strict=True):
        assert one[one % 3 > 0].tolist() == other[other % 3 > 0].tolist()
    again = split(300, SplitOptions(column="id"), [texts.reverse()])
    for one, other in zip(by_id, again, strict=True):
        assert sorted(299 - other[other % 3 == 2]) == one[one % 3 == 0].tolist()


def test_ids_of_few_rows_fill_every_part() -> None:
    for seed in range(20):
        texts = pl.Series([f"id {row}" for row in range(12)])
        parts = split(12, SplitOptions(seed=seed, column="id"), [texts])
        assert all(len(part) for part in parts)


@pytest.mark.parametrize("seed", range(5))
def test_folds_of_few_groups(seed: int) -> None:
    cells = groups_of([9] * 6)
    options = SplitOptions("group", 1.0, 0.0, 0.0, seed, "c")
    parts = split(54, options, [cells])
    trained = cells.gather(parts.train)
    held = [set(cells.gather(fold.test)) for fold in folds(parts, 3, options, trained)]
    assert [len(groups) for groups in held] == [2, 2, 2]
    assert set.union(*held) == set(cells)
