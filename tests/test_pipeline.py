"""A data frame trains like the file of the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from configs.load import check, load
from model.predictor import Predictor
from pipeline import Prepared, prepare, train
from reader.frame import table_of
from report.report import Report
from run.folder import Begin
from run.signals import Signals
from trainer.build import build
from trainer.settings import experiment
from trainer.trainer import State


def trained(recipe: Path, frame: pl.DataFrame | None) -> tuple[Prepared, NDArray[np.float32]]:
    """What was read, and predictions of all its rows after training."""
    from trainer.build import build_trainer

    settings = experiment(load(recipe))
    prepared = prepare(settings, None if frame is None else table_of(frame))
    fit = build(settings.resolve(prepared.data), prepared.data)
    build_trainer(fit).fit(State(), fit.settings.epochs)
    rows = prepared.data.packed.take(np.arange(len(prepared.data.packed)))
    return prepared, fit.predict(rows).astype(np.float32)


@pytest.mark.parametrize("as_text", [True, False])
def test_a_frame_trains_to_the_bits_of_its_file(tmp_path: Path, as_text: bool) -> None:
    random = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "area": [None if i % 9 == 0 else round(float(random.normal()), 3) for i in range(120)],
            "town": [("north", "south", None)[i % 3] for i in range(120)],
            "new": [("yes", "no")[i % 2] for i in range(120)],
            "price": random.normal(size=120).round(3),
        }
    )
    frame.write_csv(tmp_path / "t.csv")
    recipe = tmp_path / "t.yaml"
    recipe.write_text(
        f"data: {{path: {tmp_path / 't.csv'}, target: price}}\ntrain: {{epochs: 3}}\n"
    )
    one, expected = trained(recipe, None)
    texts = frame.select(pl.all().cast(pl.String))
    other, predictions = trained(recipe, texts if as_text else frame)
    np.testing.assert_array_equal(one.data.packed.matrix, other.data.packed.matrix)
    assert one.data.schema == other.data.schema
    np.testing.assert_array_equal(predictions, expected)


def test_a_frame_goes_the_whole_way(tmp_path: Path) -> None:
    """From rows in memory to an export and a report, with identifiers that no file has."""
    random = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "home_id": [f"h{i}" for i in range(100)],
            "area": random.normal(size=100),
            "price": random.normal(size=100),
        }
    )
    values = {"data": {"path": "homes", "target": "price"}, "run": {"dir": str(tmp_path / "run")}}
    plan = experiment(check(values, "test"))
    prepared = prepare(plan, table_of(frame))
    with Signals() as signals:
        report = train(plan, prepared, plan.resolve(prepared.data), Begin(), signals)
    assert report
    assert report.data.path == "homes"
    assert report.worst.rows[0].ids["home_id"].startswith("h")
    assert report == Report.read(tmp_path / "run")
    found = Predictor(tmp_path / "run")
    rows = found.predict(found.encode(frame))
    assert rows.shape == (100,)
