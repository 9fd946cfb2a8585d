from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from errors import TableError
from reader import pack as module
from reader.cache import Cache, Entry, Matrix
from reader.formats import Reading
from reader.pack import PackedTable, pack
from reader.table import open_table
from tests.conftest import numeric

ROWS = 150_000
SCHEMA = numeric(["a", "b", "y"], "y")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text("a,b,y\n" + "".join(f"{v},{v % 7},{v % 3}\n" for v in range(ROWS)))
    return path


def packed(table: Path, limit: int = 0, reading: Reading | None = None) -> PackedTable:
    cache = Cache(table.parent / "cache", limit)
    return pack(open_table(table, reading=reading), SCHEMA, cache)


def entries(table: Path) -> list[Path]:
    return sorted((table.parent / "cache").glob("*.float32"))


def test_cached_rows_are_those_in_memory(table: Path) -> None:
    in_memory = packed(table, limit=2**30)
    assert entries(table) == []
    mapped = packed(table)
    assert len(entries(table)) == 1
    again = packed(table)
    for other in (mapped, again):
        np.testing.assert_array_equal(other.matrix, in_memory.matrix)
        assert other.sha256 == in_memory.sha256
    assert sorted(path.suffix for path in (table.parent / "cache").iterdir()) == [
        ".float32",
        ".note",
    ]


@pytest.mark.parametrize(("limit", "batches"), [(200_000, 1), (1_700_000, 3)])
def test_a_table_that_is_plainly_too_large_does_not_go_through_memory(
    table: Path, monkeypatch: pytest.MonkeyPatch, limit: int, batches: int
) -> None:
    """Its 1.8 MB are 9 times the limit, or hardly more than it; a batch has 65,536 rows."""
    held, write = [], Entry.write

    def spy(entry: Entry, kept: list[Matrix], rest: Iterable[Matrix], size: float) -> None:
        held.append(len(kept))
        write(entry, kept, rest, size)

    monkeypatch.setattr(Entry, "write", spy)
    assert len(packed(table, limit)) == ROWS
    assert held == [batches]


def test_second_run_does_not_read_the_table(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed(table)

    def read(*arguments: object) -> None:
        raise AssertionError("the table was read")

    monkeypatch.setattr(module, "read_batches", read)
    assert len(packed(table).matrix) == ROWS


def test_a_changed_table_is_read_again(table: Path) -> None:
    packed(table)
    stat = table.stat()
    table.write_text(table.read_text().replace("\n1,", "\n5,", 1))
    os.utime(table, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert packed(table).matrix[1].tolist() == [5, 1, 1]


def test_another_way_of_reading_is_another_entry(table: Path) -> None:
    packed(table)
    packed(table, reading=Reading(comment="#"))
    assert len(entries(table)) == 2


def truncate(entry: Path) -> None:
    entry.write_bytes(entry.read_bytes()[:-4])


def lose_the_note(entry: Path) -> None:
    entry.with_suffix(".note").unlink()


def tear_the_note(entry: Path) -> None:
    entry.with_suffix(".note").write_text('{"bytes"')


@pytest.mark.parametrize("damage", [Path.unlink, truncate, lose_the_note, tear_the_note])
def test_a_torn_entry_is_made_again(table: Path, damage: Callable[[Path], None]) -> None:
    whole = packed(table).matrix.copy()
    damage(entries(table)[0])
    np.testing.assert_array_equal(packed(table).matrix, whole)
    np.testing.assert_array_equal(packed(table).matrix, whole)


def test_a_bad_cell_leaves_nothing_in_the_cache(table: Path) -> None:
    with open(table, "a") as file:
        file.write("1,x,2\n")
    with pytest.raises(TableError, match=f"line {ROWS + 2}, column b"):
        packed(table)
    assert list((table.parent / "cache").iterdir()) == []


def test_reading_says_how_far_it_is(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "12345,67890\n" * 200_000)
    seen: list[tuple[int, float]] = []
    pack(open_table(path), numeric(["a", "y"], "y"), seen=lambda *told: seen.append(told))
    rows, expected = zip(*seen, strict=True)
    assert len(rows) > 1
    assert rows[-1] == 200_000
    assert min(expected) == max(expected) == pytest.approx(200_000, rel=0.01)
