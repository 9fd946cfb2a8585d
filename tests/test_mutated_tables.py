"""Damaged tables: each trains and predicts with a line for every row, or ends in one message."""

from __future__ import annotations

import contextlib
import csv
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import infer
import train
from tests.conftest import SOAK, train_recipe

pytestmark = pytest.mark.slow

CELLS = st.sampled_from(
    [
        *("", "NA", "nan", "x", "inf", "-1e39", "1e-50", "1,5", "0x1F", "1_000", " 7 ", "١", "٪"),
        *('"', '""', '"a', "'", "\\N", "#", "2024-02-30", "true", "\u2028", "\x00", "😀" * 50, ";"),
        *("-999", "9" * 400, "=1+1", "None", "\t", "a\nb", "\v", "\x1c", "\x85", "\u3000"),
    ]
)
# What makes a line blank: \x1c to \x1f separate units of data, and only Python calls them white.
WHITE = "".join(c for c in map(chr, range(0x3001)) if c.isspace() and not "\x1c" <= c <= "\x1f")
Mutation = Callable[[bytes], bytes]
LINES = ["id,a,town,when,ok,y"] + [
    f"k{i},{i % 7}.5,{['north', 'south', 'east'][i % 3]},2024-01-{i % 28 + 1:02},"
    f"{'yes' if i % 2 else 'no'},{3 * (i % 7) + i % 3}"
    for i in range(40)
]
TABLE = ("\n".join(LINES) + "\n").encode()


@st.composite
def replace_cell(draw: st.DrawFn) -> Mutation:
    row, column, cell = draw(st.integers(0, 40)), draw(st.integers(0, 5)), draw(CELLS)
    quoted = draw(st.booleans())

    def change(table: bytes) -> bytes:
        rows = [line.split(b",") for line in table.split(b"\n")]
        at = rows[row % len(rows)]
        text = cell.encode()
        at[column % len(at)] = b'"' + text.replace(b'"', b'""') + b'"' if quoted else text
        return b"\n".join(b",".join(row) for row in rows)

    return change


@st.composite
def edit_bytes(draw: st.DrawFn) -> Mutation:
    start, length = draw(st.integers(0, len(TABLE))), draw(st.integers(0, 30))
    new = draw(st.binary(max_size=6))
    return lambda table: table[:start] + new + table[start + length :]


@st.composite
def edit_line(draw: st.DrawFn) -> Mutation:
    at, what = draw(st.integers(0, 41)), draw(st.sampled_from(["drop", "twice", "blank", "more"]))
    white = draw(st.text(WHITE.replace("\n", ""), max_size=2))

    def change(table: bytes) -> bytes:
        lines = table.split(b"\n")
        line = lines[at % len(lines)]
        lines[at % len(lines) : at % len(lines) + 1] = {
            "drop": [],
            "twice": [line, line],
            "blank": [line, b"", b"  ", white.encode()],
            "more": [line + b",1,2"],
        }[what]
        return b"\n".join(lines)

    return change


WHOLE: list[Mutation] = [
    lambda table: table.replace(b",", b";"),
    lambda table: table.replace(b",", b"\t"),
    lambda table: table.replace(b",", b" "),
    lambda table: table.replace(b",", b"|"),
    lambda table: table.replace(b"\n", b"\r\n"),
    lambda table: table.replace(b"\n", b"\r"),
    lambda table: b"\xef\xbb\xbf" + table,
    lambda table: table.decode(errors="replace").encode("utf-16"),
    lambda table: table.decode(errors="replace").encode("gbk", errors="replace"),
    lambda table: table.replace(b"north", b"\xb1\xb1"),
    lambda table: table.split(b"\n", 1)[-1],
    lambda table: table.replace(b"id,a", b"id,id"),
    lambda table: table.replace(b"id,a", b",a"),
    lambda table: table[: len(table) // 2],
    lambda table: b"",
    lambda table: b"PAR1" + table,
    lambda table: b'{"' + table,
]
MUTATIONS = st.lists(
    st.one_of(replace_cell(), replace_cell(), edit_bytes(), edit_line(), st.sampled_from(WHOLE)),
    min_size=1,
    max_size=3,
)


def attempt(main: Callable[[list[str]], int], *arguments: str) -> tuple[int, str]:
    """The exit code and what went to stderr."""
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
        code = main(list(arguments))
    return code, errors.getvalue()


def holds(code: int, error: str) -> None:
    """Done, or one message."""
    assert code in (0, 2), error
    assert "Traceback" not in error
    if code == 2:
        (line,) = [line for line in error.split("\n") if line.startswith("error: ")]
        assert error.endswith(line + "\n")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mutated")
    (folder / "t.csv").write_bytes(TABLE)
    recipe = folder / "r.yaml"
    recipe.write_text(f"data: {{path: {folder / 't.csv'}, target: y}}\ntrain: {{epochs: 1}}\n")
    train_recipe(folder / "run", str(recipe))
    return folder / "run"


@settings(max_examples=50 * SOAK)
@given(MUTATIONS)
def test_prediction(model: Path, mutations: list[Mutation]) -> None:
    table = TABLE
    for mutate in mutations:
        table = mutate(table)
    with tempfile.TemporaryDirectory() as name:
        path, output = Path(name, "t.csv"), Path(name, "out.csv")
        path.write_bytes(table)
        given = ["--model", str(model), "--input", str(path), "--output", str(output)]
        code, error = attempt(infer.main, *given)
        holds(code, error)
        assert output.exists() == (code == 0)
        strict = lines_of(output) if code == 0 else []
        code, error = attempt(infer.main, *given, "--on-error", "flag")
        holds(code, error)
        if code == 0:
            flagged = lines_of(output)
            rows = expected_rows(table)
            assert rows is None or len(flagged) == rows
            for line in flagged:
                assert bool(line["prediction"]) != bool(line["error"])
            if strict:
                assert [row["prediction"] for row in strict] == [
                    row["prediction"] for row in flagged
                ]


def lines_of(output: Path) -> list[dict[str, str]]:
    with open(output, newline="") as file:
        return list(csv.DictReader(file))


def expected_rows(table: bytes) -> int | None:
    """Rows under the header on the first line, where nobody has a doubt about them."""
    try:
        text = table.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    if '"' in text or "\r" in text.replace("\r\n", "") or "\u2028" in text or "\x00" in text:
        return None
    header, *lines = text.split("\n")
    separator = next((each for each in ",;|\t" if header.count(each) == 5), None)
    if separator is None:
        return None
    return len([line for line in lines if separator in line or line.strip(WHITE)])


@settings(max_examples=15 * SOAK)
@given(MUTATIONS)
def test_training(mutations: list[Mutation]) -> None:
    table = TABLE
    for mutate in mutations:
        table = mutate(table)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "t.csv").write_bytes(table)
        (folder / "r.yaml").write_text(
            f"data: {{path: {folder / 't.csv'}, target: y}}\n"
            "train: {epochs: 1, log_every: 1000}\n"
            f"run: {{dir: {folder / 'run'}}}\n"
        )
        code, error = attempt(train.main, "-c", str(folder / "r.yaml"))
        holds(code, error)
        assert (folder / "run" / "DONE").exists() == (code == 0)
        if code == 2:
            assert not (folder / "run").exists() or "diverged" in error
