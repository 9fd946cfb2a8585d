"""Where predictions go, and what they must not replace."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest

import infer
from errors import TableError
from output import output_of
from reader.folder import is_read
from tests.conftest import COLUMNS, ROOT, imports, wait_for

LINES = pl.DataFrame({"prediction": [1.5, 2.5]})
TEXT = "prediction\n1.5\n2.5\n"
HOUSES = "data/boston/housing.data"


def write(name: str | Path) -> None:
    with output_of(str(name)).open() as writer:
        writer.write(LINES)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def received(tmp_path: Path) -> list[bytes]:
    """A pipe, tmp_path/pipe.csv, and what a reader of it got."""
    pipe, got = tmp_path / "pipe.csv", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()), daemon=True)
    reader.start()
    return got


def test_a_pipe_is_written_through(tmp_path: Path, received: list[bytes]) -> None:
    write(tmp_path / "pipe.csv")
    assert stat.S_ISFIFO((tmp_path / "pipe.csv").stat().st_mode)
    wait_for(lambda: received)
    assert received == [TEXT.encode()]
    assert names(tmp_path) == ["pipe.csv"]


def test_a_pipe_ends_where_the_work_fails(tmp_path: Path, received: list[bytes]) -> None:
    """Whoever reads it is not left waiting."""
    with suppress(TableError), output_of(str(tmp_path / "pipe.csv")).open() as writer:
        writer.write(LINES)
        raise TableError("line 7")
    wait_for(lambda: received)
    assert received == [b""]


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "real.csv").write_text("before")
    (tmp_path / "second.csv").symlink_to("there/real.csv")
    (tmp_path / "first.csv").symlink_to("second.csv")
    write(tmp_path / "first.csv")
    assert [(tmp_path / name).is_symlink() for name in ("first.csv", "second.csv")] == [True] * 2
    assert (tmp_path / "there" / "real.csv").read_text() == TEXT
    assert names(tmp_path / "there") == ["real.csv"]


def test_a_link_to_a_file_that_is_not_there_yet_makes_it(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to("new.csv")
    write(tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "new.csv").read_text() == TEXT


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("none/new.csv", "there is no folder .*none; create it first"),
        ("link.csv", "is a link that leads to itself"),
        (".", "is a folder; expected a file"),
    ],
)
def test_a_link_that_leads_to_no_file(tmp_path: Path, target: str, words: str) -> None:
    (tmp_path / "link.csv").symlink_to(target)
    with pytest.raises(TableError, match=words):
        write(tmp_path / "link.csv")
    assert names(tmp_path) == ["link.csv"]


def test_a_file_that_another_program_appends_to_is_not_replaced(tmp_path: Path) -> None:
    """`(echo before; infer.py --output /dev/stdout; echo after) > out.csv`."""
    with (tmp_path / "out.csv").open("wb", buffering=0) as file:
        file.write(b"before\n")
        write(f"/dev/fd/{file.fileno()}")
        (tmp_path / "link.csv").symlink_to(f"/proc/self/fd/{file.fileno()}")
        write(tmp_path / "link.csv")
        file.write(b"after\n")
    assert (tmp_path / "out.csv").read_text() == f"before\n{TEXT}{TEXT}after\n"


def test_devices_stay_devices() -> None:
    if stat.S_ISCHR(Path("/dev/null").stat().st_mode):
        write("/dev/null")
        assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_permissions_stay_and_a_file_that_may_not_be_written_stands(tmp_path: Path) -> None:
    file = tmp_path / "out.csv"
    file.write_text("before")
    file.chmod(0o640)
    write(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    file.chmod(0o440)
    if not os.access(file, os.W_OK):  # root may write it
        with pytest.raises(PermissionError) as refused:
            write(file)
        assert refused.value.filename == str(file)


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz"])
def test_a_disk_that_fills_up(tmp_path: Path, name: str) -> None:
    """In a process that may write 64 KB into a file; the limit stands for a disk."""
    file = tmp_path / name
    file.write_text("before")
    code = (
        "import resource, sys, polars; from output import output_of\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))\n"
        "lines = polars.DataFrame({'a': polars.arange(10**6, eager=True).shuffle(0)})\n"
        "try:\n"
        "    with output_of(sys.argv[1]).open() as writer: writer.write(lines)\n"
        "except OSError as error: print(error.filename, error.strerror)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{file} File too large\n"
    assert file.read_text() == "before"
    assert names(tmp_path) == [name]


def test_a_full_device_is_named() -> None:
    with pytest.raises(OSError, match="No space left") as refused:
        write("/dev/full")
    assert refused.value.filename == "/dev/full"


def test_two_at_once_do_not_mix(tmp_path: Path) -> None:
    """The last one that ends is there, whole."""
    file, barrier = tmp_path / "out.csv", threading.Barrier(8)

    def write_many(number: int) -> None:
        with output_of(str(file)).open() as writer:
            for _ in range(50):
                writer.write(pl.DataFrame({"a": [number] * 1_000}))
            barrier.wait()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write_many, range(8)))  # raises where one of them does
    lines = file.read_text().split()[1:]  # below the header
    assert len(lines) == 50_000
    assert len({*lines}) == 1
    assert names(tmp_path) == ["out.csv"]


def made(path: Path, make: Callable[[Path], object]) -> Path:
    make(path)
    return path


OTHER_NAMES: dict[str, Callable[[Path], Path]] = {
    "its own name": lambda table: table,
    "another spelling": lambda table: table.parent / ".." / table.parent.name / table.name,
    "a link": lambda table: made(table.with_name("l.csv"), lambda path: path.symlink_to(table)),
    "a hard link": lambda table: made(
        table.with_name("h.csv"), lambda path: path.hardlink_to(table)
    ),
}


@pytest.mark.parametrize("given", ["a.csv", ".", "*.csv", "[ab].csv"])
@pytest.mark.parametrize("other", OTHER_NAMES)
def test_an_input_is_known_by_any_name(tmp_path: Path, given: str, other: str) -> None:
    table = tmp_path / "a.csv"
    table.write_text("a,y\n1,2\n")
    assert is_read(tmp_path / given, OTHER_NAMES[other](table))


@pytest.mark.parametrize(
    ("table", "file", "read"),
    [
        (".", "new.csv", True),
        ("*.csv", "new.csv", True),
        ("*.csv", "new.tsv", False),
        ("*.csv", "other/new.csv", False),
        (".", "other/new.csv", False),
        (".", ".new.csv", False),
        (".", "_new.csv", False),
        ("a.csv", "new.csv", False),
    ],
)
def test_what_would_be_read_the_next_time(
    tmp_path: Path, table: str, file: str, read: bool
) -> None:
    (tmp_path / "a.csv").write_text("a,y\n1,2\n")
    (tmp_path / "other").mkdir()
    assert is_read(tmp_path / table, tmp_path / file) == read


WAITS = """
import sys, time, polars, infer

def predict(*given):
    (output,) = [each for each in given if isinstance(each, infer.Output)]
    with output.open() as writer:
        writer.write(polars.DataFrame({"a": [1]}))
        print("ready", flush=True)
        while True:
            time.sleep(0.01)  # a signal that comes just before a sleep does not end it

infer.predict = predict
sys.exit(infer.main(["--model", sys.argv[1], "--input", "-", "--output", sys.argv[2]]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [(2,), (15,), (1,), (15, 1), (1, 15, 2, 2)])
def test_an_interrupted_prediction_leaves_nothing(
    boston_run: Path, tmp_path: Path, numbers: tuple[int, ...]
) -> None:
    """Neither a draft nor a copy of standard input, whichever signals come, one upon the other."""
    (tmp_path / "out.csv").write_text("before")
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS, str(boston_run), str(tmp_path / "out.csv")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    assert len(names(tmp_path)) == 2
    for number in numbers:
        process.send_signal(number)
    _, said = process.communicate()
    # A later one may come when all is put in order, and handlers are those of before.
    by_handler, by_system = {128 + number for number in numbers}, {-n for n in numbers[1:]}
    assert process.returncode in by_handler | by_system
    assert said == "stopped; nothing was written\n"
    assert (tmp_path / "out.csv").read_text() == "before"
    assert names(tmp_path) == ["out.csv"]


def test_an_interrupt_while_packages_are_imported_says_nothing_odd(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "infer.py", "--model", str(tmp_path), "--input", "-"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: imports(process, "numpy"))
    process.send_signal(2)
    _, said = process.communicate()
    assert process.returncode in (-2, 130, 2)  # 2: by then the model was found to be none
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("streams", "code", "words"),
    [
        (">&-", 2, "error: standard output: Bad file descriptor"),
        ("--output /dev/stdout >&-", 2, "error: /dev/stdout: Bad file descriptor"),
        ("<&- --input -", 2, "error: standard input: Bad file descriptor"),
        ("> /dev/full", 2, "error: standard output: No space left on device"),
        ("--output out.csv 2>&-", 0, ""),
        ("--output out.csv 2> /dev/full", 0, ""),
        ("--output out.csv <&- >&- 2>&-", 0, ""),
        ("| head -1", 0, "warning: INDUS: 2 of 506 values"),
    ],
)
def test_streams_that_are_closed_or_full(
    boston_run: Path, tmp_path: Path, streams: str, code: int, words: str
) -> None:
    arguments = f"--model {boston_run} --input {ROOT / HOUSES} {streams}"
    script = f"PYTHONWARNINGS=ignore {sys.executable} {ROOT / 'infer.py'} {arguments}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == code
    assert done.stderr.startswith(words)
    assert done.stderr.count("error:") == (code == 2)
    assert names(tmp_path) == (["out.csv"] if "out.csv" in streams else [])
    for path in tmp_path.iterdir():
        assert path.read_text().startswith("prediction\n")
        assert path.read_text().count("\n") == 507


@pytest.mark.slow
def test_an_output_is_neither_input_nor_model(
    boston_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, folder = tmp_path / "model", tmp_path / "in"
    shutil.copytree(boston_run, model)
    folder.mkdir()
    rows = [line.split() for line in (ROOT / HOUSES).read_text().splitlines()]
    (folder / "a.csv").write_text("\n".join(map(",".join, [COLUMNS, *rows])))
    (folder / "link.csv").symlink_to(model / "report.json")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    a, part = folder / "a.csv", "would be read as part of --input"
    for table, output, words in (
        (folder, folder / "new.csv", part),
        (folder / "*.csv", folder / "new.csv", part),
        (a, a, "is the input"),
        (a, folder / "link.csv", "may be a file of the model"),
        (a, model / "DONE", "may be a file of the model"),
        (a, model / "export" / "model", "may be a file of the model"),
    ):
        given = ["--model", str(model), "--input", str(table), "--output", str(output)]
        assert infer.main(given) == 2
        (error,) = capsys.readouterr().err.splitlines()
        assert words in error
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    given = ["--model", str(model), "--input", str(a), "--output", str(model / "new.csv")]
    assert infer.main(given) == 0
