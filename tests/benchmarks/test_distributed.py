"""Jobs on paper: what must hold of any, and that those which can be measured come out near it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import distributed
from benchmarks.distributed import APART, COLUMNS, CPU, FLOATS, HALF, QUICK, Measured, page
from benchmarks.processes import processes
from benchmarks.sizing import Hosts, Line, Link, Network, Work
from benchmarks.timing import Ratio

LINK = Link(latency=1e-4, bandwidth=1e9)
NETWORK = Network(Work(row=1e-5, step=1e-3), columns=90, floats=500_000, flat=2e-3)
LINE = Line(Work(row=1e-7), columns=14, size=2_000)
ROWS, BATCH = 1 << 20, 4_096
NEAR, ATTEMPTS = 2.0, 3  # times: on a machine that others use, too


def hosts(processes: int, link: Link = LINK, of: int = 1, cores: int = 64) -> Hosts:
    return Hosts(processes, of, cores, link, meeting=1e-4)


def test_one_process_only_computes() -> None:
    alone = hosts(1)
    epoch, one_pass = NETWORK.epoch(ROWS, BATCH, alone), LINE.one_pass(ROWS, alone)
    assert epoch.seconds == pytest.approx(ROWS / BATCH * (BATCH * 1e-5 + 1e-3))
    assert one_pass.seconds == pytest.approx(ROWS * 1e-7)
    for cost in (epoch, one_pass):
        assert (cost.waiting, cost.moving, cost.reading) == (0, 0, 0)


@pytest.mark.parametrize("count", [2, 8, 64])
def test_where_nothing_is_in_the_way_many_are_so_many_times_as_fast(count: int) -> None:
    free = replace(hosts(count, Link(0.0, math.inf)), meeting=0.0)
    network = replace(NETWORK, work=Work(1e-5), flat=0.0)
    alone = hosts(1)
    epochs = [network.epoch(ROWS, BATCH, on).seconds for on in (alone, free)]
    passes = [LINE.one_pass(ROWS, on).seconds for on in (alone, free)]
    for one, several in (epochs, passes):
        assert one / several == pytest.approx(count)


@pytest.mark.parametrize("count", [2, 3, 64])
def test_a_ring_moves_all_but_nothing_twice(count: int) -> None:
    """Each of P processes sends 2 (P - 1) messages of a P-th of the floats, counted one by one."""
    floats, part = 6_400, 6_400 / count
    seconds = sum(LINK.latency + 4 * part / LINK.bandwidth for _ in range(2 * (count - 1)))
    assert hosts(count).all_reduce(floats).seconds == pytest.approx(seconds)


@pytest.mark.parametrize("worse", [Link(1e-3, 1e9), Link(1e-4, 1e8)])
@pytest.mark.parametrize("count", [2, 8, 512])
def test_a_worse_link_takes_longer_and_a_larger_mini_batch(worse: Link, count: int) -> None:
    good, bad = hosts(count), hosts(count, worse)
    assert NETWORK.epoch(ROWS, BATCH, good).seconds < NETWORK.epoch(ROWS, BATCH, bad).seconds
    assert LINE.one_pass(ROWS, good).seconds < LINE.one_pass(ROWS, bad).seconds
    assert NETWORK.batch(good) < NETWORK.batch(bad)


def test_processes_without_a_core_of_their_own_share_one() -> None:
    two, four = hosts(2, cores=2), hosts(4, cores=2)
    assert LINE.one_pass(ROWS, four).seconds >= LINE.one_pass(ROWS, two).seconds
    assert Work(1e-5).of(10, four).computing == pytest.approx(2 * Work(1e-5).of(10, two).computing)


def test_cores_at_work_slow_each_other_down() -> None:
    crowded = Work(1e-5, crowding=1.5)
    assert crowded.of(10, hosts(2, cores=2)).computing == pytest.approx(1.5e-4)
    assert crowded.of(10, hosts(1, cores=2)).computing == pytest.approx(1e-4)


@pytest.mark.parametrize("count", [2, 8, 512])
def test_of_the_smallest_mini_batch_communication_is_less_than_a_fifth(count: int) -> None:
    on = hosts(count)
    batch = NETWORK.batch(on)
    for size, is_less in ((batch, True), (batch - count, False)):
        step = NETWORK.step(size, on).seconds
        assert (NETWORK.exchange(on).seconds < step / 5) == is_less


def test_rows_come_from_disk_while_others_are_worked_on() -> None:
    slow = replace(LINE, disk=14 * 4 * 1e6)  # a million rows a second
    assert slow.one_pass(ROWS, hosts(1)).seconds == pytest.approx(ROWS / 1e6)
    assert slow.one_pass(ROWS, hosts(1)).most == "the disk"
    assert slow.one_pass(ROWS, hosts(4, of=4)).reading == pytest.approx(ROWS / 4e6)


def test_what_was_measured_is_found_again() -> None:
    sizes = (4_000, 400_000, 4_000_000)
    link = Link.through({size: 2 * 3e-4 + size / 2e9 for size in sizes})
    assert link.latency == pytest.approx(3e-4)
    assert link.bandwidth == pytest.approx(2e9)
    work = Work.through({rows: 1e-3 + rows * 5e-6 for rows in (512, 4_096)})
    assert work.row == pytest.approx(5e-6)
    assert work.step == pytest.approx(1e-3)


def test_the_network_on_paper_is_the_one_that_is_measured() -> None:
    from benchmarks import ours, tables
    from benchmarks.rank import NETWORK as KEYS

    table = tables.synthetic(64, COLUMNS)
    _, fit = ours.trainer(np.column_stack([table.x, table.y]), 64, KEYS)
    assert sum(int(p.size) for p in fit.network.parameters()) == FLOATS


def test_a_page_tells_what_was_measured() -> None:
    seconds = {"1": [4.0, 4.0], "2": [2.0, 2.5], "4": [2.0, 2.0], APART: [2.0] * 2, HALF: [2.0] * 2}
    seconds |= {f"{CPU}1": [3.8] * 2, f"{CPU}2": [1.9] * 2}
    found = Measured(
        *(QUICK, NETWORK, LINE, replace(LINE, columns=91), LINK, 1e-4, 1e6),
        *(seconds, seconds, (0.5, 1.5)),
    )
    text = "\n".join(page(found, "a command"))
    assert (
        "| network | 4.00 s | 2.25 s | 1.8 [1.6 - 2] | 1.6: met | 2 [2 - 2] | 2 [2 - 2] |" in text
    )
    assert "before and after: 0.5 and 1.5" in text
    assert "2,147,483,647 rows" in text
    assert text.count("\n| 14 | ") == text.count("\n| 91 | ") == len(distributed.HOSTS)


def test_a_process_that_ends_is_told() -> None:
    with pytest.raises(RuntimeError, match="no_such_work"), processes(1) as job:
        job("no_such_work")


@pytest.mark.slow
@pytest.mark.xdist_group("jobs")
def test_the_model_is_near_what_is_measured(tmp_path: Path) -> None:
    """How many times as fast two and four processes are as one, in the same rounds: the model is
    not off by more than NEAR. What else the machine does may spoil a measurement, hardly three."""
    for attempt in range(ATTEMPTS):
        (folder := tmp_path / str(attempt)).mkdir()
        found = distributed.measure(replace(QUICK, rounds=2), folder)
        far = [each for each in said_and_measured(found) if not 1 / NEAR < each[0] / each[1] < NEAR]
        if not far:
            return
    raise AssertionError(far)


def said_and_measured(found: Measured) -> Iterator[tuple[float, float]]:
    """Times as fast as one process, of each work by two and by four."""
    for name, seconds in found.taken().items():
        alone = found.foretold(1)[name].seconds
        for count in (2, 4):
            measured = Ratio.of(seconds["1"], seconds[str(count)]).median
            yield alone / found.foretold(count)[name].seconds, measured
