"""What `auto` chooses for a network: measured over tables, see benchmarks/tables.md."""

from __future__ import annotations

from bilingual import Text

Chosen = tuple[int, Text]  # a value, and why

PATIENCE = 30  # epochs
RATE = 0.002  # of Adam
BOUND = 8.0  # deviations, beyond which inputs are drawn in
EPOCHS, FEWEST_EPOCHS = 200, 20
MOST_VISITS = 40_000_000  # to rows: about ten minutes of one core


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
