"""Where and in which numbers to compute: on the CPU or on a GPU of this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from display import short
from errors import DeviceError

FLOAT32 = "float32"
CAPABILITY = {"float16": 7, "bfloat16": 8}
"""The least compute capability whose products paddle.amp makes in these numbers."""
LOCAL_RANK, LOCAL_SIZE, SELECTED = "PADDLE_LOCAL_RANK", "PADDLE_LOCAL_SIZE", "FLAGS_selected_gpus"
"""What paddle.distributed.launch tells each process that it starts on a machine: its number there,
their count, and its GPU, as a number among those that are visible."""


def resolve_device(name: str) -> str:
    """`cpu` or `gpu:N` for auto, cpu, gpu or gpu:N; auto is the first GPU, where there is one.

    Raises DeviceError for a GPU that this machine, or this build of Paddle, does not have.
    """
    if not re.fullmatch(r"auto|cpu|gpu|gpu:\d+", name):
        hint = "; a CUDA GPU is called gpu here" if name.startswith("cuda") else ""
        raise DeviceError(f"device {short(name)}: expected auto, cpu, gpu or gpu:N{hint}")
    import paddle

    count = count_gpus()
    if name == "cpu" or (name == "auto" and not count):
        return "cpu"
    number = int(name.partition(":")[2] or 0)
    if number >= count:
        found = f"found {count} GPU{'s' * (count != 1)}"
        cpu_only = "this build of Paddle is for CPU only (README, section GPU)"
        why = found if paddle.is_compiled_with_cuda() else cpu_only
        raise DeviceError(f"device {name}: no such GPU, {why}; use --device cpu or auto")
    return f"gpu:{number}"


def count_gpus() -> int:
    """Those that this process sees."""
    import paddle

    return paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0


def device_of_rank(name: str, gpus: int, environment: Mapping[str, str]) -> str:
    """The device that a process of a job asks for, of `gpus` that it sees: with auto and gpu each
    process on a machine has a GPU of its own, by its local rank. `name` itself outside a job.

    Raises DeviceError where there are more processes than GPUs, or one GPU is named for several.
    """
    if LOCAL_RANK not in environment or name == "cpu" or (name == "auto" and not gpus):
        return name
    rank = _number(environment, LOCAL_RANK)
    processes = _number(environment, LOCAL_SIZE) if LOCAL_SIZE in environment else rank + 1
    if name.startswith("gpu:"):
        if processes > 1:
            raise DeviceError(
                f"device {name}: one GPU for {processes} processes on this machine, and each "
                "needs its own; use --device gpu, and choose them with --devices of "
                "paddle.distributed.launch"
            )
        return name
    if processes > gpus:
        raise DeviceError(
            f"device {name}: {processes} processes on this machine, and {gpus} "
            f"GPU{'s' * (gpus != 1)}, of which each process needs one; start it with "
            f"--nproc_per_node {max(1, gpus)}, or use --device cpu"
        )
    selected = environment.get(SELECTED, "").split(",")[0].strip()
    return f"gpu:{selected if selected.isdecimal() else rank}"


def _number(environment: Mapping[str, str], name: str) -> int:
    if not (found := environment[name].strip()).isdecimal():
        raise DeviceError(f"{name}: found {short(found)}, expected a whole number")
    return int(found)


def check_precision(precision: str, device: str, capability: int) -> None:
    """`capability`: the compute capability of the GPU, its whole part, 0 on a CPU.

    Raises DeviceError where the device does not make products in such numbers.
    """
    if precision == FLOAT32 or capability >= CAPABILITY[precision]:
        return
    where = f"{device} has compute capability {capability}" if capability else "this run is on cpu"
    raise DeviceError(
        f"train.precision: {precision} needs a GPU of compute capability {CAPABILITY[precision]}, "
        f"and {where}; use -o train.precision=float32, or a device that has it with --device"
    )


def use_device(name: str, precision: str = FLOAT32) -> None:
    """Choose the device of a training.

    On a GPU what is computed twice is then the same to the bit, so that a resumed run is. Raises
    DeviceError where there is no such device, or not for this precision.
    """
    import paddle

    device = resolve_device(device_of_rank(name, count_gpus(), os.environ))
    on_gpu = device != "cpu"
    capability = paddle.device.cuda.get_device_capability(int(device[4:]))[0] if on_gpu else 0
    check_precision(precision, device, capability)
    paddle.set_device(device)
    if on_gpu:
        full_float32()
        flags = ("FLAGS_cudnn_deterministic", "FLAGS_embedding_deterministic")
        paddle.set_flags(dict.fromkeys(flags, 1))


def full_float32() -> None:
    """From now on, products of float32 on GPUs have its 24 bits. Paddle lets them have the 11 of
    TF32, with which no export would pass its proof."""
    import paddle

    paddle.base.core.set_cublas_switch(False)
