"""A request's body, and the answer to it: limits, JSON, errors, and where the work is done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple, NoReturn

import orjson
from starlette.types import Receive, Scope, Send

from errors import TableError
from reader.one_row import Encoded
from service.metrics import Metrics
from service.models import Answer, Model
from service.together import Together

LARGE = 1 << 14  # bytes of a body that takes too long for the event loop
JSON = b"application/json"
CSV = b"text/csv; charset=utf-8"
NUMPY = orjson.OPT_SERIALIZE_NUMPY
PLAIN_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


class RefusedError(Exception):
    """A request that is answered with an error: its status code and message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class GoneError(Exception):
    """Who asked is there no longer."""


class Request(NamedTuple):
    """What a prediction is asked with; `headers`: lower-case names, the last of each."""

    headers: Mapping[bytes, bytes]
    body: bytes


class Reply(NamedTuple):
    """The body of an answer, and what it is of."""

    body: bytes
    answer: Answer
    content_type: bytes = JSON


class Asked(NamedTuple):
    """Rows to predict, and what makes a reply of their answer."""

    encoded: Encoded
    reply: Callable[[Answer], Reply]


Read = Callable[[Model, Request], Asked]


def from_json(body: bytes) -> Any:
    """The values of a JSON text. NaN, which JSON lacks but NumPy's users send, is null.

    Raises RefusedError, 400, where it is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if b"NaN" not in body:
            refuse_json(f"{error.msg} at line {error.lineno}, column {error.colno}")
    try:
        text = body.decode()
        values = json.loads(text, parse_constant=_constant)
        return orjson.loads(orjson.dumps(values))  # which has neither half characters nor huge ints
    except (ValueError, TypeError, RecursionError) as error:
        refuse_json(str(error).partition(":")[0] if isinstance(error, ValueError) else "too deep")


def refuse_json(reason: str) -> NoReturn:
    raise RefusedError(400, f"the body is not JSON: {reason}")


def _constant(name: str) -> None:
    if name != "NaN":
        raise ValueError(f"found {name}, expected a finite number or null")


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, most: int) -> bytes:
    """The whole body. Raises RefusedError: 413 above `most` bytes, 415 where it is packed; and
    GoneError."""
    announced = headers.get(b"content-length")
    if announced is not None and int(announced) > most:
        raise too_large(most)
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise RefusedError(415, "found a packed body (Content-Encoding), expected a plain one")
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        part = message.get("body", b"")
        if (size := size + len(part)) > most:
            raise too_large(most)
        if not message.get("more_body"):
            return b"".join([*parts, part]) if parts else part
        parts.append(part)


def too_large(most: int) -> RefusedError:
    return RefusedError(413, f"the body is larger than {most:,} bytes (serve.py --max-body)")


class Endpoint:
    """Predictions of one model by one api, as an ASGI application.

    Few rows are predicted in the event loop, since a thread costs more than they do; many rows in a
    thread, so that others are answered meanwhile. While a thread is at work all go to threads,
    because a model serves one at a time.
    """

    def __init__(self, api: str, read: Read, models: Mapping[str, Model], limits: Limits) -> None:
        self.api, self.read, self.models = api, read, models
        self.together = {name: Together(model) for name, model in models.items()}
        self.most_body, self.metrics, self.threads = (
            limits.most_body,
            limits.metrics,
            limits.threads,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parameters = scope["path_params"]
        name = parameters.get("name") or next(iter(self.models))
        model, version = self.models.get(name), parameters.get("version")
        if scope["method"] != "POST":
            await send_error(send, 405, "expected POST", (b"allow", b"POST"))
        elif model is None or version not in (None, model.version):
            await send_error(send, 404, unknown_model(name, version, self.models))
        else:
            await self.answer(model, scope, receive, send)

    async def answer(self, model: Model, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever comes, and count it."""
        started, code, reply = perf_counter(), 500, None
        try:
            headers = dict(scope["headers"])
            request = Request(headers, await read_body(headers, receive, self.most_body))
            reply = await self._answer(model, request)
            code = 200
        except GoneError:
            return
        except (RefusedError, TableError, RecursionError) as error:
            code, message = refusal(error)
            await send_error(send, code, message)
        except Exception:  # a bug, or an engine that fails: the log has it
            await send_error(send, code, "internal error; the server's log says more")
            raise
        finally:
            rows = len(reply.answer.outputs) if reply else 0
            self.metrics.request(model.name, self.api, perf_counter() - started, rows, code)
        if reply:
            for (column, what), count in reply.answer.counts.items():
                self.metrics.unlike(model.name, column, what, count)
            await send_body(send, 200, reply.body, reply.content_type)

    async def _answer(self, model: Model, request: Request) -> Reply:
        if len(request.body) >= LARGE or self.threads.busy or is_csv(request):
            return await self.threads.run(partial(self._all, model, request))
        asked = self.read(model, request)
        if len(asked.encoded.rows) == 1:
            return asked.reply(await self.together[model.name].predict(asked.encoded))
        return asked.reply(model.predict(asked.encoded))

    def _all(self, model: Model, request: Request) -> Reply:
        asked = self.read(model, request)
        return asked.reply(model.predict(asked.encoded))


class Threads:
    """A few threads for what takes long; `busy`: how many pieces of work they have."""

    def __init__(self, count: int) -> None:
        self.busy = 0
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="predict")

    async def run(self, work: Callable[[], Reply]) -> Reply:
        self.busy += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, work)
        finally:
            self.busy -= 1


class Limits(NamedTuple):
    """What all endpoints of a worker share."""

    most_body: int
    metrics: Metrics
    threads: Threads


def is_csv(request: Request) -> bool:
    return request.headers.get(b"content-type", b"").startswith(b"text/csv")


def refusal(error: Exception) -> tuple[int, str]:
    """The status code and the message for what was wrong with a request."""
    if isinstance(error, RefusedError):
        return error.status, error.message
    if isinstance(error, RecursionError):
        return 400, "the body is nested too deeply"
    return 400, str(error)


def unknown_model(name: str, version: str | None, models: Mapping[str, Model]) -> str:
    """That there is no such model, and which there are."""
    if name in models:
        return f"model {name} has no such version; found {models[name].version}"
    return f"no such model; found {', '.join(models)}"


async def send_error(send: Send, status: int, message: str, *headers: tuple[bytes, bytes]) -> None:
    """A JSON object with the message; where more of the body may come, the connection ends."""
    close = ((b"connection", b"close"),) if status == 413 else ()
    body = orjson.dumps({"error": message.encode(errors="replace").decode()})
    await send_body(send, status, body, JSON, *close, *headers)


async def send_body(
    send: Send, status: int, body: bytes, content_type: bytes, *headers: tuple[bytes, bytes]
) -> None:
    """One whole answer."""
    length = str(len(body)).encode()
    plain = ((b"content-type", content_type), (b"content-length", length))
    more = headers if content_type == JSON and status == 200 else (*PLAIN_HEADERS, *headers)
    await send({"type": "http.response.start", "status": status, "headers": [*plain, *more]})
    await send({"type": "http.response.body", "body": body})
