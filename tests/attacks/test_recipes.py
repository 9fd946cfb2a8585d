"""Recipes that are made to hurt: each gives one message, soon, or is a recipe."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.keys import by_path
from configs.load import load
from configs.yaml_text import inline, parse
from errors import ConfigError
from tests.attacks.reads import opened, outside
from tests.conftest import SOAK
from trainer.settings import experiment

BASE = "data: {path: a, target: b}\n"
MOST_SECONDS = 20  # of work; 1.5 are enough, and what is guarded against has no end
LETTERS = "abcdefghij"
ALIASES = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in pairwise(LETTERS)
)
HOSTILE = {
    "lists in lists": f"{BASE}x: {'[' * 10_000}{']' * 10_000}",
    "sections in sections": f"{BASE}x: {'{a: ' * 10_000}{'}' * 10_000}",
    "keys in keys": f"{BASE}{'? ' * 50_000}",
    "aliases that multiply": ALIASES + BASE,
    "merges that multiply": ALIASES.replace("[", "{<<: [").replace("]", "]}") + BASE,
    "a list of itself": f"{BASE}x: &x [*x]",
    "a merge of itself": "data: &x {<<: *x, path: a}",
    "a merge of a number": f"{BASE}x: {{<<: 5}}",
    "many anchors": f"{BASE}x: [{'&a ' * 50_000}]",
    "many keys": BASE + "".join(f"k{i}: 1\n" for i in range(9_000)),
    "more keys": BASE + "".join(f"k{i}: 1\n" for i in range(100_000)),
    "many wrong values": "data:\n  path: a\n  target: b\n  kinds:\n"
    + "".join(f"    k{i}: x\n" for i in range(9_000)),
    "the same key twice": BASE + BASE,
    "a list for a key": f"{BASE}? [a, b]\n: 1\n",
    "numbers for keys": f"{BASE}1: 1\n.nan: 2\ntrue: 3\nnull: 4\n",
    "20 digits": f"{BASE}train: {{seed: {'9' * 20}}}",
    "5,000 digits": f"{BASE}train: {{seed: {'9' * 5_000}}}",
    "a width of 1e300": f"{BASE}model: {{name: mlp, hidden: [1e300]}}",
    "a wrong tag": f"{BASE}train: {{seed: !!int x}}",
    "a list that is a text": f"{BASE}x: !!str [a]",
    "a time of no month": f"{BASE}x: !!timestamp 2024-99-99",
    "a call": f"{BASE}x: !!python/object/apply:os.system [ls]",
    "bytes": f"{BASE}x: !!binary x",
    "NUL": f"{BASE}x: \0",
    "an escaped NUL": 'data: {path: "a\\0", target: b}',
    "half a character": 'data: {path: "a\\ud800", target: b}',
    "a character that there is not": 'data: {path: "\\UFFFFFFFF", target: b}',
    "a long key": f"{BASE}{'x' * 1_000}: 1",
    "a long text": f"data: {{path: a, target: [{'x' * 200_000}]}}",
    "two documents": f"{BASE}---\n{BASE}",
    "a text of its own": "houses",
    "nothing": "",
    "not UTF-8": "\udcff",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_recipe_gives_one_message_soon(name: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_bytes(HOSTILE[name].encode(errors="surrogateescape"))
    began = time.process_time()
    with opened() as files, pytest.raises(ConfigError) as caught:
        load(recipe)
    assert time.process_time() - began < MOST_SECONDS
    assert outside(files, tmp_path) == []
    assert str(caught.value).startswith(str(recipe))
    assert len(str(caught.value).splitlines()) < 30


def test_a_recipe_that_is_no_plain_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(1 << 30)
    wrong = {
        "/dev/zero": "is not a plain file",
        str(tmp_path): "directory",
        "a\0b": "NUL character",
    }
    wrong |= {
        str(tmp_path / "pipe"): "is not a plain file",
        str(tmp_path / "large"): "expected at most 262,144",
    }
    for name, problem in wrong.items():
        with pytest.raises(ConfigError, match=problem):
            load(name)


@pytest.mark.parametrize(
    "override",
    [
        f"train.epochs={'9' * 50_000}",
        f"train.epochs={'[' * 10_000}",
        f"{'.'.join('a' * 50_000)}=1",
        f"model.hidden.{'.'.join('a' * 5_000)}=1",
        f"data.kinds.{'.'.join('a' * 5_000)}=1",
        f"{'x' * 100_000}=1",
        "train.seed=!!int x",
        "train.seed=*a",
        "\udcff=1",
        "card.data=\udcff",
        "train.seed=\udcff",
        "data.path=a\0b",
    ],
)
def test_a_hostile_override_gives_one_message_soon(override: str) -> None:
    began = time.process_time()
    with pytest.raises(ConfigError):
        load("configs/boston.yaml", [override])
    assert time.process_time() - began < MOST_SECONDS


def test_a_recipe_for_a_wide_table_is_read(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    names = "".join(f"    column_{i}: numeric\n" for i in range(9_000))
    recipe.write_text(f"data:\n  path: a\n  target: b\n  kinds:\n{names}")
    assert len(load(recipe).data.kinds) == 9_000


TOKENS = [
    *("data:", "path: a", "target: b", "\n", "  ", "- ", "[", "]", "{", "}", ", ", ": ", "? "),
    *("&a ", "*a", "<<: ", "!!int ", "!!float ", "!!str ", "! ", "!x ", "| ", "> ", "'", '"'),
    *("\\ud800", "\\UFFFFFFFF", "\\x", "#", "%YAML", "---\n", "\t", "9" * 30, ".nan", "-.inf"),
    *("\0", "\u2028", "null", "~", "true", "x" * 300, "é", "1e999", "\r", "\ufeff", "@", "`"),
]
ODD = st.recursive(
    st.sampled_from([None, True, -1, 0, 10**17, -(10**17), 1e300, float("nan"), float("-inf")])
    | st.sampled_from(["", " ", "auto", "x" * 1_000, "a\nb", "\u202e", "é", "1990", "..", "/"])
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


def is_a_recipe_or_one_message(recipe: Path, overrides: list[str]) -> None:
    try:
        config = load(recipe, overrides)
    except ConfigError:
        return
    text = experiment(config).text()
    assert text.encode()
    (saved := recipe.with_name("saved.yaml")).write_text(text)
    assert experiment(load(saved)).text() == text


@settings(max_examples=150 * SOAK)
@given(st.lists(st.sampled_from(TOKENS), max_size=40).map("".join))
def test_any_text_is_a_recipe_or_one_message(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    recipe = tmp_path_factory.getbasetemp() / "recipe.yaml"
    recipe.write_text(text)
    is_a_recipe_or_one_message(recipe, [])


@settings(max_examples=150 * SOAK)
@given(
    st.sampled_from(sorted(by_path())),
    ODD,
    st.sampled_from(["linear", "additive", "mlp", "resnet", "realmlp", "tabm", "blend"]),
)
def test_any_value_of_any_key_is_a_recipe_or_one_message(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object, model: str
) -> None:
    recipe = tmp_path_factory.getbasetemp() / "recipe.yaml"
    recipe.write_text(f"{BASE}model: {{name: {model}}}\n")
    is_a_recipe_or_one_message(recipe, [f"{key}={inline(value)}"])
    parents = key.split(".")
    nested = inline(value)
    for name in reversed(parents):
        nested = f"{{{name}: {nested}}}"
    recipe.write_text(nested)
    is_a_recipe_or_one_message(recipe, [])


def test_what_is_shown_of_a_value_is_short() -> None:
    assert len(inline({str(i): list(range(1_000)) for i in range(1_000)})) < 2_500
    assert parse(inline([1, [2, {"a": None}]]), "") == [1, [2, {"a": None}]]
