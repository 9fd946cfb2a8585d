"""Work done in turns, so that what slows a machine down for a while slows every side down."""

from __future__ import annotations

import gc
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).parent.parent
SAMPLE_EVERY = 0.01  # seconds between two looks at a process's memory

Clock = Callable[[], float]
"""Does its work once; gives the seconds that count."""


@dataclass(frozen=True)
class Ratio:
    """Of the two sides' seconds, round by round."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
        """One that never arrives takes infinitely long; where neither does, there is no ratio."""
        ratios = [
            math.nan if math.isinf(a) and math.isinf(b) else a / b
            for a, b in zip(ours, theirs, strict=True)
        ]
        return cls(statistics.median(ratios), min(ratios), max(ratios))

    def __str__(self) -> str:
        if math.isnan(self.median):
            return "neither arrives"
        return f"{self.median:.3g} [{self.least:.3g} - {self.most:.3g}]"


def in_turns(sides: Mapping[str, Clock], rounds: int) -> dict[str, list[float]]:
    """The seconds of each side in each round: A B C, A B C, ..., after a round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, clock in sides.items():
            gc.collect()
            spent = clock()
            if number:
                seconds[name].append(spent)
    return seconds


def timed(work: Callable[[], object], calls: int = 1, steps: int = 1) -> Clock:
    """Seconds a step, where each of so many calls in a row makes so many steps."""

    def clock() -> float:
        start = time.perf_counter()
        for _ in range(calls):
            work()
        return (time.perf_counter() - start) / (calls * steps)

    return clock


def process(command: Sequence[str], before: Callable[[], object] = lambda: None) -> Clock:
    """Seconds of a whole process; what `before` does first does not count."""

    def clock() -> float:
        before()
        return run(command).seconds

    return clock


@dataclass(frozen=True)
class Run:
    """A process that has ended; `anonymous`: the most memory it held that backs no file, bytes."""

    seconds: float
    anonymous: int = 0


def run(command: Sequence[str], watch: bool = False) -> Run:
    """Run in the project's folder to the end. With `watch` its memory is sampled, where the system
    has /proc. Raises CalledProcessError, with what it wrote, where its exit code is not 0."""
    with tempfile.TemporaryFile("w+") as output:
        start, anonymous = time.perf_counter(), 0
        child = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)  # noqa: S603
        try:
            while watch and child.poll() is None:
                anonymous = max(anonymous, anonymous_bytes(child.pid))
                time.sleep(SAMPLE_EVERY)
            child.wait()
        finally:
            child.kill()
        seconds = time.perf_counter() - start
        if child.returncode:
            output.seek(0)
            text = output.read()[-2_000:]
            print(text, file=sys.stderr)
            raise subprocess.CalledProcessError(child.returncode, command, text)
    return Run(seconds, anonymous)


def anonymous_bytes(pid: int) -> int:
    """Memory of a process that backs no file; 0 where the system does not say."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = (line.split() for line in status.splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[0] == "RssAnon:"), 0)


def machine(packages: Iterable[str]) -> dict[str, str]:
    """What results depend on: processor, memory, versions."""
    described = {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}, {' '.join(platform.libc_ver())}",
        "python": platform.python_version(),
    }
    for package in packages:
        try:
            described[package] = version(package)
        except PackageNotFoundError:
            described[package] = "not installed"
    return described


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
