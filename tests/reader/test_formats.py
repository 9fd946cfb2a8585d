from __future__ import annotations

import gzip
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest

from errors import TableError
from reader.formats import Reading
from reader.pack import pack
from reader.table import open_like, open_table
from tests.conftest import numbers, numeric

ROWS = [[1.5, 2, 3], [4, -5, 6e3]]
FRAME = pl.DataFrame({"a": [1.5, 4], "b": [2, -5], "c": ["3", "6e3"]})
SCHEMA = numeric(["a", "b", "c"], "c")


def read(path: Path, reading: Reading | None = None) -> list[list[float]]:
    table = open_table(path, reading=reading)
    return pack(table, numeric(table.columns, "c")).matrix.tolist()


@pytest.mark.parametrize(
    ("name", "content", "reading"),
    [
        ("t.csv", "a,b,c\n1.5,2,3\n4,-5,6e3\n", Reading()),
        ("t.csv", "a;b;c\n1.5;2;3\n4;-5;6e3\n", Reading()),
        ("t.txt", "a|b|c\n1.5|2|3\n4|-5|6e3\n", Reading()),
        ("t.tsv", "a\tb\tc\n1.5\t2\t3\n4\t-5\t6e3\n", Reading()),
        ("t.txt", "a\tb\tc\n1.5\t2\t3\n4\t-5\t6e3\n", Reading()),
        ("t.txt", "a~b~c\n1.5~2~3\n4~-5~6e3\n", Reading(separator="~")),
        ("t.csv", "a;b;c\n1,5;2;3\n4;-5;6e3\n", Reading(decimal_comma=True)),
        ("t.txt", "a b c\n1,5 2 3\n4  -5 6e3\n", Reading(decimal_comma=True)),
        ("t.csv", "# made\na,b,c\n# first\n1.5,2,3\n#\n4,-5,6e3\n", Reading(comment="#")),
        ("t.txt", "% made\na b c\n1.5 2 3\n% half\n4 -5 6e3\n", Reading(comment="%")),
        ("t.csv", "a b c\n1.5 2 3\n4 -5 6e3\n", Reading(format="white_space")),
        ("t.dat", '"a","b","c"\n"1.5","2","3"\n"4","-5","6e3"\n', Reading()),
    ],
)
def test_text(tmp_path: Path, name: str, content: str, reading: Reading) -> None:
    (tmp_path / name).write_text(content)
    assert read(tmp_path / name, reading) == ROWS
    with gzip.open(tmp_path / f"{name}.gz", "wt") as file:
        file.write(content)
    assert read(tmp_path / f"{name}.gz", reading) == ROWS


@pytest.mark.skipif(shutil.which("zstd") is None, reason="no zstd: apt-get install zstd")
def test_zstd(tmp_path: Path) -> None:
    FRAME.write_csv(tmp_path / "t.csv")
    subprocess.run(["zstd", "-q", tmp_path / "t.csv"], check=True)
    assert read(tmp_path / "t.csv.zst") == ROWS


@pytest.mark.parametrize("suffix", ["parquet", "arrow", "feather", "jsonl", "ndjson", ""])
def test_typed(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.{suffix}"
    if suffix in ("parquet", ""):
        FRAME.write_parquet(path)
    elif suffix in ("arrow", "feather"):
        FRAME.write_ipc(path)
    else:
        FRAME.write_ndjson(path)
    assert read(path) == ROWS


def test_folder_and_glob_are_one_table_in_order_of_name(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b,c\n1.5,2,3\n")
    (tmp_path / "2.csv").write_text("c;a;b\n6e3;4;-5\n")
    (tmp_path / ".hidden").write_text("nothing of interest")
    assert read(tmp_path) == ROWS
    assert read(tmp_path / "*.csv") == ROWS
    FRAME.write_parquet(tmp_path / "3.parquet")
    assert read(tmp_path) == ROWS + ROWS


def test_files_with_other_columns(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("a,b,c\n1.5,2,3\n")
    (tmp_path / "2.csv").write_text("a,b\n1.5,2\n")
    with pytest.raises(
        TableError, match=r"2\.csv: found other columns \(without c\), expected those of"
    ):
        read(tmp_path)


def test_same_digest_for_the_same_files(tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "t.csv"
    path.write_text("a,c\n1,2\n")
    packed = pack(open_table(path), numeric(["a", "c"], "c"))
    assert packed.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (FRAME.with_columns(b=pl.Series([2, None])), "row 2, column b: found an empty cell"),
        (FRAME.with_columns(b=pl.Series(["2", "x"])), "row 2, column b: found 'x'"),
        (
            FRAME.with_columns(b=pl.Series([2.0, float("nan")])),
            "row 2, column b: found 'nan'",
        ),
        (FRAME.with_columns(b=pl.lit(True)), "column b: found 'true', expected a number"),
        (FRAME.with_columns(b=pl.lit([1])), "column b: found List"),
    ],
)
def test_wrong_typed_cell(tmp_path: Path, frame: pl.DataFrame, words: str) -> None:
    frame.write_parquet(tmp_path / "t.parquet")
    with pytest.raises(TableError) as caught:
        read(tmp_path / "t.parquet")
    assert words in str(caught.value)


def test_names_for_a_file_that_has_its_own(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "t.parquet")
    with pytest.raises(TableError, match=r"names of their own \(a, b, c\); data\.columns"):
        open_table(tmp_path / "t.parquet", ["x", "y", "z"])
    FRAME.rename({"a": "1", "b": "2", "c": "3"}).write_parquet(tmp_path / "numbers.parquet")
    with pytest.raises(TableError, match="names of their own"):
        open_like(tmp_path / "numbers.parquet", SCHEMA)


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.jsonl", "t.csv.gz", "t.csv.zst"])
def test_file_that_is_not_what_its_name_says(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PAR1 \x00\xff nonsense")
    with pytest.raises(TableError, match=name):
        read(tmp_path / name)


@pytest.mark.parametrize("asked", ["parquet", "arrow"])
def test_text_that_is_not_what_was_asked_for(tmp_path: Path, asked: str) -> None:
    (tmp_path / "t.csv").write_text("a,b,c\n1,2,3\n")
    with pytest.raises(TableError, match=rf"cannot be read as {asked} \(data\.format\)"):
        open_table(tmp_path / "t.csv", reading=Reading(format=asked))


def test_bad_line_after_comments_is_found_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("# x\na,b,c\n# y\n1,2,3\n\n4,x,6\n")
    with pytest.raises(TableError, match="line 6, column b"):
        read(tmp_path / "t.csv", Reading(comment="#"))


def test_table_to_predict_may_have_another_format(tmp_path: Path) -> None:
    trained_with = Reading(format="csv", separator=";", decimal_comma=True)
    FRAME.select("b", "a").write_parquet(tmp_path / "t.parquet")
    (tmp_path / "semicolon.txt").write_text("a;b\n1,5;2\n4;-5\n")
    for name in ("t.parquet", "semicolon.txt"):
        (batch,) = open_like(tmp_path / name, SCHEMA, trained_with).batches(numbers(["a", "b"]))
        assert batch.rows.tolist() == [row[:2] for row in ROWS]
