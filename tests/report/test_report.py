from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from errors import RunError
from report.report import Report
from tests.report.samples import additive, full, minimal


@pytest.mark.parametrize(
    "report", [minimal(), full(), additive()], ids=["minimal", "full", "additive"]
)
def test_read_as_it_was_written(report: Report, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(json.dumps(report.to_json()))
    assert Report.read(tmp_path) == report


def test_keys_that_scripts_rely_on() -> None:
    values = full().to_json()
    assert values["metrics"]["test"].keys() == {"mse", "rmse", "mae", "r2", "rows"}
    assert values["optimum"]["train_mse"] == 8.97e8
    assert values["optimum"]["gap"] == 0.0032
    assert values["best_line"]["test"] == {"mse": 9.5e8, "improvement": 0.042}
    assert "optimum" not in minimal().to_json()
    assert "best_line" not in minimal().to_json()


def test_the_last_part_is_told_by_its_name() -> None:
    report = full()
    assert report.last_part == "test"
    backwards = dict(reversed(report.metrics.items()))
    assert replace(report, metrics=backwards).last_part == "test"
    assert minimal().last_part == "train"


def changed(**values: Any) -> str:
    return json.dumps(full().to_json() | values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a report .*run that recipe again"),
        ("[]", "is not a report .*run that recipe again"),
        ("\\udcff", "is not a report"),
        (
            changed(best={"epoch": 1, "metric": "mse"}),
            r"of this version \(best.value: Field required",
        ),
        (changed(optimum=3), r"optimum: Input should be"),
        (changed(optimum={"gap": 0.1}), r"optimum.metric: Field required"),
        (changed(best_line=[1]), r"best_line: Input should be"),
        (changed(best_line={"test": None}), r"best_line.test: Input should be"),
        (changed(metrics={"test": {"rmse": "a"}}), r"metrics.test"),
    ],
)
def test_what_is_no_report(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(RunError, match=message):
        Report.read(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"kind": "spline"}, r"effects.terms.0.kind: Input should be 'curve', 'levels' or 'map'"),
        ({"values": [1.0]}, r"effects.terms.0.*not of as many places"),
        ({"features": ["a", "b"]}, r"effects.terms.0.*a curve is of 1 features"),
        ({"kind": "map"}, r"effects.terms.0.*a map is of 2 features"),
        ({"places": [[]], "values": [], "errors": [], "rows": []}, "not of as many places"),
    ],
)
def test_an_odd_term(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    report = additive().to_json()
    report["effects"]["terms"][0] |= values
    (tmp_path / "report.json").write_text(json.dumps(report))
    with pytest.raises(RunError, match=message):
        Report.read(tmp_path)


def test_levels_that_look_like_numbers_stay_names(tmp_path: Path) -> None:
    report = additive().to_json()
    report["effects"]["terms"][4]["places"] = [["7", "8", None]]
    (tmp_path / "report.json").write_text(json.dumps(report))
    effects = Report.read(tmp_path).effects
    assert effects
    assert effects.terms[4].places == [["7", "8", None]]


def test_no_report_at_all(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected the folder of a finished run"):
        Report.read(tmp_path)


def test_a_report_that_did_not_name_its_metric_is_read(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(changed(best={"epoch": 1, "value": 2.0}))
    assert Report.read(tmp_path).best.metric == "mse"
