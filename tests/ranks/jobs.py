"""Jobs of several processes on this machine, as a scheduler starts them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from tests.conftest import ROOT

LONGEST = 240.0  # seconds, of a job on a machine that does other things too


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Job:
    """`python train.py` with these arguments, as so many processes; each writes to a log. With
    `prefixes`, commands that put each on a host of its own, `master` says where the first is."""

    def __init__(
        self,
        count: int,
        logs: Path,
        arguments: Sequence[str],
        prefixes: Sequence[list[str]] = (),
        master: str = "",
        last: Sequence[str] = (),
    ) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self.logs = [logs / f"{rank}.log" for rank in range(count)]
        master = master or f"127.0.0.1:{free_port()}"
        self.processes = []
        for rank, log in enumerate(self.logs):
            places = {"PADDLE_TRAINER_ID": rank, "PADDLE_TRAINERS_NUM": count}
            if not prefixes:
                places |= {"PADDLE_LOCAL_RANK": rank, "PADDLE_LOCAL_SIZE": count}
            environment = {name: str(value) for name, value in places.items()}
            environment |= {"PADDLE_MASTER": master, "OMP_NUM_THREADS": "1"}
            before = prefixes[rank] if prefixes else []
            more = last if rank == count - 1 else ()
            with log.open("wb") as output:
                self.processes.append(
                    subprocess.Popen(
                        [*before, sys.executable, "train.py", *arguments, *more],
                        cwd=ROOT,
                        env={**os.environ, **environment},
                        stdout=output,
                        stderr=output,
                        stdin=subprocess.DEVNULL,
                    )
                )

    def wait(self) -> list[int]:
        """The exit codes."""
        return [process.wait(LONGEST) for process in self.processes]

    def texts(self) -> list[str]:
        return [log.read_text(errors="replace") for log in self.logs]

    def workers(self) -> list[int]:
        """The process that trains, of each rank: the child of the one that keeps it."""
        found = []
        for process in self.processes:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            found += [int(pid) for pid in children.split()]
        return found

    def kill(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGKILL)


@contextmanager
def job(count: int, logs: Path, *arguments: str, last: Sequence[str] = ()) -> Iterator[Job]:
    """One that leaves nothing behind; `last`: further arguments of its last process."""
    running = Job(count, logs, arguments, last=last)
    try:
        yield running
    finally:
        running.kill()
        for process in running.processes:
            process.wait()


def weights(run: Path) -> dict[str, NDArray[np.float64]]:
    """Of the last checkpoint; of an additive model the values of its terms, for its parameters are
    what training adds to them: next to nothing."""
    contract = json.loads((run / "export" / "contract.json").read_text())
    if "additive" in contract:
        terms = contract["additive"]["terms"]
        return {str(number): np.array(term["values"]) for number, term in enumerate(terms)}
    found = load_file(run / "checkpoints" / "last" / "weights.safetensors")
    return {name: values.astype(np.float64) for name, values in found.items()}


def apart(first: Path, second: Path) -> float:
    """By how much the weights of two runs differ: the norm of the difference of each parameter, in
    that of the parameter."""
    a, b = weights(first), weights(second)
    assert a.keys() == b.keys()
    norms = {name: float(np.linalg.norm(values)) for name, values in a.items()}
    return max(float(np.linalg.norm(a[n] - b[n])) / max(norms[n], 1e-12) for n in a)
