"""Models by paddle.hub: what is listed, what a layer gives, and what is left of another program."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest

import hubconf
from model.predictor import Predictor
from tests.conftest import ROOT, command

TABLE = np.loadtxt(ROOT / "data/boston/housing.data", dtype=np.float32)[:, :-1]


def test_two_entries_are_listed_and_told_of() -> None:
    assert paddle.hub.list(str(ROOT), source="local") == ["boston", "regressor"]
    assert "in 1,000 USD" in paddle.hub.help(str(ROOT), "boston", source="local")
    assert "runs/houses" in paddle.hub.help(str(ROOT), "regressor", source="local")


@pytest.mark.slow
def test_a_layer_gives_what_the_predictor_does(boston_run: Path) -> None:
    predictor = Predictor(boston_run)
    for folder in (boston_run, boston_run / "export"):
        layer = paddle.hub.load(str(ROOT), "regressor", source="local", folder=folder)
        found = layer(paddle.to_tensor(TABLE)).numpy()
        assert found.shape == (506, 1)
        tolerance = predictor.contract["golden"]["tolerance"]
        assert np.abs(found[:, 0] - predictor.predict(TABLE)).max() <= tolerance
        assert (*layer.features,) == predictor.features
        assert not layer.training


@pytest.mark.slow
def test_an_unsound_export_is_refused(boston_run: Path, tmp_path: Path) -> None:
    shutil.copytree(boston_run / "export", tmp_path / "export")
    weights = tmp_path / "export" / "model.pdiparams"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(RuntimeError, match="altered or incomplete: SHA-256"):
        paddle.hub.load(str(ROOT), "regressor", source="local", folder=tmp_path)


ANOTHER_PROGRAM = """
import sys, paddle, model, errors
layer = paddle.hub.load(sys.argv[1], "regressor", source="local", folder=sys.argv[2])
assert layer(paddle.zeros([2, 13])).shape == [2, 1]
import model as again, errors as too
assert again.MINE and too.MINE and again is model
assert "files" not in sys.modules and sys.argv[1] not in sys.path
"""


@pytest.mark.slow
def test_modules_of_another_program_stay(boston_run: Path, tmp_path: Path) -> None:
    for name in ("model", "errors"):
        (tmp_path / f"{name}.py").write_text("MINE = True\n")
    (tmp_path / "main.py").write_text(ANOTHER_PROGRAM)
    done = command("main.py", str(ROOT), str(boston_run), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_boston_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache: of mine"))
    monkeypatch.setattr("os.access", lambda *_: False)
    if (ROOT / "runs" / "boston" / "DONE").exists():
        pytest.skip("there is a run in the project")
    first = hubconf.boston()
    (run,) = (tmp_path / "a cache: of mine").glob("*/boston")
    before = (run / "DONE").stat()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    again = hubconf.boston()
    assert (run / "DONE").stat() == before
    some = paddle.to_tensor(TABLE)
    assert np.array_equal(first(some).numpy(), again(some).numpy())
    shutil.rmtree(run)
    with pytest.raises(RuntimeError, match="failed"):
        hubconf.boston()
