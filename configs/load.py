"""From a recipe and `-o key=value` overrides to a checked Config, or to one message."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from configs.flatten import leaves
from configs.keys import by_path
from configs.overrides import apply
from configs.paths import missing, run_name
from configs.schema import Config
from configs.suggest import key_like, value_like
from configs.yaml_text import inline, parse
from display import short
from errors import ConfigError
from files import read_plain

MOST_BYTES = 1 << 18
MOST_PROBLEMS = 20  # that a message tells of


def load(recipe: str | Path | None, overrides: Sequence[str] = ()) -> Config:
    """Read a recipe, apply `key=value` overrides in order, and check the whole; without a recipe
    the overrides are all there is.

    Raises ConfigError, with one line for each problem.
    """
    values, problems = _read(Path(recipe)) if recipe else {}, []
    for override in overrides:
        try:
            apply(values, override)
        except ConfigError as error:
            problems.append(str(error))
    data, run = values.get("data"), values.setdefault("run", {})
    source = recipe or (data.get("path") if isinstance(data, dict) else None)
    if isinstance(run, dict):
        run.setdefault("dir", f"runs/{run_name(str(source or 'run'))}")
    return check(values, str(recipe or ""), problems)


def check(values: dict[str, Any], source: str, problems: Sequence[str] = ()) -> Config:
    """The recipe of these values, section by section; defaults for those that are not there.

    Raises ConfigError, with a line for each problem, those known already among them; `source` says
    where the values are from.
    """
    lines, untold = list(problems), 0
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        together: dict[str, list[ErrorDetails]] = {}
        for problem in error.errors(include_url=False):
            together.setdefault(_locate(problem["loc"], values)[0], []).append(problem)
        told = islice(together.values(), MOST_PROBLEMS)
        lines += [_explain(alternatives, values) for alternatives in told]
        untold = max(0, len(together) - MOST_PROBLEMS)
    count = len(lines) + untold
    if count == 1:
        known = lines[0].startswith("-o ") or not source
        raise ConfigError(lines[0] if known else f"{source}: {lines[0]}")
    if lines:
        lines += [f"and {untold:,} more"] * (untold > 0)
        place = f"{source}: " if source else ""
        raise ConfigError(f"{place}{count:,} problems", *lines)
    return config


def check_tables(config: Config, recipe: str | Path | None) -> Config:
    """The same recipe. Raises ConfigError where one of its tables is not there."""
    data = config.data
    named = {
        "data.path": data.path,
        "data.split.validation_path": data.split.validation_path,
        "data.split.test_path": data.split.test_path,
    }
    told = [missing(key, path, recipe) for key, path in named.items() if path]
    if lines := [line for line in told if line]:
        raise ConfigError(*lines)
    return config


def differences(old: Config, new: Config, aside: Sequence[str] = ()) -> list[str]:
    """A line for each key that differs; `aside`: keys, or sections, that may."""
    before, after = kept(old, aside), kept(new, aside)
    return [
        f"{key}: {short(inline(after[key]))} now, {short(inline(before[key]))} in the run"
        for key in after  # what only one variant of a section has, its name tells
        if key in before and before[key] != after[key]
    ]


def kept(config: Config, aside: Sequence[str]) -> dict[str, Any]:
    """The values of a recipe by dotted key, without the keys and sections that are `aside`."""
    return {
        key: value
        for key, value in leaves(config.model_dump())
        if not any(key == name or key.startswith(f"{name}.") for name in aside)
    }


def _read(recipe: Path) -> dict[str, Any]:
    try:
        text = read_plain(recipe, MOST_BYTES, link=True).decode()
    except FileNotFoundError as error:
        raise ConfigError(missing("", str(recipe), None) or f"{recipe}: {error.strerror}") from None
    except OSError as error:
        raise ConfigError(f"{recipe}: {error.strerror}; expected a recipe (YAML)") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{recipe}: byte {error.start} is not UTF-8; a recipe is a YAML file in UTF-8, and a "
            "table is given with --data"
        ) from None
    except ValueError as error:
        raise ConfigError(f"{recipe}: {error}; expected a recipe (YAML)") from None
    values = parse(text, str(recipe))
    if not isinstance(values, dict):
        found = "an empty file" if values is None else short(inline(values))
        raise ConfigError(
            f"{recipe}: found {found}; expected sections, as in `data: {{path: houses.csv, target: "
            "price}`. A table is given with --data"
        )
    return values


def _explain(alternatives: Sequence[ErrorDetails], values: Mapping[str, Any]) -> str:
    """One line: the key, what was found, what was expected: any of the alternatives."""
    problem = alternatives[0]
    path, value = _locate(problem["loc"], values)
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in ("extra_forbidden", "invalid_key"):
        return f"{short(path)}: no such key{_nearest_key(path, problem['loc'])}"
    if kind == "missing":
        table = {"data.path": "--data TABLE", "data.target": "--target COLUMN"}
        return f"{path}: missing; set it with {table.get(path, f'-o {path}=...')}, or in a recipe"
    if kind == "union_tag_invalid":
        path, value = f"{path}.name", context["tag"]
    elif kind == "value_error":
        if (
            path.rpartition(".")[0] + ".name" in by_path()
        ):  # of a section, behind whose name its tag is
            path = path if path in by_path() else path.rpartition(".")[0]
        return f"{path}: {context['error']}" if path else str(context["error"])
    expected = list(dict.fromkeys(_expected(each) for each in alternatives))
    options = [name for each in alternatives for name in _options(each)]
    near = _nearest_value(path, value, options, problem)
    hint = f"; did you mean {near}?" if near else ""
    found = short(inline(value))
    return f"{short(path)}: found {found}, expected {' or '.join(expected)}{hint}"


def _nearest_value(
    path: str, value: object, options: Sequence[str], problem: ErrorDetails
) -> str | None:
    """What was meant by a value: a name, the name of a section's variant, or a share."""
    name = f"{path}.name"
    if isinstance(value, str):
        names = [word for key in by_path().get(name, []) for word in key.names]
        near = value_like(value, options or names)
        return f"{name}={near}" if near and not options else near
    context = problem.get("ctx", {})
    if 1 in (context.get("lt"), context.get("le")) and isinstance(value, int | float):
        return f"{value / 100:g}" if 1 < value < 100 else None
    return None


def _options(problem: ErrorDetails) -> list[str]:
    """The names that a value may be."""
    context = problem.get("ctx", {})
    return re.findall(r"'([^']*)'", str(context.get("expected_tags") or context.get("expected")))


EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "finite_number": "a finite number",
    "string": "text (numbers in quotes)",
    "bool": "true or false",
    "list": "a list, as in [a, b]",
    "dict": "a mapping, as in {name: value}",
    "model": "a section with keys of its own",
    "union_tag_not_found": "a section with keys of its own",
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "more than {gt:g}",
    "less_than_equal": "at most {le:g}",
    "less_than": "less than {lt:g}",
    "string_too_short": "text that is not empty",
    "string_too_long": "at most {max_length} character",
    "too_short": "at least {min_length} in the list",
    "too_long": "at most {max_length} in the list",
}


def _expected(problem: ErrorDetails) -> str:
    if options := _options(problem):
        return either(options)
    kind = problem["type"]
    plain = EXPECTED.get(kind) or EXPECTED.get(kind.partition("_")[0])
    if plain is None:
        return problem["msg"].removeprefix("Input should be ")
    return plain.format(**problem.get("ctx", {})) if "{" in plain and "ctx" in problem else plain


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


def either(names: Sequence[str]) -> str:
    """As in `a, b or c`."""
    return ", ".join(names[:-1]) + " or " * (len(names) > 1) + names[-1]


def _nearest_key(path: str, location: tuple[int | str, ...]) -> str:
    """What helps with a key that there is not."""
    known = by_path()
    section = path.partition(".")[0]
    if path in known:
        names = either([name for key in known[path] for name in key.variants])
        return f" with {section}.name={location[1]}; it belongs to {names}"
    near = key_like(path)
    if near in known and not near.endswith(".name"):
        name = f"{near.partition('.')[0]}.name"
        has = [variant for key in known[near] for variant in key.variants]
        every = [variant for key in known.get(name, []) for variant in key.variants]
        only = f" (with {name}={either(has)})" if len(has) < len(every) else ""
        return f"; did you mean {near}{only}?"
    listed = f"train.py --help-keys {section} lists the keys" if section in _sections() else ""
    return f"; did you mean {near}?" if near else f"; {listed or 'train.py --help-keys lists them'}"


def _sections() -> set[str]:
    return {path.partition(".")[0] for path in by_path()}
