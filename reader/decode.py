"""Any file as one that can be streamed: unpacked, in UTF-8, with lines that end in a line feed.

What is so already is read where it is; anything else becomes a temporary copy on disk, a piece at a
time, which goes when nothing reads it any more.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import stat
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from display import short
from errors import TableError
from files import is_in_utf8, naming, temporary
from reader.folder import is_beside

START = 1 << 20  # bytes that tell how a file is written
PIECE = 1 << 20
UNPACKED = 1 << 30  # bytes that any packed file may hold
RATIO = 100  # of them to a packed one: what a table rarely comes to
FEW_ZEROS = 16  # bytes that a damaged text may have
PACKED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"PK\x03\x04": "zip",
}
STREAMED = {"gzip", "zstd"}  # Polars unpacks these as it reads
PACKED_SUFFIXES = {".gz", ".zst", ".bz2", ".xz", ".zip"}
MARKS = {  # byte order marks; the longer ones first
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xef\xbb\xbf": "utf-8",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
BAD_ZIP = (zipfile.BadZipFile, NotImplementedError)  # damaged, or packed in a way unknown here
SPREADSHEET = re.compile(r"xl/workbook\.(xml|bin)$|^content\.xml$")


@dataclass(frozen=True)
class Plain:
    """A file to read at `path`; `original`: the one that it stands for, which messages name;
    `name`: that of the original without the suffix of its packing; `start`: its first bytes,
    unpacked, where they are known; `most`: bytes that it may unpack to; `holds_quotes`: whether
    there may be a quote in it that has no other on its line; `keep`: holds a temporary copy in
    place."""

    path: Path
    original: Path
    name: str
    start: bytes = field(repr=False)
    most: int = sys.maxsize
    holds_quotes: bool = True
    keep: Any = field(default=None, repr=False, compare=False)

    @property
    def suffix(self) -> str:
        return Path(self.name).suffix.lower()

    @property
    def is_copy(self) -> bool:
        return self.keep is not None


def unpacked(path: Path, limit: int = UNPACKED) -> Plain:
    """The file, out of bzip2, xz or a zip of one file. What Polars unpacks itself stays as it is.

    `limit`: bytes that it may unpack to, where RATIO times its size is less. Raises TableError for
    what is no file, for a damaged one, for a zip of several, above the limit, and for a name that
    Polars cannot read.
    """
    if not is_in_utf8(path):
        raise TableError(f"{path}: the name is not in UTF-8; rename the file, or its folder")
    with _plain_file(path).open("rb") as file:
        start = file.read(START)
    packing = _packing(start)
    suffix = path.suffix.lower()
    name = path.name[: -len(suffix)] if suffix in PACKED_SUFFIXES else path.name
    if packing is None:
        return Plain(path, path, name, start)
    plain = Plain(path, path, name, start, most=most_of(path.stat().st_size, limit))
    if packing == "zip" and _is_spreadsheet(path):
        return plain
    if packing == "zstd":
        return replace(plain, start=b"")
    with _opened(path, packing) as stream:
        plain = replace(plain, start=stream.read(START))
        if packing in STREAMED:
            return plain
        if packing == "zip":
            plain = replace(plain, name=Path(stream.name).name)
    with _opened(path, packing) as stream:
        plain = copied(plain, _pieces(stream))
    if (inner := _packing(plain.start)) and not (inner == "zip" and _is_spreadsheet(plain.path)):
        raise TableError(f"{path}: holds a file that is packed again ({inner}); unpack it first")
    return plain


def _plain_file(path: Path) -> Path:
    """The path. Raises TableError where it is a folder, a pipe, a socket or a device: reading some
    of these would never end."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return path
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}
    raise TableError(
        f"{path}: is a {kinds.get(stat.S_IFMT(mode), 'device')}, expected a file; write what it "
        "gives into one first"
    )


def too_large(path: Path | str, size: int, most: int) -> TableError:
    """What to say of a file of `size` bytes that unpacks to more than it may."""
    return TableError(
        f"{path}: {size / 1e6:,.1f} MB unpack to more than {most >> 20:,} MB; if that is right, "
        "raise data.unpack_limit, or unpack it first"
    )


def most_of(size: int, limit: int) -> int:
    """Bytes that a file of this size may unpack to."""
    return max(limit, RATIO * size)


def check_archive(plain: Plain) -> None:
    """Raises TableError where a workbook says of its parts that they unpack to more than they
    may."""
    try:
        with zipfile.ZipFile(plain.path) as archive:
            size = sum(part.file_size for part in archive.infolist())
    except BAD_ZIP:  # of before 2007, or told by whoever reads it
        return
    if size > plain.most:
        raise too_large(plain.original, plain.original.stat().st_size, plain.most)


def copied(plain: Plain, pieces: Iterator[bytes]) -> Plain:
    """The same, to be read from a temporary copy that holds the pieces. Raises TableError where
    these are more than a file that was packed may hold."""
    copy, path = temporary()
    size = 0
    for piece in pieces:
        if (size := size + len(piece)) > plain.most:
            raise too_large(plain.original, plain.original.stat().st_size, plain.most)
        with naming(tempfile.gettempdir()):
            copy.write(piece)
            copy.flush()
    with path.open("rb") as file:
        start = file.read(START)
    return replace(plain, path=path, start=start, keep=copy)


def whole(plain: Plain) -> Plain:
    """The same, unpacked for readers that do not do it themselves."""
    packing = packing_of(plain.path)
    if packing == "zstd":
        raise TableError(f"{plain.original}: only text may be packed with zstd; unpack it first")
    if packing != "gzip":
        return plain
    with _opened(plain.path, packing) as stream:
        return copied(plain, _pieces(stream))


def as_utf8(plain: Plain, asked: str | None, without_mark: bool = False) -> Plain:
    """The same text in UTF-8, with line feeds; `without_mark`: and no byte order mark.

    The encoding is the one that a byte order mark names; else the one `asked` for; else UTF-16
    where every other byte is zero; else UTF-8. Raises TableError where the text is not in it.
    """
    start, mark = plain.start, _mark(plain.start)
    zeros = 0 if mark or asked or _utf16(start) else start.count(0)
    if zeros > max(FEW_ZEROS, len(start) // 50):
        raise TableError(
            f"{plain.original}: is a binary file of a kind unknown here, expected a table; export "
            "it as CSV or Parquet"
        )
    encoding = mark or asked or _utf16(start) or "utf-8"
    old_mac = b"\r" in start and b"\n" not in start
    if re.fullmatch(r"(?i)utf[-_]?8([-_]sig)?", encoding):
        _check_utf8(plain)
        if not old_mac and not (without_mark and mark):
            return plain
        encoding = "utf-8-sig"
    return copied(plain, _encoded(plain, encoding))


def is_utf8(start: bytes) -> bool:
    """Whether the first bytes of a file are text in UTF-8 that is more than ASCII."""
    return not start.isascii() and _decodes(start, "utf-8")


def not_utf8(plain: Plain) -> TableError | None:
    """What is wrong with a text that is not UTF-8, and where; None where it is."""
    if not plain.start:  # of zstd, which Polars alone unpacks here
        return TableError(f"{plain.original}: damaged, or not UTF-8 text; unpack it first")
    with reading(plain) as file:
        for number, line in enumerate(file, start=1):
            if not _decodes(line, "utf-8"):
                return _explained(plain, number, plain.start + line + file.read(START))
    return None


def _check_utf8(plain: Plain) -> None:
    """Raises TableError where the first bytes are not UTF-8 (the last may be half a character)."""
    if plain.start.isascii() or _decodes(plain.start[:-3], "utf-8", whole=False):
        return
    if error := not_utf8(plain):
        raise error


def _explained(plain: Plain, number: int, data: bytes) -> TableError:
    where = f"{plain.original}, line {number}: not UTF-8 text"
    text = data.decode("utf-8", errors="replace")
    broken, known = text.count("�"), sum(map(len, re.findall(r"[^\x00-\x7f�]", text)))
    if known > 10 * broken:
        return TableError(f"{where}, though the rest is: a character in it is broken; fix the line")
    names = _candidates(data)
    likely = f"it is probably {' or '.join(names)}: " if names else ""
    key = f"data.encoding={names[0]}" if names else "data.encoding"
    return TableError(f"{where}; {likely}set {key}, or save the file as UTF-8")


def _candidates(data: bytes) -> list[str]:
    """Encodings that the text may be in, the likeliest first, by which bytes stand where."""
    runs = re.findall(rb"[\x80-\xff]+", data)
    high = b"".join(runs)
    if 2 * sum(len(run) == 1 for run in runs) >= len(runs):
        names = ["cp1252", "gbk"]  # single letters with an accent, among plain ones
    elif sum(byte >= 0xC0 for byte in high) > 0.95 * len(high):
        names = ["cp1251", "gbk"]  # words of Cyrillic letters
    elif sum(0x81 <= byte <= 0x9F for byte in high) > 0.2 * len(high):
        names = ["shift_jis", "gbk"]
    else:
        names = ["gbk", "big5", "euc_kr"]
    return [name for name in names if _decodes(data[: -(len(data) % 2) or None], name, False)][:2]


def _decodes(data: bytes, encoding: str, whole: bool = True) -> bool:
    """Whether the bytes are text in the encoding; without `whole`, the last ones do not count."""
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        return not whole and error.start >= len(data) - 4
    return True


def _mark(start: bytes) -> str | None:
    return next((name for mark, name in MARKS.items() if start.startswith(mark)), None)


def _utf16(start: bytes) -> str | None:
    """UTF-16 without a mark: nearly every other byte of Latin text is zero."""
    half = len(start) // 2
    for offset, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = start[offset::2].count(0)
        if half and zeros > 0.7 * half and not start[1 - offset :: 2].count(0):
            return name
    return None


def _encoded(plain: Plain, encoding: str) -> Iterator[bytes]:
    with reading(plain) as file:
        text = io.TextIOWrapper(file, encoding=encoding, newline=None)
        try:
            first = True
            while piece := text.read(PIECE):
                yield (piece.removeprefix("\ufeff") if first else piece).encode()
                first = False
        except (UnicodeError, UnicodeEncodeError) as error:
            reason = getattr(error, "reason", error)
            raise TableError(
                f"{plain.original}: the text is not {encoding} ({reason}); "
                "set data.encoding to what it is, or save the file as UTF-8"
            ) from None


@contextmanager
def reading(plain: Plain) -> Iterator[IO[bytes]]:
    """The bytes, unpacked."""
    with _opened(plain.path, packing_of(plain.path)) as stream:
        yield stream


@contextmanager
def _opened(path: Path, packing: str | None) -> Iterator[IO[bytes]]:
    """The unpacked bytes. Raises TableError where they are damaged."""
    try:
        if packing == "zip":
            with zipfile.ZipFile(path) as archive, archive.open(_member(path, archive)) as member:
                yield member
        else:
            open_file: Any = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
            with open_file.get(str(packing), open)(path, "rb") as stream:
                yield stream
    except OSError as error:
        if error.errno is not None and not isinstance(error, gzip.BadGzipFile):
            raise
        raise _damaged(path, packing) from None
    except (EOFError, zlib.error, lzma.LZMAError, *BAD_ZIP):
        raise _damaged(path, packing) from None
    except RuntimeError as error:
        if "password" not in str(error):
            raise
        raise TableError(f"{path}: the zip has a password; unpack it first") from None


def _damaged(path: Path, packing: str | None) -> TableError:
    return TableError(f"{path}: damaged, it cannot be unpacked ({packing}); fetch or pack it again")


def _packing(start: bytes) -> str | None:
    return next((name for magic, name in PACKED.items() if start.startswith(magic)), None)


def packing_of(path: Path) -> str | None:
    with path.open("rb") as file:
        return _packing(file.read(8))


def _is_spreadsheet(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(SPREADSHEET.search(name) for name in archive.namelist())
    except BAD_ZIP:
        return False


def _member(path: Path, archive: zipfile.ZipFile) -> str:
    """The one file of a zip; what a Mac adds does not count, nor what stands beside a table."""
    names = [name for name in archive.namelist() if not name.endswith("/")]
    names = [n for n in names if not n.startswith("__MACOSX/") and not Path(n).name.startswith(".")]
    names = [n for n in names if not is_beside(Path(n).name)] or names
    if len(names) != 1:
        listed = ", ".join(map(short, names[:5])) + (", ..." if len(names) > 5 else "")
        raise TableError(
            f"{path}: found {len(names)} files in the zip{f' ({listed})' if names else ''}, "
            "expected one; unpack it, and give the file or the folder"
        )
    return names[0]


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    while piece := stream.read(PIECE):
        yield piece
