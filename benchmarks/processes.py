"""Processes of one thread each that wait for work, so that jobs of one, two and more of them can be
measured in turns."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Timer
from typing import Any

ROOT = Path(__file__).parent.parent
WAIT = 300.0  # seconds, after which a job that does not answer is killed


class Processes:
    """A job of benchmarks.rank that is running. Raises RuntimeError, with the end of what they
    wrote, where a process ends or does not answer."""

    def __init__(self, children: Sequence[subprocess.Popen[str]], logs: Sequence[Path]) -> None:
        self._children, self._logs = children, logs
        self._answers()

    def __call__(self, name: str, **arguments: Any) -> float:
        """Have all do this; the seconds of the slowest."""
        for child in self._children:
            assert child.stdin
            child.stdin.write(json.dumps([name, arguments]) + "\n")
            child.stdin.flush()
        return max(self._answers())

    def clock(self, name: str, **arguments: Any) -> Callable[[], float]:
        """The same for benchmarks.timing.in_turns."""
        return partial(self, name, **arguments)

    def _answers(self) -> list[float]:
        watch = Timer(WAIT, self.kill)
        watch.start()
        try:
            return [self._answer(child) for child in self._children]
        finally:
            watch.cancel()

    def _answer(self, child: subprocess.Popen[str]) -> float:
        assert child.stdout
        for line in child.stdout:
            try:
                return float(line)
            except ValueError:  # gloo says whom it found
                continue
        told = "\n".join(log.read_text(errors="replace")[-2_000:] for log in self._logs)
        raise RuntimeError(f"a process ended, or gave no answer:\n{told}")

    def close(self) -> None:
        """Let them end by themselves."""
        for child in self._children:
            assert child.stdin
            child.stdin.close()
        for child in self._children:
            child.wait(WAIT)

    def kill(self) -> None:
        for child in self._children:
            child.kill()


@contextmanager
def processes(count: int, cores: Collection[int] = ()) -> Iterator[Processes]:
    """So many, each on a core of its own as long as there are as many; or all on these `cores`."""
    known = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder, ExitStack() as ending:
        master, children = f"127.0.0.1:{free_port()}", list[subprocess.Popen[str]]()
        logs = [Path(folder, str(rank)) for rank in range(count)]
        for rank, log in enumerate(logs):
            environment = {
                **os.environ,
                "PADDLE_TRAINER_ID": str(rank),
                "PADDLE_TRAINERS_NUM": str(count),
                "PADDLE_MASTER": master,
                "OMP_NUM_THREADS": "1",
            }
            child = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.rank"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=ending.enter_context(log.open("w")),
                text=True,
                preexec_fn=partial(os.sched_setaffinity, 0, cores or {known[rank % len(known)]}),
            )
            ending.callback(child.wait)
            ending.callback(child.kill)
            children.append(child)
        job = Processes(children, logs)
        yield job
        job.close()


def free_port() -> int:
    """One that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
