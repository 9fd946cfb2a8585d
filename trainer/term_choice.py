"""Which terms an additive model may have: what a recipe says of features, as positions of packed
columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from display import short
from errors import ConfigError
from reader.schema import Column, Schema, abridged
from spelling import did_you_mean

Pair = tuple[int, int]


@dataclass(frozen=True)
class TermChoice:
    """`mains`: the positions that may have a curve; `pairs`: the pairs that there are, None where
    they are searched for, at most `most_pairs` (None: as many as pay) and none of `excluded`;
    `directions`: by position 1 where predictions may only rise, -1 where they may only fall."""

    mains: tuple[int, ...]
    pairs: tuple[Pair, ...] | None = None
    most_pairs: int | None = None
    excluded: frozenset[Pair] = frozenset()
    directions: dict[int, int] = field(default_factory=dict)

    @property
    def are_named(self) -> bool:
        """Whether the recipe says which pairs there are, or how many."""
        return self.pairs is not None or self.most_pairs is not None


def choose_terms(schema: Schema, options: Mapping[str, Any]) -> TermChoice:
    """From the keys of an additive model. Raises ConfigError for a feature that is not there, and
    for a direction of one that is no number."""
    positions = _Positions(schema)
    pairs = [(term, "terms") for term in options["terms"] or [] if isinstance(term, list)]
    pairs += [(pair, "exclude_pairs") for pair in options["exclude_pairs"]]
    found = [(key, positions.pairs(pair, key)) for pair, key in pairs]
    wanted = [pair for key, some in found if key == "terms" for pair in some]
    excluded = [pair for key, some in found if key == "exclude_pairs" for pair in some]
    directions = {}
    for name, direction in options["monotone"].items():
        (position,) = positions.of_number(name)
        directions[position] = 1 if direction == "up" else -1
    most = None if options["pairs"] == "auto" else int(options["pairs"])
    if options["terms"] is None:
        every = tuple(range(len(schema.packed)))
        return TermChoice(every, None, most, frozenset(excluded), directions)
    single = [name for name in options["terms"] if not isinstance(name, list)]
    mains = {at for name in single for at in positions.of(name, "terms")}
    mains |= {at for pair in wanted for at in pair}
    unused = {at: d for at, d in directions.items() if at in mains}
    return TermChoice(tuple(sorted(mains)), tuple(dict.fromkeys(wanted)), directions=unused)


class _Positions:
    """Of the packed columns of each feature."""

    def __init__(self, schema: Schema) -> None:
        self.columns: dict[str, Column] = {column.name: column for column in schema.features}
        packed = [column.name for column in schema.features for _ in column.packed]
        self.known: dict[str, list[int]] = {name: [] for name in self.columns}
        for position, name in enumerate(packed):
            self.known[name].append(position)

    def of(self, name: str, key: str) -> list[int]:
        if name not in self.known:
            raise ConfigError(
                f"model.{key}: found {short(name)}, expected a feature of the table "
                f"({abridged(list(self.columns))}){did_you_mean(name, self.columns)}"
            )
        return self.known[name]

    def pairs(self, pair: Sequence[str], key: str) -> list[Pair]:
        first, second = (self.of(name, key) for name in pair)
        return [(min(a, b), max(a, b)) for a in first for b in second]

    def of_number(self, name: str) -> list[int]:
        found = self.of(name, "monotone")
        if (kind := self.columns[name].kind) not in ("numeric", "boolean"):
            raise ConfigError(
                f"model.monotone: {short(name)} is {kind}; predictions can rise or fall along a "
                "number only"
            )
        return found
