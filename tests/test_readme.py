"""The commands and programs of the documents for users, run as they are there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from configs.schema import Config
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

ROOMS = ("configs", "ranks", "reader", "model", "run", "trainer", "report", "service", "data")
READMES = ["README.md", "README.zh-CN.md"]
COMMANDS = {
    "README": 4,
    "docs/runs": 1,
    "docs/predicting": 4,
    "docs/where": 4,
    "docs/serving": 0,
    "docs/tables": 0,
    "docs/distributed": 1,
    "docs/safety": 0,
}
DOCUMENTS = [f"{name}{language}.md" for name in COMMANDS for language in ("", ".zh-CN")]


def blocks(readme: str, language: str) -> list[str]:
    text = (ROOT / readme).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def clone(tmp_path: Path, boston_run: Path) -> Path:
    """The project with a finished run of Boston, as after `make train`."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room)
    for script in [*ROOT.glob("*.py"), ROOT / "Makefile"]:
        shutil.copy(script, tmp_path)
    shutil.copytree(boston_run, tmp_path / "runs" / "boston")
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (binaries / "python").chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if "zh-CN" not in name])
def test_shell_commands(document: str, clone: Path) -> None:
    """In English; the commands in Chinese are the same, as another test sees."""
    lines = [line for block in blocks(document, "sh") for line in block.splitlines()]
    commands = [line for line in lines if not line.startswith("make ")]
    assert len(commands) == COMMANDS[document.split(".")[0]]
    for line in commands:
        done = subprocess.run(["bash", "-c", line], cwd=clone, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        if "model.sql" in line:
            assert "SELECT" in (clone / "houses.sql").read_text()
        if "--output predictions.csv" in line:
            assert len((clone / "predictions.csv").read_text().splitlines()) == 507


@pytest.mark.parametrize("document", ["docs/predicting.md", "docs/where.md"])
def test_the_programs_about_predicting_run(document: str, clone: Path) -> None:
    for program in blocks(document, "python"):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=clone, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("document", [*DOCUMENTS, "docs/architecture.md", "CONTRIBUTING.md"])
def test_links_lead_somewhere(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\((?!http)([^)#]+)", path.read_text(encoding="utf-8"))
    assert links
    for link in links:
        assert (path.parent / link).exists(), link


@pytest.mark.parametrize("readme", READMES)
def test_make_targets_exist(readme: str) -> None:
    text = (ROOT / readme).read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^make (\w+)", text, re.MULTILINE))
    assert {"train", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_programs_predict_the_same(clone: Path) -> None:
    programs = blocks("README.md", "python")
    assert len(programs) == 3
    found = []
    for program in programs:
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=clone, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        found.append(float(re.findall(r"\[+([\d.]+)\]+\s*$", done.stdout)[0]))
    additive, *of_the_run = found
    assert of_the_run[0] == pytest.approx(of_the_run[1], rel=1e-5)
    assert 20 < of_the_run[0] < 40
    assert 20 < additive < 40


@pytest.mark.parametrize("readme", READMES)
def test_recipe_is_one(readme: str) -> None:
    import yaml

    (recipe,) = blocks(readme, "yaml")
    Config.model_validate(yaml.safe_load(recipe) | {"run": {"dir": "runs/houses"}})


@pytest.mark.parametrize("name", COMMANDS)
def test_both_languages_show_the_same(name: str) -> None:
    def shown(document: str) -> list[str]:
        languages = ("sh", "yaml", "text", "python")
        found = [block for language in languages for block in blocks(document, language)]
        return [re.sub(r"\s*#.*", "", block) for block in found]

    pair = [f"{name}.md", f"{name}.zh-CN.md"]
    assert shown(pair[0]) == shown(pair[1])
    texts = [(ROOT / document).read_text(encoding="utf-8") for document in pair]
    assert texts[0].count("\n## ") == texts[1].count("\n## ")
    assert texts[0].count("\n| ") == texts[1].count("\n| ")


def test_the_figures_shown_are_those_of_the_recipe(boston_run: Path) -> None:
    import json

    report = json.loads((boston_run / "report.json").read_text())
    for readme in READMES:
        shown = blocks(readme, "text")[0]
        for part, metrics in report["metrics"].items():
            line = next(line for line in shown.splitlines() if line.startswith(part))
            mse = float(re.findall(r"MSE ([\d.]+)", line)[0])
            assert mse == pytest.approx(metrics["mse"], rel=1e-3)
