"""Paddle's process group: collectives by gloo between processors, by NCCL between GPUs.

Values go from process to process as bytes that nothing executes (`ranks.codec`), unlike those of
Paddle's *_object calls.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import paddle
import paddle.distributed as dist

from ranks.alone import Ranks
from ranks.codec import decode, encode
from ranks.lifeline import LINGER, Lifeline, Lost
from ranks.place import Place
from ranks.restart import restarts

Value = TypeVar("Value")
HEAD_START = 0.2  # seconds for process 0 to listen; who calls before waits for three
INTERFACE, ADDRESS_OF = "GLOO_SOCKET_IFNAME", 0x8915  # SIOCGIFADDR, netdevice(7)


class Group(Ranks):
    """The processes of a job, joined by Paddle; `lifeline` is where they meet."""

    def __init__(self, place: Place, lifeline: Lifeline) -> None:
        self.rank, self.count, self.local_rank = place.rank, place.count, place.local_rank
        self.lifeline, self.restarts = lifeline, restarts()
        _name_variables(place)
        self.agree()
        if not self.is_first:
            time.sleep(HEAD_START)
        with self._together():
            if _has_gpu():
                paddle.set_device(f"gpu:{dist.ParallelEnv().device_id}")
            dist.init_parallel_env()

    def agree(self, number: int = 0) -> int:
        if self.is_alone:
            return number
        with self._together():
            return self.lifeline.agree(number)

    def merged(self, value: Value, merge: Callable[[Value, Value], Value]) -> Value:
        if self.is_alone:
            return value
        # Every process hears of every value and merges them itself: gloo's send and receive number
        # their messages by process, and lose each other where some have sent more than others.
        self.agree()
        like, stack = value, list[tuple[int, Value]]()
        with self._together():
            data = encode(value)
            sizes: list[paddle.Tensor] = []
            dist.all_gather(sizes, paddle.to_tensor([len(data)]))
            for rank, size in enumerate(sizes):
                own = data if rank == self.rank else None
                stack.append((1, decode(_broadcast(own, rank, int(size.numpy()[0])), like)))
                while len(stack) > 1 and stack[-1][0] == stack[-2][0]:
                    _merge_last(stack, merge)
            while len(stack) > 1:
                _merge_last(stack, merge)
        return stack[0][1]

    def shared(self, value: Value) -> Value:
        if self.is_alone:
            return value
        self.agree()
        with self._together():
            data = encode(value) if self.is_first else None
            size = paddle.to_tensor([len(data) if data else 0])
            dist.broadcast(size, 0)
            return decode(_broadcast(data, 0, int(size.numpy()[0])), value)

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


def _broadcast(data: bytes | None, of: int, size: int) -> bytes:
    """So many bytes of one process, in all; the others have None."""
    values = np.empty(size, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    tensor = paddle.to_tensor(values)
    dist.broadcast(tensor, of)
    return tensor.numpy().tobytes()


def _merge_last(stack: list[tuple[int, Value]], merge: Callable[[Value, Value], Value]) -> None:
    """The two values on top, of so many processes each."""
    of_b, b = stack.pop()
    of_a, a = stack.pop()
    stack.append((of_a + of_b, merge(a, b)))


def _name_variables(place: Place) -> None:
    """Paddle asks for more variables than it needs, and gloo for an interface by name: that which
    leads to process 0, whatever the host's name resolves to."""
    known, address = os.environ, _own_address(place)
    known.setdefault("PADDLE_MASTER", f"{place.host}:{place.port}")
    known.setdefault("PADDLE_CURRENT_ENDPOINT", f"{address}:{place.port}")
    known.setdefault("PADDLE_TRAINER_ENDPOINTS", f"{place.host}:{place.port}")
    if not _has_gpu():
        known.setdefault("PADDLE_DISTRI_BACKEND", "gloo")
    for _, name in socket.if_nameindex():
        if INTERFACE not in known and _address_of(name) == address:
            known[INTERFACE] = name


def _has_gpu() -> bool:
    return paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0


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
