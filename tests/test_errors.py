"""Wrong input of each kind: exit code 2, one message that names the place, nothing written."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import paddle
import pytest

import pipeline
import train
from errors import DeviceError
from regressor import Regressor
from tests.conftest import COLUMNS, command

LINES = Path("data/boston/housing.data").read_text().splitlines()


def edited(row: int, column: int, cell: str) -> str:
    cells = [line.split() for line in LINES]
    cells[row][column] = cell
    return "\n".join(" ".join(row) for row in cells)


def short(row: int) -> str:
    return "\n".join([*LINES[:row], " ".join(LINES[row].split()[:-1]), *LINES[row + 1 :]])


TABLES = {
    "empty file": ("", "the file is empty"),
    "13 values": (short(7), "line 8: found 13 values, expected 14"),
    "text": (edited(9, 5, "six"), "line 10, column RM: found 'six', expected a number"),
    "NaN": (edited(9, 5, "NaN"), "line 10, column RM: found an empty cell, expected a number"),
    "infinity": (edited(9, 13, "inf"), "line 10, column MEDV: found 'inf'"),
    "two rows": ("\n".join(LINES[:2]), "2 rows are too few"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_wrong_table(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, words = TABLES[kind]
    table = tmp_path / "housing.data"
    table.write_text(content)
    options = ["-o", f"data.path={table}", "-o", f"run.dir={tmp_path / 'run'}"]
    assert train.main(["-c", "configs/boston.yaml", *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error
    assert len(error.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["housing.data"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-c", "none.yaml"], "none.yaml: No such file or directory in the working directory"),
        (["-o", "data.path=none.csv"], "none.csv: No such file"),
        (["-o", "data.target=MDEV"], "'MDEV', which is not a column; did you mean 'MEDV'?"),
        (["-o", "data.exclude=[b]"], "'b', which is not a column; did you mean 'B'?"),
        (["-o", "train.epoch=1"], "did you mean train.epochs?"),
        (
            ["-o", "data.split.method=group", "-o", "data.split.column=TOWN"],
            "data.split.column names 'TOWN', which is not a column",
        ),
        (["-o", "data.split.method=time"], "data.split: method time needs data.split.column"),
        (["--device", "gpu:99"], "no such GPU"),
        (["--device", "tpu"], "train.device: found tpu"),
        (
            ["-o", "model.name=resnet", "-o", "train.batch_size=4"],
            "batch normalisation takes at least 8; enlarge them",
        ),
        (["-o", "run.dir=/proc/runs"], "/proc/runs"),
        (["-o", "run.dir=LICENSE/run"], "Not a directory"),
        (["-o", "run.dir=configs"], "configs: exists and is not a run folder"),
    ],
)
def test_wrong_option(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["-c", "configs/boston.yaml", "-o", f"run.dir={tmp_path / 'run'}", *options]
    assert train.main(given) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error
    assert list(tmp_path.iterdir()) == []


def test_existing_run_is_kept(boston_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in boston_run.rglob("*")}
    assert train.main(["-c", "configs/boston.yaml", "-o", f"run.dir={boston_run}"]) == 2
    assert "holds a finished run; replace it with --overwrite" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in boston_run.rglob("*")} == before


def test_failed_overwrite_keeps_the_run(boston_run: Path) -> None:
    options = ["-o", f"run.dir={boston_run}", "--overwrite", "-o", "data.target=none"]
    assert train.main(["-c", "configs/boston.yaml", *options]) == 2
    assert (boston_run / "DONE").exists()


def test_header_row_given_as_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "t.csv"
    table.write_text("\n".join([",".join(COLUMNS), *(",".join(line.split()) for line in LINES)]))
    assert (
        train.main(
            [
                "-c",
                "configs/boston.yaml",
                "-o",
                f"data.path={table}",
                "-o",
                f"run.dir={tmp_path}/run",
            ]
        )
        == 2
    )
    assert "leave data.columns out" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--help", "--device=tpu"])
def test_answers_without_importing_paddle(option: str) -> None:
    done = command("-X", "importtime", "train.py", "-c", "configs/boston.yaml", option)
    assert done.returncode == (0 if option == "--help" else 2)
    assert "Traceback" not in done.stderr
    assert not [line for line in done.stderr.splitlines() if line.split()[-1] == "paddle"]


def test_help_is_short_and_the_keys_have_their_own() -> None:
    text = command("train.py", "--help").stdout
    assert len(text.splitlines()) <= 25
    assert max(map(len, text.splitlines())) <= 110
    text = command("train.py", "--help-keys").stdout
    assert "optimizer.learning_rate (default: auto with auto and sgd and momentum" in text
    assert "passes over the training rows" in text
    one = command("train.py", "--help-keys", "data.split").stdout
    assert {line.split(" ")[0][:11] for line in one.splitlines()[::2]} == {"data.split."}
    wrong = command("train.py", "--help-keys", "optimiser")
    assert wrong.returncode == 2
    assert "did you mean optimizer?" in wrong.stderr


def test_a_device_is_looked_for_before_the_table_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("read")

    monkeypatch.setattr(pipeline, "read", read)
    given = ["-c", "configs/boston.yaml", "-o", f"run.dir={tmp_path / 'run'}"]
    assert train.main([*given, "--device", "gpu:99"]) == 2
    assert "device gpu:99: no such GPU" in capsys.readouterr().err
    with pytest.raises(AssertionError, match="read"):
        train.main([*given, "--device", "cpu"])


@pytest.mark.skipif(paddle.is_compiled_with_cuda(), reason="this build of Paddle may have a GPU")
def test_half_precision_without_a_gpu_is_told_before_the_table_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read(*_: object) -> None:
        raise AssertionError("read")

    x = np.random.default_rng(0).normal(size=(60, 2))
    with pytest.raises(DeviceError, match="bfloat16 needs a GPU of compute capability 8"):
        Regressor("mlp", train={"precision": "bfloat16"}).fit(x, x[:, 0])
    monkeypatch.setattr(pipeline, "read", read)
    given = ["model.name=mlp", "optimizer.name=auto", "optimizer.learning_rate=auto"]
    given += ["train.precision=bfloat16", f"run.dir={tmp_path / 'run'}"]
    options = [option for key in given for option in ("-o", key)]
    assert train.main(["-c", "configs/boston.yaml", *options]) == 2
    told = capsys.readouterr().err
    assert "train.precision: bfloat16 needs a GPU" in told
    assert "and this run is on cpu; use -o train.precision=float32" in told
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_reader_that_has_seen_enough() -> None:
    for rest in ("-c configs/boston.yaml --check", "--help-keys"):
        shell = f"{sys.executable} train.py {rest} | head -1"
        done = command("-c", f"import os; os.execlp('bash', 'bash', '-c', {shell!r})")
        assert len(done.stdout.splitlines()) == 1
        assert done.stderr == ""
