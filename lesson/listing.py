"""Code as it stands in the project, coloured for the page."""

from __future__ import annotations

import importlib
import inspect
import io
import keyword
import textwrap
import tokenize
from html import escape
from typing import Any


def source(name: str) -> str:
    """The source of `module:function` or `module:Class.method`, without indentation."""
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return textwrap.dedent(inspect.getsource(found)).rstrip()


def highlight(code: str) -> str:
    """The code as HTML; keywords, strings, comments, numbers and defined names in <b class>."""
    lines = code.splitlines(keepends=True)
    pieces, row, column, previous = [], 1, 0, ""
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        pieces.append(escape(_between(lines, (row, column), token.start), quote=False))
        kind = _kind(token, previous)
        text = escape(_between(lines, token.start, token.end), quote=False)
        pieces.append(f'<b class="{kind}">{text}</b>' if kind else text)
        row, column = token.end
        previous = token.string
    return "".join(pieces).rstrip()


def _kind(token: tokenize.TokenInfo, previous: str) -> str:
    if token.type == tokenize.COMMENT:
        return "comment"
    if "STRING" in tokenize.tok_name[token.type]:  # from Python 3.12 on, f-strings come in parts
        return "string"
    if token.type == tokenize.NUMBER:
        return "number"
    if token.type == tokenize.NAME and keyword.iskeyword(token.string):
        return "keyword"
    return "name" if previous in ("def", "class") else ""


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    """The text between two places (line from 1, column from 0): blanks and line ends."""
    if start >= end or start[0] > len(lines):
        return ""
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]]
    first = lines[start[0] - 1][start[1] :]
    middle = "".join(lines[start[0] : end[0] - 1])
    last = lines[end[0] - 1][: end[1]] if end[0] <= len(lines) else ""
    return first + middle + last
