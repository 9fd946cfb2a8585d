"""The columns of a table, their kinds, and what each of them is for."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from display import quoted, short
from errors import TableError
from spelling import did_you_mean

KINDS = ("numeric", "categorical", "boolean", "time", "id", "ignored")
OUTPUTS = ("prediction", "lower", "upper", "error")  # what stands beside ids in predictions
FEATURES = ("numeric", "categorical", "boolean", "time")


@dataclass(frozen=True)
class Column:
    """One column of a table.

    `levels`: the texts of a categorical column that have a code, from 1; None is an empty cell,
    and any other text has code 0. `format`: how a time is written (strftime), or, in a column whose
    texts are read as numbers, how one and a half is (`$1.5`, see reader.written.Form). `parts`:
    what a time becomes, `origin`: the ISO date from which `elapsed` counts days, `stem`: what the
    names of its parts begin with, where that is not its own name.
    """

    name: str
    kind: str
    levels: tuple[str | None, ...] = ()
    format: str = ""
    parts: tuple[str, ...] = ()
    origin: str = ""
    stem: str = ""

    @property
    def packed(self) -> tuple[str, ...]:
        """The names of the numbers that a cell becomes."""
        return tuple(f"{self.stem or self.name}.{part}" for part in self.parts) or (self.name,)

    def describe(self) -> dict[str, Any]:
        """JSON values that `Column.read` takes back."""
        return {key: value for key, value in asdict(self).items() if value or key == "name"}

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Column:
        tuples = {key: tuple(v) for key, v in values.items() if isinstance(v, list)}
        return cls(**{**values, **tuples})


@dataclass(frozen=True)
class Schema:
    """The columns in file order; one is the target."""

    columns: tuple[Column, ...]
    has_header: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def target(self) -> str:
        return self.target_column.name

    @property
    def target_column(self) -> Column:
        return next(column for column in self.columns if column.kind == "target")

    @property
    def features(self) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.kind in FEATURES)

    @property
    def ids(self) -> tuple[str, ...]:
        """Columns that accompany a prediction."""
        return tuple(column.name for column in self.columns if column.kind == "id")

    @property
    def packed(self) -> tuple[str, ...]:
        """The names of the numbers that the features of a row become, in order."""
        return tuple(name for column in self.features for name in column.packed)

    def with_levels(self, levels: Mapping[str, tuple[str | None, ...]]) -> Schema:
        """The same, with other levels for the columns named."""
        columns = (
            Column(column.name, column.kind, levels[column.name])
            if column.name in levels
            else column
            for column in self.columns
        )
        return Schema(tuple(columns), self.has_header)

    def describe(self) -> dict[str, Any]:
        """JSON values that `Schema.read` takes back."""
        return {
            "columns": [column.describe() for column in self.columns],
            "has_header": self.has_header,
        }

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Schema:
        return cls(tuple(map(Column.read, values["columns"])), values["has_header"])


class Role(NamedTuple):
    """What `key` of a recipe says of a column: its kind, or None where cells must tell."""

    key: str
    column: str
    kind: str | None


def roles(
    source: str, names: Sequence[str], target: str, given: Sequence[Role] = ()
) -> dict[str, str | None]:
    """The kind of each column of `source` by what is `given`, or None where cells must tell.

    Raises TableError where a name is not a column, or where no feature is left.
    """
    kinds: dict[str, str | None] = dict.fromkeys(names)
    for key, name, kind in [Role("data.target", target, "target"), *given]:
        if name not in names:
            raise TableError(
                f"{source}: {key} names {quoted(name)}, which is not a column"
                f"{did_you_mean(name, names)}; the columns are {abridged(names)}"
                f"{_no_header(names)}"
            )
        as_numbers = (key, kind) == ("data.kinds", "numeric")
        if name == target and key != "data.target" and not as_numbers:
            raise TableError(f"{source}: {quoted(target)} is both data.target and in {key}")
        kinds[name] = "target" if name == target else kind or kinds[name]
    if all(kind in ("ignored", "id", "target") for kind in kinds.values()):
        raise TableError(f"{source}: no feature is left; the columns are {abridged(names)}")
    return kinds


def free_name(name: str, taken: Container[str]) -> str:
    """The name, with as many underscores behind it as make it none of those taken.

    >>> free_name("prediction", {"prediction", "lower"})
    'prediction_'
    """
    while name in taken:
        name += "_"
    return name


def id_headers(ids: Sequence[str], outputs: Sequence[str] = OUTPUTS) -> dict[str, str]:
    """What each id column is called beside `outputs`, which keep their names.

    >>> id_headers(["home", "error"])
    {'home': 'home', 'error': 'error_'}
    """
    taken = {*outputs, *OUTPUTS}
    headers = {name: name for name in ids if name not in taken}
    for name in ids:
        if name in taken:
            headers[name] = free_name(name, {*taken, *ids, *headers.values()})
    return {name: headers[name] for name in ids}


def is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def abridged(names: Sequence[str], most: int = 20) -> str:
    """The names after commas; of many the first, and how many more there are.

    >>> abridged(["a", "b", "c", "d"], 2)
    'a, b and 2 more'
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(map(short, names[:most]))}{more}"


def unlike(names: Sequence[str], expected: Sequence[str]) -> str:
    """What a file lacks of the expected columns, and what it has beside them.

    >>> unlike(["a", "c"], ["a", "b"])
    'without b, with c'
    """
    lacking = [name for name in expected if name not in set(names)]
    beside = [name for name in names if name not in set(expected)]
    parts = (("without", lacking), ("with", beside))
    return ", ".join(f"{word} {abridged(some)}" for word, some in parts if some)


def _no_header(columns: Sequence[str]) -> str:
    if not any(is_number(name) for name in columns):
        return ""
    return ". That looks like a row: name the columns of a table without a header in data.columns"
