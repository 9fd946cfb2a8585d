"""Two hosts, which are network namespaces of this machine with a cable between them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import train
from tests.ranks.jobs import Job, apart
from tests.ranks.test_failure import network, table, wait_for_checkpoint

__all__ = ["table"]
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("jobs")]

NAMES, ADDRESSES = ("regressor-a", "regressor-b"), ("10.77.7.1", "10.77.7.2")
CABLE = ("regressor-0", "regressor-1")
BOUND = 60.0  # seconds in which a job without its link has ended


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def hosts() -> Iterator[Sequence[str]]:
    if not shutil.which("ip") or os.geteuid():
        pytest.skip("no network namespaces: they need `ip` (iproute2) and root")
    try:
        for name in NAMES:
            ip("netns", "add", name)
        ip("link", "add", CABLE[0], "type", "veth", "peer", "name", CABLE[1])
        for name, end, address in zip(NAMES, CABLE, ADDRESSES, strict=True):
            ip("link", "set", end, "netns", name)
            ip("-n", name, "address", "add", f"{address}/24", "dev", end)
            for device in (end, "lo"):
                ip("-n", name, "link", "set", device, "up")
    except subprocess.CalledProcessError as error:
        remove()
        pytest.skip(f"no network namespaces: {error.stderr.decode().strip()}")
    yield NAMES
    remove()


def remove() -> None:
    for name in NAMES:
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def started(hosts: Sequence[str], logs: Path, arguments: Sequence[str]) -> Job:
    prefixes = [["ip", "netns", "exec", name] for name in hosts]
    return Job(2, logs, arguments, prefixes, f"{ADDRESSES[0]}:29500")


def test_two_hosts_train_and_a_cut_link_ends_both(
    hosts: Sequence[str], table: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    cut = started(hosts, tmp_path, network(table, run))
    try:
        wait_for_checkpoint(cut, run)
        ip("-n", hosts[1], "link", "set", CABLE[1], "down")
        began = time.monotonic()
        assert cut.wait() == [76, 76], cut.texts()
        assert time.monotonic() - began < BOUND
        assert "process 1 of 2 does not answer" in cut.texts()[0]
        assert "process 0 of 2 does not answer" in cut.texts()[1]
        ip("-n", hosts[1], "link", "set", CABLE[1], "up")
        again = started(hosts, tmp_path / "again", [*network(table, run), "--resume"])
        assert again.wait() == [0, 0], again.texts()
    finally:
        cut.kill()
    assert train.main(network(table, tmp_path / "alone")) == 0
    assert apart(tmp_path / "alone", run) < 1e-4
