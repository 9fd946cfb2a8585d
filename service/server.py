"""Worker processes that share a port, and end when they are told to, after what they are doing."""

from __future__ import annotations

import errno
import gc
import mmap
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from time import monotonic, sleep
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from display import say
from errors import UserError, tell
from model.folder import Export
from service.metrics import Metrics

if TYPE_CHECKING:
    from service.models import Model

Loaded = TypeVar("Loaded")
BACKLOG = 2_048  # connections that wait to be accepted
PAUSE = 0.02  # seconds between looks at workers that begin
SOON = 5.0  # seconds, in which a worker that fails will do so again
STOPS = (signal.SIGTERM, signal.SIGINT)


class Life(NamedTuple):
    """What begins and ends a worker: `ready` is called when it answers, the signals `stops` end it,
    and so does the end of the pipe `lifeline`. `came`: the signals that came before it answers."""

    ready: Callable[[], None]
    stops: tuple[int, ...]
    came: list[int]
    lifeline: int | None = None


class Plan(NamedTuple):
    """What is served, and how; `most_body`: bytes of a request."""

    exports: Mapping[str, Export]
    engine: str
    device: str
    host: str
    port: int
    workers: int
    most_body: int
    metrics: Metrics


def run(plan: Plan) -> int:
    """Serve until SIGTERM or SIGINT; the exit code. Raises UserError."""
    listeners = bind(plan.host, plan.port, plan.workers)
    port = listeners[0].getsockname()[1]
    shown = f"[{plan.host}]" if ":" in plan.host else plan.host
    ready = partial(say, f"serving {', '.join(plan.exports)} at http://{shown}:{port}")
    if plan.workers == 1:
        serve(plan, listeners[0], 0, Life(ready, STOPS, []))
        return 0
    return Workers(plan, listeners, ready).run()


def bind(host: str, port: int, workers: int) -> list[socket.socket]:
    """A socket a worker, all of one address: the kernel shares connections out among them. Raises
    UserError where the address is taken, or is not of this machine."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = found[0]
        # Shared sockets of another server would let this one in beside it.
        first = _bound(family, address, share=False)
        if workers == 1:
            return [first]
        address = first.getsockname()
        first.close()
        return [_bound(family, address, share=True) for _ in range(workers)]
    except socket.gaierror:
        raise UserError(f"--host {host}: no such host") from None
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: "is in use; choose another --port, or stop what uses it",
            errno.EACCES: "is not for this user; choose a --port from 1024 on",
            errno.EADDRNOTAVAIL: "is no address of this machine; choose another --host",
        }
        reason = reasons.get(error.errno or 0, error.strerror)
        raise UserError(f"--host {host} --port {port}: {reason}") from None


def _bound(family: int, address: Any, share: bool) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if share:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(True)
    return listener


def serve(plan: Plan, listener: socket.socket, worker: int, life: Life) -> None:
    """Be one worker, until a signal. Raises UserError where a model cannot be loaded."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    threads = max(1, cores // plan.workers)
    os.environ.setdefault("POLARS_MAX_THREADS", str(threads))
    from service.app import Application
    from service.connection import server_of
    from service.exchange import Limits, Threads
    from service.models import load_models, share_of_cores

    def load() -> dict[str, Model]:
        with share_of_cores(worker, plan.workers):
            return load_models(plan.exports, plan.engine, plan.device)

    if (models := loaded(load, life)) is None:
        return
    plan.metrics.worker = worker
    gc.collect()
    gc.freeze()  # what is loaded stays: to look through it again and again holds requests up
    app = Application(models, Limits(plan.most_body, plan.metrics, Threads(max(2, threads))))
    server_of(app, life).run(sockets=[listener])


def loaded(load: Callable[[], Loaded], life: Life) -> Loaded | None:
    """What `load` gives, in a thread of its own: Paddle takes signals to itself as it is imported,
    and would end the process at once with a report. None where a signal came that ends it."""

    def stop(number: int, _: FrameType | None) -> None:
        life.came.append(number)

    with ThreadPoolExecutor(1) as loader:
        loading = loader.submit(load)
        while True:
            for number in life.stops:
                signal.signal(number, stop)
            if loading.done():
                return None if life.came else loading.result()
            wait([loading], PAUSE)


class Workers:
    """The process that watches over the workers: one that ends is replaced, and all end when this
    one is told to."""

    def __init__(
        self, plan: Plan, listeners: list[socket.socket], ready: Callable[[], None]
    ) -> None:
        self.plan, self.listeners, self.ready = plan, listeners, ready
        self.workers: dict[int, int] = {}  # by process
        self.begun: dict[int, float] = {}
        self.is_ready = mmap.mmap(-1, plan.workers)  # a byte a worker
        self.lifeline = os.pipe()  # closed by the kernel when this process ends, however it does
        self.code, self.stopping = 0, False

    def run(self) -> int:
        """Until all workers have ended; the exit code."""
        for number in STOPS:
            signal.signal(number, self._stop)
        for worker in range(self.plan.workers):
            self._start(worker)
        told = False
        while self.workers:
            if not told and (told := all(self.is_ready[:])):
                self.ready()
            process, status = os.waitpid(-1, 0 if told else os.WNOHANG)
            if process:
                self._ended(process, os.waitstatus_to_exitcode(status))
            elif not told:
                sleep(PAUSE)
        return self.code

    def _start(self, worker: int) -> None:
        self.is_ready[worker] = 0
        process = os.fork()
        if process:
            self.workers[process], self.begun[process] = worker, monotonic()
            return
        code = 1
        try:
            self._be(worker)
            code = 0
        except UserError as error:
            code = 2
            if worker == 0:  # the others have the same to say
                tell(error)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _be(self, worker: int) -> None:
        os.close(self.lifeline[1])
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; see _stop
        for other, listener in enumerate(self.listeners):
            if other != worker:
                listener.close()

        def ready() -> None:
            self.is_ready[worker] = 1

        life = Life(ready, STOPS[:1], [], self.lifeline[0])
        serve(self.plan, self.listeners[worker], worker, life)

    def _ended(self, process: int, code: int) -> None:
        worker, lived = self.workers.pop(process), monotonic() - self.begun.pop(process)
        if self.stopping:
            return
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        if lived < SOON or not self.is_ready[worker]:
            if code != 2:
                say(f"error: worker {worker} ended {how} as it began", to=sys.stderr)
            self.code = code if code > 0 else 1
            self._stop(signal.SIGTERM, None)
            return
        say(f"warning: worker {worker} ended {how}; another takes its place", to=sys.stderr)
        self._start(worker)

    def _stop(self, _: int, __: FrameType | None) -> None:
        self.stopping = True
        for listener in self.listeners:
            listener.close()
        for process in [*self.workers]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
