from __future__ import annotations

import errno
from pathlib import Path

import pytest

from files import DRAFT, drafted, drafted_folder, write_atomically


def test_two_writers_of_one_name_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with drafted(path) as first, drafted(path) as second:
        drafts = [file.name for file in tmp_path.iterdir()]
        assert len(drafts) == 2
        assert all(DRAFT.fullmatch(name) for name in drafts)
        first.write(b"first")
        second.write(b"second")
    assert path.read_bytes() == b"first"  # renamed last
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_as_long_as_names_can_be(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("x" * 255), b"1", to_disk=True)
    assert [len(path.name) for path in tmp_path.iterdir()] == [255]


def test_a_full_disk_is_told_of_the_file_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as full, drafted(tmp_path / "a.csv"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert full.value.filename == str(tmp_path / "a.csv")
    with pytest.raises(FileNotFoundError) as absent, drafted(tmp_path / "no" / "a.csv"):
        pass
    assert absent.value.filename == str(tmp_path / "no" / "a.csv")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_replaced_file_by_file(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    for content in ("one", "two"):
        with drafted_folder(folder) as draft:
            (draft / "model.json").write_text(content)
        (folder / "notes.txt").write_text("the user's")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "model.json": "two",
        "notes.txt": "the user's",
    }
    with pytest.raises(FileNotFoundError), drafted_folder(folder) as draft:
        (draft / "absent").rename(draft / "model.json")
    assert (folder / "model.json").read_text() == "two"
    assert list(tmp_path.iterdir()) == [folder]
