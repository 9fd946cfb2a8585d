"""Files that are whole or not there: drafts that are renamed, and JSON sealed by its own sum."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import IO, Any, cast

SUM = "sha256"
ZEROS = "0" * 64
MINUTE = 60.0  # seconds
DRAFT = re.compile(r"\.draft-[0-9a-f]{16}")
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MOST_VALUES = 3_000_000  # in a JSON; they take some 100 bytes each


def is_in_utf8(path: str | Path) -> bool:
    """Whether every program can be told of the path; a name on a disk may be any bytes."""
    try:
        return bool(str(path).encode())
    except UnicodeEncodeError:
        return False


@contextmanager
def drafted(path: Path, to_disk: bool = False) -> Iterator[IO[bytes]]:
    """A file beside `path` to write to, which gets its name at the end, and goes where the writing
    fails: a reader never meets half a file. `to_disk`: it stands after a crash of the machine.

    An OSError of the writing names `path`.
    """
    draft = draft_beside(path)
    with _told_of(path):
        try:
            with draft.open("xb") as file:
                lock(file)  # so that who removes the drafts of the dead passes it over
                yield file
                file.flush()
                if to_disk:
                    os.fsync(file.fileno())
                draft.replace(path)
            if to_disk:
                sync(path.parent)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def drafted_folder(folder: Path, to_disk: bool = False) -> Iterator[Path]:
    """An empty folder to fill with files, which gets the name `folder` at the end, and goes where
    that fails. Where `folder` holds files, each takes its place there: others stay. `to_disk`: as
    for a file.

    An OSError of the writing names `folder`.
    """
    draft = draft_beside(folder)
    with _told_of(folder):
        draft.mkdir(parents=True)
        try:
            yield draft
            if to_disk:
                for path in (*draft.iterdir(), draft):
                    sync(path)
            try:
                draft.rename(folder)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                for path in draft.iterdir():
                    path.replace(folder / path.name)
            if to_disk:
                sync(folder)
                sync(folder.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def draft_beside(path: Path) -> Path:
    """A name in the same folder that nobody else uses, and that `DRAFT` matches."""
    return path.with_name(f".draft-{token_hex(8)}")


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    """A full disk names no file, and a user knows no draft: the error is told of `path`."""
    try:
        yield
    except OSError as error:
        if DRAFT.search(str(error.filename)) or (not error.filename and error.errno in FULL):
            error.filename, error.filename2 = str(path), None
        raise


def write_atomically(path: Path, content: bytes, to_disk: bool = False) -> None:
    """Write all of a file, or nothing of it."""
    with drafted(path, to_disk) as file:
        file.write(content)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Refused writes say which file they meant: the system names it only where one is opened."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, error.filename or name) from None


def temporary() -> tuple[IO[bytes], Path]:
    """A file to write to, and the path to read it by. No folder lists it, so it goes with this
    process, however that ends; where there is no /proc, it has a name until it is closed."""
    if Path("/proc/self/fd").is_dir():
        file = tempfile.TemporaryFile()  # noqa: SIM115
        return file, Path(f"/proc/self/fd/{file.fileno()}")
    named = tempfile.NamedTemporaryFile()  # noqa: SIM115
    return cast(IO[bytes], named), Path(named.name)


def open_streams() -> None:
    """Let standard streams that are closed (`2>&-`) refuse what they are for, and messages vanish.
    A file opened later would else get the number of one, and what Paddle prints would be in it."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            mode = "w" if descriptor else "r"
            # It gets the lowest number that is free, and does not do what it is for.
            os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_WRONLY)
            setattr(sys, name, open(descriptor, mode, closefd=False))  # noqa: SIM115


@contextmanager
def drafted_among_others(path: Path) -> Iterator[IO[bytes]]:
    """As `drafted`, in a folder where several processes may write: what those that were killed have
    left goes first. A draft that is being written is known by its lock."""
    remove_dead_drafts(path.parent)
    with drafted(path) as file:
        yield file


def remove_dead_drafts(folder: Path) -> None:
    """Remove what `drafted` could not, because its process was killed. One that was made this
    minute may not have its lock yet."""
    for path in folder.glob(".draft-*"):
        if DRAFT.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            with suppress(OSError), path.open("rb") as file:
                if time.time() - os.fstat(file.fileno()).st_mtime > MINUTE and lock(file):
                    path.unlink()


def lock(file: IO[bytes]) -> bool:
    """Whether an open file is now this process's own: until it is closed, or the process ends."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):  # another has it; or a system or a disk without locks
        return False
    return True


def to_json(values: Mapping[str, Any]) -> str:
    """JSON in lines, for eyes and for programs; NaN and infinity raise ValueError."""
    return json.dumps(dict(values), indent=1, allow_nan=False) + "\n"


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def seal(values: Mapping[str, Any], contents: Mapping[str, bytes]) -> bytes:
    """JSON of the values, with the SHA-256 of each of `contents` under `files`, and under `sha256`
    that of the JSON itself, taken with these 64 digits at 0."""
    files = {name: digest(content) for name, content in contents.items()}
    text = to_json({**values, "files": files, SUM: ZEROS}).encode()
    return text.replace(ZEROS.encode(), digest(text).encode())


def unseal(text: bytes) -> dict[str, Any]:
    """The values of a sealed JSON, `files` among them, and `sha256`.

    Raises ValueError where it is none, AlteredError where its sum is another.
    """
    values = parse_json(text)
    own = values.get(SUM) if isinstance(values, dict) else None
    if not isinstance(own, str) or not re.fullmatch("[0-9a-f]{64}", own):
        raise ValueError(f"not a sealed JSON: without {SUM}")
    if (actual := digest(text.replace(own.encode(), ZEROS.encode()))) != own:
        raise AlteredError(f"SHA-256 {actual[:12]}...", f"{own[:12]}...")
    return values


def parse_json(text: bytes) -> Any:
    """Foreign JSON in UTF-8: without NaN and infinity, of a bounded number of values.

    Raises ValueError. A number such as 1e400 still is infinite.
    """
    if sum(map(text.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES:,} values")
    try:
        return json.loads(text.decode(), parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"found {constant}, expected a finite number")


def read_plain(path: Path, most: int, size: int | None = None, link: bool = False) -> bytes:
    """All of a plain file of at most `most` bytes, or of `size` bytes where that is known: opened
    and read once.

    Raises OSError where it is not there or a folder, AlteredError where it is of another size, and
    ValueError for a larger file, for a pipe or a device, which it does not wait for, and, unless a
    `link` may lead to the file, for a link.
    """
    if "\0" in str(path):
        raise ValueError("has a NUL character in its name")
    if not link and path.is_symlink():
        raise ValueError("is a link; expected a plain file")
    # Neither is there in Windows, which has no such links and pipes in a folder of files.
    flags = getattr(os, "O_NONBLOCK", 0) | (0 if link else getattr(os, "O_NOFOLLOW", 0))
    flags |= getattr(os, "O_BINARY", 0)
    with open(path, "rb", opener=lambda name, mode: os.open(name, mode | flags)) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("is not a plain file")
        if size is not None and found.st_size != size:
            raise AlteredError(f"{found.st_size:,} bytes", f"{size:,}")
        if found.st_size > most:
            raise ValueError(f"found {found.st_size:,} bytes, expected at most {most:,}")
        return file.read(found.st_size)


class AlteredError(ValueError):
    """A file is not the one that was noted."""

    def __init__(self, actual: str, noted: str) -> None:
        super().__init__(f"{actual}, expected {noted}")


def compare(content: bytes, noted: str) -> None:
    """Raises AlteredError where the content has another SHA-256."""
    if (actual := digest(content)) != noted:
        raise AlteredError(f"SHA-256 {actual[:12]}...", f"{noted[:12]}...")
