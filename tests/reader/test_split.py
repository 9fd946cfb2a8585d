from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import TableError
from reader.split import SplitOptions, _hashed, evenly, split

METHODS = st.sampled_from(["sequential", "random"])
SHARES = st.sampled_from([(0.8, 0.1, 0.1), (0.8, 0.0, 0.2), (1.0, 0.0, 0.0), (0.5, 0.5, 0.0)])


def test_the_lessons_split() -> None:
    parts = split(506, SplitOptions("sequential", 0.8, 0.0, 0.2))
    assert parts.train.tolist() == list(range(404))
    assert parts.test.tolist() == list(range(404, 506))


@given(METHODS, SHARES, st.integers(20, 500), st.integers(0, 9))
def test_every_row_is_in_one_part(
    method: str, shares: tuple[float, float, float], rows: int, seed: int
) -> None:
    parts = split(rows, SplitOptions(method, *shares, seed))
    assert sorted(np.concatenate(parts)) == list(range(rows))
    for part, share in zip(parts, shares, strict=True):
        assert (len(part) > 0) == (share > 0)
        assert abs(len(part) - share * rows) <= 20


@given(SHARES, st.integers(20, 200), st.integers(0, 100), st.integers(0, 9))
def test_a_row_keeps_its_part_when_rows_are_appended(
    shares: tuple[float, float, float], rows: int, more: int, seed: int
) -> None:
    before = split(rows, SplitOptions("random", *shares, seed))
    after = split(rows + more, SplitOptions("random", *shares, seed))
    for part_before, part_after in zip(before, after, strict=True):
        np.testing.assert_array_equal(part_before, part_after[part_after < rows])


def test_random_parts_keep_their_shares_along_the_table() -> None:
    parts = split(2_000, SplitOptions("random", seed=3))
    in_each_stretch = np.bincount(parts.test // 20, minlength=100)
    assert in_each_stretch.tolist() == [2] * 100


def test_seed_decides() -> None:
    one, same, other = (split(100, SplitOptions(seed=s)).test for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert one.tolist() != other.tolist()


def by(method: str, texts: list[str | None], seed: int = 0) -> tuple[list[int], ...]:
    """The parts, 60 : 20 : 20, with the cells in two batches."""
    batches = [pl.Series(texts[:3], dtype=pl.String), pl.Series(texts[3:], dtype=pl.String)]
    parts = split(len(texts), SplitOptions(method, 0.6, 0.2, 0.2, seed, "c"), batches)
    return tuple(part.tolist() for part in parts)


def test_column_names_the_part() -> None:
    parts = by("column", ["test", "train", "train", "validation", "train"])
    assert parts == ([1, 2, 4], [3], [0])


def test_column_without_a_validation_part() -> None:
    assert by("column", ["test", "train", "train", "train"]) == ([1, 2, 3], [], [0])


@pytest.mark.parametrize(
    ("method", "texts", "words"),
    [
        ("column", ["train", "train", "dev", "test"], "found 'dev', expected train, validation"),
        ("column", ["train", "train", "test", None], "row 4, column c .* an empty cell"),
        ("column", ["test", "test", "test", "test"], "the train part"),
        ("group", ["a", None, "b", "c"], "row 2, column c .* an empty cell"),
        ("time", ["2024-01-01", "31/12/2024", "2024-02-01", "1"], "found '31/12/2024'"),
    ],
)
def test_wrong_cells(method: str, texts: list[str | None], words: str) -> None:
    with pytest.raises(TableError, match=words):
        by(method, texts)


@given(st.lists(st.integers(0, 30), min_size=60, max_size=200), st.integers(0, 5))
def test_a_group_stays_together_whatever_other_rows_there_are(groups: list[int], seed: int) -> None:
    def part_of_group(members: list[int]) -> dict[int, int]:
        texts = [pl.Series([str(group) for group in members])]
        parts = split(len(members), SplitOptions("group", 1.0, 0.0, 0.0, seed, "c"), texts)
        assert len(parts.train) == len(members)
        found = next(_hashed(seed, texts)).tolist()
        places = dict(zip(members, found, strict=True))
        assert [places[group] for group in members] == found
        return places

    whole, half = part_of_group(groups), part_of_group(groups[::2])
    assert {group: whole[group] for group in half} == half


def test_groups_keep_the_shares_on_average() -> None:
    texts = [pl.Series([f"house {number // 3}" for number in range(30_000)])]
    parts = split(30_000, SplitOptions("group", 0.6, 0.2, 0.2, column="c"), texts)
    assert [len(part) / 30_000 for part in parts] == pytest.approx([0.6, 0.2, 0.2], abs=0.02)
    assert all(len(set(part // 3)) * 3 == len(part) for part in parts)


@pytest.mark.parametrize(
    "times",
    [
        ["9", "-1", "10", "2.5", "1e3"],
        ["2024-03-01", "2023-12-31", "2024-10-01", "2024-02-29T10:00", "2025-01-01"],
    ],
)
def test_time_trains_on_the_past(times: list[str | None]) -> None:
    assert by("time", times) == ([0, 1, 3], [2], [4])


def test_equal_times_share_a_part() -> None:
    assert by("time", [*["1"] * 7, "2", "3", "3"]) == ([0, 1, 2, 3, 4, 5, 6], [7], [8, 9])


def test_too_few_rows() -> None:
    with pytest.raises(TableError, match="3 rows are too few: the validation part"):
        split(3, SplitOptions("sequential"))


def test_evenly() -> None:
    assert evenly(10, 4).tolist() == [0, 3, 6, 9]
    assert evenly(3, 4).tolist() == [0, 1, 2]
