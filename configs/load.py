"""From a recipe and `-o key=value` overrides to a checked Config, or to one message."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from configs.flatten import leaves
from configs.schema import Config
from errors import ConfigError


class _Loader(yaml.SafeLoader):
    """Plain scalars as YAML 1.2 reads them: 1e-3 is a number, `no` and dates are text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012, as in the class above it

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if names.count(key.value) > 1:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark
                )
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
_Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: int(node.value))


def load(recipe: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a recipe, apply `key=value` overrides in order, and check the whole.

    Raises ConfigError, with one line for each problem.
    """
    values, problems = _read(Path(recipe)), []
    for override in overrides:
        try:
            _apply(values, override)
        except ConfigError as error:
            problems.append(str(error))
    run = values.setdefault("run", {})
    if isinstance(run, dict):
        run.setdefault("dir", f"runs/{Path(recipe).stem}")
    return check(values, str(recipe), problems)


def check(values: dict[str, Any], source: str, problems: Sequence[str] = ()) -> Config:
    """The recipe of these values, section by section; defaults for those that are not there.

    Raises ConfigError, with a line for each problem, those known already among them; `source` says
    where the values are from.
    """
    lines = list(problems)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        together: dict[str, list[ErrorDetails]] = {}
        for problem in error.errors():
            together.setdefault(_locate(problem["loc"], values)[0], []).append(problem)
        lines += [_explain(alternatives, values) for alternatives in together.values()]
    if lines:
        raise ConfigError(f"{source}: {len(lines)} to mend\n  " + "\n  ".join(lines))
    return config


def dump(values: Mapping[str, Any]) -> str:
    """A recipe's values, `config.model_dump()`, as YAML that `load` reads back to an equal
    Config."""
    text = yaml.dump(dict(values), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return str(text)


def differences(old: Config, new: Config, aside: Sequence[str] = ()) -> list[str]:
    """A line for each key that differs; `aside`: keys, or sections, that may."""
    before, after = (dict(leaves(config.model_dump())) for config in (old, new))
    return [
        f"{key}: found {_text(after.get(key))}, the run has {_text(before.get(key))}"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
        and not any(key == name or key.startswith(f"{name}.") for name in aside)
    ]


def _read(recipe: Path) -> dict[str, Any]:
    try:
        text = recipe.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{recipe}: {error.strerror}; expected a recipe (YAML)") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{recipe}: not UTF-8 text (byte {error.start})") from None
    try:
        values = yaml.load(text, _Loader)  # noqa: S506, it is a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError(f"{recipe}: not valid YAML: {_on_one_line(error)}") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{recipe}: expected sections (data:, train:, ...), found {values!r}")
    return values


def _on_one_line(error: object) -> str:
    return " ".join(str(error).split())


def _apply(values: dict[str, Any], override: str) -> None:
    """Set one dotted key of `values`; the text after the first = is read as YAML."""
    key, equals, text = override.partition("=")
    if not equals or not all(key.split(".")):
        raise ConfigError(f"-o {override}: expected key=value, as in -o train.epochs=20")
    try:
        value = yaml.load(text, _Loader)  # noqa: S506, it is a SafeLoader
    except yaml.YAMLError as error:
        raise ConfigError(f"-o {override}: not valid YAML: {_on_one_line(error)}") from None
    *parents, last = key.split(".")
    for parent in parents:
        inner = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            inner = values[parent] = {}
        values = inner
    values[last] = value


class Key(NamedTuple):
    """One key of one section, as `--help` shows it."""

    path: str
    variants: tuple[str, ...]  # the names (of a model, an optimizer, ...) that have this key
    field: FieldInfo


def keys(section: type[BaseModel] = Config, prefix: str = "") -> Iterator[Key]:
    """Every key of a section and of those below it, in the order of their definition."""
    variants = section.model_fields.get("name")
    names = get_args(variants.annotation) if variants else ()
    for name, field in section.model_fields.items():
        sections = [kind for kind in _types(field.annotation) if issubclass(kind, BaseModel)]
        for inner in dict.fromkeys(sections):
            yield from keys(inner, f"{prefix}{name}.")
        if not sections:
            yield Key(prefix + name, names, field)


def _types(annotation: Any) -> Iterator[type]:
    """The classes that a (nested, annotated) union is made of."""
    if isinstance(annotation, type):
        yield annotation
    for argument in get_args(annotation):
        yield from _types(argument)


def describe_keys() -> str:
    """The help text of all keys: path, default by variant, meaning."""
    entries: dict[str, list[Key]] = {}
    for key in keys():
        entries.setdefault(key.path, []).append(key)
    return "\n".join(_describe(path, entry) for path, entry in entries.items())


def _describe(path: str, entry: list[Key]) -> str:
    meaning = next(key.field.description for key in entry if key.field.description)
    if path == "run.dir":
        default = "default: runs/ and the recipe's name"
    elif path.endswith(".name"):
        first = entry[0].field.default
        default = f"default: {first}"
    elif entry[0].field.is_required():
        default = "required"
    elif entry[0].variants:
        by_default: dict[str, list[str]] = {}
        for key in entry:
            by_default.setdefault(_text(key.field.default), []).extend(key.variants)
        default = "default: " + ", ".join(
            f"{value} with {' and '.join(names)}" for value, names in by_default.items()
        )
    else:
        default = f"default: {_text(entry[0].field.default)}"
    return f"  {path} ({default})\n      {meaning}"


def _text(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, default_flow_style=True).removesuffix("...\n").strip()


def _explain(alternatives: Sequence[ErrorDetails], values: dict[str, Any]) -> str:
    """One line: the key, what was found, what was expected: any of the alternatives."""
    problem = alternatives[0]
    path, value = _locate(problem["loc"], values)
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        return f"{path}: no such key{_nearest_key(path, problem['loc'])}"
    if kind == "missing":
        return f"{path}: missing; set it in the recipe or with -o {path}=..."
    if kind == "union_tag_invalid":
        path, value = f"{path}.name", context["tag"]
    elif kind == "value_error":
        return f"{path}: {context['error']}"
    expected = " or ".join(dict.fromkeys(_expected(each) for each in alternatives))
    options = re.findall(r"'([^']*)'", expected) if isinstance(value, str) else []
    return f"{path}: found {_text(value)}, expected {expected}{_did_you_mean(value, options)}"


def _expected(problem: ErrorDetails) -> str:
    if problem["type"] == "union_tag_invalid":
        return str(problem["ctx"]["expected_tags"])
    if problem["type"] in ("model_type", "dict_type", "union_tag_not_found"):
        return "a section with keys of its own"
    expected = problem["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return {"string": "text", "boolean": "true or false"}.get(expected, expected)


def _locate(location: tuple[int | str, ...], values: Any) -> tuple[str, Any]:
    """Dotted path and value of a problem, without the tags of variants and types that pydantic
    puts between and behind."""
    path: list[str] = []
    for index, step in enumerate(location):
        if isinstance(values, dict) and step not in values and index < len(location) - 1:
            continue
        if path and not isinstance(values, dict | list):
            break
        path.append(str(step))
        if isinstance(values, dict):
            values = values.get(step)
        elif isinstance(values, list) and isinstance(step, int) and step < len(values):
            values = values[step]
    return ".".join(path), values


def _nearest_key(path: str, location: tuple[int | str, ...]) -> str:
    others = [key for key in keys() if key.path == path]
    if others:
        names = " or ".join(name for key in others for name in key.variants)
        return f" with {path.split('.')[0]}.name={location[1]}; it belongs to {names}"
    paths = list(dict.fromkeys(key.path for key in keys()))
    leaf = path.rsplit(".", 1)[-1]
    same_leaf = [candidate for candidate in paths if candidate.rsplit(".", 1)[-1] == leaf]
    return _did_you_mean(path, same_leaf[:1] or [*paths, *Config.model_fields])


def _did_you_mean(name: object, options: Sequence[str]) -> str:
    nearest = difflib.get_close_matches(str(name), options, n=1, cutoff=0.6)
    if not nearest and len(options) == 1:
        nearest = list(options)
    return f"; did you mean {nearest[0]}?" if nearest else ""
