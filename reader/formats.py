"""The files that a table may be made of, each as a lazily read frame of its cells."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from errors import TableError

WHITE_SPACE = " "
SEPARATORS = {"text": None, "csv": None, "tsv": "\t", "white_space": WHITE_SPACE}
SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
MAGIC = {b"PAR1": "parquet", b"ARROW1": "arrow", b'{"': "jsonl"}
COMPRESSED = {".gz", ".zst"}


@dataclass(frozen=True)
class Reading:
    """How to read a file; what is None is told by its suffix, or else by its first line."""

    format: str | None = None
    separator: str | None = None
    comment: str | None = None
    decimal_comma: bool = False
    missing: Sequence[str] = ("",)


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
        the wrong length. Those of `times` stay moments where they are. It fails where a row is too
        long, unless `ragged`."""

    def survey(self) -> Survey:
        """Where each row of `cells` stands, and which are none, or of the wrong length."""

    def size(self) -> int:
        """About how many bytes it has."""

    def identity(self) -> list[Any] | None:
        """JSON values that change when its content does; None where nothing tells."""

    def content(self) -> Iterator[bytes]:
        """All of it, for a checksum."""


@dataclass(frozen=True)
class _OnDisk:
    """What a file on disk is known by."""

    path: Path

    def size(self) -> int:
        return self.path.stat().st_size

    def identity(self) -> list[Any] | None:
        stat = self.path.stat()
        return [str(self.path.resolve()), stat.st_size, stat.st_mtime_ns]

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


class Record(NamedTuple):
    """A row as a text file has it, from line `line` to line `end`; a blank line has no cells."""

    line: int
    end: int
    cells: list[str]


@dataclass(frozen=True)
class TextFile(_OnDisk):
    """Cells between separators, or between runs of white space; perhaps compressed."""

    columns: tuple[str, ...]
    separator: str
    reading: Reading
    header_lines: int

    def numbers(self, columns: Sequence[str], texts: Collection[str]) -> pl.LazyFrame | None:
        if self.separator == WHITE_SPACE or self.reading.decimal_comma:
            return None
        positions = [str(self.columns.index(name)) for name in columns]
        numbers = {str(self.columns.index(name)) for name in columns if name not in texts}
        missing = [text for text in self.reading.missing if text]
        frame = self._scan(numbers, null_values=missing or None)
        suspect = pl.col(str(len(self.columns) - 1)).is_null()
        return frame.select(
            *(pl.col(position).alias(str(index)) for index, position in enumerate(positions)),
            suspect=suspect,
        )

    def _scan(self, numbers: Collection[str] = (), **options: Any) -> pl.LazyFrame:
        """Columns named by position, as text, except those that are `numbers`."""
        names = [str(position) for position in range(len(self.columns))]
        return pl.scan_csv(
            self.path,
            schema={name: pl.Float32 if name in numbers else pl.String for name in names},
            has_header=False,
            separator=self.separator,
            skip_lines=self.header_lines,
            comment_prefix=self.reading.comment,
            glob=False,
            **options,
        )

    def cells(
        self, columns: Sequence[str], times: Collection[str] = (), ragged: bool = False
    ) -> pl.LazyFrame:
        positions = [self.columns.index(name) for name in columns]
        width = len(self.columns)
        if self.separator != WHITE_SPACE:
            frame = self._scan(truncate_ragged_lines=ragged)
            cells = [pl.col(str(position)) for position in positions]
            suspect = pl.col(str(width - 1)).is_null()  # how Polars fills up a short row
        else:
            lines = pl.scan_lines(self.path, glob=False).slice(self.header_lines)
            if self.reading.comment:
                lines = lines.filter(~pl.col("line").str.starts_with(self.reading.comment))
            frame = lines.select(pl.col("line").str.extract_all(r"[^\s\ufeff]+"))
            cells = [pl.col("line").list.get(i, null_on_oob=True) for i in positions]
            suspect = pl.col("line").list.len() != width
        named = {str(index): cell for index, cell in enumerate(cells)}
        return frame.select(**named, suspect=suspect)

    def survey(self) -> Survey:
        blank, ragged, lines = [], {}, []
        for index, record in enumerate(self._rows()):
            lines.append(record.line)
            if not record.cells:
                blank.append(index)
            elif len(record.cells) != len(self.columns):
                ragged[index] = (
                    f"found {len(record.cells)} values, expected "
                    f"{len(self.columns)} ({', '.join(self.columns)}); mend the line"
                )
        return Survey(np.array(blank, dtype=np.int64), ragged, np.array(lines, dtype=np.int64))

    def _rows(self) -> Iterator[Record]:
        every = records(self.path, self.separator, self.reading.comment)
        return (record for record in every if record.line > self.header_lines)


@dataclass(frozen=True)
class TypedFile(_OnDisk):
    """Parquet, Arrow or JSON lines: columns that have names and types of their own."""

    columns: tuple[str, ...]
    frame: pl.LazyFrame
    reading: Reading

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
    if texts or not all(schema[name].is_numeric() for name in columns):
        return None
    cells = {str(index): pl.col(name).cast(pl.Float32) for index, name in enumerate(columns)}
    return frame.select(**cells, suspect=pl.lit(False))


def typed_cells(
    path: Path | str, frame: pl.LazyFrame, columns: Sequence[str], times: Collection[str]
) -> pl.LazyFrame:
    """`TableFile.cells` of a frame that has types. Raises TableError for a type that is none of
    numbers, texts and times."""
    schema = frame.collect_schema()
    cells = {}
    for index, name in enumerate(columns):
        kind = schema[name]
        if kind.is_nested() or kind in (pl.Binary, pl.Object, pl.Duration):
            raise TableError(
                f"{path}, column {name}: found {kind}, expected numbers, texts or times; "
                "train without the column (data.exclude)"
            )
        as_it_is = kind.is_numeric() or (name in times and kind in (pl.Date, pl.Datetime))
        cells[str(index)] = pl.col(name) if as_it_is else pl.col(name).cast(pl.String)
    return frame.select(**cells, suspect=pl.lit(False))


class _Lines:
    """The lines of a text file, decompressed, comments left out; `number` is that of the last."""

    def __init__(self, path: Path, comment: str | None) -> None:
        self.path = path
        self.comment = comment
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        for batch in self._batches():
            for text in batch["line"]:
                self.number += 1
                if not (self.comment and text.startswith(self.comment)):
                    yield text.removeprefix("\ufeff") if self.number == 1 else text

    def _batches(self) -> Iterator[pl.DataFrame]:
        try:
            yield from pl.scan_lines(self.path, glob=False).collect_batches()
        except pl.exceptions.NoDataError:
            return
        except pl.exceptions.ComputeError as error:
            raise TableError(f"{self.path}: not UTF-8 text; save it as UTF-8 ({error})") from None


def records(path: Path, separator: str, comment: str | None = None) -> Iterator[Record]:
    """Every record of a text file, comments left out, lines counted from 1."""
    lines = _Lines(path, comment)
    try:
        if separator == WHITE_SPACE:
            for text in lines:
                yield Record(lines.number, lines.number, text.split())
            return
        reader, read = csv.reader(lines, delimiter=separator, strict=True), 0
        for cells in reader:
            start, read = lines.number - (reader.line_num - read) + 1, reader.line_num
            blank = not cells or (len(cells) == 1 and not cells[0].strip())
            yield Record(start, lines.number, [] if blank else cells)
    except csv.Error as error:
        raise TableError(f"{path}, line {lines.number}: {error}") from None


def find_files(path: Path) -> list[Path]:
    """The files of a table: a file, all in a folder, or all that match a glob; in order of name."""
    if path.is_dir():
        files = [file for file in sorted(path.iterdir()) if file.is_file()]
        files = [file for file in files if not file.name.startswith((".", "_"))]
    elif any(sign in path.name for sign in "*?[") and not path.exists():
        files = sorted(path.parent.glob(path.name))
    else:
        return [path]
    if not files:
        raise TableError(f"{path}: no files; expected at least one")
    return files


def format_of(path: Path, reading: Reading) -> str:
    """csv, tsv, white_space, parquet, arrow or jsonl; text where the first line must tell.

    What was asked for; else what the suffix says; else what the first bytes say.
    """
    if reading.format:
        return reading.format
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    if suffixes and suffixes[-1] in SUFFIXES:
        return SUFFIXES[suffixes[-1]]
    with path.open("rb") as file:
        start = file.read(6)
    return next((name for magic, name in MAGIC.items() if start.startswith(magic)), "text")


def scan_typed(path: Path, format_name: str, reading: Reading) -> TypedFile:
    """Open a Parquet, Arrow or JSON lines file. Raises TableError where it is none."""
    try:
        if format_name == "parquet":
            frame = pl.scan_parquet(path, glob=False)
        elif format_name == "arrow":
            frame = pl.scan_ipc(path, glob=False)
        else:
            frame = pl.scan_ndjson(path)
        return TypedFile(path, tuple(frame.collect_schema().names()), frame, reading)
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise TableError(f"{path}: cannot be read as {format_name}: {reason}") from None


def sniff(path: Path, reading: Reading) -> tuple[str, Record]:
    """The separator of a text file, and its first record that is not blank.

    The one that was asked for, if the line has it; else that of the suffix; else the most
    frequent of , ; tab and | in the line; else white space.
    """
    text = next((text for text in _Lines(path, reading.comment) if text.strip()), None)
    empty = TableError(f"{path}: the file is empty; expected a table")
    if text is None:
        raise empty
    format_name = format_of(path, reading)
    separator = SEPARATORS[format_name]
    if reading.separator and reading.separator in text:
        separator = reading.separator
    elif separator is None:
        candidates = ";\t|" if reading.decimal_comma else ",;\t|"
        separator = max(candidates, key=text.count)
        if separator not in text:
            separator = "," if format_name == "csv" else WHITE_SPACE
    rows = records(path, separator, reading.comment)
    if (first := next((record for record in rows if record.cells), None)) is None:
        raise empty  # a pair of quotes is a line, and no cell
    return separator, first
