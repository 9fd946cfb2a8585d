"""Models of this project for paddle.hub: `paddle.hub.list(folder_of_the_project, source="local")`.

Paddle imports this file under the name `hubconf`, and then calls one of its functions. Each name
without an underscore is an entry to it, if it can be called: so what is imported has one.
"""

from __future__ import annotations

import json as _json
import os as _os
import subprocess as _subprocess
import sys as _sys
import tempfile as _tempfile
from collections.abc import Iterator as _Iterator
from contextlib import contextmanager as _contextmanager
from pathlib import Path as _Path
from typing import Any as _Any

dependencies = ["paddle", "numpy"]
_HERE = _Path(__file__).resolve().parent


def boston() -> _Any:
    """The model of configs/boston.yaml: a line on the 13 columns of the Boston house prices.

        layer = paddle.hub.load(project, "boston", source="local")
        layer(paddle.to_tensor(rows, dtype="float32"))  # [N, 13] -> [N, 1], in 1,000 USD

    It is that of runs/boston in the project's folder. Where there is none, it is trained, within
    seconds, and stays: in runs/boston, or where the project may not be written to, in
    paddle-regressor/boston of the user's cache ($XDG_CACHE_HOME, or else ~/.cache). Raises
    RuntimeError where that fails, and as `regressor` does.
    """
    cache = _Path(_os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    places = [_HERE / "runs" / "boston", cache / "paddle-regressor" / "boston"]
    done = [folder for folder in places if (folder / "DONE").is_file()]
    if not done:
        done = places[:1] if _os.access(_HERE, _os.W_OK) else places[1:]
        _train(done[0])
    return regressor(done[0])


def regressor(folder: str | _Path) -> _Any:
    """The model of a run folder, or of its export folder: a layer in evaluation mode.

        layer = paddle.hub.load(project, "regressor", source="local", folder="runs/houses")
        layer.features                           # the columns it wants, in order

    It takes float32 [N, features] raw values, as `Predictor.encode` makes them (a missing number is
    NaN, a category the position of its level in contract.json plus 1, or 0 if unknown), and gives
    float32 [N, outputs] in the target's unit: `layer.outputs` names these. The files are checked as
    `Predictor` checks them before Paddle reads them. Raises RuntimeError where they are no sound
    export.
    """
    import paddle

    with _project():
        from errors import ExportError
        from model.folder import GRAPH, WEIGHTS, read_export

        try:
            export = read_export(folder)
        except ExportError as error:  # a class that whoever called does not have
            raise RuntimeError(str(error)) from None
    # Paddle opens files by name: these are nobody else's, and hold what was checked.
    with _tempfile.TemporaryDirectory(prefix="model-") as private:
        (_Path(private) / GRAPH).write_bytes(export.graph)
        (_Path(private) / WEIGHTS).write_bytes(export.weights)
        layer = paddle.jit.load(str(_Path(private, GRAPH).with_suffix("")))
    layer.eval()
    for name in ("features", "outputs", "target"):
        setattr(layer, name, export.contract[name])
    return layer


def _train(folder: _Path) -> None:
    """Train on Boston in a process of its own, which leaves this one as it is."""
    _sys.stderr.write(f"paddle.hub: training on Boston house prices into {folder}\n")
    command = [_sys.executable, "train.py", "-q", "-c", "configs/boston.yaml"]
    command += ["-o", f"run.dir={_json.dumps(str(folder))}"]
    if (folder / "config.yaml").exists():  # begun, and stopped
        command.append("--resume")
    done = _subprocess.run(command, cwd=_HERE, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"training into {folder} failed: {done.stderr.strip()}")


@_contextmanager
def _project() -> _Iterator[None]:
    """Import from this folder. Another program's modules of the same names, such as `model`, are
    there again afterwards, and ours are not in their way."""
    ours = {path.stem for path in _HERE.iterdir() if path.suffix == ".py" or path.is_dir()}

    def loaded() -> dict[str, _Any]:
        return {name: _sys.modules[name] for name in [*_sys.modules] if name.split(".")[0] in ours}

    def is_here(module: _Any) -> bool:
        return str(getattr(module, "__file__", None) or "").startswith(f"{_HERE}{_os.sep}")

    before = loaded()
    for name, module in before.items():
        if not is_here(module):
            del _sys.modules[name]
    _sys.path.insert(0, str(_HERE))
    try:
        yield
    finally:
        _sys.path.remove(str(_HERE))
        for name in loaded().keys() - before.keys():
            del _sys.modules[name]
        _sys.modules.update(before)
