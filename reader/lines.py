"""One pass over a text before its lines are read: that they end, and whether quotes need care."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from errors import TableError
from reader.decode import PIECE, Plain, packing_of, reading, too_large
from reader.formats import POLARS_ERRORS

LONGEST = 64 << 20  # bytes of a line
ODD_QUOTES = pl.col("line").str.count_matches('"', literal=True) % 2 == 1


def looked_through(plain: Plain) -> Plain:
    """The same text, `holds_quotes` being known.

    Raises TableError where a line never seems to end (of a packed file: the first), because all of
    it would be taken into memory; and where it unpacks to more than it may.
    """
    packing = packing_of(plain.path)
    if packing is None:
        return replace(plain, holds_quotes=_holds_quotes(plain))
    if packing == "gzip" and b"\n" not in plain.start:
        _holds_quotes(plain, first_line=True)
    size, odd = 0, False
    lines = pl.scan_lines(plain.path, glob=False)
    lines = lines.select(odd=ODD_QUOTES, size=pl.col("line").str.len_bytes() + 1)
    try:
        for batch in lines.collect_batches():
            odd = odd or batch["odd"].any()
            if (size := size + int(batch["size"].sum())) > plain.most:
                raise too_large(plain.original, plain.original.stat().st_size, plain.most)
    except POLARS_ERRORS:
        return plain  # what is wrong is told by whoever reads the lines
    return replace(plain, holds_quotes=odd)


def _holds_quotes(plain: Plain, first_line: bool = False) -> bool:
    """Whether there is a quote; `first_line`: up to the end of that."""
    found, without = False, 0
    with reading(plain) as file:
        while piece := file.read(PIECE):
            found = found or b'"' in piece
            without = 0 if b"\n" in piece else without + len(piece)
            if without >= LONGEST:
                raise TableError(
                    f"{plain.original}: found a line of more than {LONGEST >> 20} MB, expected a "
                    "row a line"
                )
            if first_line and not without:
                break
    return found
