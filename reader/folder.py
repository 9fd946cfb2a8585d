"""Which files make a table: one, those of a folder, or those that match a glob."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from stat import S_ISREG

from errors import TableError

HIDDEN = re.compile(r"[.].*|~\$.*|_SUCCESS")
BESIDE = re.compile(  # what stands beside tables, and is none
    r"_.*|(readme|licen[cs]e|copying|changelog|notice|citation)(\.\w+)?"
    r"|thumbs\.db|desktop\.ini|ehthumbs\.db"
    r"|.*\.(md|rst|pdf|docx?|html?|png|jpe?g|gif|svg|ini|log|py|r|ipynb|ya?ml|toml|lock|bak|tmp"
    r"|crc|md5|sha1|sha256|names|lnk|url)",
    re.IGNORECASE,
)


def find_files(path: Path) -> tuple[list[Path], list[Path]]:
    """The files of a table, in order of name; and those of its folder that are left out.

    Of several files those that are empty, folders, pipes and devices are left out; of a folder
    also those that are known to be no table, such as a README, and hidden files do not count.
    Raises TableError where none is left, and for what no path can be.
    """
    if "\0" in str(path):
        raise TableError(f"{path}: has a NUL character, which no path has")
    if is_folder := path.is_dir():
        files = [file for file in sorted(path.iterdir()) if not HIDDEN.fullmatch(file.name)]
    elif is_glob(path):
        if "**" in path.name:
            raise TableError(f"{path}: ** is not understood; expected a pattern like folder/*.csv")
        files = sorted(path.parent.glob(path.name))
    else:
        return [path], []
    beside, tables = list[Path](), list[Path]()
    for file in files:
        named = is_folder and is_beside(file.name)
        (beside if named or not _may_be_table(file) else tables).append(file)
    if not tables:
        raise TableError(f"{path}: no files; expected at least one table")
    return tables, beside


def is_beside(name: str) -> bool:
    """Whether a file of this name stands beside tables, and is none."""
    return bool(BESIDE.fullmatch(name))


def _may_be_table(file: Path) -> bool:
    """Whether it is a file with content; a link that leads nowhere is told of by whoever opens
    it."""
    try:
        stat = file.stat()
    except OSError:
        return True
    return S_ISREG(stat.st_mode) and stat.st_size > 0


def is_glob(path: Path) -> bool:
    """Whether a path stands for all files that match it."""
    return any(sign in path.name for sign in "*?[") and not path.exists()


def is_read(table: Path, file: Path) -> bool:
    """Whether `file` is one of the files of the table at this path, or will be once it is
    written."""
    try:
        found, _ = find_files(table)
    except (TableError, OSError):
        found = []
    if file.is_file() and any(each.is_file() and each.samefile(file) for each in found):
        return True
    folder = table if table.is_dir() else table.parent
    if not folder.exists() or folder.resolve() != file.parent.resolve():
        return False
    if table.is_dir():
        return not (HIDDEN.fullmatch(file.name) or BESIDE.fullmatch(file.name))
    return is_glob(table) and fnmatchcase(file.name, table.name)
