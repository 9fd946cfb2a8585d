"""What `auto` stands for where a network is trained: measured over tables, see
benchmarks/tables.md."""

from __future__ import annotations

Chosen = tuple[int, str]  # a value, and why

PATIENCE = 30  # epochs
RATE = 0.002  # of Adam
BOUND = 8.0  # deviations, beyond which inputs are drawn in
EPOCHS, FEWEST_EPOCHS = 200, 20
MOST_VISITS = 40_000_000  # to rows: some ten minutes of one core


def patience(validation_rows: int) -> Chosen:
    if not validation_rows:
        return 0, "no validation part tells when to stop"
    return PATIENCE, "a network learns its rows by heart where it is trained on and on"


def batch_size(rows: int) -> Chosen:
    """A power of two: 32 up to some 8,000 training rows, 1,024 from some 500,000 on."""
    most = max(32, min(256, rows // 128), min(1_024, rows // 512))
    size = 1 << most.bit_length() - 1
    return size, f"some {-(-rows // size):,} steps an epoch of {rows:,} rows"


def epochs(rows: int, patience: int) -> Chosen:
    most = max(FEWEST_EPOCHS, min(EPOCHS, MOST_VISITS // rows))
    return most, f"at most, or until {patience} without a better one"
