from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from configs.command_line import parse
from configs.keys import describe, keys
from configs.load import check_tables, load
from configs.yaml_text import dump
from errors import ConfigError
from tests.conftest import ROOT

RECIPES = sorted((ROOT / "configs").rglob("*.yaml"))


def problems_of(recipe: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(recipe, overrides)
    return str(caught.value)


def test_there_are_recipes() -> None:
    assert {"boston.yaml", "boston_lesson.yaml"} <= {path.name for path in RECIPES}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_recipe_loads_and_says_how_to_run_it(path: Path) -> None:
    load(path)
    first = path.read_text().splitlines()[0]
    assert f"python train.py -c configs/{path.name}" in first
    given = parse(shlex.split(first.partition("train.py ")[2]), "")
    load(given.config, given.overrides)


def test_least_recipe_gets_defaults(tmp_path: Path) -> None:
    recipe = tmp_path / "houses.yaml"
    recipe.write_text("data: {path: houses.csv, target: price}\n")
    config = load(recipe)
    assert config.run.dir == "runs/houses"
    assert (config.model.name, config.optimizer.name) == ("linear", "auto")
    shares = config.data.split
    assert (shares.train, shares.validation, shares.test) == (0.8, 0.1, 0.1)


def test_resolved_recipe_reads_back_equal(recipe: Path, tmp_path: Path) -> None:
    overrides = ["data.exclude=['1e-3', 'no', 'null', '0x1', '007', '2020-01-01', 价格]"]
    config = load(recipe, overrides)
    again = tmp_path / "again.yaml"
    again.write_text(dump(config.model_dump()))
    assert load(again) == config


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 0.001), ("1", 1.0), (".5", 0.5), ("2.", 2.0), ("1E+1", 10.0)]
)
def test_numbers(recipe: Path, text: str, value: float) -> None:
    config = load(recipe, [f"optimizer.learning_rate={text}"])
    assert config.optimizer.learning_rate == value  # type: ignore[union-attr, unused-ignore]


def test_names_count_in_any_case(recipe: Path) -> None:
    overrides = ["model.name=MLP", "model.activation=ReLU", "optimizer.name=Adam"]
    overrides += ["data.scale.features=Min-Max", "loss.name=MAE", "data.split.method=Sequential"]
    overrides += ["train.device=GPU:1", "data.kinds={a: Numeric}", "train.epochs=Auto"]
    config = load(recipe, overrides).model_dump()
    assert (config["model"]["name"], config["model"]["activation"]) == ("mlp", "relu")
    assert (config["optimizer"]["name"], config["loss"]["name"]) == ("adam", "mae")
    assert config["data"]["scale"]["features"] == "min_max"
    assert config["data"]["split"]["method"] == "sequential"
    assert (config["train"]["device"], config["train"]["epochs"]) == ("gpu:1", "auto")
    assert config["data"]["kinds"] == {"a": "numeric"}


def test_a_recipe_may_be_left_out() -> None:
    config = load(None, ["data.path=tables/houses.csv.gz", "data.target=price"])
    assert config.run.dir == "runs/houses"
    with pytest.raises(ConfigError, match=r"data\.target: missing; set it with --target COLUMN"):
        load(None, ["data.path=houses.csv"])


def test_a_whole_number_may_be_written_as_any(recipe: Path) -> None:
    assert load(recipe, ["train.epochs=1e3"]).train.epochs == 1_000


def test_a_column_may_be_called_by_a_number(tmp_path: Path) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text("data: {path: t.csv, target: 1990, exclude: [1], kinds: {2: id}}\n")
    data = load(recipe).data
    assert (data.target, data.exclude, data.kinds) == ("1990", ["1"], {"2": "id"})


def test_a_table_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deep").mkdir()
    recipe = Path("deep", "r.yaml")
    recipe.write_text("data: {path: houses.csv, target: y}\n")
    with pytest.raises(ConfigError, match=r"houses\.csv: No such file or directory in the working"):
        check_tables(load(recipe), recipe)
    (tmp_path / "houses.csv.gz").write_text("")
    with pytest.raises(ConfigError, match=r"did you mean houses\.csv\.gz"):
        check_tables(load(recipe), recipe)
    (tmp_path / "deep" / "houses.csv").write_text("")
    with pytest.raises(ConfigError, match=r"beside the recipe: set data\.path=deep/houses\.csv"):
        check_tables(load(recipe), recipe)
    (tmp_path / "houses.csv").write_text("")
    check_tables(load(recipe), recipe)


def test_override_is_split_at_the_first_equals_sign(recipe: Path) -> None:
    assert load(recipe, ["data.target=a=b"]).data.target == "a=b"


def test_later_override_wins_and_changes_the_variant(recipe: Path) -> None:
    config = load(recipe, ["model.name=mlp", "model.hidden=[3]", "model.hidden=[4, 5]"])
    assert config.model.model_dump()["hidden"] == [4, 5]


@pytest.mark.parametrize(
    ("given", "filled"),
    [
        (["train=0.6"], (0.6, 0.2, 0.2)),
        (["train=0.8", "test=0.2"], (0.8, 0.0, 0.2)),
        (["validation=0", "test=0"], (1.0, 0.0, 0.0)),
        (["test=0.1"], (0.8, 0.1, 0.1)),
    ],
)
def test_shares_left_out_divide_the_rest(
    recipe: Path, given: list[str], filled: tuple[float, float, float]
) -> None:
    split = load(recipe, [f"data.split.{share}" for share in given]).data.split
    assert (split.train, split.validation, split.test) == pytest.approx(filled)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.epoch=3", "train.epoch: no such key; did you mean train.epochs?"),
        ("epochs=3", "did you mean train.epochs?"),
        ("optmizer.name=sgd", "optmizer: no such key; did you mean optimizer?"),
        ("train.epochs=1.5", "train.epochs: found 1.5, expected a whole number or auto"),
        ("train.epochs=true", "train.epochs: found true"),
        ("train.epochs=0", "expected at least 1"),
        ("train.batch_size='3'", "train.batch_size: found '3', expected a whole number"),
        ("train.device=gqu", "train.device: found gqu"),
        ("data.columns=[]", "data.columns: found [], expected at least 2 in the list"),
        ("data.separator=ab", "data.separator: found ab, expected at most 1 character"),
        ("data.kinds.a=date", "expected numeric, categorical, boolean"),
        ("data.kinds.a=date", "data.kinds.a: found date"),
        ("train.device=cuda:1", "found cuda:1, expected auto, cpu, gpu or gpu:N; a CUDA GPU is"),
        ("zzz=1", "zzz: no such key; train.py --help-keys lists them"),
        ("model.zzz=1", "model.zzz: no such key; train.py --help-keys model lists the keys"),
        (
            "model.layers=3",
            "did you mean model.hidden (with model.name=mlp, realmlp, tabm or blend)?",
        ),
        ("loss.name=rmse", "loss.name: found rmse, expected mse, mae or huber; did you mean mse?"),
        (
            "train.precision=bf16",
            "train.precision: found bf16, expected float32, bfloat16 or float16",
        ),
        ("train.precision=bf16", "did you mean bfloat16?"),
        (
            "train.precision=bfloat16",
            "for networks, and what tells the optimum of model.name=linear",
        ),
        ("data.encoding=gbkk", "data.encoding: expected an encoding that Python knows"),
        ("data.target=", "data.target: found null, expected text"),
        ("data.scale.features=minmax", "did you mean min_max?"),
        (
            "model.name=mpl",
            "found mpl, expected linear, additive, mlp, resnet, realmlp, tabm or blend; did "
            "you mean mlp?",
        ),
        ("model.hidden=[3]", "no such key with model.name=linear; it belongs to mlp"),
        ("model=3", "model: found 3, expected a section"),
        ("model=mlp", "a section with keys of its own; did you mean model.name=mlp?"),
        ("optimizer=Adamw", "did you mean optimizer.name=adamw?"),
        ("data.split.test=20", "found 20, expected at most 1; did you mean 0.2?"),
        ("intervals.coverage=90", "found 90, expected less than 1; did you mean 0.9?"),
        ("train=3", "train: found 3, expected a section"),
        ("optimizer.learning_rate=.nan", "optimizer.learning_rate: found .nan"),
        ("optimizer.learning_rate=-1", "expected more than 0"),
        ("data.split.train=0.9", "train + validation + test"),
        ("train.patience=3", "needs a validation part"),
        ("data.columns=[a, a]", "names a more than once"),
        ("nonsense", "expected key=value"),
        ("a..b=1", "expected key=value"),
        ("data.exclude=[", "not valid YAML"),
    ],
)
def test_wrong_override_names_the_key(recipe: Path, override: str, words: str) -> None:
    overrides = ["data.split.validation=0", "data.split.test=0.2", override]
    assert words in problems_of(recipe, *overrides)


def test_half_precision_on_a_cpu_is_told_without_looking_for_a_gpu(recipe: Path) -> None:
    half = ["model.name=mlp", "train.precision=float16"]
    told = problems_of(recipe, *half, "train.device=cpu")
    assert "float16 needs a GPU, and train.device is cpu; leave it out, or use --device" in told
    assert load(recipe, [*half, "train.device=auto"]).train.precision == "float16"
    told = problems_of(recipe, "model.name=additive", "train.precision=float16")
    assert "optimum of model.name=additive needs float32" in told


def test_all_problems_at_once(recipe: Path) -> None:
    text = problems_of(recipe, "train.epochs=no", "model.nmae=mlp", "nonsense")
    for words in ("3 problems", "train.epochs", "model.nmae", "nonsense"):
        assert words in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("data: {path: t.csv}", "data.target: missing"),
        ("- 1", "expected sections"),
        ("", "expected sections"),
        ("data: {path: [}", "not valid YAML"),
        ("data: {path: a, path: b, target: y}", "'path' appears twice, first in line 1"),
        (
            "data:\n  path: a\n  path: b\n",
            "recipe.yaml, line 3: the key 'path' app",
        ),
        ("data:\n\tpath: a\n", "line 2: not valid YAML: a tab character; YAML is indented with"),
        ("data:\n  path: [a\n\ntrain: {}\n", "line 2: not valid YAML: a list is not closed"),
        ("data:\n  path: a\n target: b\n", "line 3: not valid YAML: the indent does not match"),
        ("data:\n  path: a: b\n", "line 2: not valid YAML: `key: value` where a value is"),
        ("data:\n  path: 'a\n", "line 2: not valid YAML: a quote is not closed"),
        ("data:\n  path: %d\n", "line 2: not valid YAML: a text that starts with a special"),
        ('data:\n  path: "C:\\data"\n', "line 2: not valid YAML: a \\ between double quotes"),
    ],
)
def test_wrong_recipe(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    assert words in problems_of(path)


def test_recipe_that_cannot_be_read(tmp_path: Path) -> None:
    assert "No such file" in problems_of(tmp_path / "none.yaml")
    assert "directory" in problems_of(tmp_path).lower()
    (tmp_path / "latin.yaml").write_bytes(b"data: {path: caf\xe9}")
    assert "UTF-8" in problems_of(tmp_path / "latin.yaml")


def test_help_tells_every_key_with_its_meaning() -> None:
    text = describe()
    for key in keys():
        assert f"{key.path} (" in text
    assert "default: auto with auto and sgd and momentum, 0.001 with adam and adamw" in text
