"""What a run proves of itself: no leakage, sound exports, honest intervals and yardsticks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import infer
import train
from configs.load import load
from errors import ExportError
from model.folder import read_export
from model.predictor import Predictor
from reader.source import read
from reader.split import Split
from run.checkpoint import Checkpoints
from tests.conftest import SOAK, train_recipe
from tests.run.checkpoints import expected_of
from trainer.settings import experiment

pytestmark = pytest.mark.slow

TABLE = np.loadtxt("data/boston/housing.data")
BOSTON = "configs/boston.yaml"


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """200 rows with a number that has holes, a category, a yes or no, a time and a group."""
    random = np.random.default_rng(0)
    lines = ["a,town,new,day,house,part,y"]
    for i in range(200):
        a = "" if i % 9 == 0 else f"{random.normal():.3f}"
        town, new = f"t{random.integers(5)}", ("yes", "no")[i % 2]
        part = ("train", "train", "train", "validation", "test")[i % 5]
        day = f"2024-{1 + i // 28:02}-{1 + i % 28:02}"
        lines.append(f"{a},{town},{new},{day},h{i // 2},{part},{random.normal():.3f}")
    (tmp_path / "mixed.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "mixed.yaml").write_text(
        f"data: {{path: {tmp_path / 'mixed.csv'}, target: y, exclude: []}}\n"
        "train: {epochs: 2, batch_size: 16, export: last}\n"
    )
    return tmp_path / "mixed.yaml"


SPLITS = {
    "random": [],
    "sequential": ["data.split.method=sequential"],
    "column": ["data.split.method=column", "data.split.column=part"],
    "group": ["data.split.method=group", "data.split.column=house"],
    "time": ["data.split.method=time", "data.split.column=day"],
}
TINY = ["model.hidden=[8]", "model.members=2"]
PREPROCESSING: dict[str, list[str]] = {
    "standard": [],
    "min_max": ["data.scale.features=min_max", "data.scale.target=min_max"],
    "mean_range": ["data.scale.features=mean_range", "data.scale.target=mean_range"],
    "median and indicator": ["data.missing.numeric=median", "data.missing.indicator=true"],
    "embedding": ["data.categories.one_hot=1", "model.name=mlp"],
    "resnet": ["data.categories.one_hot=1", "model.name=resnet", "model.width=8"],
    "additive": ["model.name=additive"],
    "realmlp": ["model.name=realmlp", "data.categories.one_hot=1", *TINY],
    "tabm": ["model.name=tabm", "data.categories.one_hot=1", *TINY],
    "robust": ["model.name=realmlp", "data.scale.features=robust", *TINY],
    "quantile": ["model.name=realmlp", "data.scale.features=quantile", *TINY],
    "blend": ["model.name=blend", *TINY],
    "mae": ["loss.name=mae"],
    "huber": ["loss.name=huber", "loss.delta=0.5"],
}


def exported(run: Path) -> dict[str, Any]:
    """The files of an export, but for numbers that count the layers of this process."""
    graph = re.sub(r"(/[A-Za-z]+)_\d+/", r"\1/", (run / "export" / "model.json").read_text())
    contract = json.loads((run / "export" / "contract.json").read_text())
    for key in ("files", "sizes"):
        del contract[key]["model.json"]
    del contract["sha256"]
    return {
        "graph": graph,
        "contract": contract,
        "weights": (run / "export" / "model.pdiparams").read_bytes(),
    }


def disturbed(table: Path, rows: NDArray[Any], method: str) -> None:
    """Change every cell of these rows that does not decide their part."""
    header, *lines = table.read_text().splitlines()
    for row in rows:
        _, _, new, day, house, part, _ = lines[row].split(",")
        day = day if method == "time" else "1990-05-06"
        lines[row] = f"1e6,elsewhere,{'no' if new == 'yes' else 'yes'},{day},{house},{part},-1e5"
    table.write_text("\n".join([header, *lines]) + "\n")


def parts_of(recipe: Path, overrides: list[str]) -> Split:
    return read(experiment(load(recipe, overrides)).table).parts


@pytest.mark.parametrize(
    ("method", "preprocessing"),
    # What is learned of rows does not know how they were chosen: each way is tried once.
    [("random", name) for name in PREPROCESSING]
    + [(method, "standard") for method in SPLITS if method != "random"],
)
def test_rows_held_out_leave_no_trace_in_the_export(
    mixed: Path, tmp_path: Path, method: str, preprocessing: str
) -> None:
    overrides = [*SPLITS[method], *PREPROCESSING[preprocessing]]
    train_recipe(tmp_path / "before", str(mixed), overrides)
    parts = parts_of(mixed, overrides)
    disturbed(tmp_path / "mixed.csv", np.concatenate([parts.validation, parts.test]), method)
    report = train_recipe(tmp_path / "after", str(mixed), overrides)
    assert exported(tmp_path / "before") == exported(tmp_path / "after")
    assert report["metrics"]["test"]["mse"] > 1e4  # it was another table


def test_a_training_row_does_leave_one(mixed: Path, tmp_path: Path) -> None:
    train_recipe(tmp_path / "before", str(mixed))
    disturbed(tmp_path / "mixed.csv", parts_of(mixed, []).train[:1], "random")
    train_recipe(tmp_path / "after", str(mixed))
    assert exported(tmp_path / "before") != exported(tmp_path / "after")


def test_contract_has_golden_rows_of_each_kind(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_recipe(tmp_path / "run", str(mixed))
    golden = json.loads((tmp_path / "run/export/contract.json").read_text())["golden"]
    assert {"real", "extreme", "missing", "unknown"} == set(golden["kinds"])
    assert len(golden["kinds"]) == len(golden["rows"]) == len(golden["predictions"])
    capsys.readouterr()
    assert infer.main(["--model", str(tmp_path / "run"), "--verify"]) == 0
    assert "verified: 3 files by SHA-256, 12 golden rows" in capsys.readouterr().err


def test_golden_rows_that_come_out_otherwise(
    boston_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    honest = Predictor.predict_outputs
    monkeypatch.setattr(Predictor, "predict_outputs", lambda self, rows: honest(self, rows) + 0.1)
    assert infer.main(["--model", str(boston_run), "--verify"]) == 2
    assert "difference of 0.1" in capsys.readouterr().err


EACH = 5 if SOAK == 1 else 1  # bytes, of which one is changed


@pytest.mark.soak
def test_any_byte_of_an_export_counts(boston_run: Path, tmp_path: Path) -> None:
    for file in (boston_run / "export").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    for file in sorted(tmp_path.iterdir()):
        content = file.read_bytes()
        for position in range(0, len(content), EACH):
            changed = bytearray(content)
            changed[position] ^= 1 << position % 8
            file.write_bytes(changed)
            with pytest.raises(ExportError):
                read_export(tmp_path)
        file.write_bytes(content)
    read_export(tmp_path)


class Trap:
    """What unpickling would run."""

    sprung = False

    def __reduce__(self) -> Any:
        return (setattr, (Trap, "sprung", True))


@pytest.fixture
def trap() -> bytes:
    import pickle

    return pickle.dumps(Trap())


@pytest.mark.parametrize("name", ["contract.json", "model.json", "model.pdiparams"])
def test_a_pickle_in_an_export_is_refused_unopened(
    boston_run: Path, tmp_path: Path, trap: bytes, name: str
) -> None:
    for file in (boston_run / "export").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / name).write_bytes(trap)
    with pytest.raises(ExportError, match=name):
        Predictor(tmp_path)
    assert not Trap.sprung


@pytest.mark.parametrize("name", ["weights.safetensors", "best.safetensors", "state.json"])
def test_a_pickle_in_a_checkpoint_is_refused_unopened(
    boston_run: Path, tmp_path: Path, trap: bytes, name: str
) -> None:
    (tmp_path / "step-600").mkdir()
    for file in (boston_run / "checkpoints" / "step-600").iterdir():
        (tmp_path / "step-600" / file.name).write_bytes(file.read_bytes())
    expected = expected_of(tmp_path / "step-600")
    assert Checkpoints(tmp_path, 0, 0, 0, 1).newest(expected)
    (tmp_path / "step-600" / name).write_bytes(trap)
    assert Checkpoints(tmp_path, 0, 0, 0, 1).newest(expected) is None
    assert not Trap.sprung


def test_no_file_of_a_run_is_a_pickle(boston_run: Path) -> None:
    for path in boston_run.rglob("*"):
        if path.is_file():
            assert not re.match(rb"\x80[\x02-\x05]|\(dp0|\(lp0", path.read_bytes()), path


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam"])
def test_yardstick_of_ridge_regression(tmp_path: Path, name: str) -> None:
    keys = [f"optimizer.name={name}", "optimizer.weight_decay=0.2", "train.epochs=300"]
    report = train_recipe(tmp_path / "run", BOSTON, [*keys, "optimizer.learning_rate=0.02"])
    rows = TABLE[parts_of(Path(BOSTON), []).train]
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    x, y = ((rows - mean) / deviation)[:, :-1], (rows[:, -1] - mean[-1]) / deviation[-1]
    # The gradient of mean((Xw - y)^2) plus 0.2 w is zero.
    design = np.vstack([x, np.sqrt(len(x) * 0.1) * np.eye(13)])
    weights = np.linalg.lstsq(design, np.append(y, np.zeros(13)), rcond=None)[0]
    expected = np.mean((x @ weights - y) ** 2) * deviation[-1] ** 2
    assert report["optimum"]["train_mse"] == pytest.approx(expected, rel=1e-6)
    assert report["optimum"]["weight_decay"] == 0.2
    assert abs(report["optimum"]["gap"]) < 0.01


def test_epochs_at_which_the_gap_was_passed(boston_run: Path) -> None:
    report = json.loads((boston_run / "report.json").read_text())
    optimum, history = report["optimum"], report["history"]
    assert [epoch["epoch"] for epoch in history] == list(range(1, 101))
    for name, share in (("10%", 0.1), ("1%", 0.01), ("0.1%", 0.001)):
        epoch = optimum["epochs"][name]
        assert history[epoch - 1]["train"] <= optimum["train_mse"] * (1 + share)
        assert history[epoch - 2]["train"] > optimum["train_mse"] * (1 + share)


def test_other_models_are_held_against_the_best_line(tmp_path: Path) -> None:
    report = train_recipe(tmp_path / "run", BOSTON, ["model.name=mlp", "train.epochs=30"])
    parts = parts_of(Path(BOSTON), [])
    design = np.column_stack([TABLE[:, :-1], np.ones(len(TABLE))])
    line = np.linalg.lstsq(design[parts.train], TABLE[parts.train, -1], rcond=None)[0]
    for part in ("train", "test"):
        rows = getattr(parts, part)
        mse = np.mean((design[rows] @ line - TABLE[rows, -1]) ** 2)
        found = report["best_line"][part]
        assert found["mse"] == pytest.approx(mse, rel=1e-6)
        improvement = 1 - report["metrics"][part]["mse"] / mse
        assert found["improvement"] == pytest.approx(improvement, abs=1e-6)
    assert {column["name"] for column in report["importance"]["columns"]} == set(
        report["data"]["features"]
    )


def test_coefficients_in_raw_units(boston_run: Path) -> None:
    found = json.loads((boston_run / "report.json").read_text())["coefficients"]
    row = TABLE[:1, :-1]
    line = found["intercept"] + row[0] @ [weight["weight"] for weight in found["weights"]]
    assert line == pytest.approx(float(Predictor(boston_run).predict(row)[0]), rel=1e-4)
    assert all(weight["standard_error"] > 0 for weight in found["weights"])
    assert all(0 <= weight["p"] <= 1 for weight in [found["constant"], *found["weights"]])


def test_worst_rows_are_those_of_the_table(boston_run: Path) -> None:
    found = json.loads((boston_run / "report.json").read_text())["worst"]["rows"]
    errors = [abs(row["error"]) for row in found]
    assert errors == sorted(errors, reverse=True)
    assert all(row["actual"] == pytest.approx(TABLE[row["row"] - 1, -1]) for row in found)


@pytest.mark.parametrize("target", ["standard", "log1p"])
@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_intervals_hold_what_they_promise(tmp_path: Path, target: str, coverage: float) -> None:
    random = np.random.default_rng(1)
    x = random.uniform(0, 2, size=20_000)
    y = np.exp(x + random.normal(scale=0.3, size=len(x)))
    lines = [f"{a},{b}" for a, b in zip(x, y, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *lines]))
    (tmp_path / "t.yaml").write_text(f"data: {{path: {tmp_path / 't.csv'}, target: y}}\n")
    keys = [f"intervals.coverage={coverage}", f"data.scale.target={target}", "train.epochs=5"]
    report = train_recipe(tmp_path / "run", str(tmp_path / "t.yaml"), keys)
    found = report["intervals"]
    assert found["measured"] == pytest.approx(coverage, abs=0.04)  # of 2,000 and 2,000 rows
    assert found["calibration_rows"] == report["metrics"]["validation"]["rows"]
    output = tmp_path / "out.csv"
    arguments = ["--model", str(tmp_path / "run"), "--input", str(tmp_path / "t.csv")]
    assert infer.main([*arguments, "--output", str(output)]) == 0
    header, *rest = output.read_text().splitlines()
    assert header == "prediction,lower,upper"
    prediction, lower, upper = np.loadtxt(rest, delimiter=",").T
    assert (lower <= prediction).all()
    assert (prediction <= upper).all()
    held = (lower <= y) & (y <= upper)
    assert held.mean() == pytest.approx(coverage, abs=0.03)
    for tenth in np.array_split(np.argsort(prediction), 10):
        assert held[tenth].mean() == pytest.approx(coverage, abs=0.05)
    assert len(found["by_prediction"]) == 10
    for band in found["by_prediction"]:
        assert band.keys() == {"from", "to", "rows", "covered", "width"}
        assert band["covered"] == pytest.approx(coverage, abs=0.13)  # of 200 rows


@pytest.mark.slow
@pytest.mark.parametrize(
    "keys",
    [
        ["loss.name=huber"],
        ["loss.name=mae", "data.scale.target=log1p"],
        ["data.split.folds=2", "data.categories.one_hot=0"],
        ["model.name=mlp", "model.hidden=[8]", "optimizer.name=adam", "loss.name=huber"],
        ["model.name=mlp", "optimizer.name=adam", "data.scale.target=log1p"],
        ["model.name=resnet", "model.width=8", "optimizer.name=adam"],
        ["model.name=additive"],
        ["model.name=additive", "data.scale.target=log1p"],
    ],
    ids="-".join,
)
def test_exported_intervals_hold_what_the_report_says(tmp_path: Path, keys: list[str]) -> None:
    """Every row twice, and a category on which the noise depends."""
    random = np.random.default_rng(0)
    x, town = random.uniform(size=1500), random.choice(["calm", "wild", "new"], size=1500)
    y = np.round(np.maximum(0, 10 * x + (1 + 3 * (town == "wild")) * x * random.normal(size=1500)))
    lines = [f"{a},{b},{c}" for a, b, c in zip(x, town, y, strict=True)] * 2
    (tmp_path / "t.csv").write_text("\n".join(["x,town,y", *lines]))
    (tmp_path / "t.yaml").write_text(f"data: {{path: {tmp_path / 't.csv'}, target: y}}\n")
    keys = [*keys, "intervals.coverage=0.8", "train.epochs=5"]
    report = train_recipe(tmp_path / "run", str(tmp_path / "t.yaml"), keys)
    predictor = Predictor(tmp_path / "run")
    table = {"x": [*x, *x], "town": [*town, *town]}
    prediction, lower, upper = predictor.predict_outputs(predictor.encode(table)).T
    assert (lower <= prediction).all()
    assert (prediction <= upper).all()
    assert (lower[prediction >= 0] >= 0).all()
    assert (upper[prediction <= y.max()] <= y.max()).all()
    test = parts_of(tmp_path / "t.yaml", []).test
    held = ((lower <= np.tile(y, 2)) & (np.tile(y, 2) <= upper))[test]
    found = report["intervals"]
    assert found["measured"] == pytest.approx(held.mean(), abs=1 / len(test) + 1e-9)
    assert found["mean_width"] == pytest.approx((upper - lower)[test].mean(), rel=1e-3)
    for band in found["by_category"]:
        at = np.tile(town, 2)[test] == band["level"]
        assert (band["column"], band["rows"]) == ("town", at.sum())
        assert band["covered"] == pytest.approx(held[at].mean(), abs=2 / at.sum())
    assert {band["level"] for band in found["by_category"]} == {"calm", "wild", "new"}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.split={validation: 0}", "intervals.coverage needs a validation part"),
        ("intervals.coverage=0.999", "needs 999 validation rows, found 51"),
        ("intervals.coverage=90", "intervals.coverage: found 90"),
    ],
)
def test_intervals_that_cannot_be_had(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, message: str
) -> None:
    keys = [f"run.dir={tmp_path / 'run'}", "intervals.coverage=0.9", override]
    options = [option for key in keys for option in ("-o", key)]
    assert train.main(["-c", BOSTON, *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_is_compared_with_the_one_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_recipe(tmp_path / "one", BOSTON, ["train.epochs=2"])
    capsys.readouterr()
    train_recipe(tmp_path / "two", BOSTON, ["train.epochs=20"])
    shown = capsys.readouterr().out
    assert f"compared with {tmp_path / 'one'}:\n  train.epochs: 2 -> 20" in shown
    assert re.search(r"test +RMSE .* better", shown)


def test_worst_rows_are_shown_with_their_line_and_cells(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    random = np.random.default_rng(0)
    lines = [
        f"{a:.4f},{'' if i % 7 == 0 else i % 5},{'red' if i % 3 else 'blue'},"
        f"2024-03-{i % 28 + 1:02},{2 * a + random.normal():.4f}"
        for i, a in enumerate(random.normal(size=200))
    ]
    lines[90] = "0.5,3,blue,2024-03-09,99"
    table.write_text("\n".join(["a,b,colour,when,y", *lines[:50], "", *lines[50:]]) + "\n")
    recipe = tmp_path / "t.yaml"
    recipe.write_text(f"data: {{path: {table}, target: y}}\n")
    keys = ["data.split.test=0", "data.split.validation=0"]
    worst = train_recipe(tmp_path / "run", str(recipe), keys)["worst"]["rows"]
    assert (worst[0]["row"], worst[0]["line"]) == (91, 93)  # below a header and a blank line
    assert worst[0]["values"] == {"a": 0.5, "b": 3.0, "colour": "blue", "when": "2024-03-09"}
    written = table.read_text().splitlines()
    for row in worst:
        cells = written[row["line"] - 1].split(",")
        assert float(cells[0]) == pytest.approx(row["values"]["a"], abs=1e-4)
        assert (row["values"]["b"] is None) == (cells[1] == "")
        assert [row["values"]["colour"], row["values"]["when"]] == cells[2:4]


def test_a_level_is_told_against_the_average_row(tmp_path: Path) -> None:
    """Coefficients, errors and the intercept, against least squares with centred flags."""
    random = np.random.default_rng(0)
    levels = np.array(["a", "b", "c"])[random.choice(3, size=300, p=[0.5, 0.3, 0.2])]
    x = random.normal(5.0, 2.0, size=300)
    y = (
        3
        + 2 * x
        + np.select([levels == "a", levels == "b"], [1.0, 4.0], 0)
        + random.normal(size=300)
    )
    rows = zip(levels, x.round(6), y.round(6), strict=True)
    (tmp_path / "t.csv").write_text("level,x,y\n" + "".join(f"{k},{a},{b}\n" for k, a, b in rows))
    recipe = tmp_path / "t.yaml"
    recipe.write_text(f"data: {{path: {tmp_path / 't.csv'}, target: y}}\n")
    keys = ["data.split.test=0", "data.split.validation=0"]
    found = train_recipe(tmp_path / "run", str(recipe), keys)["coefficients"]
    flags = (levels[:, None] == ["a", "b", "c"]).astype(float)
    shares = flags.mean(axis=0)
    # Effects whose average is 0: of b and c, with that of a made up from both.
    coded = flags[:, 1:] - np.outer(flags[:, 0], shares[1:] / shares[0])
    design = np.column_stack([np.ones(300), x, coded])
    expected, rest = np.linalg.lstsq(design, y, rcond=None)[:2]
    covariance = np.linalg.inv(design.T @ design) * rest[0] / 296
    made = -shares[1:] / shares[0]
    weights = [*expected[:2], made @ expected[2:], *expected[2:]]
    errors = np.sqrt([*np.diag(covariance)[:2], made @ covariance[2:, 2:] @ made])
    errors = np.append(errors, np.sqrt(np.diag(covariance)[2:]))
    shown = [found["constant"], *found["weights"]]
    assert [each["name"] for each in shown[1:]] == ["x", "level = a", "level = b", "level = c"]
    np.testing.assert_allclose([w["weight"] for w in shown], weights, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose([w["standard_error"] for w in shown], errors, rtol=1e-3)
    np.testing.assert_allclose([w["t"] for w in shown], np.divide(weights, errors), rtol=2e-3)
    assert found["intercept"] == found["constant"]["weight"]
    assert found["has_levels"]
