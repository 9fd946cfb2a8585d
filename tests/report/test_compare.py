from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from errors import RunError
from reader.metrics import Metrics
from report.compare import against_previous, compare, differences, main, previous_run
from report.diagnostics import bootstrap
from report.report import Examples, Report
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
    after = finished(tmp_path / "b", run_of(4.0, epochs=3, seed=1))
    assert main([str(before), str(after)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["train.epochs: 2 -> 3", "train.seed: - -> 1"]
    assert [line.split() for line in lines[2:]] == [
        ["test", "RMSE", "5", "->", "4", "-20.0", "%", "better"],
        ["test", "MAE", "1", "->", "1", "0.0", "%", "same"],
        ["test", "R2", "0.5", "->", "0.6", "+0.1000", "better"],
    ]
    assert compare(before, before)[0] == "same recipe"
    assert "worse" in compare(after, before)[-1]


def test_other_tables_and_targets_are_not_compared(tmp_path: Path) -> None:
    before = finished(tmp_path / "a", run_of(5.0, epochs=3))
    other_table = finished(tmp_path / "b", run_of(7e4, sha256="b"))
    told = ["train.epochs: 3 -> 2", "different tables: their figures cannot be compared"]
    assert compare(before, other_table) == told
    report = run_of(7e4)
    other = replace(report, data=replace(report.data, target="z"))
    other_target = finished(tmp_path / "c", other)
    assert compare(before, other_target)[1:] == ["different targets: y, z"]
    assert against_previous(other, other_target) == []
    assert against_previous(Report.read(other_table), other_table) == []


def test_a_figure_beyond_sense_is_told_in_words(tmp_path: Path) -> None:
    runs = [finished(tmp_path / name, run_of(rmse)) for name, rmse in (("a", 1.0), ("b", 1e5))]
    assert compare(*runs)[1].split()[-4:] == [">", "10", "×", "worse"]


@pytest.mark.parametrize("factor", [0.999, 0.8])
@pytest.mark.parametrize("same_rows", [True, False])
def test_what_noise_may_do_is_no_difference(factor: float, same_rows: bool) -> None:
    """Two models whose errors differ at random in 900 rows, one of them with smaller ones."""
    random = np.random.default_rng(0)
    actual = random.normal(size=900)

    def run(scale: float, shift: float) -> Report:
        error = scale * random.normal(size=900)
        mse, mae = float(np.mean(error**2)), float(np.mean(np.abs(error)))
        metrics = Metrics(mse, mse**0.5, mae, 1 - mse, rows=900)
        predicted = (actual + error).tolist()
        examples = Examples(
            "test", (actual + shift).tolist(), (np.array(predicted) + shift).tolist()
        )
        confidence = bootstrap(actual, np.array(predicted))
        return replace(
            minimal(), metrics={"test": metrics}, examples=examples, confidence={"test": confidence}
        )

    lines = differences(run(1.0, 0.0), run(factor, 0.0 if same_rows else 1.0), ("a", "b"))
    verdicts = [re.split(r" {2,}", line)[-1] for line in lines[1:]]
    assert verdicts == ["no difference" if factor > 0.9 else "better"] * 3


def test_parts_stand_in_their_order_and_may_be_missing(tmp_path: Path) -> None:
    report = full()
    backwards = replace(report, metrics=dict(reversed(report.metrics.items())))
    after = replace(run_of(4.0), data=report.data)
    lines = [line.split() for line in differences(backwards, after, ("a", "b"))]
    shown = [line for line in lines if line[0] in report.metrics]
    assert [line[:2] for line in shown[:2]] == [["train", "only"], ["validation", "only"]]
    assert shown[2] == ["test", "rows", "600", "->", "9"]


def test_previous_is_the_run_finished_last_on_the_same_table(tmp_path: Path) -> None:
    report = minimal()
    other = replace(report, data=replace(report.data, sha256="1" * 64))
    assert previous_run(tmp_path / "c", report) is None
    for name, each in (("a", report), ("b", report), ("d", other)):
        finished(tmp_path / name, each)
    assert previous_run(tmp_path / "c", report) == tmp_path / "b"
    assert previous_run(tmp_path / "b", report) == tmp_path / "a"
    assert previous_run(tmp_path / "c", other) == tmp_path / "d"


def test_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = finished(tmp_path / "a", minimal())
    with pytest.raises(RunError, match="expected the folder of a finished run"):
        compare(run, tmp_path / "none")
    (run / "report.json").write_text("[]")
    assert main([str(run), str(run)]) == 2
    assert "is not a report" in capsys.readouterr().err


def test_a_broken_run_before_does_no_harm(tmp_path: Path) -> None:
    after = finished(tmp_path / "b", minimal())
    assert against_previous(Report.read(after), after) == []
    before = finished(tmp_path / "a", minimal())
    assert against_previous(Report.read(after), after)[0] == f"compared with {before}:"
    (before / "report.json").write_text("{")
    assert against_previous(Report.read(after), after) == []


ODD: list[Any] = [None, True, -1, 10**400, 1e308, "x", [], {}, [[]], {"x": 1}, [None]]
EVERY = 37  # of the odd reports, for all of them take half a minute


def odd_reports(values: dict[str, Any]) -> Iterator[Any]:
    """Each key, and each inside one, missing or of another type or size."""
    yield from ODD
    for key, value in values.items():
        yield {name: each for name, each in values.items() if name != key}
        yield from (values | {key: odd} for odd in ODD)
        if isinstance(value, dict):
            yield from (values | {key: inner} for inner in odd_reports(value))
        if isinstance(value, list):
            yield from (values | {key: other} for other in (value[:-1], value * 2))


def test_an_odd_report_of_another_run_is_compared_or_left_out(tmp_path: Path) -> None:
    new = full()
    after, before = finished(tmp_path / "after", new), finished(tmp_path / "before", new)
    odd = list(odd_reports(new.to_json()))[::EVERY]
    contents = [json.dumps(each).encode() for each in odd]
    contents += [b"", b"[" * 100_000, b"\xff", b'{"data": {"rows": NaN}}', b"0" * 10_000]
    for content in contents:
        (before / "report.json").write_bytes(content)
        assert isinstance(against_previous(new, after), list)
        with suppress(RunError):
            compare(before, after)
    assert len(odd) > 50
