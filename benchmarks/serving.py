"""serve.py beside an endpoint of the same framework that returns a constant: rates, memory, start.

python -m benchmarks.serving runs/boston [--engine onnx] [--turns 10] [--seconds 2]

Needs wrk, the load generator (apt-get install wrk): 8 connections that are kept, one row a request.
All are measured in turns, so that a machine that is busy at times is so for each of them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from model.folder import read_export

CONNECTIONS = 8
FEW, MANY = 10_000, 100_000  # requests, between which memory may not grow
STARTS = 5
CONSTANT = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

async def constant(request):
    await request.body()
    return Response(sys.argv[1], media_type="application/json")

app = Starlette(routes=[Route("/predict", constant, methods=["POST"])])
config = uvicorn.Config(app, port=0, access_log=False, log_level="error", lifespan="off")
socket = config.bind_socket()
socket.listen(64)
print(f"serving constant at http://127.0.0.1:{socket.getsockname()[1]}", flush=True)
uvicorn.Server(config).run(sockets=[socket])
"""
SCRIPT = (
    'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = {body}\n'
)


class Place(NamedTuple):
    """A server: its process, and the URL of one of its endpoints."""

    process: int
    url: str


class Turn(NamedTuple):
    """What came of some seconds: requests a second, the 99th percentile in milliseconds, and
    microseconds of CPU a request, of the server and its workers."""

    rate: float
    p99: float
    cpu: float


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--engine", default="paddle", choices=("paddle", "onnx"))
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--starts", type=int, default=STARTS, help="0: do not measure them")
    options = parser.parse_args(arguments)
    if shutil.which("wrk") is None:
        parser.error("wrk is missing: apt-get install wrk")
    serve = ["serve.py", "--port", "0", "--engine", options.engine, "--model", f"m={options.model}"]
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if options.starts:
        starts(serve, options.starts)
    rates(serve, options)
    return 0


def starts(serve: list[str], times: int) -> None:
    """Seconds until the server answers, and those of `import paddle`, in turns."""
    ready, imports = [], []
    for _ in range(times):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import paddle"], check=True, capture_output=True)
        imports.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        with started(serve):
            ready.append(time.perf_counter() - begun)
    both = statistics.median(ready), statistics.median(imports)
    print(
        f"ready after {both[0]:.2f} s; import paddle {both[1]:.2f} s; ratio {both[0] / both[1]:.2f}"
    )


def rates(serve: list[str], options: argparse.Namespace) -> None:
    """Requests a second of each endpoint, and the memory that many of them leave."""
    names, rows = row_of(options.model)
    row = json.dumps(dict(zip(names, rows, strict=True)))
    tensors = [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
        for name, value in zip(names, rows, strict=True)
    ]
    infer = json.dumps({"inputs": tensors})
    with started(serve) as one, started([*serve, "--workers", "2"]) as two:
        answer = ask(f"{one.url}/predict", row)
        with started(["-c", CONSTANT, answer]) as constant:
            places = {
                "constant": (constant, "/predict", row),
                "predict": (one, "/predict", row),
                "infer": (one, "/v2/models/m/infer", infer),
                "predict, 2 workers": (two, "/predict", row),
            }
            turns: dict[str, list[Turn]] = {name: [] for name in places}
            for _ in range(options.turns):
                for name, (place, path, body) in places.items():
                    turns[name].append(
                        load(Place(place.process, place.url + path), body, options.seconds)
                    )
        tell(turns)
        memory(Place(one.process, f"{one.url}/predict"), row)


def tell(turns: dict[str, list[Turn]]) -> None:
    """The median of each, and of its rate beside the constant's in the same turn."""
    print(
        "| endpoint | requests/s | of constant | p99, ms | CPU, us a request |",
        "|---|---|---|---|---|",
        sep="\n",
    )
    base = turns["constant"]
    for name, found in turns.items():
        rate, p99, cpu = (statistics.median(column) for column in zip(*found, strict=True))
        of = statistics.median(a.rate / b.rate for a, b in zip(found, base, strict=True))
        print(f"| {name} | {rate:,.0f} | {of:.2f} | {p99:.2f} | {cpu:.0f} |")
    pairs = zip(turns["predict, 2 workers"], turns["predict"], strict=True)
    print(f"2 workers / 1: {statistics.median(a.rate / b.rate for a, b in pairs):.2f}")


def memory(place: Place, body: str) -> None:
    """Of the server's process, after few and after many requests, in all."""
    found, done = [], 0
    for count in (FEW, MANY):
        while done < count:
            done += requests_of(wrk(place.url, body, 2))
        found.append(resident(place.process))
    print(
        f"memory {found[0]:.1f} MiB after {FEW:,} requests, {found[1]:.1f} after {done:,}: ", end=""
    )
    print(f"{found[1] / found[0] - 1:+.1%}")


def load(place: Place, body: str, seconds: int) -> Turn:
    before = cpu_of(place.process)
    text = wrk(place.url, body, seconds)
    requests = requests_of(text)
    percentile = re.search(r"99%\s+([\d.]+)(us|ms|s)", text)
    assert percentile, text
    unit = {"us": 0.001, "ms": 1.0, "s": 1_000.0}[percentile[2]]
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    assert rate, text
    used = (cpu_of(place.process) - before) / requests
    return Turn(float(rate[1]), float(percentile[1]) * unit, 1e6 * used)


def requests_of(text: str) -> int:
    found = re.search(r"(\d+) requests in", text)
    assert found, text
    assert "Non-2xx" not in text, text
    return int(found[1])


def wrk(url: str, body: str, seconds: int) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT.format(body=json.dumps(body)))
        script.flush()
        options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", script.name]
        command = [shutil.which("wrk") or "wrk", *options, url]
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
        return done.stdout


def ask(url: str, body: str) -> str:
    from urllib.request import Request, urlopen

    with urlopen(Request(url, body.encode(), method="POST")) as answer:  # noqa: S310
        text: str = answer.read().decode()
        return text


@contextmanager
def started(arguments: list[str]) -> Iterator[Place]:
    """A server, once it has said where it is."""
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    try:
        line = process.stdout.readline()
        yield Place(process.pid, line.split()[-1])
    finally:
        process.terminate()
        process.wait()


def row_of(model: str) -> tuple[list[str], list[float]]:
    """A row of training of a model of numbers."""
    contract = read_export(model).contract
    row = [value or 0.0 for value in contract["golden"]["rows"][0]]
    return list(contract["features"]), row


def cpu_of(process: int) -> float:
    """Seconds that a process and its children have computed."""
    tick, seconds = os.sysconf("SC_CLK_TCK"), 0.0
    for pid in (process, *children(process)):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        seconds += (int(fields[11]) + int(fields[12])) / tick
    return seconds


def children(process: int) -> list[int]:
    return [
        int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]


def resident(process: int) -> float:
    """MiB of memory of a process."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    assert found
    return int(found[1]) / 1_024


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
