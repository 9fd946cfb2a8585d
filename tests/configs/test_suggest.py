from __future__ import annotations

import pytest

from configs.keys import by_path
from configs.suggest import KEY_NAMES, VALUE_NAMES, key_like, value_like
from spelling import distance


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("optimizer.lr", "optimizer.learning_rate"),
        ("lr", "optimizer.learning_rate"),
        ("optimizer.lerning_rate", "optimizer.learning_rate"),
        ("model.learning_rate", "optimizer.learning_rate"),
        ("train.epoch", "train.epochs"),
        ("train.num_epochs", "train.epochs"),
        ("epochs", "train.epochs"),
        ("model.layers", "model.hidden"),
        ("model.nmae", "model.name"),
        ("optmizer", "optimizer"),
        ("data.splt", "data.split"),
        ("data.split.valid", "data.split.validation"),
        ("seed", "train.seed"),
        ("data.sep", "data.separator"),
        ("zzz", None),
        ("train.foo", None),
        ("train.size", None),
        ("train.name", None),
        ("foo.bar", None),
        ("x", None),
    ],
)
def test_keys(given: str, meant: str | None) -> None:
    assert key_like(given) == meant


@pytest.mark.parametrize("path", [path for path in by_path() if len(path.split(".")[-1]) > 5])
def test_a_letter_too_few_is_forgiven(path: str) -> None:
    assert key_like(path[:-1]) == path


def test_names_of_other_tools_lead_to_keys_and_values() -> None:
    assert set(KEY_NAMES) <= set(by_path())
    options = {name for entry in by_path().values() for key in entry for name in key.names}
    assert set(VALUE_NAMES) <= options | {"gpu"}


@pytest.mark.parametrize(
    ("given", "options", "meant"),
    [
        ("cuda", ["auto", "cpu", "gpu"], "gpu"),
        ("RMSE", ["mse", "mae"], "mse"),
        ("catagorical", ["numeric", "categorical"], "categorical"),
        ("date", ["numeric", "time"], "time"),
        ("lstm", ["linear", "mlp", "resnet"], None),
    ],
)
def test_values(given: str, options: list[str], meant: str | None) -> None:
    assert value_like(given, options) == meant


def test_distance() -> None:
    assert [distance(a, b) for a, b in (("", "ab"), ("ab", "ba"), ("abc", "axc"))] == [2, 1, 1]
