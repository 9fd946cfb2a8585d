"""YAML as recipes are written in it: what it reads it writes back, and an error names the line."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

import yaml

from display import quoted, short, visible
from errors import ConfigError


class _Loader(yaml.SafeLoader):
    """Plain scalars as YAML 1.2 reads them: 1e-3 is a number, `no` and dates are text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012, as in the class above it

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for key, _ in node.value:
            if key.value in lines:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {quoted(str(key.value))} appears twice, first in line "
                    f"{lines[key.value]}; remove one",
                    problem_mark=key.start_mark,
                )
            lines[key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Writes what `_Loader` reads back: text that looks like a number is quoted."""


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?\d+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    for _side in (_Loader, _Dumper):
        _side.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}", re.compile(f"^({_pattern})$"), list(_first)
        )
_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style=None if visible(text) == text else '"'
    ),
)
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))

PLAINLY = (
    (r"character '\\t'", "a tab character; YAML is indented with spaces"),
    (
        "mapping values are not allowed",
        "`key: value` where a value is expected; put the key on a line of its own, at the same "
        "indent as its neighbours, or quote a text that contains ': '",
    ),
    ("unknown escape character", "a \\ between double quotes; use single quotes, or /"),
    ("expected ',' or ']'", "a list is not closed; add ]"),
    ("expected ',' or '}'", "a { is not closed; add }"),
    ("could not find expected ':'", "a key without a colon; write `key: value`"),
    ("expected <block end>", "the indent does not match the lines above"),
    ("found unexpected end of stream", "a quote is not closed"),
    ("cannot start any token", "a text that starts with a special character; quote it"),
    ("found undefined alias", "* is special in YAML; quote a text that starts with it"),
)


def parse(text: str, source: str) -> Any:
    """The value that the text stands for. Raises ConfigError, which begins with `source`."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506, it is a SafeLoader
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{source}{_explain(error, text)}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not valid YAML: {_on_one_line(error)}") from None


def dump(values: Mapping[str, Any]) -> str:
    """A recipe's values, `config.model_dump()`, as YAML that `parse` reads back to equal values."""
    return _dump(dict(values), sort_keys=False, width=100)


def inline(value: Any) -> str:
    """One value as it would stand in a recipe, on one line."""
    text = _dump(value, default_flow_style=True, width=sys.maxsize)
    return text.removesuffix("...\n").strip("\n")


def _dump(value: Any, **options: Any) -> str:
    """YAML in which what is not visible stands as an escape between double quotes."""
    text = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, **options)
    return "\n".join(map(visible, str(text).split("\n")))


def _explain(error: yaml.MarkedYAMLError, text: str) -> str:
    """`, line 3: ...` with the line itself; of a list that is not closed, the line it begins in."""
    problem = " ".join(str(error.problem or error).split())
    told = next((plain for words, plain in PLAINLY if re.search(words, problem)), problem)
    unclosed = "not closed" in told and error.context_mark
    mark = error.context_mark if unclosed else error.problem_mark
    if mark is None or text.count("\n") == 0:
        return f": not valid YAML: {told}"
    line = text.splitlines()[mark.line].strip() if mark.line < len(text.splitlines()) else ""
    shown = f" (the line is: {short(line)})" if line else ""
    return f", line {mark.line + 1}: not valid YAML: {told}{shown}"


def _on_one_line(error: object) -> str:
    return " ".join(str(error).split())
