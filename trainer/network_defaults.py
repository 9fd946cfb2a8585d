"""What `auto` chooses for a network: measured over tables, see benchmarks/tables.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bilingual import Text

Chosen = tuple[int, Text]  # a value, and why

PATIENCE = 30  # epochs
RATE = 0.002  # of Adam
BOUND = 8.0  # deviations, beyond which inputs are drawn in
EPOCHS, FEWEST_EPOCHS = 200, 20
MOST_VISITS = 40_000_000  # to rows: about ten minutes of one core
MOST_TUNED_VISITS = 5_000_000  # of members of RealMLP to rows: about two minutes
COLUMNS_THAT_DOUBLE = 150  # the time of a visit
FEW_EPOCHS, MANY_ROWS = 16, 10_000


def patience(validation_rows: int) -> Chosen:
    if not validation_rows:
        return 0, Text("there is no validation part to stop by", "没有验证集，无法早停")
    return PATIENCE, Text("stops before the network overfits", "在网络过拟合之前停止")


def batch_size(rows: int) -> Chosen:
    """A power of two: 32 up to about 8,000 training rows, 1,024 from about 500,000 on."""
    most = max(32, min(256, rows // 128), min(1_024, rows // 512))
    size = 1 << most.bit_length() - 1
    steps = -(-rows // size)
    return size, Text(
        f"{steps:,} steps per epoch of {rows:,} rows", f"每轮 {rows:,} 个训练样本，共 {steps:,} 步"
    )


def epochs(rows: int, patience: int) -> Chosen:
    most = max(FEWEST_EPOCHS, min(EPOCHS, MOST_VISITS // rows))
    return most, Text(
        f"at most; stops after {patience} epochs without improvement",
        f"上限；连续 {patience} 轮没有改善即停止",
    )


def tuned_scaling(rows: int) -> tuple[str, Text]:
    if rows < MANY_ROWS:
        why = Text(
            "few rows tell little of far values but their size", "样本少时，远处的值还需其大小"
        )
        return "mixed", why
    return "quantile", Text(
        "no cell is then far from the others", "这样没有哪个单元格远离其他单元格"
    )


def tuned_batch_size(rows: int) -> Chosen:
    """256, 512 from 10,000 training rows on, 1,024 from 500,000 on: fewer make steps too noisy for
    the rate."""
    size = 256 if rows < MANY_ROWS else 512 if rows < 500_000 else 1_024
    steps = -(-rows // size)
    return size, Text(
        f"{steps:,} steps per epoch of {rows:,} rows", f"每轮 {rows:,} 个训练样本，共 {steps:,} 步"
    )


def tuned_rate(batch_size: int) -> float:
    """That of RealMLP-TD, 0.2, for mini-batches of 512 rows; half of it for fewer, whose gradients
    are noisier."""
    return 0.2 if batch_size >= 512 else 0.1


def members(rows: int, columns: int) -> Chosen:
    """8 up to about 40,000 training rows, then 4, 2 and 1: as many as see their rows FEW_EPOCHS
    times."""
    at_once = MOST_TUNED_VISITS / (1 + columns / COLUMNS_THAT_DOUBLE) / (rows * FEW_EPOCHS)
    count = next((count for count in (8, 4, 2) if count <= at_once), 1)
    return count, Text(
        f"of {rows:,} rows within about two minutes of one core",
        f"{rows:,} 个训练样本，单核两分钟左右以内",
    )


def tuned_epochs(rows: int, columns: int, members: int) -> Chosen:
    """What the members have time for, at least 4; at most 64, or few rows as often as makes 1,200
    steps, but 256 times: more only overfits."""
    visits = MOST_TUNED_VISITS / (1 + columns / COLUMNS_THAT_DOUBLE)
    enough = min(256, max(64, 1_200 * 256 // rows))
    most = max(4, min(enough, int(visits / (rows * members))))
    return most, Text(
        f"{members} members see {rows:,} rows within about two minutes of one core",
        f"{members} 个成员各看 {rows:,} 个样本，单核两分钟左右以内",
    )


@dataclass(frozen=True)
class Defaults:
    """What `auto` is for a network; `scaling`, by training rows, and `schedule` with the reason,
    None for that of other models."""

    rate: Callable[[int], float] = lambda batch_size: RATE
    optimizer: str = "adam"
    optimizer_options: dict[str, Any] = field(default_factory=dict)
    weight_decay: float = 0.0
    scaling: Callable[[int], tuple[str, Text]] | None = None
    schedule: tuple[str, Text] | None = None
    stops_early: bool = True
    bounded: bool = False
    batch_size: Callable[[int], Chosen] = batch_size


COSLOG4 = ("coslog4", Text("as its authors tuned it", "采用其作者调好的值"))

REALMLP = Defaults(
    rate=tuned_rate,
    optimizer="adamw",
    optimizer_options={"beta2": 0.95},
    weight_decay=0.02,
    scaling=tuned_scaling,
    schedule=COSLOG4,
    stops_early=False,
    bounded=True,
    batch_size=tuned_batch_size,
)
NETWORKS = {
    "mlp": Defaults(),
    "resnet": Defaults(),
    "realmlp": REALMLP,
    "blend": REALMLP,
    "tabm": Defaults(
        optimizer="adamw",
        weight_decay=3e-4,
        scaling=tuned_scaling,
        bounded=True,
        batch_size=tuned_batch_size,
    ),
}
