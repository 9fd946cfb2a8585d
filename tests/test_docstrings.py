"""The examples in docstrings give what they say."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT

ROOMS = ("configs", "reader", "model", "run", "trainer", "report")
WITH_EXAMPLES = sorted(
    path for room in ROOMS for path in (ROOT / room).rglob("*.py") if ">>> " in path.read_text()
)


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_examples(path: Path) -> None:
    module = import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    result = doctest.testmod(module, extraglobs={"np": np})
    assert result.attempted
    assert not result.failed


def test_examples_are_where_they_help() -> None:
    names = {path.name for path in WITH_EXAMPLES}
    assert {"split.py", "shuffle.py", "inputs.py"} <= names
