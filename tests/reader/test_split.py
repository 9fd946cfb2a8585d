from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reader.schema import TableError
from reader.split import evenly, split

METHODS = st.sampled_from(["sequential", "random"])
SHARES = st.sampled_from([(0.8, 0.1, 0.1), (0.8, 0.0, 0.2), (1.0, 0.0, 0.0), (0.5, 0.5, 0.0)])


def test_the_lessons_split() -> None:
    parts = split(506, "sequential", 0.8, 0.0, 0.2, seed=0)
    assert parts.train.tolist() == list(range(404))
    assert parts.test.tolist() == list(range(404, 506))


@given(METHODS, SHARES, st.integers(20, 500), st.integers(0, 9))
def test_every_row_is_in_one_part(
    method: str, shares: tuple[float, float, float], rows: int, seed: int
) -> None:
    parts = split(rows, method, *shares, seed=seed)
    assert sorted(np.concatenate(parts)) == list(range(rows))
    for part, share in zip(parts, shares, strict=True):
        assert (len(part) > 0) == (share > 0)
        assert abs(len(part) - share * rows) <= 20


@given(SHARES, st.integers(20, 200), st.integers(0, 100), st.integers(0, 9))
def test_a_row_keeps_its_part_when_rows_are_appended(
    shares: tuple[float, float, float], rows: int, more: int, seed: int
) -> None:
    before = split(rows, "random", *shares, seed=seed)
    after = split(rows + more, "random", *shares, seed=seed)
    for part_before, part_after in zip(before, after, strict=True):
        np.testing.assert_array_equal(part_before, part_after[part_after < rows])


def test_random_parts_keep_their_shares_along_the_table() -> None:
    parts = split(2_000, "random", 0.8, 0.1, 0.1, seed=3)
    in_each_stretch = np.bincount(parts.test // 20, minlength=100)
    assert in_each_stretch.tolist() == [2] * 100


def test_seed_decides() -> None:
    one, same, other = (split(100, "random", 0.8, 0.1, 0.1, seed=s).test for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert one.tolist() != other.tolist()


def test_too_few_rows() -> None:
    with pytest.raises(TableError, match="3 rows are too few: the validation part"):
        split(3, "sequential", 0.8, 0.1, 0.1, seed=0)


def test_evenly() -> None:
    assert evenly(10, 4).tolist() == [0, 3, 6, 9]
    assert evenly(3, 4).tolist() == [0, 1, 2]
