"""Several processes beside one, in turns; and how long a job takes on paper, held against them.

python -m benchmarks.distributed
python -m benchmarks.distributed --quick

Each process has one thread and, as long as there are as many, a core of its own. Processes take
turns, so that what slows the machine down for a while slows every side down.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import tables
from benchmarks.processes import Processes, processes
from benchmarks.sizing import FLOAT, Cost, Hosts, Line, Link, Network, Work
from benchmarks.timing import Ratio, in_turns, machine
from ranks.codec import encode
from reader.statistics import moments

RESULTS = Path(__file__).with_suffix(".md")
COUNTS = (1, 2, 4)
COLUMNS, BATCH, HIDDEN = 90, 4_096, 512
FLOATS = (COLUMNS + 1) * HIDDEN + 2 * (HIDDEN + 1) * HIDDEN + HIDDEN + 1
NARROW, WIDE = 14, 91  # columns of a line, with the target
BATCHES = (512, 2_048, BATCH)  # rows, by which a step's time is told apart
SIZES = (1_000, 10_000, 100_000, 1_000_000)  # floats of an exchange
OFTEN = 20
HALF, APART, CPU = "half the work, 1 process", "2 processes apart", "CPU time, processes: "
ASKED = {"network": 1.6, "line": 1.7}
Seconds = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class Scale:
    """How much is measured: rounds after one to warm up; rows of an epoch, of a pass, and of a
    table of text."""

    rounds: int = 5
    epoch: int = 11 * BATCH
    one_pass: int = 32_000_000
    text: int = 1_000_000


QUICK = Scale(rounds=1, epoch=2 * BATCH, one_pass=4_000_000, text=50_000)


@dataclass(frozen=True)
class Measured:
    """A network and two lines, as one core works on them; the link between two processes of this
    host, and their meetings; rows of text a second that the host packs; and what jobs took, round
    by round, by their number of processes, HALF or APART, or of CPU time by CPU and the number;
    the machine's load before and after."""

    scale: Scale
    network: Network
    narrow: Line
    wide: Line
    link: Link
    meeting: float
    packing: float
    epochs: Seconds
    passes: Seconds
    load: tuple[float, float]

    def here(self, count: int) -> Hosts:
        """A job on this machine."""
        return Hosts(count, 1, len(os.sched_getaffinity(0)), self.link, self.meeting)

    def foretold(self, count: int) -> dict[str, Cost]:
        """What the model says that a job on this machine takes."""
        hosts, scale = self.here(count), self.scale
        return {
            "network": self.network.epoch(scale.epoch, BATCH, hosts),
            "line": self.narrow.one_pass(scale.one_pass, hosts),
        }

    def taken(self) -> dict[str, Seconds]:
        return {"network": self.epochs, "line": self.passes}


def measure(scale: Scale, folder: Path) -> Measured:
    """All that is measured; files of up to 1.8 GB go into `folder`."""
    before = os.getloadavg()[0]
    narrow = rows_in(folder / "narrow", scale.one_pass, NARROW)
    few = scale.one_pass // 16
    wide = {"path": rows_in(folder / "wide", few, WIDE), "columns": WIDE, "rows": few}
    with ExitStack() as jobs:
        by_count = {count: jobs.enter_context(processes(count)) for count in COUNTS}
        one, two = by_count[1], by_count[2]
        step = {str(n): one.clock("step", rows=n, columns=COLUMNS, times=2) for n in BATCHES}
        step["prepare"] = one.clock("prepare", rows=8 * BATCH, columns=COLUMNS)
        epochs = in_turns(_epochs(by_count, scale.epoch) | step, scale.rounds)
        passes = in_turns(_passes(by_count, scale.one_pass, narrow), scale.rounds)
        second = in_turns({"wide": one.clock("moments", **wide)}, scale.rounds)["wide"]
        link = Link.through({FLOAT * n: often(two, "all_reduce", floats=n) for n in SIZES})
        whole = often(two, "gradients", columns=COLUMNS)
        flat = max(0.0, whole - often(two, "all_reduce", floats=FLOATS + 1))
        meeting = statistics.mean(often(by_count[n], "meet") / n for n in COUNTS[1:])
    work = Work.through({n: median(epochs, str(n)) for n in BATCHES})
    row = work.row + median(epochs, "prepare") / (8 * BATCH)
    work = replace(work, row=row, crowding=crowding(epochs))
    line = Work(median(passes, "1") / scale.one_pass, crowding=crowding(passes))
    return Measured(
        scale=scale,
        network=Network(work, COLUMNS, FLOATS, flat),
        narrow=Line(line, NARROW, size_of(NARROW)),
        wide=Line(replace(line, row=statistics.median(second) / few), WIDE, size_of(WIDE)),
        link=link,
        meeting=meeting,
        packing=packing(scale.text, folder),
        epochs=epochs,
        passes=passes,
        load=(before, os.getloadavg()[0]),
    )


Clock = Callable[[], float]


def _epochs(jobs: Mapping[int, Processes], rows: int) -> dict[str, Clock]:
    whole = {"rows": rows, "batch": BATCH, "columns": COLUMNS}
    half = {"rows": rows // 2, "batch": BATCH // 2, "columns": COLUMNS}
    return _sides(jobs, "train", whole, half)


def _passes(jobs: Mapping[int, Processes], rows: int, path: str) -> dict[str, Clock]:
    whole = {"path": path, "columns": NARROW, "rows": rows}
    return _sides(jobs, "moments", whole, whole | {"rows": rows // 2})


def _sides(
    jobs: Mapping[int, Processes], name: str, whole: Mapping[str, Any], half: Mapping[str, Any]
) -> dict[str, Clock]:
    sides = {str(count): job.clock(name, **whole) for count, job in jobs.items()}
    sides[APART] = jobs[2].clock(name, **whole, alone=True)
    sides[HALF] = jobs[1].clock(name, **half)
    for count in (1, 2):
        sides[f"{CPU}{count}"] = jobs[count].clock("cpu", of=name, **whole)
    return sides


def often(job: Processes, name: str, **arguments: int) -> float:
    """Seconds a time, of what takes too little to be measured once."""
    job(name, **arguments, times=3)
    return statistics.median(job(name, **arguments, times=OFTEN) for _ in range(5))


def median(seconds: Seconds, side: str) -> float:
    return statistics.median(seconds[side])


def crowding(seconds: Seconds) -> float:
    """How much slower a core is while the other one works, too."""
    return max(1.0, Ratio.of(seconds[APART], seconds[HALF]).median)


def size_of(columns: int) -> int:
    """Bytes of the moments of so many columns, on their way to another process."""
    return len(encode(moments(np.ones((2, columns), np.float32))))


def rows_in(path: Path, rows: int, columns: int) -> str:
    """Write so many float32 rows into a file, whose path it gives."""
    random = np.random.default_rng(0)
    with path.open("wb") as file:
        for start in range(0, rows, tables.CHUNK):
            shape = min(tables.CHUNK, rows - start), columns
            file.write(random.standard_normal(shape, dtype=np.float32).data)
    return str(path)


def packing(rows: int, folder: Path) -> float:
    """Rows of CSV a second that all cores read into memory, every cell checked."""
    path = tables.write_csv(folder, rows)
    with processes(1, os.sched_getaffinity(0)) as job:
        job("pack", path=str(path))
        return rows / job("pack", path=str(path))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="little of all, for a first look")
    parser.add_argument("--rounds", type=int, help="turns of each side (default: 5; quick: 1)")
    parser.add_argument("--output", type=Path, help=f"where the page goes ({RESULTS.name})")
    given = parser.parse_args(arguments)
    scale = QUICK if given.quick else Scale()
    scale = replace(scale, rounds=given.rounds or scale.rounds)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(scale, Path(folder))
    text = "\n".join(
        page(found, shlex.join(["python", "-m", "benchmarks.distributed", *arguments]))
    )
    print(text)
    if path := given.output or (None if given.quick else RESULTS):
        path.write_text(text + "\n")
    return 0


def page(found: Measured, command: str) -> Iterator[str]:
    """The results as lines of Markdown."""
    scale, load = found.scale, found.load
    yield "# Several processes"
    yield ""
    yield (
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d}. Each process has one thread and, as long as "
        f"there are as many, a core of its own; all take turns, {spoken_rounds(scale.rounds)} "
        "after one to warm up. Figures are medians over rounds; ratios are those of a round: "
        "median [least - most]."
    )
    yield ""
    for name, value in machine(("paddlepaddle", "numpy")).items():
        yield f"- {name}: {value}"
    yield f"- load of the machine before and after: {load[0]:.1f} and {load[1]:.1f}"
    yield from _faster(found)
    yield from _figures(found)
    yield from _held(found)
    yield from _paper(found)


def _faster(found: Measured) -> Iterator[str]:
    scale = found.scale
    yield "\n## Two processes beside one\n"
    yield (
        f"Network: an epoch of {scale.epoch:,} rows of {COLUMNS} columns, 3 x {HIDDEN} hidden, "
        f"mini-batches of {BATCH:,}, fetching of rows included. Line: the moments of "
        f"{scale.one_pass:,} rows of {NARROW} columns in a file that is mapped into memory. Apart: "
        "two processes with half of the work each that say nothing to each other, which is as fast "
        "as two can be on this machine. By CPU time: what one process computes, beside what the "
        "busier of two does; time for which they wait, for each other or for a core that other "
        "programs have, is left out, so this is what a machine that is otherwise idle comes near."
    )
    yield "\n| what | 1 process | 2 processes | times as fast | asked | two apart | by CPU time |"
    yield "|---|---|---|---|---|---|---|"
    for name, seconds in found.taken().items():
        ratio = Ratio.of(seconds["1"], seconds["2"])
        met = "met" if ratio.median >= ASKED[name] else "missed"
        apart = Ratio.of(seconds["1"], seconds[APART])
        cpu = Ratio.of(seconds[f"{CPU}1"], seconds[f"{CPU}2"])
        both = " | ".join(f"{median(seconds, side):.2f} s" for side in ("1", "2"))
        yield f"| {name} | {both} | {ratio} | {ASKED[name]}: {met} | {apart} | {cpu} |"


def _figures(found: Measured) -> Iterator[str]:
    network, link = found.network, found.link
    work = network.work
    yield "\n## What was measured of a core and of a link\n"
    yield (
        f"- A step of the network: {work.step * 1e3:.2f} ms and {work.row * 1e6:.2f} us a row, "
        f"fetched; {work.crowding:.2f} times as long where the other core works, too."
    )
    yield (
        f"- All-reduce between two processes (gloo, on one host): {link.latency * 1e6:.0f} us a "
        f"message, {link.bandwidth / 1e6:,.0f} MB/s. Of the network's {FLOATS:,} gradients: "
        f"{found.here(2).all_reduce(FLOATS).seconds * 1e3:.1f} ms, and {network.flat * 1e3:.1f} ms "
        "to put them behind each other and back."
    )
    yield f"- A meeting: {found.meeting * 1e6:.0f} us a process."
    for line in (found.narrow, found.wide):
        yield (
            f"- Moments of {line.columns} columns: {1 / line.work.row / 1e6:.2f} million rows/s of "
            f"a core; {line.size:,} bytes go to every other process."
        )
    crowded = found.narrow.work.crowding
    yield f"- A pass takes {crowded:.2f} times as long where the other core works, too."
    yield (
        f"- CSV of {tables.WIDTH + 1} columns, read and checked by {len(os.sched_getaffinity(0))} "
        f"cores: {found.packing / 1e6:.2f} million rows/s."
    )


def _held(found: Measured) -> Iterator[str]:
    yield "\n## The model held against what was measured\n"
    yield (
        "From these figures alone, benchmarks/sizing.py says what each job takes. Four processes "
        "have two cores here."
    )
    yield "\n| what | processes | measured | model | error | times as fast: measured | model |"
    yield "|---|---|---|---|---|---|---|"
    for name, seconds in found.taken().items():
        base = found.foretold(1)[name].seconds
        for count in COUNTS:
            taken, said = median(seconds, str(count)), found.foretold(count)[name].seconds
            ratio = Ratio.of(seconds["1"], seconds[str(count)]).median
            yield (
                f"| {name} | {count} | {taken:.2f} s | {said:.2f} s | {said / taken - 1:+.0%} | "
                f"{ratio:.2f} | {base / said:.2f} |"
            )


HOSTS = (1, 8, 64, 512)
ROWS = (10**9, 10**11)
MOST_ROWS = 2**31 - 1  # an int32 numbers rows
CORES, DISK = 32, 1e9  # of a host; bytes a second
SPEEDS = (10, 25)  # Gbit/s
DISTANCE = 30e-6  # seconds to another host


def paper(found: Measured, hosts: int, speed: float) -> Hosts:
    """A job on other hosts: their cores as the one that was measured, and a network between."""
    link = found.link
    if hosts > 1:
        most = min(link.bandwidth, speed * 1e9 / 8)
        link = Link(link.latency + DISTANCE, most)
    return Hosts(hosts * CORES, hosts, CORES, link, found.meeting)


def _paper(found: Measured) -> Iterator[str]:
    yield "\n## On paper\n"
    yield (
        f"Nothing below was run. Assumed: hosts of {CORES} cores like the one measured, a process "
        f"of one thread each; a disk of {DISK / 1e9:g} GB/s a host, from which every row is read "
        f"(random rows by pages of 4 KiB); a network of {SPEEDS[0]} or {SPEEDS[1]} Gbit/s, "
        f"{DISTANCE * 1e6:.0f} us beside what a message takes on one host, and no faster than gloo "
        "is there; every host full, so that its cores slow each other down as the two here do. "
        "The reading of the text is left out: every host reads all of it once, at the rate above, "
        "or with data.shards=per_host its own rows alone."
    )
    yield from _lines(found)
    yield from _networks(found)
    yield "\n## Limits that stand today\n"
    yield (
        f"- A row's number is an int32: a job has at most {MOST_ROWS:,} rows. A hundred billion, "
        "as above, need that to be lifted first."
    )
    yield (
        f"- Every process holds the numbers of all training rows, {FLOAT} bytes each, and the "
        f"order of an epoch, a quarter of a byte: {CORES * 4.25:.0f} GB a host of {CORES} "
        "processes for a billion rows. Every host's disk holds the whole packed table, "
        f"{NARROW * FLOAT} or {WIDE * FLOAT} GB, or with data.shards=per_host its own rows."
    )
    yield (
        "- Merging tells every process of every process's value: the bytes that one receives grow "
        f"with the number of processes. At {HOSTS[-1] * CORES:,} processes a pass over {WIDE} "
        f"columns ends with {HOSTS[-1] * CORES * found.wide.size / 1e9:.1f} GB into each of them."
    )
    yield (
        "- The gradients go around one ring of all processes, one message after the other: many "
        "processes wait for messages, and a mini-batch must be large to be worth it. Fewer "
        "processes of more threads would wait less; that was not measured."
    )


def _lines(found: Measured) -> Iterator[str]:
    yield "\nA line, one pass for the moments (it makes two or three):\n"
    yield f"| columns | hosts | processes | {ROWS[0]:,} rows | {ROWS[1]:,} rows | most of it |"
    yield "|---|---|---|---|---|---|"
    for line in (found.narrow, found.wide):
        for hosts in HOSTS:
            cells, most = list[str](), list[str]()
            for rows in ROWS:
                costs = [
                    replace(line, disk=DISK).one_pass(rows, paper(found, hosts, speed))
                    for speed in SPEEDS
                ]
                cells.append(_between(costs))
                most.append(costs[0].most)
            why = " / ".join(dict.fromkeys(most))
            yield f"| {line.columns} | {hosts} | {hosts * CORES:,} | {' | '.join(cells)} | {why} |"


def _networks(found: Measured) -> Iterator[str]:
    network = replace(found.network, disk=DISK)
    yield (
        f"\nAn epoch of a 3 x {HIDDEN} network on {COLUMNS} columns (with 14, some 7 % less "
        "arithmetic), with mini-batches of "
        f"{BATCH:,}, and of the size from which on communication takes less than a fifth of a step "
        "(whether so large a one still learns is another question):\n"
    )
    sizes = [f"{rows:,} rows" for rows in ROWS]
    yield (
        f"| hosts | {BATCH:,}: {sizes[0]} | most of it | a fifth from | {sizes[0]} | {sizes[1]} | "
        "most of it |"
    )
    yield "|---|---|---|---|---|---|---|"
    for hosts in HOSTS:
        jobs = [paper(found, hosts, speed) for speed in SPEEDS]
        plain = [network.epoch(ROWS[0], BATCH, job) for job in jobs]
        large = [max(BATCH, network.batch(job)) for job in jobs]
        many = [
            [network.epoch(rows, batch, job) for batch, job in zip(large, jobs, strict=True)]
            for rows in ROWS
        ]
        fifth = " - ".join(dict.fromkeys(f"{batch:,}" for batch in sorted(large)))
        cells = [_between(plain), plain[0].most, fifth, *map(_between, many), many[0][0].most]
        yield f"| {hosts} | {' | '.join(cells)} |"


def _between(costs: Sequence[Cost]) -> str:
    """The seconds of the least and the most of them, once where they read alike."""
    return " - ".join(dict.fromkeys(spoken(s) for s in sorted(cost.seconds for cost in costs)))


def spoken_rounds(count: int) -> str:
    return "1 round" if count == 1 else f"{count} rounds"


def spoken(seconds: float) -> str:
    """In the largest unit of which there are two.

    >>> spoken(0.5), spoken(90), spoken(7_300), spoken(1e6), spoken(1e8)
    ('0.5 s', '90 s', '122 min', '12 days', '1,157 days')
    """
    for unit, of in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * of * (2 if unit == "h" else 1):
            return f"{seconds / of:,.0f} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
