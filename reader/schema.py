"""The columns of a table and what each of them is for."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class TableError(ValueError):
    """A table is not what was asked for; the message says where, what was found and what to do."""


@dataclass(frozen=True)
class Schema:
    """Column names in file order, those that are features, and the target."""

    columns: tuple[str, ...]
    features: tuple[str, ...]
    target: str

    @classmethod
    def of(
        cls,
        source: str,
        columns: Sequence[str],
        target: str,
        exclude: Sequence[str],
        split_column: str | None = None,
    ) -> Schema:
        """Give each column of `source` its role: what has no other one is a feature.

        Raises TableError where a name is not a column, or where no feature is left.
        """
        named = [("data.target", target), *(("data.exclude", name) for name in exclude)]
        if split_column is not None:
            named.append(("data.split.column", split_column))
        for key, name in named:
            if name not in columns:
                raise TableError(
                    f"{source}: {key} names {name!r}, which is no column"
                    f"{did_you_mean(name, columns)}; the columns are {', '.join(columns)}"
                    f"{_no_header(columns)}"
                )
            if name == target and key != "data.target":
                raise TableError(f"{source}: {target!r} is both data.target and in {key}")
        others = {name for _, name in named}
        features = tuple(name for name in columns if name not in others)
        if not features:
            raise TableError(f"{source}: no feature is left; the columns are {', '.join(columns)}")
        return cls(tuple(columns), features, target)

    def describe(self) -> dict[str, Any]:
        """JSON values that `read` takes back."""
        kinds = dict.fromkeys(self.features, "numeric") | {self.target: "target"}
        return {"columns": [{"name": n, "kind": kinds.get(n, "ignored")} for n in self.columns]}

    @classmethod
    def read(cls, values: dict[str, Any]) -> Schema:
        kinds = {column["name"]: column["kind"] for column in values["columns"]}
        return cls(
            columns=tuple(kinds),
            features=tuple(name for name, kind in kinds.items() if kind == "numeric"),
            target=next(name for name, kind in kinds.items() if kind == "target"),
        )


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """`; did you mean 'x'?` with the closest of `names`, or nothing."""
    lowered = {candidate.lower(): candidate for candidate in names}
    close = difflib.get_close_matches(name.lower(), list(lowered), n=1)
    return f"; did you mean {lowered[close[0]]!r}?" if close else ""


def _no_header(columns: Sequence[str]) -> str:
    if not any(is_number(name) for name in columns):
        return ""
    return ". That looks like a row: name the columns of a table without a header in data.columns"
