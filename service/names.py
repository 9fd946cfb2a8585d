"""What models are called, and where they are. Light: read before worker processes are forked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from display import short
from errors import UserError
from model.folder import Export, read_export
from service.metrics import Described

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DIGITS = 12  # of a version: the first of the SHA-256 of contract.json


def named_exports(given: Sequence[str], expect: str | None = None) -> dict[str, Export]:
    """The exports of `name=folder`, or of a folder, whose own name it then has.

    Raises UserError for names that cannot be told from each other, or cannot stand in a URL, and
    ExportError for a folder that is not a sound export.
    """
    folders: dict[str, str] = {}
    for each in given:
        name, equals, folder = each.partition("=")
        if not equals or not NAME.fullmatch(name):
            if equals and not Path(each).exists():
                raise UserError(
                    f"--model {short(each)}: found the name {short(repr(name))}, expected up to 64 "
                    "letters, digits, dots, underscores and hyphens"
                )
            folder = each
            name = _name_of(folder)
        if name in folders:
            raise UserError(
                f"--model {short(each)}: the name {name} is given twice; expected another, as in "
                f"--model {name}-2={short(folder)}"
            )
        folders[name] = folder
    return {name: read_export(folder, expect) for name, folder in folders.items()}


def _name_of(folder: str) -> str:
    """That of the run folder, of the characters that may stand in a name."""
    parts = [*Path(folder).absolute().parts]
    if parts[-1] == "export" and len(parts) > 2:
        parts.pop()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", parts[-1]).strip("-._")[:64]
    return name if NAME.fullmatch(name) else "model"


def described(name: str, export: Export, engine: str) -> Described:
    """What metrics tell of a model."""
    shares = cast(Mapping[str, Mapping[str, float]], export.contract["shares"])
    return Described(name, export.sha256[:DIGITS], engine, shares)
