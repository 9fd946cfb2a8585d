from __future__ import annotations

import pytest

from configs.document import document
from configs.keys import by_path
from tests.conftest import ROOT


@pytest.mark.slow  # a change of keys is tried with `make quick` before its page is written
def test_the_list_of_keys_is_current() -> None:
    text = (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8")
    assert text == document(), "run `make recipe`, and commit docs/recipe.md"


def test_it_has_every_key() -> None:
    rows = [line.split("`")[1] for line in document().splitlines() if line.startswith("| `")]
    assert rows == list(by_path())
