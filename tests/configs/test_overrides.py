from __future__ import annotations

from typing import Any

import pytest

from configs.overrides import apply, joined
from errors import ConfigError


@pytest.mark.parametrize(
    ("words", "overrides"),
    [
        (["a.b=1", "c=2"], ["a.b=1", "c=2"]),
        (["model.hidden=[32,", "16]", "train.seed=1"], ["model.hidden=[32, 16]", "train.seed=1"]),
        (
            ["data.kinds={zip:", "categorical,", "a:", "id}"],
            ["data.kinds={zip: categorical, a: id}"],
        ),
        (["train.epochs=", "3"], ["train.epochs= 3"]),
        (["data.time_format=%d/%m/%Y", "%H:%M"], ["data.time_format=%d/%m/%Y %H:%M"]),
        (["data.exclude=a,", "b"], ["data.exclude=a, b"]),
        (["train.epochs=3", "nonsense"], ["train.epochs=3", "nonsense"]),
        (["nonsense"], ["nonsense"]),
    ],
)
def test_words_that_a_shell_divided(words: list[str], overrides: list[str]) -> None:
    assert joined(words) == overrides


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("train.epochs=3", "train.epochs", 3),
        ("train.epochs= 3", "train.epochs", 3),
        ("data.time_format=%d/%m/%Y", "data.time_format", "%d/%m/%Y"),
        ("data.time_format='%d/%m/%Y'", "data.time_format", "%d/%m/%Y"),
        ("data.separator=|", "data.separator", "|"),
        ("data.separator=,", "data.separator", ","),
        ("data.comment=#", "data.comment", "#"),
        ("data.comment=null", "data.comment", None),
        ("data.target=3", "data.target", "3"),
        ("data.target=007", "data.target", "007"),
        ("data.target=a: b", "data.target", "a: b"),
        ("data.target='a'", "data.target", "a"),
        ("data.path=[x].csv", "data.path", "[x].csv"),
        ("card.data=no: news", "card.data", "no: news"),
        ("model.hidden=32,16", "model.hidden", [32, 16]),
        ("model.hidden=32", "model.hidden", [32]),
        ("data.exclude=B", "data.exclude", ["B"]),
        ("data.exclude=B, 007", "data.exclude", ["B", "007"]),
        ("data.exclude='a,b',c", "data.exclude", ["a,b", "c"]),
        ("data.missing.values=?", "data.missing.values", ["?"]),
        ("data.missing.values=-999,NA", "data.missing.values", ["-999", "NA"]),
        ("data.columns=null", "data.columns", None),
        ("data.missing.values=['?']", "data.missing.values", ["?"]),
    ],
)
def test_a_value_is_read_as_its_key_asks(override: str, key: str, value: Any) -> None:
    values: dict[str, Any] = {}
    apply(values, override)
    for step in key.split("."):
        values = values[step]
    assert values == value


@pytest.mark.parametrize("name", ["zip", "zip.code", "a b"])
def test_a_name_below_a_key_of_names_keeps_its_dots(name: str) -> None:
    values: dict[str, Any] = {}
    apply(values, f"data.kinds.{name}=id")
    assert values == {"data": {"kinds": {name: "id"}}}


def test_what_is_not_yaml_names_the_override() -> None:
    with pytest.raises(ConfigError, match=r"-o model\.hidden=\[3: not valid YAML: a list is not"):
        apply({}, "model.hidden=[3")
