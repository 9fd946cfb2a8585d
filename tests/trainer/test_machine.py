"""How many cores a matrix product takes."""

from __future__ import annotations

import os

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from trainer.machine import all_cores


@pytest.mark.parametrize(
    ("allowed", "cores"), [("1", 1), ("", os.cpu_count()), ("none", os.cpu_count())]
)
def test_all_cores_are_those_that_openmp_may_take(
    allowed: str, cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", allowed)
    with threadpool_limits(1, user_api="blas"), all_cores():
        found = {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}
    assert found == {cores}
