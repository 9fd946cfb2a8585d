"""What docs/architecture.md says of rooms and imports."""

from __future__ import annotations

import ast
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, command

ROOMS = (
    "configs",
    "ranks",
    "reader",
    "model",
    "run",
    "trainer",
    "report",
    "service",
    "lesson",
    "benchmarks",
)
GROUND = {
    "bilingual",
    "display",
    "errors",
    "factor",
    "files",
    "spelling",
}  # that every room stands on
BELOW_REPORT = {"trainer", "model", "reader", "ranks", "run", "configs"}
MAY_IMPORT = {
    "configs": {"configs", "pydantic", "pydantic_core", "yaml"},
    "ranks": {"ranks", "numpy", "run.signals"},
    "ranks/alone.py": {"paddle"},
    "ranks/share.py": {"numpy", "paddle"},
    "ranks/group.py": {"ranks", "numpy", "paddle"},
    "ranks/job.py": {"ranks", "run.signals", "paddle"},
    "reader": {"reader", "ranks.alone", "numpy", "polars"},
    "model": {"model", "ranks.share", "numpy", "paddle"},
    "run": {
        *("run", "configs.flatten", "numpy", "paddle", "visualdl", "safetensors"),
        *("pydantic", "pydantic_core"),
    },
    "trainer": {
        "trainer",
        *(BELOW_REPORT - {"trainer"}),
        *("numpy", "paddle", "threadpoolctl"),
    },
    "trainer/progress.py": {"reader", "tqdm"},
    "report": {"report", *BELOW_REPORT, "numpy", "pydantic", "PIL", "jinja2", "yaml"},
    "lesson": {"lesson", "reader", "model", "trainer.trainer", "numpy", "paddle", "matplotlib"},
    "benchmarks": {"benchmarks", *BELOW_REPORT, "numpy", "polars", "paddle"},
    "benchmarks/peers.py": {"benchmarks", "numpy", "torch", "sklearn"},
    "reader/dataset.py": {"reader", "ranks.alone", "ranks.share", "numpy", "paddle"},
    "reader/workbook.py": {"reader", "polars", "fastexcel"},
    "reader/cache.py": {"reader", "numpy", "pydantic"},
    "lesson/chapter.py": {"lesson", "jinja2", "markupsafe"},
    "lesson/typeset.py": {
        *("lesson", "markupsafe", "markdown_it", "mdit_py_plugins", "latex2mathml", "pygments"),
    },
    "model/base_predictor.py": {
        *("numpy", "model.contract", "model.folder"),
        *("reader.formats", "reader.frame", "reader.kinds", "reader.schema"),
    },
    "model/predictor.py": {
        *("numpy", "paddle", "model.base_predictor", "model.device", "model.folder"),
    },
    "model/device.py": {"paddle"},
    "model/onnx_predictor.py": {
        *("numpy", "onnxruntime", "model.base_predictor", "model.folder", "model.onnx_graph"),
    },
    "model/onnx.py": {"numpy", "onnx", "model.folder", "model.graph", "model.onnx_graph"},
    "model/onnx_graph.py": {"model.conform"},
    "model/conform.py": {"display"},
    "model/contract.py": {"model.conform"},
    "model/contributions.py": {"numpy", "model.contract"},
    "model/folder.py": {"model.conform", "model.contract", "model.graph", "model.onnx_graph"},
    "model/graph.py": {"model.conform"},
    "model/monitor.py": {"numpy"},
    "model/raw_line.py": {"numpy", "model.contract", "model.folder", "model.graph"},
    "model/sql.py": {
        *("model.contract", "model.folder", "model.raw_line"),
        *("reader.kinds", "reader.schema"),
    },
    "pipeline.py": {"report", *BELOW_REPORT, "paddle"},
    "regressor.py": {"pipeline", "report", *BELOW_REPORT, "numpy", "paddle", "sklearn"},
    "train.py": {"pipeline", "report", *BELOW_REPORT},
    "infer.py": {
        *("output", "predictions", "reader.folder", "run.signals"),
        *("model.base_predictor", "model.onnx_predictor"),
        *("model.folder", "model.predictor"),
    },
    "hubconf.py": {"paddle", "model.folder"},
    "predictions.py": {
        *("output", "reader", "numpy", "polars"),
        *("model.contract", "model.contributions", "model.folder", "model.monitor"),
        "model.base_predictor",
    },
    "service": {
        *(
            "service",
            "reader",
            "model.contract",
            "model.folder",
            "model.monitor",
            "model.predictor",
        ),
        *("model.base_predictor", "model.onnx_predictor", "numpy", "polars", "orjson", "starlette"),
    },
    "service/connection.py": {"service", "uvicorn"},
    "service/metrics.py": set(),
    "service/names.py": {"service.metrics", "model.folder"},
    "service/page.py": {"service", "starlette", "jinja2", "yaml"},
    "serve.py": {"service.metrics", "service.names", "service.server"},
    "bilingual.py": set(),
    "display.py": set(),
    "output.py": {"polars"},
    "errors.py": set(),
    "factor.py": {"numpy"},
    "files.py": set(),
    "spelling.py": set(),
}
SCRIPTS = (
    *(
        "train.py",
        "infer.py",
        "serve.py",
        "predictions.py",
        "output.py",
        "hubconf.py",
        "pipeline.py",
        "regressor.py",
    ),
    *("bilingual.py", "display.py", "errors.py", "factor.py", "files.py", "spelling.py"),
)
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
PRODUCT = [*FILES, *(ROOT / name for name in SCRIPTS)]
LATE = {"paddle", "visualdl", "jinja2", "PIL", "matplotlib", "onnx", "onnxruntime"}
LATE |= {"sklearn", "tqdm"}
"""Packages that take long to import: no file that an error message needs does it at once."""


def imports(path: Path, everywhere: bool = True) -> set[str]:
    """The modules that a file imports, the standard library left out; or those that it imports as
    soon as it is imported."""
    tree = ast.parse(path.read_text())
    modules = set()
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            modules.add(node.module or "")
    return {name for name in modules if name.split(".")[0] not in sys.stdlib_module_names}


def may_import(name: str, allowed: set[str]) -> bool:
    return name in GROUND or any(name == room or name.startswith(f"{room}.") for room in allowed)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PRODUCT, ids=name_of)
def test_room_imports_as_the_plan_says(path: Path) -> None:
    allowed = MAY_IMPORT.get(name_of(path)) or MAY_IMPORT.get(name_of(path).split("/")[0], set())
    assert [module for module in imports(path) if not may_import(module, allowed)] == []


def test_rooms_are_those_that_there_are() -> None:
    """Every folder of Python files is a room; every room, and every rule, has its files."""
    folders = {path.parent.name for path in ROOT.glob("*/*.py")}
    assert folders - {"tests"} == set(ROOMS)
    assert {path.name for path in ROOT.glob("*.py")} == set(SCRIPTS)
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(ROOMS)
    for name in MAY_IMPORT:
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("language", ["", ".zh-CN"])
def test_the_document_tells_of_every_room(language: str) -> None:
    text = (ROOT / "docs" / f"architecture{language}.md").read_text()
    rows = re.findall(r"^\| `([\w./]+)`.*\|$", text, flags=re.MULTILINE)
    assert {row.rstrip("/") for row in rows} == {*ROOMS, *SCRIPTS}
    for file in re.findall(r"`((?:\w+/)+\w+\.(?:py|yaml|json|md))`", text):
        assert (ROOT / file).exists(), f"docs/architecture{language}.md names {file}"


def test_no_room_knows_who_stands_above_it() -> None:
    for path in FILES:
        known = {module.split(".")[0] for module in imports(path)}
        assert not known & {"train", "infer", "serve", "pipeline", "regressor"}
        for top in ("lesson", "benchmarks"):
            assert path.is_relative_to(ROOT / top) or top not in known


def test_reader_and_model_meet_above_them() -> None:
    for path in (ROOT / "reader").glob("*.py"):
        assert not {module for module in imports(path) if may_import(module, {"model"})} - GROUND
    for path in (ROOT / "model").glob("*.py"):
        early = imports(path, everywhere=False)
        assert not {module for module in early if may_import(module, {"reader"})} - GROUND


def test_a_predictor_of_numbers_needs_numpy_and_paddle_alone(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    parts = ["base_predictor", "conform", "contract", "device", "folder", "graph", "onnx_graph"]
    parts += ["predictor", "onnx_predictor"]
    ground = ("display.py", "errors.py", "files.py")
    for name in (*ground, *(f"model/{part}.py" for part in parts)):
        shutil.copy(ROOT / name, tmp_path / name)
    done = command(
        "-c", "import sys, model.predictor, model.onnx_predictor; print(*sys.modules)", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    rooms = {name.split(".")[0] for name in done.stdout.split()}
    assert rooms & {"errors", "files", "model", "numpy"} == {"errors", "files", "model", "numpy"}
    assert not rooms & {"reader", "polars", "pandas", "paddle"}  # Paddle is for predictions alone


@pytest.mark.parametrize(
    "name",
    [
        *("pipeline.py", "regressor.py", "train.py", "model/predictor.py", "errors.py"),
        *("model/onnx.py", "model/onnx_predictor.py"),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(name: str) -> None:
    assert not {module.split(".")[0] for module in imports(ROOT / name, False)} & LATE


def test_a_recipe_ends_at_the_door() -> None:
    """No file but those of configs/ and the one that settles a recipe names its type."""
    names = {
        name_of(path)
        for path in PRODUCT
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name | ast.alias)
        and (node.id if isinstance(node, ast.Name) else node.name) == "Config"
    }
    assert {name for name in names if not name.startswith("configs/")} == {"trainer/settings.py"}


def test_the_command_line_is_a_page() -> None:
    lines = (ROOT / "train.py").read_text().splitlines()
    assert len(lines) <= 150
    ours = {*GROUND, "pipeline", *ROOMS}
    names = [
        alias.name
        for node in ast.walk(ast.parse("\n".join(lines)))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in ours
        for alias in node.names
    ]
    assert len(names) <= 22


@pytest.mark.parametrize("word", ["pickle", "paddle.load(", "eval(", "exec(", "shell=True"])
def test_nothing_unsafe(word: str) -> None:
    """No file of the project reads code out of data."""
    calls = {"eval(": " eval(", "exec(": " exec("}
    for path in PRODUCT:
        assert calls.get(word, word) not in path.read_text(), path


@pytest.mark.parametrize("path", PRODUCT, ids=name_of)
def test_functions_fit_a_screen_and_take_six_parameters(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 62, f"{path}: {node.name}"
            taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            names = [argument.arg for argument in taken if argument.arg not in ("self", "cls")]
            # scikit-learn wants a parameter of the constructor for each that there is.
            most = 10 if (path.name, node.name) == ("regressor.py", "__init__") else 6
            assert len(names) <= most, f"{path}: {node.name}({', '.join(names)})"


def test_one_place_prints() -> None:
    """So that nothing a table or a path holds acts on a terminal: see display.py."""
    printing = {
        name_of(path)
        for path in PRODUCT
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("print", "sys.stdout.write", "sys.stderr.write")
    }
    rooms = ("lesson/", "benchmarks/")  # which show what they made themselves
    assert {name for name in printing if not name.startswith(rooms)} == {
        "display.py",
        "configs/document.py",
    }
