"""Paddle's process group: collectives by gloo between processors, by NCCL between GPUs.

Values go from process to process as bytes (`ranks.codec`), never pickled as by Paddle's *_object
calls.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import paddle
import paddle.distributed as dist

from ranks.alone import Ranks
from ranks.codec import decode, encode
from ranks.lifeline import LINGER, Lifeline, Lost
from ranks.place import Place

Value = TypeVar("Value")
HEAD_START = 0.2  # seconds for process 0 to listen; who calls before waits for three
INTERFACE, ADDRESS_OF = "GLOO_SOCKET_IFNAME", 0x8915  # SIOCGIFADDR, netdevice(7)


class Group(Ranks):
    """The processes of a job, joined by Paddle; `lifeline` is where they meet."""

    def __init__(self, place: Place, lifeline: Lifeline) -> None:
        self.rank, self.count, self.local_rank = place.rank, place.count, place.local_rank
        self.lifeline = lifeline
        _name_variables(place)
        self.agree()
        if not self.is_first:
            time.sleep(HEAD_START)
        with self._together():
            group = dist.init_parallel_env()
            on_cpu = dist.get_backend() == "GLOO"
            self._bytes = group if on_cpu else dist.new_group(backend="gloo")  # type: ignore[arg-type]

    def agree(self, number: int = 0) -> int:
        with self._together():
            return self.lifeline.agree(number)

    def merged(self, value: Value, merge: Callable[[Value, Value], Value]) -> Value:
        self.agree()
        like, distance = value, 1
        with self._together():
            while distance < self.count:
                if self.rank % (2 * distance):
                    self._send(encode(value), self.rank - distance)
                    break
                if self.rank + distance < self.count:
                    value = merge(value, decode(self._receive(self.rank + distance), like))
                distance *= 2
            return self._broadcast(value, like)

    def shared(self, value: Value) -> Value:
        self.agree()
        with self._together():
            return self._broadcast(value, value)

    def sum_gradients(
        self, parameters: Sequence[paddle.Tensor], loss: paddle.Tensor, weight: float
    ) -> paddle.Tensor:
        gradients = [g for p in parameters if (g := p.grad) is not None]
        flat = paddle.concat([*(g.reshape([-1]) for g in gradients), loss.detach().reshape([1])])
        flat = flat * weight
        with self._together():
            dist.all_reduce(flat)
        *parts, total = paddle.split(flat, [*(g.size for g in gradients), 1])
        for gradient, part in zip(gradients, parts, strict=True):
            paddle.assign(part.reshape(gradient.shape), gradient)
        return total.reshape([])

    def _send(self, data: bytes, to: int) -> None:
        dist.send(_tensor(np.array([len(data)])), to, self._bytes)
        dist.send(_tensor(np.frombuffer(data, np.uint8)), to, self._bytes)

    def _receive(self, of: int) -> bytes:
        size = _tensor(np.zeros(1, np.int64))
        dist.recv(size, of, self._bytes)
        data = _tensor(np.empty(size.item(), np.uint8))
        dist.recv(data, of, self._bytes)
        return data.numpy().tobytes()

    def _broadcast(self, value: Value, like: Value) -> Value:
        data = encode(value) if self.is_first else b""
        size = _tensor(np.array([len(data)]))
        dist.broadcast(size, 0, self._bytes)
        bytes_ = np.frombuffer(data, np.uint8) if self.is_first else np.empty(size.item(), np.uint8)
        tensor = _tensor(bytes_)
        dist.broadcast(tensor, 0, self._bytes)
        return decode(tensor.numpy().tobytes(), like)

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Where a collective fails because another process has ended, that one's message is to be
        read, and no traceback of this one."""
        try:
            yield
        except (Lost, RuntimeError, OSError, ValueError):
            self.lifeline.wait(LINGER)
            if self.lifeline.is_over:
                time.sleep(LINGER)  # the lifeline ends this process
            raise


def _tensor(values: Any) -> paddle.Tensor:
    return paddle.to_tensor(values, place=paddle.CPUPlace())


def _name_variables(place: Place) -> None:
    """Paddle asks for more variables than it needs, and gloo for an interface by name: that which
    leads to process 0, whatever the host's name resolves to."""
    known, address = os.environ, _own_address(place)
    known.setdefault("PADDLE_MASTER", f"{place.host}:{place.port}")
    known.setdefault("PADDLE_CURRENT_ENDPOINT", f"{address}:{place.port}")
    known.setdefault("PADDLE_TRAINER_ENDPOINTS", f"{place.host}:{place.port}")
    if not paddle.is_compiled_with_cuda():
        known.setdefault("PADDLE_DISTRI_BACKEND", "gloo")
    for _, name in socket.if_nameindex():
        if INTERFACE not in known and _address_of(name) == address:
            known[INTERFACE] = name


def _own_address(place: Place) -> str:
    """This host's, as process 0 sees it."""
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((place.host, place.port))  # sends nothing
        return str(probe.getsockname()[0])


def _address_of(interface: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            packed = fcntl.ioctl(probe, ADDRESS_OF, struct.pack("256s", interface.encode()[:15]))
        except OSError:
            return ""
    return socket.inet_ntoa(packed[20:24])
