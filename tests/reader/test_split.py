from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import TableError
from reader.split import SplitOptions, evenly, folds, split

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


def by(
    method: str, texts: list[str | None], time_format: str | None = None
) -> tuple[list[int], ...]:
    """The parts, 60 : 20 : 20, with the cells in two batches."""
    batches = [pl.Series(texts[:3], dtype=pl.String), pl.Series(texts[3:], dtype=pl.String)]
    parts = split(len(texts), SplitOptions(method, 0.6, 0.2, 0.2, 0, "c", time_format), batches)
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
        ("time", ["1", "2", "nan", "3"], "row 3, .* found 'nan', expected a number"),
        ("time", ["1", "1", "2", "2"], "column c .* too few different times: the test part"),
        ("group", ["a", "a", "b", "b"], "column c .* too few groups: the (validation|test) part"),
    ],
)
def test_wrong_cells(method: str, texts: list[str | None], words: str) -> None:
    with pytest.raises(TableError, match=words):
        by(method, texts)


def test_a_text_that_is_not_a_time() -> None:
    words = r"row 2, column c \(data.split.column\): found '31/12/2024', .* data.time_format"
    with pytest.raises(TableError, match=words):
        by("time", ["2024-01-01", "31/12/2024", "2024-02-01", "1"], "%Y-%m-%d")


def test_groups_keep_the_shares_on_average() -> None:
    texts = [pl.Series([f"house {number // 3}" for number in range(30_000)])]
    parts = split(30_000, SplitOptions("group", 0.6, 0.2, 0.2, column="c"), texts)
    assert [len(part) / 30_000 for part in parts] == pytest.approx([0.6, 0.2, 0.2], abs=0.02)
    assert all(len(set(part // 3)) * 3 == len(part) for part in parts)


@pytest.mark.parametrize(
    ("times", "time_format"),
    [
        (["9", "-1", "10", "2.5", "1e3"], None),
        (["9007199254740992", "1", "9007199254740993", "2", "9007199254740994"], None),
        (["2024-03-01", "2023-12-31", "2024-10-10", "2024-02-29T10:00", "2025-01-01"], "%Y-%m-%d"),
        (["2024-10-5", "2024-9-30", "2024-10-10", "2024-10-1", "2024-11-1"], "%Y-%m-%d"),
        (["05.10.2024", "30.09.2024", "10.10.2024", "2024-10-01", "01.11.2024"], "%d.%m.%Y"),
        (["20241005", "20240930", "20241010", "20241001", "20241101"], "%Y%m%d"),
        (
            [
                "2024-01-01T05:00:00+02:00",
                "2024-01-01 02:59:59.9",
                "2024-01-01T03:00:00.5Z",
                "2024-01-01 02:00 UTC",
                "2024-01-01T04:00",
            ],
            "%Y-%m-%d %H:%M",
        ),
    ],
)
def test_time_trains_on_the_past(times: list[str | None], time_format: str | None) -> None:
    assert by("time", times, time_format) == ([0, 1, 3], [2], [4])


@given(st.integers(3, 6), st.integers(1, 40), SHARES)
def test_few_times_give_each_part_one(
    many: int, rows: int, shares: tuple[float, float, float]
) -> None:
    """The last of them come last, however many rows share the first."""
    times = [0] * rows + list(range(1, many))
    texts = [pl.Series([str(time) for time in times])]
    parts = split(len(times), SplitOptions("time", *shares, column="c"), texts)
    for part, share in zip(parts, shares, strict=True):
        assert (len(part) > 0) == (share > 0)
    found = [np.array(times)[part] for part in parts if len(part)]
    for earlier, later in pairwise(found):
        assert earlier.max() < later.min()


def test_folds_by_time_go_by_moments_and_not_by_texts() -> None:
    texts = pl.Series([f"2024-{1 + day // 28}-{1 + day % 28}" for day in range(300)])
    options = SplitOptions("time", 0.8, 0.0, 0.2, column="c", time_format="%Y-%m-%d")
    parts = split(300, options, [texts])
    assert parts.train.tolist() == list(range(240))
    for fold in folds(parts, 3, options, texts.gather(parts.train)):
        assert fold.train.max() < fold.test.min()


def test_equal_times_share_a_part() -> None:
    assert by("time", [*["1"] * 7, "2", "3", "3"]) == ([0, 1, 2, 3, 4, 5, 6], [7], [8, 9])


def test_too_few_rows() -> None:
    with pytest.raises(TableError, match="3 rows are too few: the validation part"):
        split(3, SplitOptions("sequential"))
    with pytest.raises(TableError, match="1 row is too few: the train part"):
        split(1, SplitOptions("sequential"))


def test_evenly() -> None:
    assert evenly(10, 4).tolist() == [0, 3, 6, 9]
    assert evenly(3, 4).tolist() == [0, 1, 2]
