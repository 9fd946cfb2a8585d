"""How a file of text is written, told by its first lines: separator, header, and what is around."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from errors import TableError
from reader.decode import Plain
from reader.formats import Reading
from reader.header import Header, header_of, name_of
from reader.schema import is_number
from reader.text import WHITE_SPACE, Lines, Record, is_blank, records

SEPARATORS = {"text": None, "csv": None, "tsv": "\t", "white_space": WHITE_SPACE}
CANDIDATES = ",;\t|"
LINES = 200  # that tell how the others are written
LETTERS = 1 << 20
EXCEL = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # its first line may name the separator
DATA = re.compile(r"\W*\d")  # how a number, an amount or a date starts
Names = Callable[[Sequence[str]], Sequence[str] | None]


@dataclass(frozen=True)
class Dialect:
    """`header_lines`: those above the first row; `above`: those above the header, which are no part
    of the table; `tail`: how many empty cells separators at the end of a row make."""

    separator: str
    header: Header
    header_lines: int
    above: int = 0
    tail: int = 0
    has_header: bool = True


def sniff(plain: Plain, format_name: str, reading: Reading, names: Names) -> Dialect:
    """Tell how a text is written; `names` gives the columns for a first line that is no header.

    The separator is the one that was asked for, if the header has it; else that of a line `sep=;`
    or of the format; else the one of , ; tab and | that divides the lines most evenly; else white
    space. The header is the first line, unless that is a title: much shorter than the rows, with a
    line of names as long as they are below it. Raises TableError for a file without any cell.
    """
    lines = Lines(plain, reading.comment)
    texts, letters = list[str](), 0
    for text in lines:
        if not is_blank(text):
            texts.append(text)
            letters += len(text)
        if len(texts) == LINES or letters > LETTERS:
            break
    said = EXCEL.fullmatch(texts[0]) if texts else None
    separator = said[1] if said else _separator(texts, format_name, reading)
    every = (r for r in records(plain, separator, reading.comment) if r.cells)
    rows = list(islice(every, 1, len(texts)) if said else islice(every, max(1, len(texts))))
    if not rows:
        raise TableError(f"{plain.original}: the file is empty; expected a table")
    return _dialect(plain, separator, rows, names)


def _separator(texts: Sequence[str], format_name: str, reading: Reading) -> str:
    if reading.separator and any(reading.separator in text for text in texts[:LINES]):
        return reading.separator
    if (known := SEPARATORS[format_name]) is not None:
        return known
    candidates = [c for c in CANDIDATES if not (c == "," and reading.decimal_comma)]
    best = max(candidates, key=lambda candidate: _evenness(texts, candidate))
    if _evenness(texts, best)[0] > 0:
        return best
    return "," if format_name == "csv" else WHITE_SPACE


def _evenness(texts: Sequence[str], separator: str) -> tuple[float, int]:
    """How evenly a separator divides lines: the share of them with as many cells as most have, to a
    tenth, and that number. (0, 0) where most have one cell, or where neither the first line nor one
    of names is the first to be divided: a decimal comma divides rows alone."""
    cells = [_cells(text, separator) for text in texts]
    widths = Counter(len(each) for each in cells if each)
    width, often = max(widths.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
    divided = next((index for index, each in enumerate(cells) if len(each) > 1), 0)
    if width < 2 or (divided and any(map(DATA.match, cells[divided]))):
        return 0.0, 0
    return round(often / len(texts), 1), width


def _cells(text: str, separator: str) -> list[str]:
    if '"' not in text:
        return text.split(separator)
    try:
        return next(csv.reader([text], delimiter=separator, strict=True))
    except csv.Error:  # quotes that do not fit, or a cell of several lines
        return []


def _dialect(plain: Plain, separator: str, rows: Sequence[Record], names: Names) -> Dialect:
    at = _header_at(rows)
    if at and names([*map(name_of, rows[at].cells)]) is not None:
        at = 0
    first, below = rows[at], rows[at + 1 :]
    given = names([*map(name_of, first.cells)])
    if given is not None:
        width = len(given)
        tail = _tail(width, rows)
        return Dialect(separator, Header(tuple(given)), first.line - 1, 0, tail, has_header=False)
    ends = below[0].line - 1 if below else first.end
    above = first.line - 1 if at else 0
    cells = first.cells[: extent(first.cells)]
    if tail := _tail(len(cells), [first, *below]):
        return Dialect(separator, header_of(cells), ends, above, tail)
    names_rows = _names_rows(first.cells, below)
    return Dialect(separator, header_of(first.cells, names_rows), ends, above)


def _header_at(rows: Sequence[Record]) -> int:
    """The index of the header: 0, or that of a line of names below titles."""
    full = _most([len(row.cells) for row in rows[1:]])
    filled = _most([extent(row.cells) for row in rows[1:]])

    def is_title(row: Record) -> bool:
        return len(row.cells) != full or extent(row.cells) < filled

    def is_header(row: Record) -> bool:
        named = [cell.strip() for cell in row.cells if cell.strip()]
        long_enough = filled - 1 <= len(row.cells) <= full and len(named) > 1
        return long_enough and not any(map(DATA.match, named))

    first = next((index for index, row in enumerate(rows) if not is_title(row)), 0)
    return next((index for index in (first, first - 1) if index > 0 and is_header(rows[index])), 0)


def _most(counts: Sequence[int]) -> int:
    """The number that comes most often; the largest of several, 0 of none."""
    often = Counter(counts)
    return max(often, key=lambda count: (often[count], count), default=0)


def extent(cells: Sequence[str]) -> int:
    """How many cells there are up to the last that is not blank."""
    filled = (index for index, cell in enumerate(cells, start=1) if not is_blank(cell))
    return max(filled, default=0)


def _tail(width: int, rows: Sequence[Record]) -> int:
    """How many cells rows have beyond `width`, if these are blank in most rows; else 0."""
    ended = [len(row.cells) - width for row in rows if extent(row.cells) <= width]
    return max(0, *ended) if 2 * len(ended) > len(rows) else 0


def _names_rows(header: Sequence[str], rows: Sequence[Record]) -> bool:
    """Whether each row has one cell more than the header, and the first of them tells rows apart
    and may be a name or a count, as R writes row names."""
    first = [row.cells[0].strip() for row in rows if len(row.cells) == len(header) + 1]
    names = all(cell.isdecimal() or not is_number(cell.replace(",", ".")) for cell in first)
    return names and 1 < len(first) == len(rows) == len(set(first))
