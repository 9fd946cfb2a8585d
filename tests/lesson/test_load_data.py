"""The lesson's first page against the project's own reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from configs.load import load
from lesson.data import COLUMNS, PATH, load_data, main, read_flat, scale, split_rows, to_table
from reader.split import SplitOptions, split
from reader.table import open_table
from tests.conftest import numbers


def test_the_columns_are_those_of_the_recipe() -> None:
    columns = load("configs/boston_lesson.yaml", []).data.columns
    assert columns is not None
    assert tuple(columns) == COLUMNS


def test_the_array_cut_into_rows_is_what_the_reader_reads() -> None:
    flat = read_flat()
    table = to_table(flat)
    assert flat.shape == (7084,)
    assert table.shape == (506, 14)
    (batch,) = open_table(PATH, COLUMNS).batches(numbers(COLUMNS))
    np.testing.assert_array_equal(table.astype(np.float32), batch.rows)


def test_the_split_is_the_first_four_fifths() -> None:
    table = to_table(read_flat())
    training, test = split_rows(table)
    np.testing.assert_array_equal(np.vstack([training, test]), table)
    assert len(split(506, SplitOptions("sequential", 0.8, 0.0, 0.2)).train) == len(training) == 404


def test_load_data_is_scaled_by_the_training_rows() -> None:
    training, test = load_data()
    raw_training, raw_test = split_rows(to_table(read_flat()))
    low, high = raw_training.min(axis=0), raw_training.max(axis=0)
    assert training.dtype == test.dtype == np.float64
    np.testing.assert_array_equal(training, (raw_training - low) / (high - low))
    np.testing.assert_array_equal(test, (raw_test - low) / (high - low))
    np.testing.assert_array_equal(training.min(axis=0), np.zeros(14))
    np.testing.assert_array_equal(training.max(axis=0), np.ones(14))
    assert test.min() < 0
    assert test.max() > 1


def test_the_first_row_is_the_one_that_the_course_prints() -> None:
    published = [0, 0.18, 0.07344184, 0, 0.31481481, 0.57750527, 0.64160659]
    published += [0.26920314, 0, 0.22755741, 0.28723404, 1, 0.08967991, 0.42222222]
    np.testing.assert_allclose(load_data()[0][0], published, atol=5e-9)


def test_the_test_rows_do_not_change_the_training_rows() -> None:
    training, test = split_rows(to_table(read_flat()))
    np.testing.assert_array_equal(scale(training, test)[0], scale(training, test * 100)[0])


def test_the_page_prints_the_means(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = main(tmp_path)
    training, test = split_rows(to_table(read_flat()))
    assert facts["training_mean"] == pytest.approx(np.average(training[:, 13]))
    assert round(float(facts["training_mean"]), 1) == 24.2
    assert round(float(facts["test_mean"]), 1) == round(float(test[:, 13].mean()), 1) == 16.0
    assert "24.18   16.03" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"data-split.svg", "data-scaled.svg"}
