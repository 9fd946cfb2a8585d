from __future__ import annotations

import numpy as np
import pytest

from model.monitor import Monitor

CONTRACT = {
    "features": ["area", "sold.elapsed", "town"],
    "statistics": {
        "columns": {
            "area": {"minimum": 1.0, "maximum": 9.0},
            "sold.elapsed": {"minimum": 10.0, "maximum": 366.5},
        }
    },
    "schema": {"columns": [{"name": "area"}, {"name": "sold", "origin": "2000-01-01"}]},
    "shares": {
        "area": {"missing": 0.0, "unknown": 0.0},
        "sold": {"missing": 0.5, "unknown": 0.0},
        "town": {"missing": 0.0, "unknown": 0.1},
    },
}
ROW = np.array([[5, 300, 3]], dtype=np.float32)


@pytest.fixture
def monitor() -> Monitor:
    return Monitor(CONTRACT)


def test_what_is_like_training_is_not_told(monitor: Monitor) -> None:
    monitor.add(ROW.repeat(100, axis=0))
    monitor.count("sold", missing=60)
    monitor.count("town", unknown=15)
    assert list(monitor.warnings()) == []


def test_what_is_unlike_training_is_told_once_a_column(monitor: Monitor) -> None:
    """Over many requests, and with rows that had no prediction."""
    for _ in range(50):
        monitor.add(np.array([[0.5, 300, 3], [5, 9000, 9]], dtype=np.float32))
        monitor.count("town", missing=1, unknown=1)
    monitor.add(ROW[:0], wrong=100)
    monitor.count("sold", missing=160)
    assert list(monitor.warnings()) == [
        "area: 50 of 200 values outside the range that the model was trained on, 1 to 9",
        "sold: 50 of 200 times outside the range that the model was trained on, 2000-01-11 to "
        "2001-01-01",
        "sold: 160 of 200 values missing (80.0%); in training 50.0%",
        "town: 50 of 200 values missing (25.0%); in training 0.0%",
        "town: 50 of 200 values unknown (25.0%); in training 10.0%",
    ]


def test_a_missing_number_is_not_out_of_range(monitor: Monitor) -> None:
    monitor.add(np.full((3, 3), np.nan, dtype=np.float32))
    assert list(monitor.warnings()) == []
