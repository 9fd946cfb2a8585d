"""Files of text: cells between separators, or between runs of white space."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from errors import TableError
from reader.decode import PACKED_SUFFIXES, Plain, not_utf8
from reader.formats import POLARS_ERRORS, OnDisk, Reading, Survey
from reader.lines import ODD_QUOTES
from reader.quotes import quotes_match
from reader.schema import abridged

WHITE_SPACE = " "
# What Unicode calls white space, as Polars strips it; Python's own has \x1c to \x1f as well.
SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
WORD = rf'"(?:[^"]|"")*"|[^{SPACES}\ufeff]+'  # between runs of white space: in quotes, or not
COMMON = ("NA", "NaN", "nan", "null")  # marks of missing cells
COMMENT = re.compile(r"\s*(#|%|//)")  # how a comment often starts
CSV_ERRORS = {
    "unexpected end of data": "a quote opens a cell, and none closes it",
    "new-line character": "a carriage return inside a line; end all lines alike",
    "expected after": 'text follows a closing quote; double a quote inside a cell, as in "5"" in"',
}


class Record(NamedTuple):
    """A row as a text file has it, from line `line` to line `end`; a blank line has no cells."""

    line: int
    end: int
    cells: list[str]


@dataclass(frozen=True)
class TextFile(OnDisk):
    """The rows below line `header_lines`; `tail`: how many empty cells separators at the end of a
    row may make; `has_header`: whether a line above the rows names the columns."""

    columns: tuple[str, ...]
    separator: str
    reading: Reading
    header_lines: int
    plain: Plain
    tail: int = 0
    has_header: bool = True

    @property
    def is_packed(self) -> bool:
        """Whether Polars unpacks the file as it reads."""
        return self.plain.original.suffix.lower() in PACKED_SUFFIXES and not self.plain.is_copy

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.columns)}

    def rows_by_size(self) -> float:
        """About how many rows there are: by the size of the text and the length of its first
        lines; 0 where it is packed."""
        if self.is_packed:
            return 0.0
        start = self.plain.start
        return self.plain.path.stat().st_size * start.count(b"\n") / max(1, len(start))

    def numbers(self, columns: Sequence[str], texts: Collection[str]) -> pl.LazyFrame | None:
        if self.separator == WHITE_SPACE or self.reading.decimal_comma or self.has_lone_quotes:
            return None
        positions = [str(self._position[name]) for name in columns]
        numbers = {str(self._position[name]) for name in columns if name not in texts}
        # Each mark costs time a cell; one that is first met far down is left to `cells`.
        start, marks = self.plain.start, self.reading.missing
        likely = [text for text in marks if text and (text in COMMON or text.encode() in start)]
        frame = self._scan(numbers, null_values=likely or None)
        return frame.select(
            *(pl.col(position).alias(str(index)) for index, position in enumerate(positions)),
            suspect=self._suspect(),
        )

    @cached_property
    def has_lone_quotes(self) -> bool:
        """Whether a quote may stand alone in a cell: Polars takes each for one that opens or closes
        a cell, and then may not see where rows end."""
        if self.separator == WHITE_SPACE or not self.plain.holds_quotes:
            return False
        lines = pl.scan_lines(self.plain.path, glob=False)
        try:
            some = lines.select(ODD_QUOTES.any()).collect().item()
        except POLARS_ERRORS:
            return False  # what is wrong is told by whoever reads the lines
        return bool(some) and not quotes_match(self.plain, self.separator)

    def _scan(self, numbers: Collection[str] = (), **options: Any) -> pl.LazyFrame:
        """Columns named by position, as text, except those that are `numbers`."""
        names = [str(position) for position in range(len(self.columns) + self.tail)]
        return pl.scan_csv(
            self.plain.path,
            schema={name: pl.Float32 if name in numbers else pl.String for name in names},
            has_header=False,
            separator=self.separator,
            skip_lines=self.header_lines,
            comment_prefix=self.reading.comment,
            glob=False,
            **options,
        )

    def _suspect(self) -> pl.Expr:
        """Polars fills up a short row with nulls; a tail is all nulls."""
        last = len(self.columns)
        suspect = pl.col(str(last - 1)).is_null()
        if last == 1:  # a line of white space alone looks like a cell
            suspect |= pl.col("0").cast(pl.String).str.strip_chars() == ""
        for position in range(last, last + self.tail):
            suspect |= pl.col(str(position)).is_not_null()
        return suspect

    def cells(
        self, columns: Sequence[str], times: Collection[str] = (), ragged: bool = False
    ) -> pl.LazyFrame:
        positions = [self._position[name] for name in columns]
        if self.separator != WHITE_SPACE:
            frame = self._scan(truncate_ragged_lines=ragged)
            cells = [pl.col(str(position)) for position in positions]
            suspect = self._suspect()
        else:
            lines = pl.scan_lines(self.plain.path, glob=False).slice(self.header_lines)
            if self.reading.comment:
                lines = lines.filter(~pl.col("line").str.starts_with(self.reading.comment))
            frame = lines.select(pl.col("line").str.extract_all(WORD))
            cells = [_unquoted(pl.col("line").list.get(i, null_on_oob=True)) for i in positions]
            suspect = pl.col("line").list.len() != len(self.columns)
        named = {str(index): cell for index, cell in enumerate(cells)}
        return frame.select(**named, suspect=suspect)

    def by_record(self, columns: Sequence[str], first: int, size: int) -> Iterator[pl.DataFrame]:
        """`cells` from row `first` on, `size` rows at a time, read by the csv module: slow, but it
        copes with a lone quote in a cell, and with a first row of the wrong length."""
        positions, rows = [self._position[name] for name in columns], self._rows()
        rows = islice(rows, first, None)
        while batch := list(islice(rows, size)):
            yield self._of_records(batch, positions)

    def _of_records(self, rows: Sequence[Record], positions: Sequence[int]) -> pl.DataFrame:
        width = len(self.columns)
        padded = [[*row.cells[:width], *[""] * (width - len(row.cells))] for row in rows]
        columns: dict[str, Any] = {
            str(index): pl.Series([row[i] or None for row in padded], dtype=pl.String)
            for index, i in enumerate(positions)
        }
        columns["suspect"] = pl.Series([not self._fits(row.cells) for row in rows])
        return pl.DataFrame(columns)

    def _fits(self, cells: Sequence[str]) -> bool:
        width = len(self.columns)
        return width <= len(cells) <= width + self.tail and all(map(is_blank, cells[width:]))

    def lines(self) -> NDArray[np.int64]:
        """The line that each row begins on; blank ones are no rows (`is_blank`)."""
        line = pl.col("line")
        blank = line.str.strip_chars(SPACES + "\ufeff" * (self.separator == WHITE_SPACE)) == ""
        if self.separator != WHITE_SPACE:
            blank &= ~line.str.contains(self.separator, literal=True)
        lines = pl.scan_lines(self.plain.path, glob=False).with_row_index("number", offset=1)
        lines = lines.slice(self.header_lines)
        if self.reading.comment:
            lines = lines.filter(~line.str.starts_with(self.reading.comment))
        found = lines.select("number", blank=blank, odd=ODD_QUOTES).collect()
        if self.separator != WHITE_SPACE and found["odd"].any():  # a cell may hold line breaks
            return np.array([row.line for row in self._rows() if row.cells], dtype=np.int64)
        return found["number"].filter(~found["blank"]).to_numpy().astype(np.int64)

    def survey(self) -> Survey:
        blank, ragged, lines = [], {}, []
        for index, record in enumerate(self._rows()):
            lines.append(record.line)
            if not record.cells:
                blank.append(index)
            elif not self._fits(record.cells):
                ragged[index] = self._counted(record.cells)
        return Survey(np.array(blank, dtype=np.int64), ragged, np.array(lines, dtype=np.int64))

    def _counted(self, cells: Sequence[str]) -> str:
        """What is wrong with a row of another length."""
        mark = COMMENT.match(cells[0])
        return (
            f"found {len(cells)} {'value' if len(cells) == 1 else 'values'}, expected "
            f"{len(self.columns)} ({abridged(self.columns)}); fix the line"
            + (f", or set data.comment: '{mark[1]}' if it is a comment" if mark else "")
        )

    def _rows(self) -> Iterator[Record]:
        every = records(self.plain, self.separator, self.reading.comment)
        return (record for record in every if record.line > self.header_lines)

    def unreadable(self) -> TableError:
        """What is wrong with a file that no way of reading copes with."""
        return not_utf8(self.plain) or TableError(
            f"{self.path}: cannot be read as text with {self.separator!r} between cells; "
            "save it as plain CSV, or name its data.separator or data.encoding"
        )


def _unquoted(cell: pl.Expr) -> pl.Expr:
    quoted = cell.str.starts_with('"') & cell.str.ends_with('"') & (cell.str.len_bytes() > 1)
    inside = cell.str.slice(1, cell.str.len_chars() - 2).str.replace_all('""', '"', literal=True)
    return pl.when(quoted).then(inside).otherwise(cell)


def words(text: str) -> list[str]:
    """The cells between runs of white space; one in quotes may hold white space.

    >>> words('1  "north west" 5" a')
    ['1', 'north west', '5"', 'a']
    """
    return [
        cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell
        for cell in re.findall(WORD, text)
    ]


def is_blank(text: str) -> bool:
    """Whether there is white space alone, or nothing."""
    return not text.strip(SPACES)


class Lines:
    """The lines of a text file, unpacked, comments left out; `text` is the last, and `number` its
    number."""

    def __init__(self, plain: Plain, comment: str | None) -> None:
        self.plain = plain
        self.comment = comment
        self.number, self.text = 0, ""

    def __iter__(self) -> Iterator[str]:
        for batch in self._batches():
            for text in batch["line"]:
                self.number += 1
                if not (self.comment and text.startswith(self.comment)):
                    self.text = text.removeprefix("\ufeff") if self.number == 1 else text
                    yield self.text

    def _batches(self) -> Iterator[pl.DataFrame]:
        try:
            yield from pl.scan_lines(self.plain.path, glob=False).collect_batches()
        except pl.exceptions.NoDataError:
            return
        except POLARS_ERRORS:
            raise not_utf8(self.plain) or TableError(
                f"{self.plain.original}: damaged, or not text; expected a table of text, Parquet, "
                "Arrow, JSON or Excel"
            ) from None


def records(plain: Plain, separator: str, comment: str | None = None) -> Iterator[Record]:
    """Every record of a text file, comments left out, lines counted from 1.

    Raises TableError for quotes that do not fit.
    """
    lines, first = Lines(plain, comment), 1
    try:
        if separator == WHITE_SPACE:
            for text in lines:
                yield Record(lines.number, lines.number, words(text))
            return
        csv.field_size_limit(sys.maxsize)  # a cell may be as long as it likes
        ended = (f"{text}\n" for text in lines)
        reader, read = csv.reader(ended, delimiter=separator, strict=True), 0
        for cells in reader:
            first, read = lines.number - (reader.line_num - read) + 1, reader.line_num
            blank = not cells or (len(cells) == 1 and is_blank(lines.text))
            yield Record(first, lines.number, [] if blank else cells)
            first = lines.number + 1
    except csv.Error as error:
        reasons = (text for words, text in CSV_ERRORS.items() if words in str(error))
        raise TableError(f"{plain.original}, line {first}: {next(reasons, error)}") from None
