"""What is imported, and when: a mistake is told at once, and nothing is loaded that is not used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import command

pytestmark = pytest.mark.slow
LISTED = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=open({!r}, 'w')))"


def imported(tmp_path: Path, *arguments: str) -> tuple[int, set[str]]:
    """Exit code of a command, and the packages that it had imported at its end."""
    (tmp_path / "sitecustomize.py").write_text(LISTED.format(str(tmp_path / "modules")))
    done = command(*arguments, env=os.environ | {"PYTHONPATH": str(tmp_path)})
    modules = (tmp_path / "modules").read_text().split()
    return done.returncode, {module.split(".")[0] for module in modules}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["train.py", "--help"], 0),
        (["train.py", "-c", "configs/boston.yaml", "-o", "train.epoch=3", "--check"], 2),
        (["train.py", "-c", "no.yaml"], 2),
        (["train.py", "-c", "configs/boston.yaml", "-o", "data.path=no.csv"], 2),
        (["train.py", "-c", "configs/boston.yaml", "-o", "data.target=NO"], 2),
        (["train.py", "-c", "configs/boston.yaml", "--check"], 0),
        (["infer.py", "--help"], 0),
        (["infer.py", "--model", "no", "--input", "no.csv"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_an_answer_without_training_needs_no_paddle(
    tmp_path: Path, arguments: list[str], code: int
) -> None:
    found, packages = imported(tmp_path, *arguments)
    assert found == code
    assert not packages & {"paddle", "visualdl", "matplotlib", "jinja2"}


def test_a_run_imports_neither_a_server_nor_matplotlib(tmp_path: Path) -> None:
    run = ["train.py", "-c", "configs/boston.yaml", "-o", f"run.dir={tmp_path / 'run'}"]
    found, packages = imported(tmp_path, *run, "-o", "train.epochs=1")
    assert found == 0
    assert {"paddle", "visualdl"} <= packages
    assert not packages & {"flask", "matplotlib", "pandas", "requests"}


def test_paddle_is_imported_beside_the_reading_of_a_large_table(tmp_path: Path) -> None:
    """And trains in the main thread all the same."""
    run = ["-c", "configs/boston.yaml", "-o", f"run.dir={tmp_path / 'run'}", "-o", "train.epochs=2"]
    program = f"""
import sys, reader.pack, reader.source, train
reader.pack.LARGE = 0
def split(*arguments, **options):
    print("paddle" in sys.modules)
    return found(*arguments, **options)
found, reader.source.split = reader.source.split, split
sys.exit(train.main({run!r}))
"""
    done = command("-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("True")
    assert (tmp_path / "run" / "DONE").exists()
