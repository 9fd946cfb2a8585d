"""Where the environment says that a process stands."""

from __future__ import annotations

import pytest

from errors import RunError
from ranks.place import Place, cores_of, place

GIVEN = {
    "PADDLE_TRAINER_ID": "1",
    "PADDLE_TRAINERS_NUM": "4",
    "PADDLE_MASTER": "10.0.0.1:6170",
}


@pytest.mark.parametrize("few", [{}, {"PADDLE_TRAINERS_NUM": "1"}, {"PADDLE_TRAINERS_NUM": ""}])
def test_a_process_that_is_alone(few: dict[str, str]) -> None:
    assert place(few) is None


def test_variables_of_a_scheduler_are_enough() -> None:
    assert place(GIVEN) == Place(1, 4, "10.0.0.1", 6170)
    local = {"PADDLE_LOCAL_RANK": "1", "PADDLE_LOCAL_SIZE": "2"}
    assert place(GIVEN | local) == Place(1, 4, "10.0.0.1", 6170, 1, 2)
    endpoints = {"PADDLE_MASTER": "", "PADDLE_TRAINER_ENDPOINTS": "node-3:7001,node-4:7001"}
    assert place(GIVEN | endpoints) == Place(1, 4, "node-3", 7001)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PADDLE_TRAINER_ID", "4", "expected less than PADDLE_TRAINERS_NUM=4"),
        ("PADDLE_TRAINER_ID", "", "PADDLE_TRAINER_ID: found nothing, expected a whole number"),
        ("PADDLE_TRAINERS_NUM", "two", "PADDLE_TRAINERS_NUM: found two"),
        ("PADDLE_MASTER", "10.0.0.1", r"found 10\.0\.0\.1, expected host:port"),
        ("PADDLE_MASTER", "", "found nothing, expected host:port"),
        ("PADDLE_MASTER", "a:99999", "expected host:port"),
        ("PADDLE_LOCAL_RANK", "-1", "PADDLE_LOCAL_RANK: found -1"),
    ],
)
def test_what_cannot_be_right_is_told(name: str, value: str, message: str) -> None:
    with pytest.raises(RunError, match=message):
        place(GIVEN | {name: value})


@pytest.mark.parametrize(("count", "cores"), [(1, 8), (2, 8), (3, 8), (8, 8), (4, 2), (0, 4)])
def test_cores_are_dealt_out(count: int, cores: int) -> None:
    every = list(range(cores))
    dealt = [cores_of(Place(k, 9, "a", 1, k, count), every) for k in range(max(1, count))]
    if 0 < count <= cores:
        assert sorted(core for share in dealt for core in share) == every
        assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
    else:
        assert all(share == every for share in dealt)
