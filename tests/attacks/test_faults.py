"""Tables and paths that are made to do harm: one message and exit code 2, soon, in little memory;
nothing hangs, and nothing is written."""

from __future__ import annotations

import bz2
import errno
import gzip
import json
import lzma
import os
import random
import re
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import train
from errors import ConfigError, TableError
from pipeline import plan
from reader import decode, lines
from reader.formats import Reading
from reader.table import open_table

ROWS = "".join(f"{i},{i * 7 % 11},{i * 2 + 1}\n" for i in range(60))
CSV = f"a,b,y\n{ROWS}".encode()
OBJECTS = "".join(f'{{"a":{i},"y":{i * 2}}}\n' for i in range(60))


def check(path: Path | str, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """The one message of `--check`."""
    arguments = ["--check", "--data", str(path), "--target", "y", *options]
    assert train.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    return error


def zipped(path: Path, **files: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)


@pytest.mark.parametrize("key", ["data.path", "data.cache", "run.dir"])
@pytest.mark.parametrize("value", ["'a\\0b'", "' '", "'\t'"])
def test_no_path(key: str, value: str) -> None:
    given = ["data.path=data/boston/housing.data", "data.target=y"]
    with pytest.raises(ConfigError, match=f"{key}: found .*, expected a path"):
        plan(None, [*given, f"{key}={value}".replace("'a\\0b'", '"a\\0b"')])


@pytest.mark.parametrize("folder", [".", "..", "/", "a/..", "./"])
def test_run_folder_without_a_name(folder: str) -> None:
    given = ["data.path=data/boston/housing.data", "data.target=y", f"run.dir={folder}"]
    with pytest.raises(ConfigError, match=r"run\.dir: found .* expected a folder with a name"):
        plan(None, given)


@pytest.mark.parametrize("name", ["***", "a**", "**", "[", "x" * 300, "a\0b", "d/" * 3_000])
def test_patterns_and_names_that_match_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(TableError):
        open_table(f"{tmp_path}/{name}")


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    (tmp_path / "loop").symlink_to("loop")
    for path, words in {
        tmp_path / "pipe": "is a pipe, expected a file",
        tmp_path / "socket": "is a socket, expected a file",
        Path("/dev/zero"): "is a device, expected a file",
        tmp_path / "loop": "Too many levels of symbolic links",
    }.items():
        with pytest.raises(TableError, match=words):
            open_table(path)


def test_folder_with_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(CSV)
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "sub").mkdir()
    (tmp_path / "up").symlink_to("..")
    assert open_table(tmp_path).notes == ("left out, not tables: pipe.csv, sub, up",)
    (tmp_path / "b.csv").symlink_to("nowhere")  # rows that should be there, and are not
    with pytest.raises(TableError, match=r"b\.csv: No such file"):
        open_table(tmp_path)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_line_without_end(
    pack: Callable[[bytes], bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "LONGEST", 2 << 20)
    (tmp_path / "t.csv").write_bytes(pack(b"a,b," + b"y" * (4 << 20)))
    with pytest.raises(TableError, match="found a line of more than 2 MB, expected a row a line"):
        open_table(tmp_path / "t.csv")


def test_later_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST", 2 << 20)
    for name, start in {"t.csv": CSV, "t.jsonl": OBJECTS.encode() + b'{"a":"'}.items():
        (tmp_path / name).write_bytes(start + b"1" * (4 << 20) + b"\n")
        with pytest.raises(TableError, match="found a line of more than 2 MB"):
            open_table(tmp_path / name)


@pytest.mark.parametrize("line", ["1,2,3\n", "# more\n", "\n"])
@pytest.mark.parametrize("packing", ["gz", "bz2", "xz", "zip"])
def test_file_that_unpacks_to_too_much(packing: str, line: str, tmp_path: Path) -> None:
    text, path = CSV + line.encode() * ((3 << 20) // len(line)), tmp_path / f"t.csv.{packing}"
    pack: dict[str, Callable[[bytes], bytes]] = {
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "xz": lzma.compress,
    }
    path.write_bytes(pack[packing](text)) if packing in pack else zipped(path, t_csv=text)
    size = f"{path.stat().st_size / 1e6:,.1f} MB"
    with pytest.raises(TableError, match=f"{size} unpack to more than . MB.* data.unpack_limit"):
        open_table(path, reading=Reading(unpack_limit=1 << 20))


def test_workbook_that_unpacks_to_too_much(tmp_path: Path) -> None:
    sheet = b"<sheet>" * (1 << 20)
    zipped(tmp_path / "t.xlsx", **{"xl/workbook_xml": b"<x/>", "xl/worksheets/sheet1_xml": sheet})
    with pytest.raises(TableError, match="unpack to more than 1 MB"):
        open_table(tmp_path / "t.xlsx", reading=Reading(unpack_limit=1 << 20))


def test_rows_that_take_no_space_in_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pl.DataFrame({"a": [1.0], "y": [2.0]}).select(
        pl.all().repeat_by(1 << 18).explode()
    ).write_parquet(tmp_path / "t.parquet")
    message = check(tmp_path / "t.parquet", capsys, "-o", "data.unpack_limit=1")
    assert "unpack to more than 1 MB" in message


def test_limit_that_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "RATIO", 1)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(CSV * 20_000))
    with pytest.raises(TableError, match="unpack to more than 1 MB"):
        open_table(tmp_path / "t.csv.gz", reading=Reading(unpack_limit=1 << 20))
    open_table(tmp_path / "t.csv.gz", reading=Reading(unpack_limit=20 << 20))


def test_zip_with_more_than_its_table(tmp_path: Path) -> None:
    path = tmp_path / "t.zip"
    zipped(path, data_csv=CSV, README_md=b"# Data", LICENSE=b"free")
    assert open_table(path).columns == ("a", "b", "y")
    zipped(path, **{"../../up_csv": CSV})
    assert open_table(path).columns == ("a", "b", "y")
    assert [file.name for file in tmp_path.iterdir()] == ["t.zip"]
    inner = path.read_bytes()
    zipped(path, inner_zip=inner)
    with pytest.raises(TableError, match=r"holds a file that is packed again \(zip\)"):
        open_table(path)
    zipped(path, a_csv=CSV, b_csv=CSV)
    with pytest.raises(TableError, match="found 2 files in the zip"):
        open_table(path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"a":' + "[" * 100_000 + "]" * 100_000 + ',"y":1}', "line 61: not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"a":' + "9" * 400 + ',"y":1}', "expected a finite number"),
        ('{"a":' + "9" * 5_000 + ',"y":1}', "expected a finite number"),
        ('{"a":1e999,"y":1}', "expected a finite number"),
    ],
)
def test_hostile_json(
    line: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "t.jsonl").write_text(f"{OBJECTS}{line}\n")
    assert words in check(tmp_path / "t.jsonl", capsys)
    (tmp_path / "t.json").write_text(f"[{','.join(OBJECTS.split())},{line}]")
    assert words.replace("line 61: ", "") in check(tmp_path / "t.json", capsys)


@pytest.mark.parametrize("kind", ["parquet", "arrow", "csv.gz", "zip"])
def test_damaged_files(kind: str, tmp_path: Path) -> None:
    """Flipped bits, overwritten ends and cuts: a table, or one message; never another error."""
    path, rng = tmp_path / f"t.{kind}", random.Random(0)  # noqa: S311
    frame = pl.read_csv(CSV)
    if kind == "zip":
        zipped(path, t_csv=CSV)
    elif kind == "csv.gz":
        path.write_bytes(gzip.compress(CSV))
    else:
        (frame.write_parquet if kind == "parquet" else frame.write_ipc)(path)
    content = path.read_bytes()
    refused = 0
    for turn in range(60):
        damaged = bytearray(content)
        at = rng.randrange(max(0, len(content) - 400) if turn % 2 else 0, len(content))
        damaged[at] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged if turn % 3 else damaged[:at])
        try:
            for cells in open_table(path).texts("a"):
                assert len(cells) <= 60
        except TableError as error:
            refused += str(error).startswith(str(path))
    assert refused > 10


def test_duplicate_keys_of_json(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(OBJECTS + '{"a":1,"a":2,"y":3}\n')
    assert open_table(tmp_path / "t.jsonl").columns == ("a", "y")
    rows = [json.loads(line) for line in OBJECTS.splitlines()]
    (tmp_path / "t.json").write_text(json.dumps(rows)[:-1] + ',{"a":1,"a":2,"y":3}]')
    assert open_table(tmp_path / "t.json").columns == ("a", "y")


@pytest.mark.parametrize("streams", [">&-", "2>&-", ">&- 2>&-", ">/dev/full", "2>/dev/full"])
def test_streams_that_refuse(streams: str) -> None:
    """What cannot be printed is no reason to stop; files that are opened later keep their
    numbers."""
    program = (
        "import sys; from display import say; from files import open_streams; open_streams(); "
        "say('a'); say('b', to=sys.stderr); say('c'); sys.exit(7 if open('LICENSE').fileno() > 2 "
        "else 1)"
    )
    line = f'"{sys.executable}" -c "{program}" {streams}'
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert "Traceback" not in done.stderr
    if streams == ">/dev/full":
        note = "note: standard output: No space left on device; the rest is not shown"
        assert done.stderr == f"{note}\nb\n"


def test_curves_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from visualdl import LogWriter

    def refuse(*values: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name in ("add_scalar", "add_image"):
        monkeypatch.setattr(LogWriter, name, refuse)
    from run.curves import Curves

    with Curves(tmp_path / "curves") as curves:
        with pytest.raises(OSError, match="No space left on device") as caught:
            curves.step(1, 0.5, 0.1)
        assert caught.value.filename == str(tmp_path / "curves")
        with pytest.raises(OSError, match=f"{tmp_path}/curves"):
            curves.picture("name", np.zeros((2, 2, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("method", "cells", "words"),
    [
        ("column", ["train", "test", "", "validation"], "line 5, column c .*: found an empty cell"),
        ("column", ["train", "test", "tset", "validation"], "line 5, .* found 'tset', expected"),
        ("group", ["a", "b", "", "c"], r"line 5, column c \(data.split.column\): found an empty"),
        ("time", ["2024-01-01", "2024-01-02", "soon", "2024-01-03"], "line 5, .* found 'soon'"),
    ],
)
def test_cell_that_no_row_is_divided_by(
    method: str,
    cells: list[str],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = (f"{i},{cells[i % 4] if i < 4 else cells[0]},{i * 2}\n" for i in range(12))
    (tmp_path / "t.csv").write_text(f"a,c,y\n\n{''.join(lines)}")
    options = ["-o", f"data.split.method={method}", "-o", "data.split.column=c"]
    assert re.search(words, check(tmp_path / "t.csv", capsys, *options))
