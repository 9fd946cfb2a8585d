"""Which room may import which (docs/architecture.md)."""

from __future__ import annotations

import ast
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, command

ROOMS = ("configs", "reader", "model", "run", "trainer", "report", "lesson")
ENCODING = {"reader.formats", "reader.frame", "reader.kinds", "reader.schema"}
MAY_IMPORT = {
    "configs": {"configs", "pydantic", "pydantic_core", "yaml"},
    "reader": {"reader", "numpy", "polars"},
    "model": {"model", "numpy", "paddle"},
    "run": {"run", "configs.flatten", "numpy", "paddle", "visualdl", "safetensors"},
    "trainer": {"trainer", "configs", "reader", "model", "run", "numpy", "paddle", "threadpoolctl"},
    "report": {
        "report",
        "trainer",
        "reader",
        "run",
        "configs.flatten",
        "pydantic",
        "numpy",
        "PIL",
        "jinja2",
        "yaml",
    },
    "lesson": {"lesson", "reader", "model", "numpy", "paddle", "matplotlib"},
    "lesson/chapter.py": {"lesson", "jinja2", "markupsafe"},
    "lesson/typeset.py": {
        *("lesson", "markupsafe"),
        *("latex2mathml", "markdown_it", "mdit_py_plugins", "pygments"),
    },
    "reader/dataset.py": {"reader", "numpy", "paddle"},
    "model/predictor.py": {"numpy", "paddle", *ENCODING},
    "model/monitor.py": {"numpy"},
    "infer.py": {"reader", "model.predictor", "model.monitor", "numpy", "polars"},
}
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """The modules that a file imports, the standard library left out."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            found.add(node.module or "")
    return {name for name in found if name.split(".")[0] not in sys.stdlib_module_names}


def may_import(name: str, allowed: set[str]) -> bool:
    return name == "errors" or any(name == room or name.startswith(f"{room}.") for room in allowed)


@pytest.mark.parametrize(
    "path", [*FILES, ROOT / "infer.py"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_room_imports_as_the_plan_says(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    allowed = MAY_IMPORT.get(name) or MAY_IMPORT[name.split("/")[0]]
    assert [module for module in imports(path) if not may_import(module, allowed)] == []


def test_a_predictor_of_numbers_needs_numpy_and_paddle_alone(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    for name in ("errors.py", "model/predictor.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    done = command("-c", "import sys, model.predictor; print(*sys.modules)", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rooms = {name.split(".")[0] for name in done.stdout.split()}
    assert rooms & {"errors", "model", "numpy"} == {"errors", "model", "numpy"}
    assert not rooms & {"reader", "polars", "pandas", "paddle"}  # Paddle is for predictions alone


def test_rooms_were_found() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(ROOMS)


def test_no_room_knows_the_trainer_or_the_lesson() -> None:
    for path in FILES:
        known = {module.split(".")[0] for module in imports(path)}
        assert not known & {"train", "infer"}
        assert path.is_relative_to(ROOT / "lesson") or "lesson" not in known


@pytest.mark.parametrize("word", ["pickle", "paddle.load(", "eval(", "exec(", "shell=True"])
def test_nothing_unsafe(word: str) -> None:
    """No file of the project reads code out of data."""
    calls = {"eval(": " eval(", "exec(": " exec("}
    for path in [*FILES, ROOT / "train.py", ROOT / "infer.py"]:
        assert calls.get(word, word) not in path.read_text(), path


def test_functions_fit_a_screen() -> None:
    for path in [*FILES, ROOT / "train.py", ROOT / "infer.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 62, f"{path}: {node.name}"
