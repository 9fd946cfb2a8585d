"""Where this process stands in its job, as paddle.distributed.launch or any scheduler says in
environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from display import short
from errors import RunError

RANK, COUNT, MASTER = "PADDLE_TRAINER_ID", "PADDLE_TRAINERS_NUM", "PADDLE_MASTER"
ENDPOINTS, LOCAL_RANK = "PADDLE_TRAINER_ENDPOINTS", "PADDLE_LOCAL_RANK"
LOCAL_COUNT = "PADDLE_LOCAL_SIZE"


@dataclass(frozen=True)
class Place:
    """Process `rank` of `count`; on its host `local_rank` of `local_count` (0: nobody says). The
    first process listens at `host` and `port`."""

    rank: int
    count: int
    host: str
    port: int
    local_rank: int = 0
    local_count: int = 0


def is_of_several(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this is one of several processes."""
    return environment.get(COUNT, "1").strip() not in ("", "1")


def place(environment: Mapping[str, str] = os.environ) -> Place | None:
    """None where this process is alone. Raises RunError for variables that cannot be right."""
    if not is_of_several(environment):
        return None
    count, rank = _number(environment, COUNT, 2), _number(environment, RANK, 0)
    local_rank = _number(environment, LOCAL_RANK, 0, "0")
    local_count = _number(environment, LOCAL_COUNT, 0, "0")
    if rank >= count:
        raise RunError(f"{RANK}={rank}, expected less than {COUNT}={count}; ranks count from 0")
    address = environment.get(MASTER) or environment.get(ENDPOINTS, "").split(",")[0]
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise RunError(
            f"{MASTER}: found {short(address) or 'nothing'}, expected host:port, where process 0 "
            "can be reached by the others"
        )
    return Place(rank, count, host.strip("[]"), int(port), local_rank, local_count)


def _number(environment: Mapping[str, str], name: str, least: int, default: str = "") -> int:
    text = environment.get(name, default).strip()
    if not text.isdecimal() or int(text) < least:
        found = short(text) or "nothing"
        raise RunError(f"{name}: found {found}, expected a whole number, at least {least}")
    return int(text)


def cores_of(place: Place, cores: list[int]) -> list[int]:
    """Those of a host's `cores` that this process is to use, so that processes of one host do not
    stand in each other's way.

    >>> cores_of(Place(1, 2, "here", 1, 1, 2), [0, 1, 2, 3])
    [2, 3]
    """
    k, n = place.local_rank, place.local_count
    if not n or n > len(cores):
        return cores
    return cores[k * len(cores) // n : (k + 1) * len(cores) // n]
