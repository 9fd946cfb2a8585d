"""Keys of a recipe as parameters in Python: train={"epochs": 20}, and train__epochs=20."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from os import PathLike, fspath
from typing import Any

from configs.keys import by_path
from configs.load import check
from configs.schema import Config
from errors import ConfigError

SECTIONS = (
    "model",
    "data",
    "loss",
    "optimizer",
    "schedule",
    "train",
    "intervals",
    "export",
    "card",
)
NAMED = ("model", "loss", "optimizer", "schedule")  # which a name alone may stand for
ELSEWHERE = {
    "data.path": "X is the table: give its path to fit",
    "run": "nothing is written while a Regressor is fitted; save(folder) writes the export",
    "checkpoint": "nothing is written while a Regressor is fitted; train.py keeps checkpoints",
}
OF_FILES = ("format", "separator", "encoding", "sheet", "comment", "columns")
BETWEEN = "__"  # sections and keys, as in scikit-learn


@cache
def _known() -> frozenset[str]:
    return frozenset(by_path())


def nested(sections: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The keys in `sections` that are dictionaries, as in ("train__epochs", 20)."""
    for name, values in sections.items():
        if isinstance(values, Mapping) and name.replace(BETWEEN, ".") not in _known():
            inner = {f"{name}{BETWEEN}{key}": value for key, value in values.items()}
            yield from inner.items()
            yield from nested(inner)


def with_key(section: Any, keys: str, value: Any, before: str) -> dict[str, Any]:
    """A copy of a section in which `keys`, as in split__seed, has a value. `before`: the name of
    the section. What follows a key of names, as in kinds__zip, is such a name."""
    if isinstance(section, str) and before in NAMED:
        section = {"name": section}
    copy = dict(section) if isinstance(section, Mapping) else {}
    key, between, rest = keys.partition(BETWEEN)
    if between and before not in _known():
        copy[key] = with_key(copy.get(key), rest, value, f"{before}.{key}")
    else:
        copy[keys] = value
    return copy


def recipe(sections: Mapping[str, Any], path: str, target: str) -> Config:
    """The checked recipe of sections, on a table. Raises ConfigError."""
    values = {name: plain(section) for name, section in sections.items() if section is not None}
    for name in NAMED:
        if isinstance(values.get(name), str):
            values[name] = {"name": values[name]}
    data = values.setdefault("data", {})
    if isinstance(data, dict):
        if "path" in data:
            raise ConfigError(f"data.path: {ELSEWHERE['data.path']}")
        if data.get("target", target) != target:
            raise ConfigError(
                f"data.target: found {data['target']}, and the target given to fit is {target}"
            )
        values["data"] = {"path": path, "target": target, **data}
    return check({**values, "run": {"dir": "runs/regressor"}}, "")


def in_memory(config: Config) -> Config:
    """The same recipe. Raises ConfigError where it says what only a table in a file has."""
    for name in OF_FILES:
        if getattr(config.data, name) is not None:
            raise ConfigError(f"data.{name}: is for tables in files, and X is in memory")
    if config.data.split.method == "files":
        raise ConfigError("data.split.method: files needs X to be the path of a table")
    return config


def check_sections(names: Mapping[str, Any]) -> None:
    """Raises ConfigError for a section that there is not, which says what was meant."""
    for name, value in names.items():
        if name in ELSEWHERE:
            raise ConfigError(f"{name}: {ELSEWHERE[name]}")
        if name not in SECTIONS:
            recipe({name: value}, "X", "y")


def plain(value: Any) -> Any:
    """The value in plain Python: recipes hold no numbers of NumPy, tuples or paths."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    return fspath(value) if isinstance(value, PathLike) else value
