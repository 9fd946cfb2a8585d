"""Bodies and connections that no friend sends: the next request is answered all the same."""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress

import numpy as np
import pytest

from tests.conftest import PATIENCE
from tests.service.server import Served
from tests.service.test_rows import GOOD

pytestmark = pytest.mark.xdist_group("service")  # one worker makes what they share

PATHS = ("/predict", "/v2/models/homes/infer")
CELLS: tuple[str, ...] = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "-1e400",
    "9" * 400,
    "1" * 5_000,
    '"\\ud800"',
)
CELLS += (
    "[]",
    "{}",
    '{"a":1}',
    "[[[[1]]]]",
    '""',
    '"\\u0000"',
    "true",
    "null",
    '"' + "x" * 9_999 + '"',
)


def bodies() -> list[bytes]:
    """About 200 of them."""
    good = json.dumps([GOOD]).encode()
    tensors = {
        "inputs": [
            {"name": name, "shape": [1], "datatype": "BYTES", "data": [str(value)]}
            for name, value in GOOD.items()
        ]
    }
    infer = json.dumps(tensors).encode()
    cut = [text[:at] for text in (good, infer) for at in range(1, len(text), len(text) // 12)]
    deep = [
        open_ * 10_000 + close * 10_000
        for open_, close in ((b"[", b"]"), (b'{"a":', b"}"), (b"[", b""))
    ]
    deep += [b"[" * n + b"NaN" + b"]" * n for n in (900, 1_000, 5_000, 10_000)]
    deep += [b'[{"rooms":' + b"[" * n + b"]" * n + b"}]" for n in (500, 990, 1_000, 10_000)]
    swapped = [
        good.replace(old.encode(), cell.encode()) for cell in CELLS for old in ("80.5", '"north"')
    ]
    swapped += [infer.replace(b'["80.5"]', f"[{cell}]".encode()) for cell in CELLS]
    swapped += [infer.replace(b"[1]", f"[{cell}]".encode(), 1) for cell in CELLS]
    swapped += [infer.replace(b'"BYTES"', cell.encode(), 1) for cell in CELLS]
    swapped += [infer.replace(b'"area"', cell.encode(), 1) for cell in CELLS]
    encodings = [good.decode().encode(name) for name in ("utf-16", "utf-32", "utf-16-be")]
    encodings += [
        b"\xff" + good,
        good.replace(b"north", b"\xc3\x28"),
        b"\x1f\x8b\x08" + good,
        b"\0",
    ]
    shapes = [b"", b" ", b"null", b"1", b'"a"', b"[]", b"{}", b"[1]", b"[null]", b"[[]]", b"[{}]"]
    shapes += [b'{"rows":1}', b'{"rows":[]}', b'{"rows":[1]}', b'{"area":[1],"rooms":[1,2]}']
    shapes += [b'{"inputs":[]}', b'{"inputs":[1]}', b'{"inputs":{}}', b'{"inputs":[[]]}']
    shapes += [infer[:-1] + b',"outputs":3}', infer[:-1] + b',"outputs":[{}]}']
    shapes += [infer[:-1] + b',"outputs":[{"name":[]}]}', infer[:-1] + b',"id":7}']
    random = np.random.default_rng(3)
    noise = [random.bytes(n) for n in (1, 10, 100, 1_000)]
    return [*cut, *deep, *swapped, *encodings, *shapes, *noise]


def is_answered(served: Served) -> bool:
    return served.post("/predict", GOOD)[0] == 200


@pytest.mark.parametrize("path", PATHS)
def test_malformed_bodies(served: Served, path: str) -> None:
    every = bodies()
    assert len(every) >= 150
    for body in every:
        status, answer = served.post(path, body)
        assert status in (200, 400, 413), (status, body[:200])
        if status != 200:
            assert answer["error"]
            assert "Traceback" not in answer["error"]
    assert is_answered(served)


def test_malformed_csv(served: Served) -> None:
    header = b"area,rooms,town,garden,sold\n"
    texts = [
        b"",
        b"\n",
        b"PAR1",
        b"PK\x03\x04" + b"\0" * 40,
        b"\x1f\x8b\x08\0\0\0",
        header,
        b"\0" * 99,
    ]
    texts += [header + b'1,2,"north', header + b"1,2\n", header + b"\xff\xfe,\xe4\n", b"a\n" * 999]
    texts += [
        header + b"1,2,north,yes,2021-01-01 10:00," * 99,
        b"\xff\xfea\0",
        b"[{}]",
        b'{"a":1}\n',
    ]
    for text in texts:
        status, answer = served.post("/predict", text, content_type="text/csv")
        assert status in (200, 400), text[:60]
        assert status == 200 or "/" not in answer["error"].replace("1/", ""), answer
    assert is_answered(served)


def test_malformed_requests(served: Served) -> None:
    for data in (
        b"\0\0\0\0",
        b"GET\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{}",
        b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /%ff%00/../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /assets/..%2fpage.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade, close\r\n\r\n",
    ):
        assert b" 500 " not in served.raw(data)[:20], data
    assert is_answered(served)


def test_a_head_without_end(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        with suppress(OSError):  # of a connection that is closed
            for _ in range(64):
                connection.sendall(b"x" * 16_384)
                time.sleep(0.01)
            assert connection.recv(1_024)[:12] in (b"", b"HTTP/1.1 400")
    assert is_answered(served)


def test_slow_clients_hold_nobody_up(served: Served) -> None:
    slow = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(100)]
    for at, connection in enumerate(slow):
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n"
        connection.sendall(head + (b"\r\n{" if at % 2 else b""))
    assert is_answered(served)
    for connection in slow:
        connection.setblocking(False)
    for connection in slow[:2]:  # both kinds still wait, so nobody waited for them
        with pytest.raises(BlockingIOError):
            connection.recv(1)
    for connection in slow:
        connection.close()
