"""Sound tables in text, however they are written, and what a message says of others."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from errors import TableError
from reader.decode import unpacked
from reader.formats import Reading
from reader.kinds import Encoder
from reader.pack import pack
from reader.quotes import quotes_match
from reader.rows import Layout
from reader.schema import Column, Schema
from reader.table import Table, open_like, open_table
from reader.text import TextFile
from tests.conftest import numbers, numeric

ROWS = [[1.5, 2, 3], [4, -5, 6000], [7, 8, 9]]
BODY = "1.5,2,3\n4,-5,6e3\n7,8,9\n"
TABLE = "a,b,y\n" + BODY


def packed(table: Table, names: Sequence[str] = ("a", "b", "y")) -> list[list[float]]:
    """The cells of these columns, and the same by way of a table to predict."""
    schema = Schema(tuple(Column(n, "target" if n == names[-1] else "numeric") for n in names))
    rows = pack(table, schema).matrix.tolist()
    to_predict = open_like(table.path, schema, table.files[0].reading)
    again = [row for batch in to_predict.batches(numbers(names)) for row in batch.rows.tolist()]
    assert again == rows
    return rows


@pytest.mark.parametrize(
    "content",
    [
        TABLE.replace("a,b,y\n", "a,b,y\n\n"),
        TABLE.replace("\n", "\r\n").replace("y\r\n", "y\r\n\r\n\r\n"),
        TABLE.replace("\n", "\n\n"),
        TABLE.replace(",", "\t").replace("y\n", "y\n\n"),
        TABLE.replace(",", " ").replace("y\n", "y\n\n \n"),
        f"sep=,\n{TABLE}",
        f'\ufeff"sep=;"\r\n{TABLE.replace(",", ";")}'.replace("\n", "\r\n"),
        f"SEP=~\n{TABLE.replace(',', '~')}",
        TABLE.replace("\n", ",\n"),
        TABLE.replace("\n", ",,,\n"),
        f"a,b,y\n{BODY}".replace("3\n", "3,\n").replace("9\n", "9,\n").replace("e3\n", "e3,\n"),
        "a;b;y;\r\n" + BODY.replace(",", ";").replace("\n", ";\r\n"),
        f"Sales of 2024\n{TABLE}",
        f"Sales of 2024\nall towns, net\n\n{TABLE}",
        f"Sales of 2024,,\n,,\n{TABLE}",
        f"Report of all the sales in 2024\n{TABLE.replace(',', ' ')}",
        "Report,,,,,\nCreated:,2024-1-2,,,,\n,,,,,\n" + TABLE.replace("\n", ",,,\n"),
        "Verkauf\nStand: 1,5 Mio; netto\n" + TABLE.replace(",", ";"),
        TABLE.replace(",", "|"),
        '"a";"b";"y"\n' + BODY.replace(",", ";"),
        TABLE.replace("\n", "\r"),
        'a,b,y\n"1.5","2","3"\n4,"-5",6e3\n7,8,"9"\n',
    ],
)
def test_a_sound_table_is_read(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.txt").write_bytes(content.encode())
    assert packed(open_table(tmp_path / "t.txt")) == ROWS


@pytest.mark.parametrize(
    "content",
    [f"\n\n{BODY}", BODY.replace("\n", "\n\n"), BODY.replace("\n", ",\n"), f"sep=,\n{BODY}"],
)
def test_without_a_header(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    table = open_table(tmp_path / "t.csv", ["a", "b", "y"])
    assert packed(table) == ROWS
    assert table.columns == ("a", "b", "y")


def test_lines_left_out_are_told(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"Sales\nof 2024\n\n{TABLE}")
    (note,) = open_table(tmp_path / "t.csv").notes
    assert "lines 1 to 3 are above the header, and left out" in note


def test_a_header_with_separators_in_its_names(tmp_path: Path) -> None:
    content = '"area, m2";"price, net, USD";y\n' + BODY.replace(",", ";")
    (tmp_path / "t.csv").write_text(content)
    table = open_table(tmp_path / "t.csv")
    assert packed(table, ("area, m2", "price, net, USD", "y")) == ROWS


def test_a_name_of_two_lines(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(f'"area\r\n (m2)",b,y\r\n{BODY}'.encode())
    assert packed(open_table(tmp_path / "t.csv"), ("area (m2)", "b", "y")) == ROWS


# Unicode's white space; the four that only Python's str counts too are letters of a cell.
SPACES = [c for c in map(chr, range(0x3001)) if c.isspace() and c not in "\r\n\x1c\x1d\x1e\x1f"]


def counts(path: Path, columns: str, may_be_empty: bool) -> set[int]:
    """The rows that each way of reading finds, and the lines that they begin on."""
    table = open_table(path)
    assert table.columns == tuple(columns)
    layout = numbers(columns, columns if may_be_empty else "")
    flagged = replace(layout, flag=True)
    (file,) = table.files
    assert isinstance(file, TextFile)
    return {
        *(sum(len(batch.rows) for batch in table.batches(each)) for each in (layout, flagged)),
        len(file.lines()),
    }


@pytest.mark.parametrize("separator", [",", "\t", " "])
@pytest.mark.parametrize("columns", ["a", "abc"])
@pytest.mark.parametrize("may_be_empty", [False, True])
def test_a_line_of_white_space_alone_is_no_row(
    tmp_path: Path, separator: str, columns: str, may_be_empty: bool
) -> None:
    row, spaces = separator.join("123"[: len(columns)]), [c for c in SPACES if c != separator]
    lines = [separator.join(columns), row, *spaces, "\v \x85", row, ""]
    path = tmp_path / ("t.csv" if separator == "," else "t.txt")
    path.write_bytes("\n".join(lines).encode())
    assert counts(path, columns, may_be_empty) == {2}


@pytest.mark.parametrize("letter", ["\x1c", "\x1d", "\x1e", "\x1f", "\u200b", '""', '" "'])
def test_any_other_line_is_a_row(tmp_path: Path, letter: str) -> None:
    """An empty cell in quotes, too, as Python's csv module writes it where it stands alone."""
    for columns in ("a", "ab"):
        row = ",".join("12"[: len(columns)])
        content = f"{','.join(columns)}\n{row}\n{letter}\n{row}\n"
        (tmp_path / "t.csv").write_bytes(content.encode())
        layout = replace(numbers(columns), flag=True)
        table = open_table(tmp_path / "t.csv")
        (batch,) = table.batches(layout)
        assert list(batch.errors) == [1]
        assert "line 3" in batch.errors[1]
        assert len(batch.rows) == 3
        (file,) = table.files
        assert isinstance(file, TextFile)
        assert file.lines().tolist() == [2, 3, 4]


def texts_of(table: Table, column: str) -> list[str | None]:
    return [text for batch in table.texts(column) for text in batch]


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ('name,y\n5" pipe,1\nplain,2\n6" pipe,3\n', ['5" pipe', "plain", '6" pipe']),
        ('name,y\n3" x 4",1\nplain,2\nx,3\n', ['3" x 4"', "plain", "x"]),
        (
            'name,y\n"5"" pipe, red",1\n"two\nlines",2\n7" x,3\n',
            ['5" pipe, red', "two\nlines", '7" x'],
        ),
        ('name y\n"north west" 1\n5" 2\n"" 3\n', ["north west", '5"', None]),
        ('"name"\t"y"\n"a ""b"""\t1\nx\t2\ny\t3\n', ['a "b"', "x", "y"]),
    ],
)
def test_quotes_in_cells(tmp_path: Path, content: str, texts: list[str | None]) -> None:
    (tmp_path / "t.txt").write_text(content)
    table = open_table(tmp_path / "t.txt")
    assert texts_of(table, "name") == texts
    assert pack(table, numeric(["name", "y"], "y", ["name"])).matrix.tolist() == [[1], [2], [3]]


CELLS = ['5" in', '3" x 4"', '"a, b"', '"two\nlines"', '"a ""b"""', '""', 'a"b', "plain", '"x"']


@pytest.mark.parametrize("rows", [1, 2, 3, 50, 70_000])
@pytest.mark.parametrize("seed", range(4))
def test_no_row_is_lost_to_a_quote(tmp_path: Path, rows: int, seed: int) -> None:
    """Polars alone gives no row at all of some such files, and no error."""
    random = np.random.default_rng([seed, rows])
    cells = random.choice(CELLS[: 3 + 2 * seed], size=rows)
    cells[rows // 3 :: 3] = "plain"
    content = "".join(f"{cell},{row}\n" for row, cell in enumerate(cells))
    (tmp_path / "t.csv").write_text(f"name,y\n{content}")
    table = open_table(tmp_path / "t.csv")
    matrix = pack(table, numeric(["name", "y"], "y", ["name"])).matrix
    np.testing.assert_array_equal(matrix[:, 0], np.arange(rows))
    expected = [row[0] or None for row in csv.reader(io.StringIO(content), strict=True)]
    assert texts_of(table, "name") == expected


@pytest.mark.parametrize(
    ("content", "separator", "match"),
    [
        ('a,b\n"x","y ""z"""\n"",","\n', ",", True),
        ('\ufeff"a","b"\r\n"two\nlines","x"\r\n', ",", True),
        ('a,b\n5" in,1\n', ",", False),
        ('a,b\nsize 5",1\n', ",", False),
        ('a;b\n"x";1\na"b;2', ";", False),
        ('a,b\n1,"x"', ",", True),
    ],
)
def test_quotes_that_only_enclose_cells(
    tmp_path: Path, content: str, separator: str, match: bool
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(content, newline="")
    assert quotes_match(unpacked(path), separator) is match
    with pytest.MonkeyPatch.context() as patch:
        for piece in range(3, 12):
            patch.setattr("reader.quotes.PIECE", piece)
            assert quotes_match(unpacked(path), separator) is match


def test_a_lone_quote_far_down(tmp_path: Path) -> None:
    lines = [f"text,{row}" for row in range(80_000)]
    lines[70_000] = '5" pipe,70000'
    lines[79_000] = '"6"" pipe",79000'
    (tmp_path / "t.csv").write_text("name,y\n" + "\n".join(lines))
    table = open_table(tmp_path / "t.csv")
    rows = pack(table, numeric(["name", "y"], "y", ["name"])).matrix
    np.testing.assert_array_equal(rows[:, 0], np.arange(80_000))
    assert texts_of(table, "name")[70_000] == '5" pipe'
    assert texts_of(table, "name")[79_000] == '6" pipe'


def test_row_names_of_pandas_and_r_are_no_feature(tmp_path: Path) -> None:
    for index, content in enumerate(
        (
            ",a,b,y\n0,1.5,2,3\n1,4,-5,6e3\n2,7,8,9\n",
            '"","a","b","y"\n"1",1.5,2,3\n"2",4,-5,6e3\n"3",7,8,9\n',
            '"a" "b" "y"\n"1" 1.5 2 3\n"2" 4 -5 6e3\n"3" 7 8 9\n',
            "a\tb\ty\nred one\t1.5\t2\t3\ngreen\t4\t-5\t6e3\nblue\t7\t8\t9\n",
        )
    ):
        path = tmp_path / f"{index}.txt"
        path.write_text(content)
        table = open_table(path)
        assert table.columns == ("row names", "a", "b", "y")
        assert table.header.set_aside(path, set(), {"y"}) == ["row names"]
        assert "column row names only names the rows, and is not used" in table.notes[0]
        assert packed(table) == ROWS


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b,y\n1,2\n1,2,3\n4,5,6\n", "line 2: found 2 values, expected 3 (a, b, y)"),
        ("a,b,y\n1,2,3,4\n1,2,3\n4,5,6\n", "line 2: found 4 values, expected 3 (a, b, y)"),
        ("a,b,y\n1,2,3,\n1,2,3,\n4,5,6,7\n", "line 4: found 4 values, expected 3"),
        ("a,b,y\n1,2,3,4\n1,2,3,5\n", "line 2: found 4 values, expected 3"),
        (
            "a,b,y\n1,2,3\n# half\n4,5,6\n",
            "line 3: found 1 value, expected 3 (a, b, y); fix the line, or set data.comment: '#'",
        ),
        ("a,b,y\n1.5,2,3,4\n2.5,2,3,5\n", "line 2: found 4 values, expected 3"),
        (
            "a,b,y\n1,2,3\na,b,y\n4,5,6\n",
            "line 3, column a: found 'a', expected a number; the line repeats",
        ),
        ('a,b,y\n1,"2" x,3\n4,5,6\n', "line 2: text follows a closing quote"),
        ("a,b,y\n1,2,3\n\n4,5\n", "line 4: found 2 values"),
        ("a b y\n1 2 3\n\n4 5\n", "line 4: found 2 values"),
        ("a,b,y\n1,?,3\n4,5,6\n", "add it to data.missing.values"),
    ],
)
def test_what_a_message_says(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "t.txt").write_text(content)
    with pytest.raises(TableError) as caught:
        pack(open_table(tmp_path / "t.txt"), numeric(["a", "b", "y"], "y"))
    assert words in str(caught.value)


@pytest.mark.parametrize("first", ["1,2", "1,2,3,4"])
def test_a_ragged_first_row_is_flagged(tmp_path: Path, first: str) -> None:
    (tmp_path / "t.csv").write_text(f"a,b,y\n{first}\n\n{BODY}")
    layout = Layout(tuple(Encoder(Column(n, "numeric")) for n in ("a", "b", "y")), flag=True)
    (batch,) = open_table(tmp_path / "t.csv").batches(layout)
    assert list(batch.errors) == [0]
    assert f"line 2: found {first.count(',') + 1} values" in batch.errors[0].replace(
        ", found", ": found"
    )
    assert batch.rows[1:].tolist() == ROWS


def test_a_target_that_is_no_number_may_be_predicted(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,?\n2,3\n4,\n5,inf\n")
    target = Encoder(Column("y", "target"), may_be_empty=True, may_be_wrong=True)
    layout = Layout((Encoder(Column("a", "numeric")), target))
    (batch,) = open_like(tmp_path / "t.csv", numeric(["a", "y"], "y")).batches(layout)
    assert batch.rows[:, 0].tolist() == [1, 2, 4, 5]
    assert np.isfinite(batch.rows[:, 1]).tolist() == [False, True, False, False]
    assert (target.missing, target.unknown) == (1, 2)


@pytest.mark.parametrize("long", ["x" * 300_000, "\x00"])
def test_odd_cells_of_a_column_that_is_left_out(tmp_path: Path, long: str) -> None:
    (tmp_path / "t.csv").write_text(f'a,note,b,y\n1.5,"{long}",2,3\n4,5" x,-5,6e3\n7,,8,9\n')
    assert packed(open_table(tmp_path / "t.csv")) == ROWS


def test_names_that_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("0,1,2\n" + BODY)
    assert packed(open_table(tmp_path / "t.csv"), ("0", "1", "2")) == ROWS


@pytest.mark.parametrize("content", ["a,b,y\n", "a,b,y", "a,b,y\n\n\n", "Title\n\na,b,y\n"])
def test_a_header_without_rows(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(TableError, match="no rows"):
        pack(open_table(tmp_path / "t.csv", reading=Reading()), numeric(["a", "b", "y"], "y"))


def test_a_mark_of_missing_cells_far_down(tmp_path: Path) -> None:
    lines = [f"{row},{row}" for row in range(200_000)]
    lines[150_000] = "#N/A,150000"
    (tmp_path / "t.csv").write_text("a,y\n" + "\n".join(lines))
    table = open_table(tmp_path / "t.csv", reading=Reading(missing=["", "#N/A"]))
    rows = pack(table, numeric(["a", "y"], "y"), may_be_empty=True).matrix
    assert np.flatnonzero(np.isnan(rows[:, 0])).tolist() == [150_000]
    np.testing.assert_array_equal(rows[:, 1], np.arange(200_000))


def test_the_separator_divides_lines_evenly(tmp_path: Path) -> None:
    for index, (content, texts) in enumerate(
        (
            (
                "note,y\none; two; three,1\nfour; five; six,2\n",
                ["one; two; three", "four; five; six"],
            ),
            ("note|y\na, b|1\nc, d|2\n", ["a, b", "c, d"]),
            ("note;y\n1,5 or 2,5;1\n3,5 or 4,5;2\n", ["1,5 or 2,5", "3,5 or 4,5"]),
            ("note y\n1,5 1\n2,5 2\n", ["1,5", "2,5"]),
        )
    ):
        path = tmp_path / f"{index}.txt"
        path.write_text(content)
        assert texts_of(open_table(path), "note") == texts


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("a,y\n1,2\n\n \n3,4\n", [2, 5]),
        ("a\ty\n1\t2\n\t\n\n3\t4\n", [2, 3, 5]),
        ("# of 2024\na,y\n1,2\n# more\n3,4\n", [3, 5]),
        ('a,y\n"one, two",2\n\n5,6\n', [2, 4]),
        ('a,y\n"one\n\ntwo",2\n\n5,6\n', [2, 6]),
        ('a y\n5" 2\n \n3" 4\n', [2, 4]),
        ("Sales\n\na,y\r\n1,2\r\n\r\n3,4\r\n", [4, 6]),
    ],
)
def test_each_row_is_told_by_the_line_it_begins_on(
    tmp_path: Path, content: str, lines: list[int]
) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content.encode())
    file = open_table(path, reading=Reading(comment="#")).files[0]
    assert isinstance(file, TextFile)
    assert file.lines().tolist() == lines
    survey = file.survey()
    assert survey.lines is not None
    assert np.delete(survey.lines, survey.blank).tolist() == lines
