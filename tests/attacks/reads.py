"""Which files a piece of code opens, by Python's audit events."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_listening: list[list[Path]] = []


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if _listening and event in ("open", "os.truncate") and not isinstance(arguments[0], int):
        _listening[-1].append(Path(os.fsdecode(arguments[0])))


sys.addaudithook(_heard)


@contextmanager
def opened() -> Iterator[list[Path]]:
    """The files that are opened while it is entered."""
    files: list[Path] = []
    _listening.append(files)
    try:
        yield files
    finally:
        _listening.pop()


def outside(files: list[Path], *folders: Path) -> list[Path]:
    """Those of them that lie in none of the folders, wherever links lead; the code of Python and of
    its packages left out."""
    ours = [folder.resolve() for folder in (*folders, Path(sys.prefix), Path(sys.base_prefix))]
    found = {file.resolve() for file in files if file.suffix not in (".py", ".pyc")}
    return sorted(f for f in found if not any(f.is_relative_to(each) for each in ours))
