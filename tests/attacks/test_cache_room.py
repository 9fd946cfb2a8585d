"""A folder for packed tables does not grow for ever, and files of others in it stay."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import polars
import pytest

from files import drafted_among_others, remove_dead_drafts
from output import output_of
from reader.cache import Cache
from reader.pack import PackedTable, pack
from reader.table import open_table
from tests.conftest import numeric

DAY = 86_400
Usage = namedtuple("Usage", "free")


def packed(cache: Path, name: str) -> PackedTable:
    """A table of 8,000 bytes."""
    table = cache.parent / f"{name}.csv"
    if not table.exists():
        table.write_text("a,y\n" + f"{len(name)},2\n" * 1_000)
    return pack(open_table(table), numeric(["a", "y"], "y"), Cache(cache, limit=0))


def predictions(path: Path) -> None:
    with output_of(str(path)).open() as writer:
        writer.write(polars.DataFrame({"prediction": [1.5]}))


def entries(cache: Path) -> set[str]:
    return {path.name for path in cache.glob("*.float32")}


def pass_by(cache: Path, days: float) -> None:
    """Let the last use of the entries be so much longer ago."""
    for path in cache.glob("*.note"):
        os.utime(path, (path.stat().st_mtime - days * DAY,) * 2)


def test_what_was_not_used_for_long_goes_when_the_next_is_packed(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    packed(cache, "one")
    one = entries(cache)
    packed(cache, "second")
    second = entries(cache) - one
    pass_by(cache, 29)
    packed(cache, "one")  # which is a use
    pass_by(cache, 2)
    packed(cache, "the third")
    assert one < entries(cache)
    assert not second & entries(cache)
    assert len([*cache.iterdir()]) == 4  # each with its note


def test_the_least_recently_used_go_where_the_disk_is_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk of 45 KB has room for two entries of 8 KB beside a new one, as 16 <= (45 - 8) / 2.
    A run that has mapped one that goes still reads it."""
    cache = tmp_path / "cache"

    def usage(folder: Path) -> Usage:
        return Usage(45_000 - sum(path.stat().st_size for path in folder.glob("*.float32")))

    monkeypatch.setattr(shutil, "disk_usage", usage)
    mapped = packed(cache, "one")
    one = entries(cache)
    pass_by(cache, 1)
    packed(cache, "second")
    second = entries(cache) - one
    pass_by(cache, 1)
    packed(cache, "the third")
    assert len(entries(cache)) == 3
    pass_by(cache, 1)
    packed(cache, "one")
    packed(cache, "the fourth")
    assert one < entries(cache)
    assert not second & entries(cache)
    assert len(entries(cache)) == 3
    pass_by(cache, 1)
    for name in ("number five", "number 6 of them", "number 7"):
        packed(cache, name)
    assert not one & entries(cache)
    assert len(entries(cache)) == 3
    assert (mapped.matrix == [3, 2]).all()


def test_files_of_others_stay(tmp_path: Path) -> None:
    cache, name = tmp_path / "cache", "0123456789abcdef" * 2
    cache.mkdir()
    for mine in (f"{name}.note", f"{name[1:]}.float32", f"{name}.float32.csv", "t.csv"):
        (cache / mine).write_text("a,y\n1,2\n")
    for mine in (".draft-1", ".draft-0123456789abcde", ".t.csv.draft", f"{name}.tmp"):
        (cache / mine).write_text("mine")
    (cache / f"{name[:-1]}0.float32").mkdir()
    (cache / ".draft-0123456789abcdef").mkdir()
    (cache / ".draft-1123456789abcdef").symlink_to(cache / "t.csv")
    os.mkfifo(cache / ".draft-2123456789abcdef")
    before = {path.name for path in cache.iterdir()}
    for path in cache.iterdir():
        os.utime(path, (0, 0), follow_symlinks=False)
    packed(cache, "one")
    packed(cache, "second")
    assert {path.name for path in cache.iterdir()} - entries(cache) >= before - entries(cache)
    assert (cache / f"{name[:-1]}0.float32").is_dir()
    assert (cache / "t.csv").read_text() == "a,y\n1,2\n"


def test_drafts_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from files import drafted_among_others\n"
        "with drafted_among_others(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); file.flush(); print('ready', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "t")], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    with drafted_among_others(tmp_path / "mine") as file:
        file.write(b"whole")
        remove_dead_drafts(tmp_path)
        assert len([*tmp_path.iterdir()]) == 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    remove_dead_drafts(tmp_path)
    (left,) = {*tmp_path.iterdir()} - {tmp_path / "mine"}  # it may have been made just now
    os.utime(left, (0, 0))
    remove_dead_drafts(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert (tmp_path / "mine").read_bytes() == b"whole"


@pytest.mark.parametrize(
    "write", [lambda f: packed(f, "table"), lambda f: predictions(f / "p.csv")]
)
def test_the_next_write_removes_what_a_killed_one_left(
    tmp_path: Path, write: Callable[[Path], object]
) -> None:
    dead = tmp_path / ".draft-0123456789abcdef"
    dead.write_bytes(b"half")
    os.utime(dead, (0, 0))
    write(tmp_path)
    assert not dead.exists()
