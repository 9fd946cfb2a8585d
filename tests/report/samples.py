"""Reports of made-up runs: with no more than every report has, and with all that one may have."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from bilingual import Text
from reader.findings import KINDS, Finding
from reader.metrics import Metrics
from report.report import (
    Band,
    Best,
    BestLine,
    Choice,
    Coefficients,
    ColumnImportance,
    Confidence,
    Data,
    Effect,
    Effects,
    Examples,
    Folds,
    Importance,
    Intervals,
    Level,
    LevelBand,
    MeanAndDeviation,
    Model,
    Optimum,
    Parity,
    Pattern,
    Processes,
    Report,
    Residuals,
    Timing,
    Training,
    Trial,
    Weight,
    Worst,
    WorstRow,
)

SIZES = {"train": 2400, "validation": 300, "test": 600}


def minimal() -> Report:
    """A report of only what every report has, of training rows alone."""
    return Report(
        metrics={"train": Metrics(mse=4.0, rmse=2.0, mae=1.5, r2=None, rows=3)},
        confidence={"train": Confidence((1.0, 9.0), (1.0, 3.0), (1.0, 2.0), None)},
        data=Data(path="t.csv", rows=3, sha256="0" * 64, target="y", features=["x"]),
        split={"method": "random", "seed": 0, "train": 3},
        best=Best(epoch=1, value=4.0, metric="mse"),
        history=[{"epoch": 1, "train": 4.0}],
        timing=Timing(total_s=1.0, train_s=0.5, rows_per_second=6.0),
        card={},
        environment={"platform": "Linux"},
        config={"train": {"epochs": 2}, "run": {"dir": "runs/t"}},
        examples=Examples("train", actual=[1.0, 2.0, 3.0], predicted=[3.0, 4.0, 5.0]),
        residuals=Residuals("train", counts=[0, 3], edges=[1.0, 2.0, 3.0], by_category={}),
        worst=Worst("train", [WorstRow(row=1, ids={}, actual=1.0, predicted=3.0, error=2.0)]),
        model=Model("linear", parameters=2),
        parity=Parity(max_abs_difference=1e-6, rows=3, tolerance=1e-4),
        versions={"python": "3.11.7"},
    )


def full(columns: int = 12) -> Report:
    """A report with every part, over house prices."""
    random = np.random.default_rng(0)
    names = ["region", "heating", *(f"column_{i}" for i in range(columns - 5))]
    names += ["面积（平方米）", "NOX", "x" * 60]
    actual = random.lognormal(12.4, 0.4, 600)
    predicted = actual * random.normal(1, 0.12, 600)
    counts, edges = np.histogram(predicted - actual, 40)
    confidence = Confidence((8.2e8, 9.9e8), (28635, 31464), (20000, 22000), None)
    return Report(
        metrics={part: Metrics(9.1e8, 30166.2, 21345.9, 0.871, n) for part, n in SIZES.items()},
        confidence=dict.fromkeys(SIZES, confidence),
        data=Data(
            path="data/houses/a/rather/long/path/of/folders/houses_of_the_whole_country.csv",
            rows=3300,
            sha256="a36a40a5043cd447fcc26e830fc542286f8f547b61c85b6e72ca8f150a9f1f82",
            target="SalePrice",
            features=names,
        ),
        split={"method": "shuffled", "seed": 7, **SIZES},
        best=Best(epoch=61, value=9.2e8, metric="mse"),
        history=[
            {"epoch": i, "train": 9e8 + 4e10 / i**2, "validation": 9.3e8 + 3e10 / i**1.7}
            for i in range(1, 81)
        ],
        timing=Timing(total_s=4.2, train_s=1.51, rows_per_second=182345.0),
        card={"intended_use": "Estimates for a first talk with a seller.", "data": ""},
        environment={"platform": "Linux", "processor": "x86", "cores": 8, "device": "cpu"},
        config={"train": {"epochs": 80}, "run": {"dir": "runs/houses"}},
        examples=Examples("test", actual.tolist(), predicted.tolist()),
        residuals=Residuals(
            "test", counts.tolist(), edges.tolist(), _by_category(), [Pattern("NOX", 0.12)]
        ),
        worst=Worst("test", [_worst_row(17 * i) for i in range(10)]),
        model=Model("linear", 14, ["Linear 13 × 1"]),
        parity=Parity(max_abs_difference=0.0313, rows=3300, tolerance=0.5),
        versions={"python": "3.11.7", "paddle": "3.3.1"},
        training=Training("mse", "sgd", 0.5, "cosine", 0.0, 64, epochs=80, planned=100),
        processes=Processes(3, 2, [1200, 1000, 1100]),
        finished="2026-01-02T03:04:05+00:00",
        command="python train.py -c houses.yaml -o train.epochs=80",
        findings=[
            Finding.of_column(kind, "region", Text(f"{kind}:", "："), "data.exclude: [region]")
            for kind in KINDS
        ],
        chosen={"train.batch_size": Choice(2400, Text("all rows", "全部样本"))},
        optimum=Optimum("mse", 8.97e8, 0.0032, {"10%": 21, "1%": 66, "0.1%": None}, 0.01),
        best_line=dict.fromkeys(SIZES, BestLine("mse", 9.5e8, improvement=0.042)),
        coefficients=Coefficients(
            intercept=-12345.6,
            weights=[
                Weight(name, 3.2e3 / (i - 5.5), 41.7 + i, 3.2e3 / (i - 5.5) / (41.7 + i), 0.01)
                for i, name in enumerate(names)
            ],
            constant=Weight("SalePrice", -12345.6, 123.0, -100.4, 1e-9),
            has_levels=True,
        ),
        importance=Importance("test", 600, [_importance(i, name) for i, name in enumerate(names)]),
        trial=Trial("additive", 24_000.0, 0.4),
        intervals=Intervals(
            coverage=0.9,
            part="test",
            rows=600,
            measured=0.913,
            mean_width=99512.3,
            calibration_rows=300,
            by_prediction=[Band(1e5 * i, 1e5 * i + 9e4, 60, 0.9, 4e4 + i) for i in range(1, 11)],
            by_category=[
                LevelBand("region", level, rows=120, covered=0.85, width=9e4)
                for level in ("north", "south", None)
            ],
        ),
        folds=_folds(),
    )


def additive(columns: int = 0) -> Report:
    """A report of an additive model with terms of every kind, and a curve for each of so many
    `columns`."""
    report, random = full(), np.random.default_rng(0)
    area = np.quantile(random.lognormal(4.6, 0.5, 2400), np.linspace(0, 1, 32))
    people = np.unique(np.rint(np.quantile(random.pareto(0.8, 2400), np.linspace(0, 1, 25))))
    north, east = np.linspace(32.5, 42, 20), np.linspace(-124.4, -114.3, 24)
    hours = [f"{hour:02}:00" for hour in range(24)]
    streets: list[float | str | None] = [None, "(other)", *(f"Street {i}" for i in range(44))]
    heating: list[float | str | None] = ["gas", "a wood stove in every room", None]
    inside = np.abs(north[:, None] + east - 38 + 120) < 5
    terms = [
        _effect(["area"], [area.tolist()], 9e4 * np.log(area / 100)),
        _pair(
            ["latitude", "longitude"],
            [north.tolist(), east.tolist()],
            8e4 * np.sin(north[:, None]) * np.cos(east / 2),
            60.0 * inside,
        ),
        _effect(["sold: hour"], [[*hours]], 3e4 * np.cos(np.arange(24) / 24 * 6.283)),
        replace(_effect(["street"], [streets], random.normal(0, 1.5e4, 46)), kind="levels"),
        replace(_effect(["heating"], [heating], [9e3, -4e3, -2e3]), kind="levels"),
        _effect(["people nearby"], [people.tolist()], -2e3 * np.sqrt(np.arange(len(people)))),
        _effect(["has garden"], [[0.0, 1.0]], [-4e3, 6e3]),
        _pair(["area", "heating"], [area[::4].tolist(), heating], np.outer(area[::4], [9, -8, 2])),
        _pair(["heating", "street"], [heating, streets], random.normal(0, 900, (3, 46))),
        _pair(["garden", "面积（平方米）"], [[0.0, 1.0], [10.0, 80.0, 90.0]], np.ones((2, 3))),
    ]
    terms += [_effect([f"c{i}"], [[0.0, 1.0, 2.0]], [-9.0, 5.0, 4.0]) for i in range(columns)]
    effects = Effects("SalePrice", 1626, 420.4, 7.2e8, terms, constraint=0.0123)
    layers = ["Gather 33", *(f"Lookup{i} 20 × 24" for i in range(60)), "Linear 1626 × 1"]
    model, line = Model("additive", 1627, layers), report.optimum
    return replace(report, coefficients=None, effects=effects, model=model, optimum=line)


def _effect(
    features: list[str], places: list[list[float | str | None]], values: ArrayLike
) -> Effect:
    flat = np.ravel(values)
    rows = np.full(len(flat), 2400 / len(flat))
    errors = 0.05 * float(np.ptp(flat)) * (1 + np.linspace(-1, 1, len(flat)) ** 2)
    hole = -1234.5 if features == ["area"] else None
    freedom = 0.3 * len(flat)
    return Effect(
        features,
        "curve",
        freedom,
        0.231,
        places,
        flat.tolist(),
        errors.tolist(),
        rows.tolist(),
        hole,
    )


def _pair(
    features: list[str],
    places: list[list[float | str | None]],
    values: ArrayLike,
    rows: ArrayLike = 9.0,
) -> Effect:
    flat = np.ravel(values)
    near = np.broadcast_to(rows, np.shape(values)).ravel()
    errors = np.full(len(flat), 1.5e3)
    return Effect(
        features, "map", 98.7, 0.0512, places, flat.tolist(), errors.tolist(), near.tolist()
    )


def _folds() -> Folds:
    each = [Metrics(mse=9.2e8, rmse=30331.5, mae=21400.0, r2=0.87, rows=480)] * 5
    rmse = MeanAndDeviation(mean=30411.0, deviation=811.0)
    return Folds(
        5,
        each,
        MeanAndDeviation(9.2e8, 0.0),
        rmse,
        MeanAndDeviation(21400.0, 0.0),
        MeanAndDeviation(0.87, 0.0),
    )


def _by_category() -> dict[str, list[Level]]:
    means = (("north", 1204.2), ("south", -2210.0), (None, 0.0))
    levels = [Level(level, rows=120, mean=mean, rmse=31234.5) for level, mean in means]
    return {"region": levels, "heating": levels[:2]}


def _worst_row(row: int) -> WorstRow:
    ids = {"parcel": f"PX-{row:05}", "street and number": f"Long Street {row}"}
    values = {"region": "north", "heating": None, "NOX": 0.538, "面积（平方米）": 71.5}
    return WorstRow(row, ids, 755000.0, 431022.7, error=-323977.3, line=row + 1, values=values)


def _importance(place: int, name: str) -> ColumnImportance:
    return ColumnImportance(name, 6e8 * 0.6**place - 2e6, deviation=3e7 * 0.8**place)
