"""What a run writes into its folder, known by name: nothing else in it is ever moved or removed."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from files import DRAFT, lock

DONE, DIVERGED = "DONE", "DIVERGED"
CONFIG = "config.yaml"
LOG = "vdlrecords.run.log"
ASIDE_LOG = "vdlrecord.run.log"  # of a run set aside: VisualDL overlooks it, and will not miss it

Names = Mapping[str, Any]  # a pattern of names to what is in folders so called; files: None

CHECKPOINT: Names = {r"(weights|optimizer|best)\.safetensors|state\.json": None}
_TRAINING: Names = {
    "checkpoints": {rf"last|best|step-\d+|{DRAFT.pattern}": CHECKPOINT},
    "curves": {"train|validation|optimum": {f"{re.escape(LOG)}|{re.escape(ASIDE_LOG)}": None}},
}
RUN: Names = {
    rf"{re.escape(CONFIG)}|{DONE}|{DIVERGED}|schema\.json|report\.(json|html)": None,
    rf"export|{DRAFT.pattern}": {r"contract\.json|model\.(json|pdiparams|onnx)": None},
    "folds": {r"\d+": _TRAINING},
    "refit": _TRAINING,
    **_TRAINING,
}


def ours(folder: Path, names: Names = RUN) -> Iterator[Path]:
    """The files and folders that a run has written, each folder after what is in it; links, pipes
    and the like are never among them."""
    for path, inner, is_right in _named(folder, names):
        if is_right and inner is not None:
            yield from ours(path, inner)
        if is_right:
            yield path


def misplaced(folder: Path, names: Names = RUN) -> Path | None:
    """Something where a run would put a file or folder of its own, that is of another kind."""
    for path, inner, is_right in _named(folder, names):
        if not is_right:
            return path
        if inner is not None and (found := misplaced(path, inner)):
            return found
    return None


def _named(folder: Path, names: Names) -> Iterator[tuple[Path, Names | None, bool]]:
    """What has a name that a run gives, what may be in it, and whether it is of the right kind."""
    with os.scandir(folder) as entries:
        found = list(entries)
    for entry in found:
        is_file = entry.is_file(follow_symlinks=False)
        if DRAFT.fullmatch(entry.name) and is_file:
            if not _is_being_written(Path(entry)):
                yield Path(entry), None, True
            continue
        for pattern, inner in names.items():
            if re.fullmatch(pattern, entry.name):
                is_folder = entry.is_dir(follow_symlinks=False)
                yield Path(entry), inner, is_file if inner is None else is_folder


def _is_being_written(draft: Path) -> bool:
    """By another program: predictions, too, may go into a run folder."""
    with draft.open("rb") as file:
        return not lock(file)


def remove(folder: Path, names: Names = RUN, keep: str = "") -> None:
    """Remove what a run has written into `folder`, and the folder where nothing else is left in
    it. `keep`: the name of something in it that stays."""
    for path in list(ours(folder, names)):
        if keep not in path.relative_to(folder).parts:
            _remove(path)
    _remove(folder)


def remove_drafts(folder: Path) -> None:
    """Remove what was being written when a process died."""
    for path in list(ours(folder)):
        if DRAFT.search(str(path.relative_to(folder))):
            _remove(path)


def _remove(path: Path) -> None:
    if not path.is_dir():
        path.unlink()
    elif not any(path.iterdir()):
        path.rmdir()


def set_aside(folder: Path, aside: Path) -> None:
    """Move a run from `folder` to `aside`; its export stays where it is, and is linked there. The
    recipe goes last: before it has gone, `put_back` undoes the rest."""
    for path in sorted(ours(folder), key=lambda path: path.name == CONFIG):
        to = aside / path.relative_to(folder)
        if path.is_dir():
            _remove(path)
            continue
        to.parent.mkdir(parents=True, exist_ok=True)
        if path.parent == folder / "export":
            _link(path, to)
        else:
            path.replace(to.with_name(ASIDE_LOG) if to.name == LOG else to)


def put_back(folder: Path, aside: Path) -> None:
    """Move a run from `aside` to `folder`, each file in the place of one that is there; the recipe
    goes first: from then on, what is left is moved by another call, if this one is cut short."""
    for path in sorted(ours(aside), key=lambda path: path.name != CONFIG):
        to = folder / path.relative_to(aside)
        if path.is_dir():
            continue
        to.parent.mkdir(parents=True, exist_ok=True)
        path.replace(to.with_name(LOG) if to.name == ASIDE_LOG else to)
    remove(aside)


def _link(path: Path, to: Path) -> None:
    try:
        os.link(path, to)
    except OSError:  # a file system without links
        shutil.copyfile(path, to)
