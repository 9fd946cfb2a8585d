"""YAML as recipes are written in it: what it reads it writes back, and an error names the line."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from itertools import islice
from types import NoneType
from typing import Any

import yaml

from display import quoted, short, visible
from errors import ConfigError

MOST_VALUES = 20_000  # which take PyYAML about a second
DEEPEST = 10
MOST_DIGITS = 18  # of a whole number, which 64 bits then hold
FEW = 20  # items of a list or a mapping that a message shows
TEXT = "tag:yaml.org,2002:str"
HALF = re.compile("[\ud800-\udfff]")  # of a character, which no file in UTF-8 can hold


class _Loader(yaml.SafeLoader):
    """Plain scalars as YAML 1.2 reads them: 1e-3 is a number, `no` and dates are text.

    It stops as soon as a recipe is larger or deeper than any needs to be; what an alias stands for
    counts as often as it is used.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012, as in the class above it

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth, self._values = 0, 0
        self._sizes: dict[yaml.Node, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        before = self._values
        self._depth, self._values = self._depth + 1, self._values + 1
        self._bounded(event)
        node = super().compose_node(parent, index)
        if isinstance(event, yaml.AliasEvent) and node is not None:
            if node not in self._sizes:
                raise _refused("a value that holds itself", event)
            self._values += self._sizes[node]
            self._bounded(event)
        elif node is not None:
            self._sizes[node] = self._values - before
        self._depth -= 1
        return node

    def _bounded(self, event: Any) -> None:
        if self._depth > DEEPEST:
            raise _refused(f"more than {DEEPEST} sections or lists inside each other", event)
        if self._values > MOST_VALUES:
            raise _refused(f"more than {MOST_VALUES:,} values, those of aliases counted", event)
        allowed = (None, "!", TEXT) if isinstance(event, yaml.ScalarEvent) else (None, "!")
        if getattr(event, "tag", None) not in allowed:
            raise _refused(f"the tag {event.tag}; a recipe needs none, remove it", event)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refused("a key that is a list or a section; expected a name", key)
            if key.value in lines:
                raise _refused(
                    f"the key {quoted(key.value)} appears twice, first in line "
                    f"{lines[key.value]}; remove one",
                    key,
                )
            lines[key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


class _RefusedError(yaml.MarkedYAMLError):
    """YAML that is valid, and not a recipe's."""


def _refused(problem: str, at: Any) -> _RefusedError:
    """What is wrong with a node, or with the event that begins one."""
    return _RefusedError(problem=problem, problem_mark=at.start_mark)


def _whole(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    if len(node.value) > MOST_DIGITS:
        problem = f"a whole number of {len(node.value):,} digits; expected at most {MOST_DIGITS}"
        raise _refused(problem, node)
    return int(node.value)


def _text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    if HALF.search(node.value):
        raise _refused("an escape that stands for half a character", node)
    return str(node.value)


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
_Loader.add_constructor("tag:yaml.org,2002:int", _whole)
_Loader.add_constructor(TEXT, _text)

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
    except (ValueError, OverflowError):  # PyYAML hands any number that follows \U to chr()
        raise ConfigError(f"{source}: not valid YAML: a \\U escape of no character") from None


def dump(values: Mapping[str, Any]) -> str:
    """A recipe's values, `config.model_dump()`, as YAML that `parse` reads back to equal values."""
    return _dump(dict(values), sort_keys=False, width=100)


def inline(value: Any) -> str:
    """One value as it would stand in a recipe, on one line; of a list or mapping, the beginning."""
    text = _dump(_few(value), default_flow_style=True, width=sys.maxsize)
    return text.removesuffix("...\n").strip("\n")  # not \xa0, which is text


def _dump(value: Any, **options: Any) -> str:
    """YAML in which what is not visible stands as an escape between double quotes."""
    text = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, **options)
    return "\n".join(map(visible, str(text).split("\n")))


def _few(value: Any) -> Any:
    if isinstance(value, str | int | float | NoneType):
        return value
    items = list(islice(value, FEW))
    more = [f"and {len(value) - FEW:,} more"] if len(value) > FEW else []
    if isinstance(value, dict):
        return {item: _few(value[item]) for item in items} | dict.fromkeys(more, "...")
    return [*map(_few, items), *more]


def _explain(error: yaml.MarkedYAMLError, text: str) -> str:
    """`, line 3: ...` with the line itself; of a list that is not closed, the line it begins in."""
    problem = " ".join(str(error.problem or error).split())
    told = next((plain for words, plain in PLAINLY if re.search(words, problem)), problem)
    unclosed = "not closed" in told and error.context_mark
    mark = error.context_mark if unclosed else error.problem_mark
    if not isinstance(error, _RefusedError):
        told = f"not valid YAML: {told}"
    if mark is None or text.count("\n") == 0:
        return f": {told}"
    line = text.splitlines()[mark.line].strip() if mark.line < len(text.splitlines()) else ""
    shown = f" (the line is: {short(line)})" if line else ""
    return f", line {mark.line + 1}: {told}{shown}"


def _on_one_line(error: object) -> str:
    return " ".join(str(error).split())
