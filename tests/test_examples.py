"""What tests draw by chance does not depend on which tests ran before."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT

pytestmark = pytest.mark.xdist_group("examples")
GATE = settings.get_profile("gate")


def drawn() -> list[tuple[str, int]]:
    """The examples of a property in the gate."""
    found = []

    @settings(GATE, max_examples=300)
    @given(st.text(), st.integers())
    def draws(text: str, number: int) -> None:
        found.append((text, number))

    draws()
    return found


def test_examples_are_the_same_whatever_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = drawn()
    path = tmp_path / "constants.py"
    path.write_text("\n".join(f"A{i} = {i * 7919 + 70_000}, 'constant {i}'" for i in range(500)))
    module = ModuleType("constants")
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, "constants", module)
    assert len(before) == 300
    assert len(set(before)) > 200
    assert drawn() == before


def test_no_file_of_tests_holds_a_generator() -> None:
    """Whose state tests would share: each makes its own, with a seed."""
    shared = []
    for module in list(sys.modules.values()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(ROOT / "tests"):
            generators = np.random.Generator | np.random.RandomState | random.Random
            held = [name for name, each in vars(module).items() if isinstance(each, generators)]
            shared += [(module.__name__, name) for name in held]
    assert __name__ in sys.modules
    assert shared == []


def test_a_group_is_held_together(request: pytest.FixtureRequest) -> None:
    """By one worker, which makes once what its tests share."""
    if request.config.getoption("loadgroup", False):
        held = request.node.nodeid.endswith("@examples")
        assert held, "this pytest scatters groups; pip install -r requirements-dev.txt"
