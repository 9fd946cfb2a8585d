"""The files that a table may be made of, each as a lazily read frame of its cells."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from display import short
from errors import TableError
from reader.decode import UNPACKED, Plain

MOST_DIGITS = 38
KEPT = (pl.Date, pl.Datetime, pl.Time, pl.Boolean)  # types that stand for more than their text
POLARS_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
FORMATS_BY_SUFFIX = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".xlsx": "excel",
}
BINARY = {
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"PK\x03\x04": "excel",
    b"\xd0\xcf\x11\xe0": "excel",  # of before 2007
}
JSON = {rb"\[\s*(\{|\]$)": "json", rb"\{\s*\"": "jsonl"}
OTHERS = {
    b"\x89HDF": "an HDF5 file",
    b"\x80\x02": "a file of Python objects",
    b"\x80\x03": "a file of Python objects",
    b"\x80\x04": "a file of Python objects",
    b"\x80\x05": "a file of Python objects",
    b"SQLite format 3": "an SQLite database",
    b"$FL2": "an SPSS file",
    b"$FL3": "an SPSS file",
    b"<stata_dta>": "a Stata file",
    b"\x93NUMPY": "an array of NumPy",
    b"RDX": "a file of R objects",
    b"X\n\x00\x00": "a file of R objects",
    b"FEA1": "a Feather file of version 1",
    b"ORC": "an ORC file",
    b"Obj\x01": "an Avro file",
    b"%PDF": "a PDF",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x00" * 12 + b"\xc2\xea\x81\x60": "a SAS file",
    b"<!DOCTYPE": "a web page",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"<HTML": "a web page",
    b"<table": "a web page",
    b"<?xml": "an XML file",
    b"version https://git-lfs": "a pointer of Git LFS (git lfs pull fetches the file itself)",
}
OTHER_SUFFIXES = {
    ".pkl": "a file of Python objects",
    ".h5": "an HDF5 file",
    ".hdf5": "an HDF5 file",
    ".sas7bdat": "a SAS file",
    ".sav": "an SPSS file",
    ".dta": "a Stata file",
    ".rds": "a file of R objects",
    ".rdata": "a file of R objects",
    ".npy": "an array of NumPy",
    ".npz": "arrays of NumPy",
    ".sqlite": "an SQLite database",
    ".mdb": "an Access database",
    ".accdb": "an Access database",
}


@dataclass(frozen=True)
class Reading:
    """How to read a file; what is None is told by its suffix, or else by its first lines.

    `unpack_limit`: bytes that a file may make, unpacked, where it is not large itself: see
    reader.decode.unpacked."""

    format: str | None = None
    separator: str | None = None
    comment: str | None = None
    decimal_comma: bool = False
    missing: Sequence[str] = ("",)
    encoding: str | None = None
    sheet: str | None = None
    unpack_limit: int = UNPACKED


class TableFile(Protocol):
    """One file of a table, or a frame in memory (reader.frame) that reads like one."""

    @property
    def path(self) -> Path | str:
        """Where it is, or what a message calls it."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def reading(self) -> Reading: ...

    def numbers(self, columns: Sequence[str], texts: Collection[str]) -> pl.LazyFrame | None:
        """The columns as float32, or text, by the shortest way, and `suspect` as below; it fails
        where a cell is no plain number, and gives null where one is missing. None: no such way."""

    def cells(
        self, columns: Sequence[str], times: Collection[str] = (), ragged: bool = False
    ) -> pl.LazyFrame:
        """The columns as numbers or text, named by position, and `suspect`: whether a row may be of
        the wrong length. Those of `times` stay moments, or booleans, where they are. It fails where
        a row is too long, unless `ragged`."""

    def survey(self) -> Survey:
        """Where each row of `cells` stands, and which are none, or of the wrong length."""

    def size(self) -> int:
        """About how many bytes it has."""

    def identity(self) -> list[Any] | None:
        """JSON values that change when its content does; None where nothing tells."""

    def content(self) -> Iterator[bytes]:
        """All of it, for a checksum."""


def identity(path: Path) -> list[Any]:
    """What changes when the content of a file does: its name, size, and times of the last write and
    of the last change, which only the system sets."""
    stat = path.stat()
    return [str(path.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


@dataclass(frozen=True)
class OnDisk:
    """What a file on disk is known by."""

    path: Path

    def size(self) -> int:
        return self.path.stat().st_size

    def identity(self) -> list[Any] | None:
        return identity(self.path)

    def content(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while block := file.read(1 << 20):
                yield block


@dataclass(frozen=True)
class Survey:
    """Of a file's rows: those that are blank, what is wrong with the length of others, and the
    line of each (None: rows have no lines)."""

    blank: NDArray[np.int64]
    ragged: dict[int, str]
    lines: NDArray[np.int64] | None

    def place(self, row: int) -> str:
        """Where row `row` stands, as a reader of the file would look it up."""
        return f"row {row + 1}" if self.lines is None else f"line {self.lines[row]}"


EVEN = Survey(np.array([], dtype=np.int64), {}, None)  # of rows that cannot be blank or ragged


@dataclass(frozen=True)
class TypedFile(OnDisk):
    """Parquet, Arrow or JSON lines: columns that have names and types of their own."""

    columns: tuple[str, ...]
    frame: pl.LazyFrame
    reading: Reading
    keep: Any = None
    """holds a temporary copy in place"""

    def numbers(self, columns: Sequence[str], texts: Collection[str]) -> pl.LazyFrame | None:
        return typed_numbers(self.frame, columns, texts)

    def cells(
        self, columns: Sequence[str], times: Collection[str] = (), ragged: bool = False
    ) -> pl.LazyFrame:
        return typed_cells(self.path, self.frame, columns, times)

    def survey(self) -> Survey:
        return EVEN


def typed_numbers(
    frame: pl.LazyFrame, columns: Sequence[str], texts: Collection[str]
) -> pl.LazyFrame | None:
    """`TableFile.numbers` of a frame that has types: where they are all those of numbers."""
    schema = frame.collect_schema()
    if texts or not all(_is_number(schema[name]) for name in columns):
        return None
    every = _columns(schema)
    cells = {str(index): every[name].cast(pl.Float32) for index, name in enumerate(columns)}
    return frame.select(**cells, suspect=pl.lit(False))


def _columns(schema: pl.Schema) -> dict[str, pl.Expr]:
    """Columns by their exact names: pl.col takes * and ^a$ for patterns."""
    return {name: pl.nth(index) for index, name in enumerate(schema)}


def _is_number(kind: pl.DataType) -> bool:
    """Whether Polars reads it as a number: of Arrow's decimals, those of up to 38 digits."""
    return kind.is_numeric() and (getattr(kind, "precision", None) or 0) <= MOST_DIGITS


def typed_cells(
    path: Path | str, frame: pl.LazyFrame, columns: Sequence[str], times: Collection[str]
) -> pl.LazyFrame:
    """`TableFile.cells` of a frame that has types. Raises TableError for a type that is none of
    numbers, texts and times."""
    schema = frame.collect_schema()
    every, cells = _columns(schema), {}
    for index, name in enumerate(columns):
        kind = schema[name]
        wide = kind.is_decimal() and not _is_number(kind)
        if wide or kind.is_nested() or kind in (pl.Binary, pl.Object, pl.Duration):
            raise TableError(
                f"{path}, column {short(name)}: found {kind}, expected numbers, texts or times; "
                "leave the column out (data.exclude, or of --columns)"
            )
        as_it_is = kind.is_numeric() or (name in times and kind in KEPT)
        cells[str(index)] = every[name] if as_it_is else every[name].cast(pl.String)
    return frame.select(**cells, suspect=pl.lit(False))


def scan_typed(plain: Plain, format_name: str, reading: Reading) -> TypedFile:
    """Open a Parquet or an Arrow file. Raises TableError where it is none."""
    scan = pl.scan_parquet if format_name == "parquet" else pl.scan_ipc
    try:
        frame = scan(plain.path, glob=False)
        columns = tuple(frame.collect_schema().names())
    except POLARS_ERRORS:
        raise TableError(
            f"{plain.original}: cannot be read as {format_name}: damaged, or not all of it is there"
        ) from None
    return TypedFile(plain.original, columns, frame, reading, plain.keep)


def binary_format(plain: Plain) -> str | None:
    """parquet, arrow or excel, by the first bytes; None for what may be text.

    Raises TableError for a file that is known to be something else.
    """
    if found := next((f for magic, f in BINARY.items() if plain.start.startswith(magic)), None):
        return found
    told = FORMATS_BY_SUFFIX.get(plain.suffix, "text")
    if told in BINARY.values():
        raise TableError(f"{plain.original}: cannot be read as {told}: it does not start as one")
    if other := _other(plain):
        raise TableError(
            f"{plain.original}: is {other}, expected a table of text, Parquet, Arrow, JSON or "
            "Excel; export it as CSV or Parquet"
        )
    return None


def format_of(plain: Plain, reading: Reading) -> str:
    """csv, tsv, white_space, jsonl or json; text where lines must tell.

    What was asked for; else what the suffix says; else JSON by its first characters. Raises
    TableError where a format was asked for that is not of text.
    """
    start = plain.start.lstrip(b"\xef\xbb\xbf \t\r\n")
    told = reading.format or FORMATS_BY_SUFFIX.get(plain.suffix)
    if told in (None, "jsonl"):
        told = next((name for look, name in JSON.items() if re.match(look, start)), told)
    if told in BINARY.values():
        raise TableError(
            f"{plain.original}: cannot be read as {told} (data.format): it does not start as one"
        )
    return told or "text"


def _other(plain: Plain) -> str | None:
    """What a file is that is no table, told by its first bytes, or else by its suffix."""
    for magic, name in OTHERS.items():
        if plain.start.startswith(magic):
            return name
    if plain.start[257:262] == b"ustar":
        return "a tar archive"
    return OTHER_SUFFIXES.get(plain.suffix)
