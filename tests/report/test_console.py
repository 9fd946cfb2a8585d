from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from report.console import columns_and_parts, summary
from report.report import BestLine, Optimum
from tests.report.samples import full, minimal


def test_summary_of_all_that_a_run_may_have() -> None:
    lines = summary(full(), Path("runs/houses")).splitlines()
    assert lines[:6] == [
        "5 folds     RMSE 30411, standard deviation 8.1e+02 over the folds",
        "optimum     MSE 8.97e+08 on train by exact least squares; this run is 0.32% above it",
        "best line   MSE 9.5e+08 on test; this model is 4.2% below it",
        "intervals   91.3% of 600 test rows lie in theirs (90% asked for); mean width 99512",
        "parity      exported = trained within 3.1e-02 (tolerance 5.0e-01, 3,300 rows)",
        "time        4.2 s, 1.51 s of it in the loop (182,345 rows/s)",
    ]
    assert lines[7].startswith("predict:    ")
    assert "infer.py --model runs/houses --input data/houses" in lines[7]
    assert lines[8] == "report:     runs/houses/report.html"
    assert "--logdir runs --host 127.0.0.1" in lines[9]


def test_summary_of_the_least() -> None:
    assert summary(minimal(), Path("runs/a")).startswith("parity ")


@pytest.mark.parametrize(
    ("metric", "gap", "line"),
    [
        ("mse", None, "MSE 2 on train by exact least squares; the fit is exact"),
        ("mse", 0.0, "MSE 2 on train by exact least squares; this run is 0.00% above it"),
        ("mae", -0.1, "MAE 2 on train by the best line; this run is 10.00% below it"),
    ],
)
def test_optimum(metric: str, gap: float | None, line: str) -> None:
    report = replace(minimal(), optimum=Optimum(metric, 2.0, gap, {}))
    assert summary(report, Path("runs/a")).splitlines()[0] == f"optimum     {line}"


def test_best_line_of_the_last_part() -> None:
    """By its name, whatever the order of the dictionary."""
    lines = {"test": BestLine("mae", 3.0, -0.05), "train": BestLine("mae", 2.0, 0.5)}
    report = replace(full(), best_line=lines, optimum=None, folds=None)
    report = replace(report, metrics=dict(reversed(report.metrics.items())))
    expected = "best line   MAE 3 on test; this model is 5.0% above it"
    assert summary(report, Path("runs/a")).splitlines()[0] == expected


def test_table_ofment() -> None:
    columns = [("a", "numeric", "0", "1 to 2")] * 41
    lines = columns_and_parts("t.csv", columns, {"test": [1], "train": [1, 2], "validation": []})
    assert lines.splitlines()[0] == "column  kind     missing  in the training rows"
    assert lines.splitlines()[-2:] == [
        "and 1 more, all in schema.json",
        "t.csv: 2 train, 1 test rows",
    ]
