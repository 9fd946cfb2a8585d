"""Tables, the time to the optimum, and the report; no peer is needed."""

from __future__ import annotations

import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks import comparisons, peers, tables
from benchmarks.__main__ import main, report, table
from benchmarks.comparisons import Options, Result
from benchmarks.optimum import Predict, Setting, best, reach
from benchmarks.peers import Peer
from benchmarks.tables import Table

SMALL = tables.synthetic(500)


def exact(found: Table) -> Predict:
    """Least squares by another way than the table's own: with a column of ones."""
    x = np.column_stack([found.x, np.ones(len(found.x))]).astype(np.float64)
    weights = np.linalg.lstsq(x, found.target, rcond=None)[0]
    return lambda: x @ weights


def slow(steps: int, seconds: float) -> Iterator[Predict]:
    """Arrives at the last of its steps."""
    for _ in range(steps - 1):
        time.sleep(seconds)
        yield lambda: np.zeros(len(SMALL.y))
    time.sleep(seconds)
    yield exact(SMALL)


def test_the_gap_is_that_to_least_squares() -> None:
    assert SMALL.gap(exact(SMALL)()) == pytest.approx(0, abs=1e-9)
    assert SMALL.gap(np.zeros(500)) == pytest.approx(1 / SMALL.optimum - 1)
    assert SMALL.optimum == pytest.approx(0.5, abs=0.1)


def test_the_ill_conditioned_table_is() -> None:
    found = tables.ill_conditioned(2_000)
    values = np.linalg.svd(found.x.astype(np.float64), compute_uv=False)
    assert values[0] / values[-1] == pytest.approx(1e6, rel=0.2)
    assert found.rank == 13
    assert found.optimum == pytest.approx(0.2, abs=0.02)


def test_tables_become_numbers(tmp_path: Path) -> None:
    assert tables.boston().x.shape == (506, 13)
    path = tmp_path / "homes.csv"
    path.write_text("area,town,price\n" + "1.5,north,3\n,south,4\n3.5,north,5\n,south,6\n")
    found = tables.from_file("homes", str(path), "price")
    np.testing.assert_array_equal(found.x, [[1.5, 1, 0], [2.5, 0, 1], [3.5, 1, 0], [2.5, 0, 1]])
    np.testing.assert_array_equal(found.y, [3, 4, 5, 6])


def test_both_files_hold_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "CHUNK", 40)
    frame = pl.read_csv(tables.write_csv(tmp_path, 100))
    assert frame.shape == (100, 14)
    lines = tables.write_vw(tmp_path, 100).read_text().splitlines()
    words = [line.replace("|", "").split() for line in lines]
    values = [[float(word.rpartition(":")[2]) for word in line] for line in words]
    np.testing.assert_allclose(values, frame.select("y", pl.exclude("y")).to_numpy())


def test_time_to_the_optimum_adds_up_unless_training_restarts() -> None:
    once = Setting("once", partial(slow, 3, 0.02))
    assert 0.06 <= reach(SMALL, once) < 0.5
    again = Setting("again", partial(slow, 3, 0.02), restarts=True)
    assert 0.02 <= reach(SMALL, again) < 0.06
    assert reach(SMALL, once, cap=0.05) == np.inf
    assert reach(SMALL, Setting("ends", lambda: iter([lambda: np.zeros(500)]))) == np.inf
    assert reach(SMALL, Setting("diverges", lambda: iter([lambda: SMALL.target * 1e300]))) == np.inf


def test_the_best_setting_is_the_one_that_arrives_first() -> None:
    slower = Setting("slower", partial(slow, 3, 0.02))
    faster = Setting("faster", partial(slow, 2, 0.01))
    assert best(SMALL, [slower, faster]) is faster
    assert best(SMALL, [slower], cap=0.05) is None


def test_what_is_not_installed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def settings(table: Table, folder: Path) -> list[Setting]:
        raise AssertionError("not installed")

    missing = Peer("Nobody", "nobody", ("no_such_module",), settings)
    monkeypatch.setattr(peers, "PEERS", (missing,))
    assert list(comparisons.optima(SMALL, Options(tmp_path, rounds=1))) == []
    sides: dict[str, Callable[[], float]] = {"a": lambda: 2.0, "b": lambda: 1.0}
    pairs = [("a", "b", 1.9), ("a", "Nobody", 1.0)]
    (found,) = comparisons.ratios("work", sides, pairs, rounds=1)
    assert (found.what, found.figure, found.verdict) == ("work: a / b", 2.0, "no")


def test_results_are_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = Result("step", 0.9, "0.9 [0.8 - 1]", "9 us / 10 us", 1.0)
    monkeypatch.setitem(comparisons.COMPARISONS, "step", lambda options: iter([result]))
    assert main(["--only", "step", "--folder", str(tmp_path)]) == 0
    text = (tmp_path / "results.md").read_text()
    assert "| step | 0.9 [0.8 - 1] | 9 us / 10 us | 1 | yes |" in text
    assert "`python -m benchmarks --only step" in text
    assert report([result._replace(limit=None)], [], Options(tmp_path)).endswith("us |  |  |\n")


def test_a_table_has_a_name_a_path_and_a_target() -> None:
    assert table("Homes=a:b/homes.csv:price") == ("Homes", "a:b/homes.csv", "price")
    with pytest.raises(ArgumentTypeError, match="expected NAME=PATH:TARGET"):
        table("homes.csv")
