from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from bilingual import Text
from reader.findings import Finding
from reader.metrics import Metrics
from report.advice import advice
from report.report import (
    Best,
    BestLine,
    Choice,
    Confidence,
    Intervals,
    Optimum,
    Pattern,
    Report,
    Training,
    Trial,
)
from tests.report.samples import full, minimal

BASE = full()
TRAINING = Training("mse", "sgd", 0.1, "cosine", 0.0, 64, epochs=100, planned=100)
FALLING = [{"epoch": i, "train": 9.0, "validation": 4.0 / i} for i in range(1, 101)]


def metrics(rmse: float, rows: int) -> Metrics:
    return Metrics(rmse**2, rmse, 0.7 * rmse, 0.8, rows)


def around(rmse: float) -> dict[str, Confidence]:
    ends = (0.9 * rmse, 1.1 * rmse)
    return {"test": Confidence(ends, ends, ends, None)}


def line(**changes: Any) -> Report:
    """The report of a line that leaves nothing to advise but intervals."""
    sizes = {"train": 2400, "validation": 300, "test": 600}
    report = replace(
        BASE,
        metrics={part: replace(metrics(1.0, rows), r2=0.99) for part, rows in sizes.items()},
        confidence=around(1.0),
        findings=[],
        intervals=None,
        trial=None,
        best_line=None,
        optimum=Optimum("mse", 1.0, 1e-5, {}),
        residuals=replace(BASE.residuals, patterns=[]),
        training=TRAINING,
        config={"model": {"name": "linear"}, "data": {"exclude": ["id"]}, "run": {"dir": "runs/a"}},
        chosen={
            "optimizer.name": Choice("sgd", Text("default")),
            "optimizer.learning_rate": Choice(0.5, Text("default")),
        },
    )
    return replace(report, **changes)


def network(**changes: Any) -> Report:
    """The same of a network that is better than a line."""
    model = {"name": "mlp", "hidden": [64, 64], "dropout": 0.0}
    lines = {"test": BestLine("mse", 2.0, improvement=0.5)}
    values: dict[str, Any] = {
        "best_line": lines,
        "optimum": None,
        "config": {"model": model, "run": {"dir": "runs/a"}},
        "best": Best(40, 1.0),
    }
    return line(**(values | changes))


def patterns(share: float = 0.2) -> Mapping[str, Any]:
    return {"residuals": replace(BASE.residuals, patterns=[Pattern("LSTAT", share)])}


def sure(rmse: float) -> Mapping[str, Any]:
    return {"confidence": around(rmse)}


@pytest.mark.parametrize(
    ("report", "said", "options"),
    [
        (line(), "intervals that cover 90 %", "-o intervals.coverage=0.9 -o run.dir=runs/a-inter"),
        (
            line(findings=[Finding("leak", ("NOX",), Text("a leak"), "data.exclude: [NOX]")]),
            "is NOX known before",
            """-o 'data.exclude=["id", "NOX"]' -o run.dir=runs/a-excluded""",
        ),
        (
            line(**patterns()),
            "a curve in LSTAT (20 % of their variance)",
            "-o model.name=additive -o schedule.name=auto",
        ),
        (
            line(**patterns(), chosen={}),
            "a curve in LSTAT",
            "-o model.name=additive -o optimizer.learning_rate=auto -o schedule.name=auto "
            "-o train.batch_size=auto -o train.epochs=auto -o run.dir=runs/a-additive",
        ),
        (
            line(optimum=Optimum("mse", 1.0, 0.5, {}), chosen={}),
            "not reached its optimum",
            "-o optimizer.learning_rate=auto -o train.batch_size=auto -o train.epochs=auto",
        ),
        (
            line(metrics={"train": metrics(1.0, 400), "test": metrics(2.0, 9)}, **sure(2.0)),
            "the error on test is 2.0 times that on train",
            "-o optimizer.weight_decay=0.1",
        ),
        (
            line(metrics={"train": metrics(1e-7, 40), "test": metrics(2.0, 9)}, **sure(2.0)),
            "fits the training rows exactly",
            "-o model.name=mlp -o run.dir=runs/a-mlp",
        ),
        (
            network(metrics={"train": metrics(1.0, 400), "test": metrics(2.0, 9)}, **sure(2.0)),
            "hold the model back",
            "-o optimizer.weight_decay=0.01",
        ),
        (
            line(**patterns(), trial=Trial("additive", 0.8, 0.5)),
            "curves and pairs of the same columns predict validation better",
            "-o model.name=additive",
        ),
        (
            line(**patterns(), trial=Trial("additive", 1.0, 0.5)),
            "intervals that cover 90 %",
            "-o intervals.coverage=0.9",
        ),
        (
            line(metrics={"train": metrics(1.0, 400), "test": metrics(1.0, 100)}),
            "what curves and pairs of the same columns predict",
            "-o model.name=additive",
        ),
        (
            network(best_line={"test": BestLine("mse", 0.8, improvement=-0.25)}),
            "a line predicts test better",
            "-o model.name=linear",
        ),
        (
            network(
                best_line={"test": BestLine("mse", 0.8, improvement=-0.25)},
                config={
                    "model": {"name": "linear"},
                    "data": {"scale": {"target": "log1p"}},
                    "run": {"dir": "runs/a"},
                },
            ),
            "not of its logarithm",
            "-o data.scale.target=standard -o run.dir=runs/a-plain",
        ),
        (
            network(history=FALLING, best=Best(100, 0.04)),
            "still improving",
            "-o train.epochs=200",
        ),
        (
            network(**patterns()),
            "a larger network may learn it",
            "-o 'model.hidden=[128, 128]' -o run.dir=runs/a-larger",
        ),
    ],
)
def test_the_step_that_helps_most(report: Report, said: str, options: str) -> None:
    text = advice(report)
    assert text
    assert said in text.en
    assert options in text.en
    assert options in text.zh


def test_no_network_for_fewer_rows_than_it_takes() -> None:
    few = {"train": metrics(1.0, 100), "test": metrics(1.0, 40)}
    assert advice(line(**patterns(), metrics=few)) is None


def test_no_advice_where_all_is_done() -> None:
    done = line(intervals=Intervals(0.9, "test", 9, 0.9, 1.0, 9))
    assert advice(done) is None
    assert advice(replace(minimal(), best_line=None)) is None


def test_a_warning_is_told_before_all_else() -> None:
    text = advice(line(**patterns(), warning="worse than the mean"))
    assert text
    assert "start again with the defaults" in text.en
