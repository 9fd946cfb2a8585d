"""Where predictions go: a plain file is replaced whole, anything else is written through."""

from __future__ import annotations

import errno
import gzip
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, Full, Queue
from tempfile import SpooledTemporaryFile, gettempdir
from typing import IO, Any, NamedTuple, Protocol, cast

import polars as pl
from polars.io.plugins import register_io_source

from display import short
from errors import TableError
from files import drafted_among_others, naming

HELD = 1 << 26  # bytes for a stream that wait in memory; more wait on disk
AHEAD = 2  # tables that wait for a sink
MOMENT = 0.1  # seconds
SEPARATORS = {"": ",", ".csv": ",", ".txt": ",", ".tsv": "\t"}  # by the suffix of a name
Sink = Callable[..., Any]
_ARROW: Sink = partial(pl.LazyFrame.sink_ipc, compat_level=pl.CompatLevel.oldest())
BINARY: dict[str, Sink] = {
    ".parquet": pl.LazyFrame.sink_parquet,
    ".arrow": _ARROW,
    ".feather": _ARROW,
}
JSON_LINES: dict[str, Sink] = dict.fromkeys((".jsonl", ".ndjson"), pl.LazyFrame.sink_ndjson)
SINKS = BINARY | JSON_LINES
PACKINGS = {".gz": "gzip", ".zst": "zstd"}
WRITTEN = {*SEPARATORS, *SINKS}
EXPECTED = ".csv, .tsv or .jsonl, each also with .gz or .zst, .parquet or .arrow"
FORMULA = r'(^|[,;|"\n])(\s*[=+\-@＝＋－＠\t\r])'
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
STANDARD_OUTPUT = "standard output"


class Writer(Protocol):
    """Takes tables of the same columns, one after the other, the first with or without rows."""

    def write(self, lines: pl.DataFrame) -> None: ...


@dataclass
class TextWriter:
    """Lines of text of this separator, into a file, below a header; `safe`: see
    `for_spreadsheet`."""

    file: IO[bytes] | _Lines
    separator: str
    safe: bool = False
    has_header: bool = False

    def write(self, lines: pl.DataFrame) -> None:
        if not self.has_header:
            self.has_header = True
            self._write(pl.DataFrame({str(at): [name] for at, name in enumerate(lines.columns)}))
        self._write(lines)

    def _write(self, lines: pl.DataFrame) -> None:
        lines = for_spreadsheet(lines) if self.safe else lines
        text = lines.write_csv(include_header=False, separator=self.separator)
        self.file.write(text.encode())


class SinkWriter:
    """Feeds a sink of Polars, which takes the tables in a thread of its own: memory does not grow
    with the number of rows."""

    def __init__(self, sink: Callable[[pl.LazyFrame], Any], threads: Executor) -> None:
        self._sink, self._threads = sink, threads
        self._tables: Queue[pl.DataFrame | None] = Queue(AHEAD)
        self._schema = pl.Schema()
        self._done: Future[Any] | None = None

    def write(self, lines: pl.DataFrame) -> None:
        """Raises TableError where a column has another type than in the tables before."""
        if self._done is None:
            self._schema = lines.schema
            source = register_io_source(self._given, schema=lines.schema)
            self._done = self._threads.submit(self._sink, source)
        self._put(_of_types(lines, self._schema))

    def finish(self) -> None:
        """Raises OSError where not all could be written."""
        if self._done is not None:
            self._put(None)
            self._end(self._done)

    def stop(self) -> None:
        """Let the sink end; what it wrote is not whole."""
        with suppress(Empty):
            while True:
                self._tables.get_nowait()
        self._tables.put(None)

    def _given(self, *_: object) -> Iterator[pl.DataFrame]:
        while (table := self._tables.get()) is not None:
            yield table

    def _put(self, table: pl.DataFrame | None) -> None:
        assert self._done is not None
        while not self._done.done():
            with suppress(Full):
                return self._tables.put(table, timeout=MOMENT)
        return self._end(self._done)

    def _end(self, done: Future[Any]) -> None:
        try:
            done.result()
        except pl.exceptions.PolarsError as error:  # so Parquet tells of a full disk
            if found := re.search(r"os error (\d+)", str(error)):
                raise OSError(int(found[1]), os.strerror(int(found[1]))) from None
            raise


def _of_types(lines: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    """The lines, where their types are those of the schema; a column of nothing has any."""
    for name, kind in lines.schema.items():
        if kind == pl.Null:
            lines = lines.with_columns(lines[name].cast(schema[name]))
        elif kind != schema[name]:
            raise TableError(
                f"column {short(name)}: found {kind} in one file of the table, and {schema[name]} "
                "in the files before it; expected one type, or a .csv file as --output"
            )
    return lines


@contextmanager
def _sink_writer(sink: Callable[[pl.LazyFrame], Any]) -> Iterator[SinkWriter]:
    """Raises OSError at the end where not all could be written."""
    with ThreadPoolExecutor(1) as threads:
        writer = SinkWriter(sink, threads)
        try:
            yield writer
            writer.finish()
        except BaseException:
            writer.stop()
            raise


class _Lines(NamedTuple):
    """Takes text, whole lines at a time, for a sink that writes cells as they are."""

    writer: SinkWriter

    def write(self, text: bytes) -> None:
        if text:
            self.writer.write(pl.DataFrame({"": [text.decode().removesuffix("\n")]}))


@contextmanager
def _zstd(file: IO[bytes]) -> Iterator[_Lines]:
    """One frame of zstd, into a file: several are more than some readers expect."""
    sink = partial(
        pl.LazyFrame.sink_csv, include_header=False, quote_style="never", compression="zstd"
    )
    with _sink_writer(lambda lines: sink(lines, file)) as writer:
        yield _Lines(writer)


def for_spreadsheet(lines: pl.DataFrame) -> pl.DataFrame:
    """The lines with an apostrophe before each part of a text that a spreadsheet may take for a
    formula, whatever it divides cells at; numbers stay.

    >>> for_spreadsheet(pl.DataFrame({"id": ["=1+1", "-5", "a;@b"]}))["id"].to_list()
    ["'=1+1", '-5', "a;'@b"]
    """
    text = pl.col(pl.String)
    safe = text.str.replace_all(FORMULA, "${1}'${2}")
    return lines.with_columns(pl.when(text.str.contains(NUMBER)).then(text).otherwise(safe))


@dataclass
class Output:
    """A place to write to, by the `name` that messages call it. `path`: where links lead;
    `descriptor`: of what is open already, such as standard output; `begun`: whether anything of
    what was written to it is there."""

    name: str
    path: Path
    descriptor: int | None = None
    begun: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether it is a plain file, or will be one: what may be replaced."""
        return self.descriptor is None and (self.path.is_file() or not self.path.exists())

    @property
    def is_typed(self) -> bool:
        """Whether columns have types there: in all but text."""
        return table_suffix(self.name) in SINKS

    @contextmanager
    def open(self, safe: bool = False) -> Iterator[Writer]:
        """What is written gets its name, or reaches its reader, only when everything is written;
        `safe`: see `for_spreadsheet`.

        Raises OSError where that is refused; it names the file.
        """
        file_in = self._replaced() if self.is_plain else self._through()
        with naming(self.name), file_in as file, self._writer(file, safe) as writer:
            yield writer

    @contextmanager
    def _writer(self, file: IO[bytes], safe: bool) -> Iterator[Writer]:
        suffix, packing = table_suffix(self.name), PACKINGS.get(Path(self.name).suffix.lower())
        if sink := SINKS.get(suffix):
            options = {"compression": packing} if packing else {}
            with _sink_writer(lambda lines: sink(lines, file, **options)) as writer:
                yield writer
        elif packing == "zstd":
            with _zstd(file) as packed:
                yield TextWriter(packed, SEPARATORS[suffix], safe)
        elif packing:
            with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as zipped:
                yield TextWriter(cast(IO[bytes], zipped), SEPARATORS[suffix], safe)
        else:
            yield TextWriter(file, SEPARATORS[suffix], safe)

    @contextmanager
    def _replaced(self) -> Iterator[IO[bytes]]:
        before = self.path.stat() if self.path.exists() else None
        if before and not os.access(self.path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        with drafted_among_others(self.path) as file:
            if before:
                os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
            yield file
        self.begun = True

    @contextmanager
    def _through(self) -> Iterator[IO[bytes]]:
        # Opened before the work: whoever waits at the other end of a pipe sees it fail, too.
        with self._stream() as stream, SpooledTemporaryFile(HELD) as spool:
            with naming(gettempdir()):
                yield cast(IO[bytes], spool)
            spool.seek(0)
            self.begun = True
            shutil.copyfileobj(spool, stream)
            stream.flush()

    @contextmanager
    def _stream(self) -> Iterator[IO[bytes]]:
        if self.name == STANDARD_OUTPUT:
            try:
                yield sys.stdout.buffer
            except OSError:  # at its end, the interpreter would try again
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise
        elif self.descriptor is None:
            with open(os.open(self.path, os.O_WRONLY), "wb") as stream:
                yield stream
        else:
            with open(os.dup(self.descriptor), "wb") as stream:
                yield stream


def output_of(name: str) -> Output:
    """The place that an option names; `-` is standard output.

    Raises TableError for a folder, a file in no folder, and a kind of file that is not written.
    """
    path = Path(name)
    if name == "-":
        return Output(STANDARD_OUTPUT, Path("/dev/stdout"), 1)
    if path.is_dir() or name.endswith("/"):
        raise TableError(f"--output {name}: is a folder; expected a file")
    if table_suffix(name) in BINARY and path.suffix.lower() in PACKINGS:
        raise TableError(
            f"--output {name}: {table_suffix(name)} files are packed inside; expected a name "
            f"without {path.suffix}"
        )
    if table_suffix(name) not in WRITTEN:
        raise TableError(
            f"--output {name}: {table_suffix(name)} files are not written; expected {EXPECTED}"
        )
    if path.exists() and (descriptor := _descriptor(path)) is not None:
        return Output(name, path, descriptor)
    leads_to = Path(os.path.realpath(path))
    if not leads_to.parent.is_dir():
        folder = leads_to.parent if path.is_symlink() else path.parent
        raise TableError(f"--output {name}: there is no folder {folder}; create it first")
    if leads_to.is_symlink():
        raise TableError(f"--output {name}: is a link that leads to itself")
    return Output(name, leads_to)


def table_suffix(name: str | Path) -> str:
    """The suffix of a name, in lower case, without that of its packing."""
    path = Path(name)
    is_packed = path.suffix.lower() in PACKINGS
    return (Path(path.stem).suffix if is_packed else path.suffix).lower()


def _descriptor(path: Path) -> int | None:
    """The open descriptor that /dev/stdout, /dev/fd/3 or a link to one of them stands for."""
    if os.path.realpath(path.parent) == f"/proc/{os.getpid()}/fd":
        return int(path.name)
    return _descriptor(path.parent / path.readlink()) if path.is_symlink() else None
