"""Quotes in text: whether they only enclose cells, or may stand alone in one, as in 5" pipe."""

from __future__ import annotations

import numpy as np

from reader.decode import PIECE, Plain, reading

QUOTE, LINE_FEED, RETURN = b'"\n\r'


def quotes_match(plain: Plain, separator: str) -> bool:
    """Whether as many quotes open a cell as close one, and no other is there but in pairs."""
    opened = closed = 0
    around = (ord(separator), LINE_FEED)
    with reading(plain) as file:
        buffer, is_last = b"\n" + file.read(PIECE).removeprefix(b"\xef\xbb\xbf"), False
        while not is_last:
            piece = file.read(PIECE)
            is_last = not piece
            text = np.frombuffer(buffer + (piece or b"\n"), dtype=np.uint8)
            at = np.flatnonzero(text[1:-1] == QUOTE) + 1
            before, after = text[at - 1], text[at + 1]
            opens, closes = np.isin(before, around), np.isin(after, (*around, RETURN))
            if (~opens & ~closes & (before != QUOTE) & (after != QUOTE)).any():
                return False
            opened, closed = opened + int(opens.sum()), closed + int(closes.sum())
            buffer = text[-2:].tobytes()
    return opened == closed
