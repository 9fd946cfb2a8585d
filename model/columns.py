"""What networks know of their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class InputColumn(Protocol):
    """One column of a network's input: a number, a 0/1 flag, or a code below `levels`; numbers come
    first and codes last."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def levels(self) -> int: ...


Columns = Sequence[InputColumn]


def split_columns(columns: Columns) -> tuple[int, Columns]:
    """How many columns are numbers or flags, and those behind them that are codes."""
    codes = [column for column in columns if column.kind == "code"]
    return len(columns) - len(codes), codes
