"""What to say of a path that is not there, and the name of a run by its table."""

from __future__ import annotations

from pathlib import Path

from display import for_shell
from spelling import nearest

MAGIC = set("*?[")


def missing(key: str, path: str, recipe: str | Path | None) -> str | None:
    """A sentence that says where was looked and what is near, for a path that is not there; None
    for one that is, or that is a pattern. `recipe`: the file that may have named it."""
    file = Path(path)
    if path == "-" or set(path) & MAGIC or _exists(file):
        return None
    place = "" if file.is_absolute() else f" in the working directory {Path.cwd()}"
    told = f"{path}: No such file or directory{place}"
    beside = Path(recipe).parent / path if recipe and not file.is_absolute() else None
    if beside and _exists(beside):
        return f"{told}, but beside the recipe: set {for_shell(f'{key}={beside}')}"
    if near := _near(file):
        return f"{told}; did you mean {for_shell(str(near))}?"
    return told


def run_name(path: str) -> str:
    """What a run on this table, or by this recipe, is called: a file's name without suffixes."""
    for part in reversed(Path(path).parts):
        name = "".join(c for c in part.lstrip(".").partition(".")[0] if c not in MAGIC)
        if name and name != "/":
            return name
    return "run"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, say
        return False


def _near(path: Path) -> Path | None:
    """A file beside it, or of its name in configs/, that was perhaps meant."""
    if (recipe := Path("configs", path.name)).suffix == ".yaml" and recipe.exists():
        return recipe
    try:
        names = [file.name for file in path.parent.iterdir() if not file.name.startswith(".")]
        names = [name for name in names if name != path.name]
    except OSError:
        return None
    same = [name for name in names if Path(name).stem == path.stem or name == path.stem]
    near = same[0] if len(same) == 1 else nearest(path.name, names)
    return path.with_name(near) if near else None
