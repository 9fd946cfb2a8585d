"""Encodings, packed files, workbooks, and files that are no tables."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from errors import TableError
from reader.formats import Reading
from reader.pack import pack
from reader.table import open_like, open_table
from tests.conftest import numbers, numeric

SCHEMA = numeric(["town", "b", "y"], "y", ["town"])
TABLE = "town,b,y\n北京,2,3\n上海,-5,6e3\n广州,8,9\n"
ROWS = [[2, 3], [-5, 6000], [8, 9]]


PACK: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def read(path: Path, reading: Reading | None = None) -> list[list[float]]:
    return pack(open_table(path, reading=reading), SCHEMA).matrix.tolist()


def towns(path: Path, reading: Reading | None = None) -> list[str]:
    table = open_table(path, reading=reading)
    return [text for batch in table.texts("town") for text in batch]


@pytest.mark.parametrize(
    ("data", "asked"),
    [
        (TABLE.encode("utf-16"), None),
        (b"\xfe\xff" + TABLE.encode("utf-16-be"), None),
        (TABLE.replace("\n", "\r\n").encode("utf-32"), None),
        (TABLE.encode("gbk"), "gbk"),
        (TABLE.encode("gb18030"), "GB18030"),
        (TABLE.replace("\n", "\r").encode("gbk"), "gbk"),
        (TABLE.encode("utf-8-sig"), None),
        (TABLE.encode("utf-8-sig"), "gbk"),
        (TABLE.encode("utf-8-sig"), "utf-8"),
        (f"sep=,\r\n{TABLE}".replace("\n", ",\r\n").encode("utf-16"), None),
    ],
)
@pytest.mark.parametrize("packing", ["", ".gz", ".bz2"])
def test_encodings(tmp_path: Path, data: bytes, asked: str | None, packing: str) -> None:
    path = tmp_path / f"t.csv{packing}"
    path.write_bytes(PACK[packing](data))
    assert read(path, Reading(encoding=asked)) == ROWS
    assert towns(path, Reading(encoding=asked)) == ["北京", "上海", "广州"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_of_latin_text_without_a_mark(tmp_path: Path, encoding: str) -> None:
    text = TABLE.replace("北京", "York").replace("上海", "Bath").replace("广州", "Ely")
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    assert read(tmp_path / "t.csv") == ROWS
    assert towns(tmp_path / "t.csv") == ["York", "Bath", "Ely"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (TABLE.encode("gbk"), "line 2: not UTF-8 text; it is probably gbk"),
        (
            TABLE.replace("上", "Orléans ou Nîmes")
            .replace("北京", "x")
            .replace("海", "")
            .replace("广州", "Angoulême")
            .encode("cp1252"),
            "probably cp1252",
        ),
        (
            TABLE.replace("北京", "Москва")
            .replace("上海", "Тверь")
            .replace("广州", "Омск")
            .encode("cp1251"),
            "probably cp1251",
        ),
        ((TABLE * 20).encode() + b"\xff,1,2\n", "line 81: not UTF-8 text, though the rest is"),
        (b"a,b\n" + b"1,2\n" * 270_000 + b"\xb1\xb1\xbe\xa9,3\n", "line 270002: not UTF-8 text"),
    ],
)
def test_another_encoding_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(TableError) as caught:
        for _ in open_table(tmp_path / "t.csv").texts(open_table(tmp_path / "t.csv").columns[0]):
            pass
    assert words in str(caught.value)
    assert "data.encoding" in str(caught.value) or "fix the line" in str(caught.value)


def test_a_wrong_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(TABLE.encode("gbk"))
    with pytest.raises(TableError, match=r"t\.csv: the text is not ascii.*data\.encoding"):
        read(tmp_path / "t.csv", Reading(encoding="ascii"))


def test_a_table_to_predict_may_be_utf8(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(TABLE.encode())
    table = open_like(tmp_path / "t.csv", SCHEMA, Reading(encoding="gbk"))
    assert [text for batch in table.texts("town") for text in batch] == ["北京", "上海", "广州"]


def zipped(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_packed_files(tmp_path: Path) -> None:
    for suffix, packed in PACK.items():
        for name, content in (("t.csv", TABLE), ("t.tsv", TABLE.replace(",", "\t")), ("t", TABLE)):
            (tmp_path / f"{name}{suffix}").write_bytes(packed(content.encode()))
            assert read(tmp_path / f"{name}{suffix}") == ROWS
        frame = pl.DataFrame({"town": ["a"], "b": [2], "y": [3.0]})
        frame.write_parquet(tmp_path / "t.parquet")
        data = (tmp_path / "t.parquet").read_bytes()
        (tmp_path / f"t.parquet{suffix}").write_bytes(packed(data))
        assert read(tmp_path / f"t.parquet{suffix}") == [[2, 3]]
    mac = {"folder/t.tsv": TABLE.replace(",", "\t"), "__MACOSX/folder/._t.tsv": "x"}
    assert read(zipped(tmp_path / "t.zip", mac)) == ROWS


def test_a_file_packed_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(bz2.compress(TABLE.encode()))
    assert read(tmp_path / "t.csv") == ROWS


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("t.csv.bz2", bz2.compress(TABLE.encode())[:-9], "damaged, it cannot be unpacked (bzip2)"),
        (
            "t.csv.gz",
            gzip.compress(TABLE.encode(), mtime=0)[:-12],
            "damaged, it cannot be unpacked (gzip)",
        ),
        ("t.csv.xz", lzma.compress(TABLE.encode())[:-9], "damaged, it cannot be unpacked (xz)"),
        ("t.zip", b"PK\x03\x04 nonsense", "damaged, it cannot be unpacked (zip)"),
        ("t.pkl", b"\x80\x04\x95abc", "is a file of Python objects, expected a table"),
        ("t.csv", b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
        ("t.sas7bdat", b"\x00" * 12 + b"\xc2\xea\x81\x60", "is a SAS file"),
        ("t.csv", b"SQLite format 3\x00", "is an SQLite database"),
        ("t.csv", b"<!DOCTYPE html><html>", "is a web page"),
        ("t.parquet", b"a,b\n1,2\n", "cannot be read as parquet: it does not start as one"),
        ("t.parquet", b"PAR1 and no more", "cannot be read as parquet: damaged"),
        ("t.arrow", b"ARROW1\x00\x00 and no more", "cannot be read as arrow: damaged"),
        ("t.xlsx", b"\xd0\xcf\x11\xe0 and no more", "cannot be read as Excel"),
        ("t.csv", b"\x00\x01\x02\xff" * 50, "is a binary file of a kind unknown here"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(TableError) as caught:
        read(tmp_path / name)
    assert f"{tmp_path / name}" in str(caught.value)
    assert words in str(caught.value)


def test_a_zip_of_several_files(tmp_path: Path) -> None:
    zipped(tmp_path / "t.zip", {"a.csv": TABLE, "b.csv": TABLE})
    with pytest.raises(TableError, match=r"found 2 files in the zip \(a\.csv, b\.csv\).*unpack"):
        read(tmp_path / "t.zip")


def workbook(path: Path, sheets: dict[str, Sequence[Sequence[object]]]) -> Path:
    with xlsxwriter.Workbook(path) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for index, row in enumerate(rows):
                sheet.write_row(index, 0, row)
    return path


CELLS = [
    list(row) for row in (("town", "b", "y"), ("北京", 2, 3), ("上海", -5, 6e3), ("广州", 8, 9))
]


def test_excel(tmp_path: Path) -> None:
    path = workbook(tmp_path / "t.xlsx", {"data": CELLS, "empty": []})
    assert read(path) == ROWS
    assert read(path, Reading(decimal_comma=True)) == ROWS
    assert towns(path) == ["北京", "上海", "广州"]
    titled: list[list[object]] = [["Sales of 2024"], [], *CELLS]
    path = workbook(tmp_path / "two.xlsx", {"notes": [["see the other"]], "Sales": titled})
    assert read(path, Reading(sheet="Sales")) == ROWS
    with pytest.raises(TableError, match=r"found 2 sheets \('notes', 'Sales'\); say which in data"):
        read(path)
    with pytest.raises(TableError, match=r"'sales', which is not a sheet; did you mean 'Sales'"):
        read(path, Reading(sheet="sales"))
    (batch,) = open_like(tmp_path / "t.xlsx", SCHEMA, Reading(sheet="Sales")).batches(
        numbers(["b"])
    )
    assert batch.rows.tolist() == [[2], [-5], [8]]


@pytest.mark.parametrize("header", [[], [["day", "at"]]])
def test_days_and_moments_of_excel(tmp_path: Path, header: list[list[str]]) -> None:
    with xlsxwriter.Workbook(tmp_path / "t.xlsx", {"default_date_format": "yyyy-mm-dd"}) as book:
        sheet = book.add_worksheet()
        for index, names in enumerate(header):
            sheet.write_row(index, 0, names)
        for row in range(3):
            sheet.write_datetime(row + len(header), 0, datetime(2024, 5, row + 1))
            sheet.write_datetime(row + len(header), 1, datetime(2024, 5, 1, 6 * row))
    table = open_table(tmp_path / "t.xlsx", None if header else ["day", "at"])
    texts = {name: cells.to_list() for name, cells in table.sample(["day", "at"]).items()}
    assert texts["day"] == ["2024-05-01", "2024-05-02", "2024-05-03"]
    assert texts["at"] == ["2024-05-01 00:00:00", "2024-05-01 06:00:00", "2024-05-01 12:00:00"]


def test_excel_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workbook(tmp_path / "t.xlsx", {"data": CELLS})

    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("fastexcel")

    monkeypatch.setattr(pl, "read_excel", missing)
    with pytest.raises(TableError, match="pip install fastexcel; or save the sheet as CSV"):
        read(path)


def test_no_copy_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "copies"))
    (tmp_path / "copies").mkdir()
    (tmp_path / "t.csv").write_bytes(TABLE.encode("utf-16"))
    table = open_table(tmp_path / "t.csv")
    assert table.files[0].columns
    assert not list((tmp_path / "copies").iterdir())  # not even while it is read
    before = len([*Path("/proc/self/fd").iterdir()])
    del table
    assert len([*Path("/proc/self/fd").iterdir()]) == before - 1
