"""The keys of a recipe: which there are, of what type, and what their help says."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from configs.schema import Config, names_in
from configs.yaml_text import inline
from errors import ConfigError
from spelling import nearest


class Key(NamedTuple):
    """One key of one section."""

    path: str
    variants: tuple[str, ...]  # the names (of a model, an optimizer, ...) that have this key
    field: FieldInfo

    @property
    def types(self) -> set[type]:
        """What its value may be: str, int, list, dict, ...; str only where any text will do."""
        return set(_types(self.field.annotation))

    @property
    def is_list_of_texts(self) -> bool:
        lists = [a for a in _unfolded(self.field.annotation) if get_origin(a) is list]
        return any(str in _types(item) for each in lists for item in get_args(each))

    @property
    def names(self) -> tuple[str, ...]:
        """The words that its value may be."""
        return names_in(self.field.annotation)


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
    if annotation is None:
        yield NoneType
    origin = get_origin(annotation)
    if origin in (list, dict):
        yield origin
    elif isinstance(annotation, type):
        yield annotation
    elif origin is not Literal:
        for argument in get_args(annotation):
            yield from _types(argument)


def _unfolded(annotation: Any) -> Iterator[Any]:
    """An annotation, and those inside it."""
    yield annotation
    for inner in get_args(annotation):
        yield from _unfolded(inner)


def by_path() -> dict[str, list[Key]]:
    """The keys of each path: more than one where variants of a section share it."""
    found: dict[str, list[Key]] = {}
    for key in keys():
        found.setdefault(key.path, []).append(key)
    return found


def sections() -> list[str]:
    """The top-level sections, in their order."""
    return list(dict.fromkeys(path.partition(".")[0] for path in by_path()))


def meaning(entry: list[Key]) -> str:
    """The help of a path, on one line."""
    told = next(key.field.description for key in entry if key.field.description)
    return " ".join((told or "").split())


def default(entry: list[Key]) -> str:
    """The default of a path as text, by variant where they differ."""
    first = entry[0]
    if first.path == "run.dir":
        return "runs/ and the name of the recipe, or of the table"
    if first.path.endswith(".name"):
        return inline(first.field.default)
    if first.field.is_required():
        return "required"
    if not first.variants:
        return inline(first.field.default)
    by_default: dict[str, list[str]] = {}
    for key in entry:
        by_default.setdefault(inline(key.field.default), []).extend(key.variants)
    if len(by_default) == 1 and len(entry) > 1:
        return next(iter(by_default))
    return ", ".join(f"{value} with {' and '.join(names)}" for value, names in by_default.items())


def describe(section: str = "") -> str:
    """The help text of a section's keys, or of all: path, default by variant, meaning. Raises
    ConfigError where there is no such section."""
    shown = {
        path: entry
        for path, entry in by_path().items()
        if not section or path == section or path.startswith(f"{section}.")
    }
    if not shown:
        names = sections()
        begin = (name for name in names if section and name.startswith(section))
        near = nearest(section, names) or next(begin, None)
        hint = f"did you mean {near}?" if near else f"expected one of {', '.join(names)}"
        raise ConfigError(f"--help-keys {section}: no such section; {hint}")
    return "\n".join(f"{path} ({_default(e)})\n    {meaning(e)}" for path, e in shown.items())


def _default(entry: list[Key]) -> str:
    told = default(entry)
    return told if told == "required" else f"default: {told}"
