"""Tables to predict go by the names of their columns, and ids beside predictions by theirs."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import infer
from errors import TableError
from model.predictor import Predictor
from tests.conftest import train_recipe

ROWS = 60
A, B = np.random.default_rng(0).normal(size=(2, ROWS)).astype(np.float32)
TABLE: dict[str, Any] = {
    "prediction": [f"p{row}" for row in range(ROWS)],
    "error": [f"e{row}" for row in range(ROWS)],
    "a": A,
    "2019": B,
    "y": 3 * A - 2 * B + 1,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("by_name")
    pl.DataFrame(TABLE).write_csv(folder / "t.csv")
    (folder / "t.yaml").write_text(f"data: {{path: {folder / 't.csv'}, target: y}}\n")
    train_recipe(folder / "run", str(folder / "t.yaml"))
    return folder


def test_a_frame_goes_by_its_names(run: Path) -> None:
    predictor = Predictor(run / "run")
    assert predictor.features == ("a", "2019")
    expected = predictor.predict(np.column_stack([A, B]))
    np.testing.assert_allclose(expected, TABLE["y"], atol=1e-4)
    frame = {"2019": B, "more": ["x"] * ROWS, "a": A}
    frames: list[Any] = [frame, pl.DataFrame(frame), {2019: list(B), "a": list(map(str, A))}]
    for each in frames:
        np.testing.assert_allclose(predictor.predict(each), expected, atol=1e-6)
    with pytest.raises(TableError, match="no column 2019; found a, b"):
        predictor.predict({"a": A, "b": B})
    with pytest.raises(ValueError, match="expected"):
        predictor.predict(np.column_stack([A, B, A]))


def test_a_frame_of_pandas_goes_by_its_names(run: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is in requirements-dev.txt")
    predictor = Predictor(run / "run")
    frame = pandas.DataFrame({2019: B, "a": A}, index=range(5, 5 + ROWS))
    expected = predictor.predict(np.column_stack([A, B]))
    np.testing.assert_array_equal(predictor.predict(frame), expected)


@pytest.mark.parametrize("flag", [True, False])
def test_ids_named_like_a_prediction(
    run: Path, capsys: pytest.CaptureFixture[str], flag: bool
) -> None:
    output = run / "out.csv"
    given = ["--model", str(run / "run"), "--input", str(run / "t.csv"), "--output", str(output)]
    assert infer.main([*given, *["--on-error", "flag"] * flag]) == 0
    with output.open() as file:
        header, *lines = csv.reader(file)
    assert header == ["prediction_", "error_", "prediction", *["error"] * flag]
    assert [line[:2] for line in lines] == [[f"p{row}", f"e{row}"] for row in range(ROWS)]
    np.testing.assert_allclose([float(line[2]) for line in lines], TABLE["y"], atol=1e-4)
    assert "note: the column prediction is written as prediction_" in capsys.readouterr().err
