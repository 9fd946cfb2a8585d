from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import train
from configs.command_line import KEYS, explain, parse
from configs.paths import run_name
from tests.conftest import ROOT

OPTIONS = ["--data", "--target", "--config", "--resume", "--overwrite", "--check"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--epochs", "10"], "--epochs is not an option; set the key with -o train.epochs=10"),
        (["--lr=0.1"], "set the key with -o optimizer.learning_rate=0.1"),
        (["--batch-size", "8"], "set the key with -o train.batch_size=8"),
        (["--resum"], "did you mean --resume?"),
        (["--zzz"], "train.py --help lists the options"),
        (["houses.csv"], "did you mean --data houses.csv?"),
        (["my.yaml"], "did you mean -c my.yaml?"),
        (["train.epochs=3"], "keys are set with -o, as in -o train.epochs=3"),
    ],
)
def test_what_was_meant(words: list[str], told: str) -> None:
    assert told in explain(words, OPTIONS)


def test_options_become_keys() -> None:
    given = ["--data", "t.csv", "--target", "y", "--device", "cpu", "-o", "a=1", "b=[2,", "3]"]
    options = parse([*given, "--override", "c=4"], "")
    named = ["data.path=t.csv", "data.target=y", "train.device=cpu"]
    assert options.overrides == ["a=1", "b=[2, 3]", "c=4", *named]
    assert len(named) == len(KEYS)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 2, "python infer.py --model runs/houses --input new.csv"),
        (["-q"], 2, "expected a table (--data TABLE --target COLUMN) or a recipe (-c RECIPE)"),
        (["--zzz"], 2, "--zzz is not an option"),
        (["--init", "t.csv", "-c", "r.yaml"], 2, "leave -c and --data out"),
        (["--resume", "--overwrite"], 2, "error: argument --overwrite: not allowed with argument"),
        (["--help-keys", "optim"], 2, "no such section; did you mean optimizer?"),
    ],
)
def test_answers_without_a_run(
    arguments: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        train.main(arguments)
    assert left.value.code == code
    said = capsys.readouterr()
    assert told in said.err
    assert said.out == ""


def test_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        train.main(["--version"])
    assert left.value.code == 0
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f" {version}, Python 3." in capsys.readouterr().out


@pytest.mark.slow
def test_a_table_needs_no_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("houses.csv").write_text("a,y\n" + "".join(f"{i},{2 * i + 1}\n" for i in range(60)))
    given = ["--data", "houses.csv", "--target", "y"]
    assert train.main(given) == 0
    assert (tmp_path / "runs" / "houses" / "DONE").exists()
    assert train.main(given) == 2
    assert "runs/houses: holds a finished run; replace it with --overwrite" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("houses.csv", "houses"),
        ("data/houses.csv.gz", "houses"),
        ("data/houses/", "houses"),
        ("data/*.csv", "data"),
        ("h*.parquet", "h"),
        ("./.hidden.csv", "hidden"),
        ("*", "run"),
    ],
)
def test_a_run_is_called_like_its_table(path: str, name: str) -> None:
    assert run_name(path) == name
