"""Packed tables that somebody else wrote to, and tables that change while they are read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from errors import TableError
from files import digest
from reader.cache import Cache
from reader.pack import PackedTable, pack
from reader.schema import Column, Schema
from reader.table import open_table
from tests.attacks.reads import opened, outside

SCHEMA = Schema((Column("a", "numeric"), Column("b", "categorical"), Column("y", "target")))
ROWS = 300


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("a,b,y\n" + "".join(f"{v},t{v % 3},{v / 2}\n" for v in range(ROWS)))
    return path


def packed(table: Path, **more: Any) -> PackedTable:
    return pack(open_table(table), SCHEMA, Cache(table.parent / "cache", 0), **more)


def entry_of(table: Path) -> Path:
    packed(table)
    (entry,) = (table.parent / "cache").glob("*.float32")
    return entry


def note_of(entry: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(entry.with_suffix(".note").read_bytes().split(b"\n", 1)[1])
    return values


def sealed(entry: Path, note: object) -> None:
    text = json.dumps(note).encode()
    entry.with_suffix(".note").write_bytes(f"{digest(text)}\n".encode() + text)


def edit(entry: Path) -> None:
    """In place, to the same size and time."""
    times = entry.stat()
    with entry.open("r+b") as file:
        file.write(np.full(10, 99, dtype=np.float32).tobytes())
    os.utime(entry, ns=(times.st_atime_ns, times.st_mtime_ns))


def map_and_edit(entry: Path) -> None:
    rows = np.memmap(entry, dtype=np.float32, mode="r+")
    rows[:3] = 99
    rows.flush()


def replace(entry: Path) -> None:
    other = entry.with_suffix(".other")
    other.write_bytes(bytes(entry.stat().st_size))
    os.utime(other, ns=(entry.stat().st_atime_ns, entry.stat().st_mtime_ns))
    other.replace(entry)


def link(entry: Path) -> None:
    elsewhere = entry.parent.parent / "elsewhere"
    entry.rename(elsewhere)
    entry.symlink_to(elsewhere)


def pipe(entry: Path) -> None:
    entry.unlink()
    os.mkfifo(entry)


def endless(entry: Path) -> None:
    entry.unlink()
    entry.symlink_to("/dev/zero")


def sparse(entry: Path) -> None:
    with entry.open("r+b") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize("attack", [edit, map_and_edit, replace, link, pipe, endless, sparse])
@pytest.mark.parametrize("which", [".float32", ".note"])
def test_an_entry_that_was_written_to_is_packed_again(
    table: Path, capsys: pytest.CaptureFixture[str], attack: Callable[[Path], None], which: str
) -> None:
    whole = packed(table).matrix.copy()
    entry = entry_of(table)
    if (attack, which) == (map_and_edit, ".note"):
        attack = edit
    attack(entry.with_suffix(which))
    with opened() as files:
        np.testing.assert_array_equal(packed(table).matrix, whole)
    assert outside(files, table.parent) == []
    assert capsys.readouterr().err.count("packing the table again") == 1
    np.testing.assert_array_equal(packed(table).matrix, whole)
    assert capsys.readouterr().err == ""


def test_nobody_else_may_write_entries(table: Path) -> None:
    assert entry_of(table).parent.stat().st_mode & 0o777 == 0o700


ODD: list[Any] = [None, True, -1, 1.5, 10**30, "x", "", [], {}, [1], [None], {"b": 1}, {"b": [1]}]


def test_a_note_of_any_other_form_is_not_believed(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, entry = packed(table).matrix.copy(), entry_of(table)
    note = note_of(entry)
    forged: list[Any] = [{k: v for k, v in note.items() if k != key} for key in note]
    forged += [note | {key: odd} for key in note for odd in ODD]
    forged += [note | {"more": 1}, note | {"file_rows": [ROWS - 1]}, [], None, "x", 1]
    forged += [note | {"without_target": ROWS + 1}, note | {"texts": {"c": []}}]
    forged += [note | {"file_rows": [ROWS, 0]}, note | {"file_rows": [-ROWS]}]
    capsys.readouterr()
    assert len(forged) > 70
    for each in forged:
        sealed(entry, each)
        np.testing.assert_array_equal(packed(table).matrix, whole)
        assert capsys.readouterr().err.count("packing the table again") == 1, each


@pytest.mark.parametrize("text", [b"", b"\n", b"[" * 100_000, b"\xff\n\xff", b"0" * 64 + b"\n{}"])
def test_a_note_of_anything(table: Path, text: bytes) -> None:
    whole, entry = packed(table).matrix.copy(), entry_of(table)
    for content in (text, f"{digest(text)}\n".encode() + text):
        entry.with_suffix(".note").write_bytes(content)
        np.testing.assert_array_equal(packed(table).matrix, whole)


def cut(table: Path) -> None:
    os.truncate(table, table.stat().st_size // 2)


def rewrite(table: Path) -> None:
    """To the same size and time."""
    times = table.stat()
    table.write_text(table.read_text().replace("1", "7"))
    os.utime(table, ns=(times.st_atime_ns, times.st_mtime_ns))


def replace_table(table: Path) -> None:
    other = table.with_suffix(".new")
    other.write_text(table.read_text().replace("1", "7"))
    other.replace(table)


@pytest.mark.parametrize("change", [cut, rewrite, replace_table, Path.unlink])
@pytest.mark.parametrize("limit", [0, 1 << 30], ids=["mapped", "in memory"])
def test_a_table_that_changes_while_it_is_read(
    table: Path, change: Callable[[Path], None], limit: int
) -> None:
    cache = Cache(table.parent / "cache", limit)
    for when in ("after it was opened", "while it is packed", "after it was packed"):
        whole = table.read_bytes()
        found = open_table(table)
        if when == "after it was opened":
            change(table)
        seen = (lambda *_: change(table)) if when == "while it is packed" else None
        if when != "after it was packed":
            with pytest.raises(TableError, match=r"table.csv: the table changed while it was read"):
                pack(found, SCHEMA, cache, seen=seen)
            assert not list(table.parent.glob("cache/*.note"))
        else:
            pack(found, SCHEMA, cache)
            change(table)
            with pytest.raises(TableError, match="changed while it was read"):
                list(found.texts("b"))
        table.write_bytes(whole)
