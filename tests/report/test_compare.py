from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from errors import RunError
from reader.metrics import Metrics
from report.compare import against_previous, compare, main, previous_run
from report.report import Report
from tests.report.samples import full, minimal


def finished(folder: Path, report: Report) -> Path:
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps(report.to_json()))
    (folder / "DONE").write_text("")
    return folder


def run_of(rmse: float, sha256: str = "a", **keys: Any) -> Report:
    """The report of a run with a test part alone."""
    report = minimal()
    return replace(
        report,
        metrics={"test": Metrics(mse=rmse**2, rmse=rmse, mae=1.0, r2=1 - rmse / 10, rows=9)},
        config={"train": {"epochs": 2, **keys}, "run": {"dir": f"runs/{rmse}"}},
        data=replace(report.data, sha256=sha256),
    )


def test_keys_and_metrics_that_moved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = finished(tmp_path / "a", run_of(5.0))
    after = finished(tmp_path / "b", run_of(4.0, sha256="b", epochs=3, seed=1))
    assert main([str(before), str(after)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["train.epochs: 2 -> 3", "train.seed: - -> 1", "the tables differ"]
    assert [line.split() for line in lines[3:]] == [
        ["test", "RMSE", "5", "->", "4", "-20.0%", "better"],
        ["test", "MAE", "1", "->", "1", "+0.0%", "same"],
        ["test", "R2", "0.5", "->", "0.6", "+0.1000", "better"],
    ]
    assert compare(before, before)[0] == "no key differs"
    assert "worse" in compare(after, before)[-1]


def test_parts_stand_in_their_order_and_may_be_missing(tmp_path: Path) -> None:
    report = full()
    backwards = replace(report, metrics=dict(reversed(report.metrics.items())))
    before, after = finished(tmp_path / "a", backwards), finished(tmp_path / "b", run_of(4.0))
    lines = [line.split() for line in compare(before, after)]
    shown = [line for line in lines if line[0] in report.metrics]
    assert [line[:2] for line in shown[:2]] == [["train", "only"], ["validation", "only"]]
    assert shown[2] == ["test", "rows", "600", "->", "9"]


def test_previous_is_the_run_finished_last(tmp_path: Path) -> None:
    assert previous_run(tmp_path / "c") is None
    for name in ("a", "b", "c.previous"):
        finished(tmp_path / name, minimal())
    assert previous_run(tmp_path / "c") == tmp_path / "b"
    assert previous_run(tmp_path / "b") == tmp_path / "a"


def test_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished(tmp_path / "a", minimal())
    with pytest.raises(RunError, match="expected the folder of a finished run"):
        compare(run, tmp_path / "none")
    (run / "report.json").write_text("[]")
    assert main([str(run), str(run)]) == 2
    assert "is no report" in capsys.readouterr().err


def test_a_broken_run_before_does_no_harm(tmp_path: Path) -> None:
    after = finished(tmp_path / "b", minimal())
    assert against_previous(Report.read(after), after) == []
    before = finished(tmp_path / "a", minimal())
    assert against_previous(Report.read(after), after)[0] == f"against {before}:"
    (before / "report.json").write_text("{")
    assert "is no report" in against_previous(Report.read(after), after)[0]
