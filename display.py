"""Text as people are shown it: what would act on a terminal or a page, or not be seen, stands there
as an escape, and what is too long is cut."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from typing import TextIO
from unicodedata import category, east_asian_width

LONGEST = 80  # columns of a name
UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
"""Control characters, ends of lines and paragraphs, marks of direction, halves of characters, and
what has no width, by Unicode's property Default_Ignorable_Code_Point, variation selectors aside."""
JOINERS = "\u200c\u200d"
JOINED = re.compile("[\u0600-\u109f\u1780-\u18af\u2190-\u2bff\ufe0f\U0001f000-\U0001faff]")
"""What joiners belong between: letters from Arabic to Mongolian, and pictures."""


def visible(text: str) -> str:
    r"""The text on one line, as a person can read it; that of a text made so is the same.

    >>> visible("a\x1b[2Jb\n\u202ec é 中 😀")
    'a\\x1b[2Jb\\n\\u202ec é 中 😀'
    """
    return UNSEEN.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    """As Python, YAML between double quotes, and JSON but for `\\x`, write it."""
    letter, text, at = found[0], found.string, found.start()
    if letter in JOINERS and all(JOINED.match(text[i : i + 1]) for i in (max(at - 1, 0), at + 1)):
        return letter
    return letter.encode("unicode_escape").decode()


def width(text: str) -> int:
    """In columns of a terminal: a Chinese character takes two, an accent none."""
    return sum(map(_columns, text))


def _columns(letter: str) -> int:
    if category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(letter) in "WF" else 1


def short(text: str, most: int = LONGEST) -> str:
    """The visible text in at most so many columns: its start and its end, which tells it from
    others.

    >>> short("a long name", 8)
    'a lo…ame'
    """
    text = visible(text)
    if len(text) <= most and width(text) <= most:
        return text
    start = _fitting(text, (most + 1) // 2)
    taken = max(len(start), width(start)) + 1
    return f"{start}…{_fitting(text[::-1], most - taken)[::-1]}"


def _fitting(text: str, most: int) -> str:
    """As many of the first letters as take so many columns."""
    left = most
    for at, letter in enumerate(text[:most]):
        if (left := left - _columns(letter)) < 0:
            return text[:at]
    return text[:most]


def quoted(text: str) -> str:
    """A cell as messages have it: in quotes, and cut."""
    return short(repr(text))


def padded(text: str, columns: int) -> str:
    """With spaces behind it, so many columns wide."""
    return text + " " * (columns - width(text))


def for_shell(word: str) -> str:
    r"""A word of a command, to be pasted into a shell: it stays one word, and nothing acts before
    the command does.

    >>> print(for_shell("runs/a"), for_shell("it's"), for_shell("a\x1b'中"))
    runs/a 'it'"'"'s' $'a\033\'中'
    """
    if visible(word) == word:
        return shlex.quote(word)
    return f"$'{''.join(map(_in_shell, word))}'"


def _in_shell(letter: str) -> str:
    if letter in "'\\":
        return f"\\{letter}"
    if visible(letter) == letter:
        return letter
    of_a_byte = "\udc80" <= letter <= "\udcff"  # that is no UTF-8, in a path
    as_bytes = letter.encode(errors="surrogateescape" if of_a_byte else "surrogatepass")
    return "".join(f"\\{byte:03o}" for byte in as_bytes)


def say(*lines: str, to: TextIO | None = None) -> None:
    """Print lines, each visible, on standard output, or `to` another stream; where their reader has
    gone (`| head`), or they cannot be written, the program goes on without them."""
    stream = to or sys.stdout
    encoding = stream.encoding or "utf-8"
    text = "\n".join(map(visible, lines)).encode(encoding, "backslashreplace").decode(encoding)
    _print(f"{text}\n", stream)


def anew(line: str) -> None:
    """Write the last line of a terminal anew, on standard error, as much of it as there is room."""
    room = shutil.get_terminal_size().columns - 1
    _print(f"\r\x1b[K{_fitting(visible(line), room)}", sys.stderr)


def _print(text: str, stream: TextIO) -> None:
    try:
        print(text, end="", file=stream, flush=True)
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # for what is printed from now on
        os.close(nowhere)
        if stream is not sys.stderr and not isinstance(error, BrokenPipeError):
            say(f"note: standard output: {error.strerror}; the rest is not shown", to=sys.stderr)
