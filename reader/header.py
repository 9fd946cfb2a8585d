"""What the header of a table calls its columns, and which of them have no name of their own."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from display import quoted, short
from errors import TableError
from reader.findings import as_kind, exclude
from reader.schema import free_name

ROW_NAMES = "row names"
INDEX = re.compile(  # what pandas and R call an index without a name
    r"__index_level_\d+__|Unnamed: 0(\.\d+)?|row[ ._]?names|\.\.\.1", re.IGNORECASE
)


@dataclass(frozen=True)
class Header:
    """`names`: of the columns, each once. `row_names`: columns that number or name the rows;
    `nameless`: those that have no name; `doubles`: by name, the further columns of that name."""

    names: tuple[str, ...]
    row_names: tuple[str, ...] = ()
    nameless: tuple[str, ...] = ()
    doubles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def set_aside(
        self, source: object, excluded: Collection[str], named: Collection[str]
    ) -> list[str]:
        """Columns that are not used beside those `excluded`, where a recipe names `named`: row
        names, and all of a name that is excluded. Raises TableError where a column that is to be
        used has no name, or the name of another."""
        aside = [name for name in self.row_names if name not in named]
        for name in self.nameless:
            if name not in named:
                raise TableError(
                    f"{source}: {short(name)} has no name; add one to the header, or leave it out "
                    f"({exclude(name)})"
                )
        for name, others in self.doubles.items():
            left = [other for other in others if other not in excluded]
            if name in excluded:
                aside += left
            elif left:
                raise TableError(
                    f"{self.doubled(source, name)}; rename one, or leave it out: "
                    f"{exclude(*others)}, or all of them: {exclude(name)}"
                )
        return aside

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should be told of row names."""
        if not (rows := self.row_names):
            return ()
        return (
            f"column {' and '.join(map(short, rows))} only names the rows, and is not used as a "
            f"feature; to use it, give its kind, as in {as_kind(rows[0], 'numeric')}",
        )

    def doubled(self, source: object, name: str) -> str:
        """What is wrong with a name that several columns have."""
        places = [self.names.index(each) + 1 for each in (name, *self.doubles[name])]
        return (
            f"{source}: the header names {quoted(name)} more than once (columns "
            f"{' and '.join(map(str, places))})"
        )


def header_of(cells: Sequence[str], names_rows: bool = False) -> Header:
    """The header whose cells these are. `names_rows`: the first column, which names the rows, has
    no cell in it.

    A first column without a name holds row names, as pandas and R write them. Another one without
    a name is called `column 3` by its position, and a second `b` is called `b (column 3)`.

    >>> header_of(["", "a", "b", "b"]).names
    ('row names', 'a', 'b', 'b (column 4)')
    """
    texts = [*[""] * names_rows, *map(name_of, cells)]
    names, row_names, nameless = dict[str, None](), list[str](), list[str]()
    doubles: dict[str, tuple[str, ...]] = {}
    for position, text in enumerate(texts, start=1):
        name = text
        if not text:
            name = free_name(ROW_NAMES if position == 1 else f"column {position}", texts)
            (row_names if position == 1 else nameless).append(name)
        elif text in names:
            name = free_name(f"{text} (column {position})", texts)
            doubles[text] = (*doubles.get(text, ()), name)
        names[name] = None
    row_names += [name for name in names if INDEX.fullmatch(name) and name not in row_names]
    return Header(tuple(names), tuple(row_names), tuple(nameless), doubles)


def name_of(cell: str) -> str:
    """The name that a cell of a header gives: on one line, without spaces around it."""
    return re.sub(r"\s*[\r\n]+\s*", " ", cell.strip())


def typed_header(names: Sequence[str], path: Path | None = None) -> Header:
    """The header of a file that has names of its own; `path`: of Parquet, which may say which of
    them are the index of a data frame."""
    index = [name for name in names if not name or INDEX.fullmatch(name)]
    if path is not None:
        told = pl.read_parquet_metadata(path).get("pandas")
        index += [name for name in _index_of(told) if name in names and name not in index]
    return Header(tuple(names), tuple(index))


def _index_of(told: str | None) -> list[str]:
    try:
        columns = json.loads(told or "{}")["index_columns"]
    except (ValueError, KeyError, TypeError):
        return []
    return [name for name in columns if isinstance(name, str)]
