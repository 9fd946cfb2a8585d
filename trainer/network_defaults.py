"""What `auto` chooses for a network: measured over tables, see benchmarks/tables.md."""

from __future__ import annotations

Chosen = tuple[int, str]  # a value, and why

PATIENCE = 30  # epochs
RATE = 0.002  # of Adam
BOUND = 8.0  # deviations, beyond which inputs are drawn in
EPOCHS, FEWEST_EPOCHS = 200, 20
MOST_VISITS = 40_000_000  # to rows: about ten minutes of one core


def patience(validation_rows: int) -> Chosen:
    if not validation_rows:
        return 0, "there is no validation part to stop by"
    return PATIENCE, "stops before the network overfits"


def batch_size(rows: int) -> Chosen:
    """A power of two: 32 up to about 8,000 training rows, 1,024 from about 500,000 on."""
    most = max(32, min(256, rows // 128), min(1_024, rows // 512))
    size = 1 << most.bit_length() - 1
    return size, f"{-(-rows // size):,} steps per epoch of {rows:,} rows"


def epochs(rows: int, patience: int) -> Chosen:
    most = max(FEWEST_EPOCHS, min(EPOCHS, MOST_VISITS // rows))
    return most, f"at most; stops after {patience} epochs without improvement"
