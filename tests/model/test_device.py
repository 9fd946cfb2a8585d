"""Which device a training takes, and in which numbers it may compute."""

from __future__ import annotations

from types import SimpleNamespace

import paddle
import pytest
from paddle.distributed.launch.context.device import Device

from errors import DeviceError
from model import device as module
from model.device import check_precision, device_of_rank, resolve_device, use_device


def launched(rank: int, processes: int, selected: str = "") -> dict[str, str]:
    """What a launcher tells a process."""
    told = {"PADDLE_LOCAL_RANK": f"{rank}", "PADDLE_LOCAL_SIZE": f"{processes}"}
    return told | ({"FLAGS_selected_gpus": selected} if selected else {})


def test_devices() -> None:
    assert resolve_device("cpu") == "cpu"
    with pytest.raises(DeviceError, match="gpu:99: no such GPU"):
        resolve_device("gpu:99")
    if paddle.is_compiled_with_cuda():
        assert resolve_device("auto").startswith("gpu")
    else:
        assert resolve_device("auto") == "cpu"


@pytest.mark.parametrize("name", ["auto", "cpu", "gpu", "gpu:3"])
def test_a_process_outside_a_job_has_what_it_asks_for(name: str) -> None:
    assert device_of_rank(name, 4, {"FLAGS_selected_gpus": "2"}) == name


@pytest.mark.parametrize(
    ("name", "gpus", "told", "expected"),
    [
        ("auto", 4, launched(0, 4), "gpu:0"),
        ("auto", 4, launched(3, 4), "gpu:3"),
        ("gpu", 8, launched(1, 2), "gpu:1"),
        ("gpu", 8, launched(1, 2, "6"), "gpu:6"),
        ("gpu", 2, {"PADDLE_LOCAL_RANK": "1"}, "gpu:1"),  # no launcher of Paddle's
        ("gpu", 4, launched(0, 1, "2"), "gpu:2"),  # a process on each of several machines
        ("auto", 4, launched(0, 1, "0,1,2,3"), "gpu:0"),
        ("gpu:2", 4, launched(0, 1, "0,1,2,3"), "gpu:2"),
        ("auto", 0, launched(1, 2), "auto"),
        ("cpu", 4, launched(1, 2, "1"), "cpu"),
    ],
)
def test_each_process_has_the_gpu_of_its_rank(
    name: str, gpus: int, told: dict[str, str], expected: str
) -> None:
    assert device_of_rank(name, gpus, told) == expected


@pytest.mark.parametrize(
    ("visible", "asked", "expected"),
    [("4,5,7", "5,7", ["gpu:1", "gpu:2"]), ("0,1", "", ["gpu:0", "gpu:1"])],
)
def test_it_is_the_one_that_the_launcher_chose(
    visible: str, asked: str, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of CUDA_VISIBLE_DEVICES and --devices, by the launcher's own way of counting."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    seen = Device.parse_device()
    chosen = seen.get_selected_devices(asked)
    found = [
        device_of_rank("gpu", seen.count, launched(rank, len(chosen), selected))
        for rank, selected in enumerate(chosen)
    ]
    assert found == expected


@pytest.mark.parametrize(
    ("name", "gpus", "told", "words"),
    [
        ("auto", 2, launched(0, 4), r"4 processes.* and 2 GPUs.*--nproc_per_node 2.*--device cpu"),
        ("gpu", 1, launched(1, 2), r"2 processes.* and 1 GPU,.*--nproc_per_node 1"),
        ("gpu", 0, launched(0, 2), r"2 processes.* and 0 GPUs.*--device cpu"),
        ("gpu:1", 4, launched(0, 2), r"one GPU for 2 processes.*--devices"),
        ("gpu", 4, {"PADDLE_LOCAL_RANK": "x"}, "PADDLE_LOCAL_RANK: found x, expected a whole"),
        ("gpu", 4, launched(0, 2) | {"PADDLE_LOCAL_SIZE": "-2"}, "PADDLE_LOCAL_SIZE: found -2"),
    ],
)
def test_what_cannot_be_is_told(name: str, gpus: int, told: dict[str, str], words: str) -> None:
    with pytest.raises(DeviceError, match=words):
        device_of_rank(name, gpus, told)


def test_half_precision_needs_a_card_that_has_it() -> None:
    for precision, device, capability in (
        ("float32", "cpu", 0),
        ("float32", "gpu:0", 6),
        ("float16", "gpu:0", 7),
        ("bfloat16", "gpu:0", 8),
        ("bfloat16", "gpu:0", 12),
    ):
        check_precision(precision, device, capability)
    for precision, capability in (("float16", 6), ("bfloat16", 7)):
        with pytest.raises(
            DeviceError, match=rf"train.precision: {precision}.* capability \d, and gpu:1 has"
        ):
            check_precision(precision, "gpu:1", capability)
        with pytest.raises(DeviceError, match=r"and this run is on cpu; use -o train.precision=fl"):
            check_precision(precision, "cpu", 0)


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A machine of two GPUs of capability 8; what Paddle is told of them."""
    told: list[object] = []
    monkeypatch.setattr(module, "count_gpus", lambda: 2)
    monkeypatch.setattr(paddle, "set_device", told.append)
    monkeypatch.setattr(paddle, "set_flags", lambda flags: told.append(sorted(flags)))
    cuda = SimpleNamespace(get_device_capability=lambda index: (8, 0))
    monkeypatch.setattr(paddle.device, "cuda", cuda)
    core = SimpleNamespace(set_cublas_switch=lambda on: told.append(("TF32", on)))
    monkeypatch.setattr(paddle.base, "core", core)
    return told


def test_a_gpu_computes_in_float32_and_the_same_again(
    cards: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in launched(1, 2).items():
        monkeypatch.setenv(name, value)
    use_device("auto", "bfloat16")
    flags = ["FLAGS_cudnn_deterministic", "FLAGS_embedding_deterministic"]
    assert cards == ["gpu:1", ("TF32", False), flags]


def test_a_cpu_is_left_as_it_is(cards: list[object]) -> None:
    use_device("cpu")
    assert cards == ["cpu"]
    with pytest.raises(DeviceError, match="this run is on cpu"):
        use_device("cpu", "float16")
    assert cards == ["cpu"]
