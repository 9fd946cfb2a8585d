"""Where predictions go: a plain file is replaced whole, anything else is written through."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import SpooledTemporaryFile, gettempdir
from typing import IO, NamedTuple, cast

import polars as pl

from errors import TableError
from files import drafted_among_others, naming

HELD = 1 << 26  # bytes for a stream that wait in memory; more wait on disk
SEPARATORS = {"": ",", ".csv": ",", ".txt": ",", ".tsv": "\t"}  # by the suffix of a name
FORMULA = r'(^|[,;|"\n])(\s*[=+\-@＝＋－＠\t\r])'
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
STANDARD_OUTPUT = "standard output"


class Writer(NamedTuple):
    """Lines of text of this separator, into a file; `safe`: see `for_spreadsheet`."""

    file: IO[bytes]
    separator: str
    safe: bool = False

    def header(self, names: Sequence[str]) -> None:
        self.write(pl.DataFrame({str(at): [name] for at, name in enumerate(names)}))

    def write(self, lines: pl.DataFrame) -> None:
        lines = for_spreadsheet(lines) if self.safe else lines
        text = lines.write_csv(include_header=False, separator=self.separator)
        self.file.write(text.encode())


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

    @contextmanager
    def open(self, safe: bool = False) -> Iterator[Writer]:
        """What is written gets its name, or reaches its reader, only when everything is written;
        `safe`: see `for_spreadsheet`.

        Raises OSError where that is refused; it names the file.
        """
        separator = SEPARATORS[table_suffix(self.name)]
        file_in = self._replaced() if self.is_plain else self._through()
        with naming(self.name), file_in as file:
            if self.name.endswith(".gz"):
                with gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
                    yield Writer(cast(IO[bytes], packed), separator, safe)
            else:
                yield Writer(file, separator, safe)

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
    if table_suffix(name) not in SEPARATORS:
        raise TableError(
            f"--output {name}: {table_suffix(name)} files are not written; expected .csv, .tsv, "
            ".csv.gz or .tsv.gz"
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
    return (Path(path.stem).suffix if path.suffix == ".gz" else path.suffix).lower()


def _descriptor(path: Path) -> int | None:
    """The open descriptor that /dev/stdout, /dev/fd/3 or a link to one of them stands for."""
    if os.path.realpath(path.parent) == f"/proc/{os.getpid()}/fd":
        return int(path.name)
    return _descriptor(path.parent / path.readlink()) if path.is_symlink() else None
