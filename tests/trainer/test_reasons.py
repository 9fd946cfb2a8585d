"""Why `auto` chose what it did, in both languages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from configs.load import load
from reader.source import read
from reader.training_data import fit
from tests.conftest import assert_says_the_same
from trainer import line_defaults, settings
from trainer.settings import experiment

COLUMNS = 3


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["model.name=mlp"],
        ["model.name=mlp", "data.split.validation=0", "optimizer.name=sgd"],
        ["optimizer.weight_decay=0.1"],
        ["train.batch_size=32"],
        ["loss.name=mae"],
    ],
)
@pytest.mark.parametrize("is_large", [False, True])
def test_each_choice(
    overrides: list[str], is_large: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`is_large`: for a table of more rows and columns than all at once can be made of."""
    if is_large:
        monkeypatch.setattr(settings, "WIDEST", COLUMNS - bool(overrides))
        monkeypatch.setattr(line_defaults, "MOST_ROWS", 64)
        monkeypatch.setattr(line_defaults, "FEWEST_ROWS", 64)
    table = np.random.default_rng(0).normal(size=(300, COLUMNS + 1))
    pl.DataFrame(table, schema=["a", "b", "c", "y"]).write_csv(tmp_path / "t.csv")
    given = [f"data.path={tmp_path / 't.csv'}", "data.target=y", *overrides]
    plan = experiment(load(None, given))
    source = read(plan.table)
    chosen = plan.resolve(fit(source, source.parts, plan.inputs)).chosen
    assert chosen
    for choice in chosen.values():
        assert_says_the_same(choice.why)
