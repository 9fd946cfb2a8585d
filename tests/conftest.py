"""Runs and commands that many tests share."""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

import pipeline
import train
from bilingual import Text
from reader.formats import Reading
from reader.kinds import Encoder
from reader.rows import Layout
from reader.schema import Column, Schema

pytest_plugins = ["tests.browser"]

ROOT = Path(__file__).parent.parent
SOAK = int(os.environ.get("SOAK", "1"))  # times what the gate tries; `make soak` sets more

# The gate tries the same examples each time; `make soak` looks for others, and remembers those that
# fail. Time decides nothing, for a machine may be busy.
settings.register_profile(
    "gate", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "soak",
    settings.get_profile("gate"),
    derandomize=False,
    max_examples=100 * SOAK,
    database=settings.get_profile("default").database,
)
settings.load_profile("soak" if SOAK > 1 else "gate")
# Else examples hold constants of whatever modules are imported by then, and so depend on the order.
assert callable(providers._get_local_constants)
providers._get_local_constants = Constants
COLUMNS = [
    "CRIM",
    "ZN",
    "INDUS",
    "CHAS",
    "NOX",
    "RM",
    "AGE",
    "DIS",
    "RAD",
    "TAX",
    "PTRATIO",
    "B",
    "LSTAT",
    "MEDV",
]
Train = Callable[..., dict[str, Any]]


def numeric(names: Sequence[str], target: str, ignored: Sequence[str] = ()) -> Schema:
    """A schema of numeric features."""
    kinds = dict.fromkeys(ignored, "ignored") | {target: "target"}
    return Schema(tuple(Column(name, kinds.get(name, "numeric")) for name in names))


def numbers(names: Sequence[str], may_be_empty: Sequence[str] = ()) -> Layout:
    """Rows of numeric columns."""
    return Layout(tuple(Encoder(Column(n, "numeric"), n in may_be_empty) for n in names))


def plain_contract(features: Sequence[str], target: str = "y") -> dict[str, Any]:
    """What an export says of a table of plain numbers, for tests without one."""
    moments = {"mean": 0.0, "deviation": 1.0, "minimum": -1.0, "maximum": 1.0}
    return {
        "features": list(features),
        "target": target,
        "schema": numeric([*features, target], target).describe(),
        "reading": asdict(Reading()),
        "may_be_empty": False,
        "statistics": {"rows": 1, "columns": dict.fromkeys([*features, target], moments)},
        "shares": {name: {"missing": 0.0, "unknown": 0.0} for name in features},
        "versions": {},
    }


def without_a_gpu() -> str:
    """Why tests of a GPU cannot run, empty where they can."""
    import paddle

    if not paddle.is_compiled_with_cuda():
        return "no GPU: this build of Paddle is for CPU only"
    return "" if paddle.device.cuda.device_count() else "no GPU: Paddle finds none"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before a test and its fixtures: what it draws from global generators is its own, too."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    if paddle := sys.modules.get("paddle"):
        paddle.seed(0)
    if item.get_closest_marker("gpu") and (why := without_a_gpu()):
        pytest.skip(why)


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes name their tables relative to the project."""
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="session", autouse=True)
def trial() -> Iterator[float]:
    """Lines end without the trial of an additive model, which may double the time of each run;
    what it would be."""
    with pytest.MonkeyPatch.context() as patch:
        length = pipeline.TRIAL
        patch.setattr(pipeline, "TRIAL", 0.0)
        yield length


@pytest.fixture(autouse=True)
def with_trials_where_marked(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, trial: float
) -> None:
    """In the tests of them."""
    if "trial" in request.keywords:
        monkeypatch.setattr(pipeline, "TRIAL", trial)


def command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a script of the project as a user would."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, **options
    )


PATIENCE = 300.0  # seconds: for what never takes so long, however busy the machine


def wait_for(condition: Callable[[], object]) -> None:
    """Until it holds; a process that is waited for should end the waiting, too."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def imports(process: subprocess.Popen[Any], package: str) -> bool:
    """Whether a process has come to import a package of machine code, or has ended."""
    return process.poll() is not None or package in Path(f"/proc/{process.pid}/maps").read_text()


def is_free(port: int) -> bool:
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) != 0


def free_ports(count: int) -> list[int]:
    """For what has to be told its ports: none of those that systems give to whoever asks for any,
    and others in each process, so that nobody takes them before they are used."""
    chance = random.SystemRandom()
    return list(islice(filter(is_free, chance.sample(range(15_000, 30_000), 100)), count))


def assert_says_the_same(text: Text) -> None:
    """The Chinese is there, with each quoted cell, key and number of the English."""
    assert re.search("[\u4e00-\u9fff]", text.zh), text
    for told in re.findall(r"'[^']*'|\w+\.\w+: \S+|\d[\d,.]*\d", text.en):
        assert told.rstrip(",;)") in text.zh, text


def train_recipe(folder: Path, recipe: str, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Train in this process into `folder`; the report."""
    options = [option for override in overrides for option in ("-o", override)]
    code = train.main(["-c", recipe, "-o", f"run.dir={folder}", *options])
    assert code == 0
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


@pytest.fixture(scope="session")
def boston_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of configs/boston.yaml."""
    folder = tmp_path_factory.mktemp("runs") / "boston"
    done = command("train.py", "-c", "configs/boston.yaml", "-o", f"run.dir={folder}", cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe of the least that is needed, for a small table whose target is 2 a - 3 b + 1."""
    table = tmp_path / "table.csv"
    rows = [(a, b, 2 * a - 3 * b + 1) for a in range(10) for b in range(6)]
    table.write_text("a,b,y\n" + "".join(f"{a},{b},{y}\n" for a, b, y in rows))
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"data: {{path: {table}, target: y}}\n"
        f"train: {{epochs: 2, batch_size: 8}}\n"
        f"run: {{dir: {tmp_path / 'run'}}}\n"
    )
    return path
