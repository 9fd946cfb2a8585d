"""How long a job takes, on paper: from a few measured seconds, for any number of processes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

FLOAT, PAGE = 4, 4_096  # bytes
ROWS_PER_BLOCK, NUMBERS_PER_BLOCK = 65_536, 64 * 65_536  # as of reader.dataset
SHARE = 5  # communication is to be less than this part of a step


def straight(seconds: Mapping[int, float]) -> tuple[float, float]:
    """(a, b) of the straight line a + b size nearest to the seconds by size, each by its share of
    them; neither is below 0.

    >>> a, b = straight({1: 3.0, 2: 5.0, 10: 21.0})
    >>> round(a, 9), round(b, 9)
    (1.0, 2.0)
    """
    # Least squares of a / t + b size / t = 1.
    rows = [(1 / t, size / t) for size, t in seconds.items()]
    aa, bb = (sum(row[k] ** 2 for row in rows) for k in (0, 1))
    ab = sum(a * b for a, b in rows)
    a, b = (sum(row[k] for row in rows) for k in (0, 1))
    determinant = aa * bb - ab * ab
    if a * bb < b * ab:
        return 0.0, b / bb
    return (a * bb - b * ab) / determinant, max(0.0, (b * aa - a * ab) / determinant)


@dataclass(frozen=True)
class Link:
    """Between two processes: seconds until a message arrives, and bytes a second from then on."""

    latency: float
    bandwidth: float

    @classmethod
    def through(cls, seconds: Mapping[int, float]) -> Link:
        """By the measured seconds of all-reduces of so many bytes between two processes: two
        messages one after the other, that have all of the bytes between them."""
        twice, a_byte = straight(seconds)
        return cls(twice / 2, 1 / a_byte if a_byte else math.inf)


@dataclass(frozen=True)
class Hosts:
    """Where a job runs: so many `processes` on so many alike `hosts` of so many `cores`, a thread a
    process. `meeting`: seconds of process 0 for each process that it meets."""

    processes: int
    hosts: int
    cores: int
    link: Link
    meeting: float = 0.0

    @property
    def shared(self) -> float:
        """How many processes there are for a core, where there are more processes than cores."""
        return max(1.0, self.processes / self.hosts / self.cores)

    @property
    def is_full(self) -> bool:
        """Whether no core of a host is idle, and there is more than one at work."""
        return self.cores > 1 and self.processes >= self.hosts * self.cores

    def all_reduce(self, floats: int) -> Cost:
        """A ring: each process sends 2 (P - 1) messages of a P-th of the floats."""
        p, sent = self.processes, 2 * (self.processes - 1) / self.processes * FLOAT * floats
        waiting = 2 * (p - 1) * self.link.latency * self.shared
        return Cost(waiting=waiting, moving=sent / self.link.bandwidth * self.shared)

    def meet(self) -> Cost:
        """All tell process 0, which tells all."""
        return Cost(waiting=self.processes * self.meeting) if self.processes > 1 else Cost()

    def merge(self, size: int) -> Cost:
        """Every process hears of the `size` bytes of every process, one after the other, each by a
        tree of as many levels as the number of processes has digits."""
        p = self.processes
        levels = math.ceil(math.log2(p)) if p > 1 else 0
        waiting = (p + 1) * levels * self.link.latency * self.shared
        return Cost(waiting=waiting, moving=(p - 1) * size / self.link.bandwidth * self.shared)


@dataclass(frozen=True)
class Cost:
    """Seconds: of arithmetic, of reading from disk, of waiting for messages, of moving bytes."""

    computing: float = 0.0
    reading: float = 0.0
    waiting: float = 0.0
    moving: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(a + b for a, b in zip(self, other, strict=True)))

    def __mul__(self, times: float) -> Cost:
        return Cost(*(times * each for each in self))

    def __iter__(self) -> Iterator[float]:
        return iter((self.computing, self.reading, self.waiting, self.moving))

    @property
    def seconds(self) -> float:
        """Rows are read from disk while others are worked on."""
        return max(self.computing, self.reading) + self.waiting + self.moving

    @property
    def most(self) -> str:
        """What takes longest."""
        names = ("computing", "the disk", "waiting for messages", "moving bytes")
        return max(zip(self, names, strict=True))[1]


@dataclass(frozen=True)
class Work:
    """What one core computes: seconds a row, and seconds a step whatever its rows. `crowding`: by
    what each core is slower where all cores of its host are at work."""

    row: float
    step: float = 0.0
    crowding: float = 1.0

    @classmethod
    def through(cls, seconds: Mapping[int, float]) -> Work:
        """By the measured seconds of steps of so many rows."""
        step, row = straight(seconds)
        return cls(row, step)

    def of(self, rows: float, hosts: Hosts) -> Cost:
        """A step, or a pass, in which a process has so many rows."""
        slower = hosts.shared * (self.crowding if hosts.is_full else 1.0)
        return Cost(computing=slower * (self.row * rows + self.step))


@dataclass(frozen=True)
class Network:
    """A network on so many `columns` that exchanges the gradients of so many `floats`; `flat`:
    seconds of a core to put these behind each other and back. `disk`: bytes a second that a host
    reads; rows in memory need none."""

    work: Work
    columns: int
    floats: int
    flat: float = 0.0
    disk: float = math.inf

    def exchange(self, hosts: Hosts) -> Cost:
        """Of a step's gradients and loss."""
        if hosts.processes == 1:
            return Cost()
        own = Work(0.0, self.flat, self.work.crowding).of(0, hosts)
        return own + hosts.all_reduce(self.floats + 1)

    def step(self, batch: int, hosts: Hosts) -> Cost:
        """Of a mini-batch, which processes share; the largest share counts."""
        return self.work.of(math.ceil(batch / hosts.processes), hosts) + self.exchange(hosts)

    def epoch(self, rows: int, batch: int, hosts: Hosts) -> Cost:
        """A step for each mini-batch, and a meeting after each block."""
        per_block = min(ROWS_PER_BLOCK, NUMBERS_PER_BLOCK // self.columns)
        blocks = math.ceil(rows / (max(1, per_block // batch) * batch))
        # Rows in random order are read by pages, of which a host needs no more than there are.
        read = rows * min((self.columns + 1) * FLOAT, PAGE / hosts.hosts) / self.disk
        steps = self.step(batch, hosts) * (rows / batch)
        return steps + hosts.meet() * blocks + Cost(reading=read)

    def batch(self, hosts: Hosts) -> int:
        """The smallest mini-batch of which communication takes less than a fifth of a step."""
        needed = (SHARE - 1) * self.exchange(hosts).seconds
        one, none = (self.work.of(n, hosts).computing for n in (1, 0))
        rows = max(1, math.floor((needed - none) / (one - none)) + 1)
        return rows * hosts.processes


@dataclass(frozen=True)
class Line:
    """A pass over rows of so many `columns`, the target among them, for their moments, which take
    `size` bytes on the way. `disk`: bytes a second that a host reads; rows in memory need none."""

    work: Work
    columns: int
    size: int = 0
    disk: float = math.inf

    def one_pass(self, rows: int, hosts: Hosts) -> Cost:
        """Each process has its share of the rows; then all that they found is merged."""
        read = rows / hosts.hosts * self.columns * FLOAT / self.disk
        own = self.work.of(math.ceil(rows / hosts.processes), hosts)
        return own + Cost(reading=read) + hosts.meet() + hosts.merge(self.size)
