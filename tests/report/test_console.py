from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from report.console import closing, columns_and_parts, summary
from report.figures import worse_than_mean
from report.report import BestLine, Optimum
from tests.report.samples import additive, full, minimal


def test_closing_of_all_that_a_run_may_have(tmp_path: Path) -> None:
    lines = closing(full(), tmp_path / "houses")
    assert lines[3:11] == [
        "5 folds     RMSE 30411, standard deviation 8.1e+02",
        "optimum     MSE 8.97e+08 (exact least squares on train); this run: +0.32 %",
        "baseline    RMSE 30822 of the best line on test; this model: 2.1 % lower",
        "processes   3 that trained together, on 2 host(s); rows of the table that each had charge "
        "of: 1,200, 1,000, 1,100",
        "additive    RMSE 24000 on validation, found in 0.4 s; against this line: 20.4 % lower",
        "intervals   cover 91.3 % of 600 test rows (target 90 %); mean width 99512",
        "export      check passed: differs from the trained network by at most 3.1e-02 "
        "(allowed 5.0e-01; 3,300 rows)",
        "time        4.2 s (training loop 1.51 s, 182,345 rows/s)",
    ]
    assert lines[11].startswith("next        is region known before the prediction is needed?")
    assert f"infer.py --model {tmp_path}/houses --input new.csv" in lines[12]
    assert lines[13] == f"report      {tmp_path}/houses/report.html"
    assert f"--logdir {tmp_path} --host 127.0.0.1" in lines[14]
    assert len(lines) == 15


def test_a_warning_comes_first(tmp_path: Path) -> None:
    report = replace(minimal(), warning="do not use it")
    for brief in (False, True):
        assert closing(report, tmp_path / "a", brief)[0] == "warning: do not use it"
    assert not closing(minimal(), tmp_path / "a")[0].startswith("warning")


def test_worse_than_the_mean_of_the_training_rows() -> None:
    warning = worse_than_mean("mse", -38.0)
    assert warning
    assert "worse than their mean does (R2 -38.00)" in warning.plain
    assert not worse_than_mean("mse", -1e-9)  # a model that predicts the mean itself
    assert not worse_than_mean("mae", -0.02)  # the median of a skewed target
    assert not worse_than_mean("mse", None)


@pytest.mark.parametrize(
    ("metric", "gap", "line"),
    [
        ("mse", None, "MSE 2 (exact least squares on train); the fit is exact"),
        ("mse", 0.0, "MSE 2 (exact least squares on train); this run: +0.00 %"),
        ("mae", -0.1, "MAE 2 (the best line on train); this run: -10.00 %"),
        ("mse", 1355641.0, "MSE 2 (exact least squares on train); this run: > 10 x"),
    ],
)
def test_optimum(metric: str, gap: float | None, line: str) -> None:
    report = replace(minimal(), optimum=Optimum(metric, 2.0, gap, {}))
    assert summary(report)[0] == f"optimum     {line}"


def test_a_share_of_next_to_nothing_is_not_told() -> None:
    metrics = {"train": replace(minimal().metrics["train"], r2=1 - 1e-9)}
    report = replace(minimal(), metrics=metrics, optimum=Optimum("mse", 1e-12, 3.0, {}))
    assert summary(report)[0].endswith("a millionth of the variance unexplained")


def test_baseline_of_the_last_part() -> None:
    """By its name, whatever the order of the dictionary."""
    lines = {"test": BestLine("mae", 3.0, -0.05), "train": BestLine("mae", 2.0, 0.5)}
    report = replace(full(), best_line=lines, optimum=None, folds=None)
    report = replace(report, metrics=dict(reversed(report.metrics.items())))
    expected = "baseline    MAE 3 of the best line on test; this model: 5.0 % higher"
    assert summary(report)[0] == expected


def test_table_of_columns() -> None:
    columns = [("a", "numeric", "0", "1 to 2")] * 41
    lines = columns_and_parts("t.csv", columns, {"test": [1], "train": [1, 2], "validation": []})
    assert lines[0] == "column  kind     missing  in the training rows"
    assert lines[-2:] == [
        "and 1 more, all in schema.json",
        "t.csv: 2 train, 1 test rows",
    ]


def test_columns_of_chinese_names_line_up() -> None:
    columns = [("面积", "numeric", "0", "1 to 2"), ("cafe\u0301", "numeric", "3", "2 to 3")]
    lines = columns_and_parts("t.csv", columns, {"test": [], "train": [1], "validation": []})
    assert lines[1:3] == [
        "面积    numeric        0  1 to 2",
        "cafe\u0301    numeric        3  2 to 3",
    ]


def test_terms_of_an_additive_model() -> None:
    report, line = (
        additive(),
        (
            "terms       4 curves, 2 categories, 4 pairs; 1,626 columns, 420 degrees of freedom; "
            "strongest: area, latitude x longitude, sold: hour"
        ),
    )
    assert report.effects
    assert summary(report)[0] == f"{line}; model.monotone: training MSE +1.23 %"
    free = replace(report, effects=replace(report.effects, constraint=None))
    assert summary(free)[0] == line
    assert not any(line.startswith("terms") for line in summary(full()))
