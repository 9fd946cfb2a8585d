from __future__ import annotations

import csv
import gzip
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import infer
from errors import TableError
from model.predictor import Predictor
from reader.parallel import read_ahead
from reader.rows import NO_IDS, Batch
from tests.conftest import COLUMNS, ROOT, command, wait_for

pytestmark = pytest.mark.slow

TABLE = np.loadtxt("data/boston/housing.data")


def predictions(text: str) -> list[float]:
    header, *lines = text.splitlines()
    assert header == "prediction"
    return [float(line) for line in lines]


def run(boston_run: Path, table: Path, *options: str) -> int:
    return infer.main(["--model", str(boston_run), "--input", str(table), *options])


def test_runs_with_the_training_code_deleted(boston_run: Path, tmp_path: Path) -> None:
    shutil.copy(ROOT / "infer.py", tmp_path)
    shutil.copytree(ROOT / "reader", tmp_path / "reader")
    (tmp_path / "model").mkdir()
    (tmp_path / "run").mkdir()
    ours = {path.name for path in ROOT.glob("*.py")} - {"train.py", "pipeline.py", "regressor.py"}
    parts = ["base_predictor", "conform", "contract", "contributions", "device", "folder", "graph"]
    parts += ["monitor", "onnx_graph", "onnx_predictor", "predictor"]
    for name in (*ours, *(f"model/{part}.py" for part in parts), "run/signals.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(boston_run / "export", tmp_path / "elsewhere")
    table = ROOT / "data" / "boston" / "housing.data"
    done = command("infer.py", "--model", "elsewhere", "--input", str(table), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = predictions(done.stdout)
    np.testing.assert_allclose(found, Predictor(boston_run).predict(TABLE[:, :-1]), rtol=1e-6)
    assert "MEDV is known in 506 of 506 rows" in done.stderr


def test_csv_by_name_in_any_order(
    boston_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = Predictor(boston_run).predict(TABLE[:, :-1])
    order = np.random.default_rng(0).permutation(13)
    lines = [",".join([*(COLUMNS[i] for i in order), "note"])]
    lines += [",".join([*(repr(float(row[i])) for i in order), "text"]) for row in TABLE]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    assert run(boston_run, tmp_path / "t.csv") == 0
    captured = capsys.readouterr()
    np.testing.assert_array_equal(np.array(predictions(captured.out), dtype=np.float32), expected)
    assert "note: columns not trained on are ignored: note" in captured.err


def test_one_prediction_a_row_over_many_batches(boston_run: Path, tmp_path: Path) -> None:
    rows = np.tile(TABLE[:, :-1], (300, 1))
    np.savetxt(tmp_path / "t.txt", rows, fmt="%g")
    output = tmp_path / "out.csv"
    assert run(boston_run, tmp_path / "t.txt", "--output", str(output)) == 0
    found = np.array(predictions(output.read_text()))
    assert len(found) == len(rows) > 2 * 65_536
    np.testing.assert_allclose(found, np.tile(found[:506], 300), rtol=1e-5)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_standard_input_and_output(boston_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open("data/boston/housing.data", "rb") as table:
        done = subprocess.run(
            [sys.executable, "infer.py", "--model", str(boston_run), "--input", "-"],
            stdin=table,
            capture_output=True,
            check=True,
        )
    assert len(predictions(done.stdout.decode())) == 506


def test_a_reader_that_has_seen_enough(boston_run: Path) -> None:
    script = f"{sys.executable} infer.py --model {boston_run} --input data/boston/housing.data"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{script} | head -2"], capture_output=True, text=True
    )
    assert done.stdout.startswith("prediction\n")
    assert "Traceback" not in done.stderr
    assert "error" not in done.stderr


def test_metrics_leave_out_rows_without_a_target(
    boston_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [",".join(COLUMNS), *(",".join(f"{v:g}" for v in row) for row in TABLE[:10])]
    lines[3] = lines[3].rsplit(",", 1)[0] + ","
    (tmp_path / "t.csv").write_text("\n".join(lines))
    assert run(boston_run, tmp_path / "t.csv") == 0
    captured = capsys.readouterr()
    assert len(predictions(captured.out)) == 10
    assert "MEDV is known in 9 of 10 rows" in captured.err


def test_metrics_leave_out_a_target_that_is_no_number(
    boston_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [",".join(COLUMNS), *(",".join(f"{v:g}" for v in row) for row in TABLE[:10])]
    lines[3], lines[5] = (lines[i].rsplit(",", 1)[0] + mark for i, mark in ((3, ",?"), (5, ",tba")))
    (tmp_path / "t.csv").write_text("\n".join(lines))
    assert run(boston_run, tmp_path / "t.csv") == 0
    captured = capsys.readouterr()
    assert len(predictions(captured.out)) == 10
    assert "MEDV is known in 8 of 10 rows" in captured.err
    assert "MEDV is not a number in 2 rows; metrics leave them out" in captured.err


def test_values_outside_the_training_range_are_counted_once_a_column(
    boston_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.tile(np.median(TABLE[:, :-1], axis=0), (70_000, 1))
    rows[[3, 69_999], 5] = [1, 99]
    np.savetxt(tmp_path / "t.txt", rows, fmt="%g")
    assert run(boston_run, tmp_path / "t.txt", "--output", str(tmp_path / "out.csv")) == 0
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: RM: 2 of 70,000 values outside the range")


def test_nothing_is_written_where_a_cell_is_wrong(
    boston_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.tile(TABLE[:, :-1], (150, 1)).astype(str)
    rows[70_000, 5] = "six"
    (tmp_path / "t.txt").write_text("\n".join(" ".join(row) for row in rows))
    output = tmp_path / "out.csv"
    output.write_text("before")
    assert run(boston_run, tmp_path / "t.txt", "--output", str(output)) == 2
    assert "line 70001, column RM: found 'six'" in capsys.readouterr().err
    assert output.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "t.txt"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--input", "none.csv"], "none.csv: No such file"),
        (["--input", "configs"], "configs: no files; expected at least one table"),
        (["--model", "runs/none"], "expected a run folder or its export folder"),
        (["--device", "gpu:99"], "gpu:99: no such GPU"),
        (["--device", "tpu"], "tpu"),
        (
            ["--output", "none/out.csv"],
            "--output none/out.csv: there is no folder none; create it first",
        ),
        (["--output", "/proc/out.csv"], "/proc/out.csv"),
        (["--output", "data/boston/housing.data"], ".data files are not written; expected .csv"),
        (["--output", "out.ods"], "--output out.ods: .ods files are not written; expected .csv"),
        (
            ["--output", "out.parquet.gz"],
            ".parquet files are packed inside; expected a name without",
        ),
        (["--output", "o.jsonl", "--safe-csv"], "--safe-csv is for .csv and .tsv"),
        (
            ["--columns", "CRIM,PTRATTIO"],
            "--columns names 'PTRATTIO', which is not a column; did you mean 'PTRATIO'?",
        ),
        (["--output", "out.xlsx.gz"], ".xlsx files are not written; expected .csv, .tsv"),
        (["--output", "docs"], "--output docs: is a folder"),
        (["--device", "cuda"], "a CUDA GPU is called gpu here"),
    ],
)
def test_wrong_option(
    boston_run: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--model", str(boston_run), "--input", "data/boston/housing.data", *options]
    assert infer.main(given) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert words in captured.err
    assert captured.out == ""


def test_the_input_is_not_written_over(
    boston_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "t.csv"
    shutil.copy("data/boston/housing.data", table)
    assert run(boston_run, table, "--output", str(table)) == 2
    assert "is the input; choose another --output" in capsys.readouterr().err


def test_nothing_reaches_standard_output_where_a_late_cell_is_wrong(
    boston_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = np.tile(TABLE[:, :-1], (150, 1)).astype(str)
    rows[70_000, 5] = "six"
    (tmp_path / "t.txt").write_text("\n".join(" ".join(row) for row in rows))
    assert run(boston_run, tmp_path / "t.txt") == 2
    said = capfd.readouterr()
    assert "line 70001, column RM: found 'six'" in said.err
    assert said.out == ""


def test_no_rows_give_no_predictions(
    boston_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.csv").write_text(",".join(COLUMNS[:-1]) + "\n")
    output = tmp_path / "out.csv"
    assert run(boston_run, tmp_path / "t.csv", "--output", str(output)) == 0
    assert output.read_text() == "prediction\n"
    assert capsys.readouterr().err.endswith("has no rows, so there are no predictions\n")


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.csv.gz", "out.TSV.gz", "out"])
def test_an_output_is_what_its_name_says(boston_run: Path, tmp_path: Path, name: str) -> None:
    lines = [",".join(["a", *COLUMNS[:-1]])]
    lines += [",".join(["x", *(repr(float(v)) for v in row[:-1])]) for row in TABLE[:5]]
    lines[2] = lines[2].replace("0.02731", "?!")
    (tmp_path / "t.csv").write_text("\n".join(lines))
    options = ["--output", str(tmp_path / name), "--on-error", "flag"]
    assert run(boston_run, tmp_path / "t.csv", *options) == 0
    content = (tmp_path / name).read_bytes()
    text = (gzip.decompress(content) if name.endswith(".gz") else content).decode()
    rows = list(csv.reader(text.splitlines(), delimiter="\t" if "tsv" in name.lower() else ","))
    assert rows[0] == ["prediction", "error"]
    assert len(rows) == 6
    assert rows[2][0] == ""
    assert "line 3, column CRIM" in rows[2][1]


def test_an_unfinished_run_is_named(boston_run: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    shutil.copy(boston_run / "config.yaml", tmp_path / "run")
    done = command("infer.py", "--model", str(tmp_path / "run"), "--verify")
    assert done.returncode == 2
    assert "has not been exported yet; finish it with train.py --resume" in done.stderr


def test_empty_standard_input(
    boston_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert infer.main(["--model", str(boston_run), "--input", "-"]) == 2
    assert "standard input: the file is empty" in capsys.readouterr().err


def test_wrong_model_is_told_without_importing_paddle(tmp_path: Path) -> None:
    done = command("-X", "importtime", "infer.py", "--model", str(tmp_path), "--input", "-")
    assert done.returncode == 2
    assert " paddle\n" not in done.stderr
    assert os.listdir(tmp_path) == []  # noqa: PTH208


class Batches:
    """Batches of one row each, that count how many were asked for; the last one is wrong."""

    def __init__(self, most: int) -> None:
        self.most, self.read, self.pause = most, 0, 0.0

    def __iter__(self) -> Iterator[Batch]:
        for number in range(self.most):
            self.read += 1
            time.sleep(self.pause)
            yield Batch(np.full((1, 1), number, dtype=np.float32), NO_IDS, {})
        raise TableError("line 99")


def wait_until_read(batches: Batches, count: int) -> None:
    wait_for(lambda: batches.read >= count)
    time.sleep(0.1)  # in which a thread that knows no bound would read on


def test_batches_are_read_ahead_up_to_a_bound() -> None:
    batches = Batches(most=100)
    with read_ahead(iter(batches), most=3) as ahead:
        wait_until_read(batches, 3)
        assert batches.read == 3
        next(ahead)
        wait_until_read(batches, 4)
        assert batches.read == 4


def test_an_error_ahead_comes_in_its_turn() -> None:
    with read_ahead(iter(Batches(most=5)), most=256) as ahead:
        assert [next(ahead).rows[0, 0] for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(TableError, match="line 99"):
            next(ahead)


def test_reading_ahead_ends_with_whoever_reads() -> None:
    batches = Batches(most=10_000)
    batches.pause = 0.001
    with read_ahead(iter(batches), most=10_000) as ahead:
        next(ahead)
    assert batches.read < 10_000


def test_control_c_while_paddle_is_imported(
    boston_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> Predictor:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)
        except KeyboardInterrupt:
            raise ImportError("initialization failed") from None  # as Paddle has it
        return Predictor(boston_run)

    monkeypatch.setattr(infer, "Predictor", interrupted)
    output = tmp_path / "out.csv"
    # A shell that runs tests in the background may have them ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = run(boston_run, Path("data/boston/housing.data"), "--output", str(output))
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("flag", [False, True])
def test_advice_on_a_wrong_cell_names_no_key_of_a_recipe(
    boston_run: Path, tmp_path: Path, flag: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [",".join(COLUMNS), *(",".join(repr(float(v)) for v in row) for row in TABLE[:5])]
    lines[2] = lines[2].replace("0.02731", "$12")
    (tmp_path / "t.csv").write_text("\n".join(lines))
    output = tmp_path / "out.csv"
    options = ["--output", str(output), *["--on-error", "flag"] * flag]
    code = infer.main(["--model", str(boston_run), "--input", str(tmp_path / "t.csv"), *options])
    assert code == (0 if flag else 2)
    told = output.read_text() if flag else capsys.readouterr().err
    assert "column CRIM: found '$12', expected a number; fix the cell" in told
    assert ("--on-error flag" in told) != flag
    assert "data." not in told
