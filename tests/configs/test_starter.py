from __future__ import annotations

import re
from pathlib import Path

import pytest

import train
from configs.load import load


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    lines = [f"h{i},{i % 7},{'ab'[i % 2]},2024-01-{1 + i % 28:02},{3 * (i % 7)}" for i in range(99)]
    Path("houses.csv").write_text("\n".join(["home id,area,the town,sold,price", *lines]))
    return Path("houses.csv")


def test_a_first_recipe_loads_as_the_command_line_does(table: Path) -> None:
    given = ["--target", "price", "-o", "model.name=mlp", "model.hidden=[3]"]
    assert train.main(["--init", "houses.csv", *given]) == 0
    recipe = Path("houses.yaml")
    assert load(recipe) == load(None, ["data.path=houses.csv", "data.target=price", *given[3:]])
    assert "train.py -c houses.yaml" in recipe.read_text().splitlines()[0]


def test_its_comments_are_true(table: Path) -> None:
    """Uncommented, they are a recipe, with each kind as it is inferred."""
    assert train.main(["--init", "houses.csv", "--target", "price"]) == 0
    text = Path("houses.yaml").read_text()
    uncommented = re.sub(r"^( *)# ( *[a-z_ ]+:)", r"\1\2", text, flags=re.MULTILINE)
    Path("all.yaml").write_text(uncommented)
    config = load("all.yaml")
    kinds = {"home id": "id", "area": "numeric", "the town": "categorical", "sold": "time"}
    assert config.data.kinds == kinds
    assert (config.data.exclude, config.model.name) == ([], "mlp")
    assert train.main(["-c", "all.yaml", "--check"]) == 0


def test_it_is_not_written_over(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("houses.yaml").write_text("mine")
    assert train.main(["--init", "houses.csv", "--target", "price"]) == 2
    assert "houses.yaml: exists, and is not overwritten" in capsys.readouterr().err
    assert Path("houses.yaml").read_text() == "mine"


def test_a_target_that_is_not_there_or_not_said(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(["--data", "houses.csv"]) == 2
    expected = "error: data.target: missing; set it with --target COLUMN, or in a recipe; the table"
    assert capsys.readouterr().err.startswith(f"{expected} has home id, area, the town, sold, pri")
    assert train.main(["--init", "houses.csv", "--target", "prise"]) == 2
    assert "did you mean 'price'?" in capsys.readouterr().err
    assert not Path("houses.yaml").exists()
