"""Prose, formulas, code and pictures as HTML that refers to nothing outside the page."""

from __future__ import annotations

import base64
import importlib
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markupsafe import Markup
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from lesson.drawing import INK
from lesson.markup import join


def _formula(source: str, options: dict[str, Any]) -> str:
    """One formula as MathML, which browsers set by themselves."""
    return convert(source, display="block" if options["display_mode"] else "inline")


def _join_lines(state: StateCore) -> None:
    """A rule of markdown-it: the lines of each run of prose become one."""
    for token in state.tokens:
        if token.type == "inline":
            token.content = join(token.content)


MARKDOWN = MarkdownIt("js-default")
MARKDOWN.use(dollarmath_plugin, allow_labels=False, renderer=_formula)
MARKDOWN.core.ruler.after("block", "join_lines", _join_lines)


def prose(text: str) -> Markup:
    """Paragraphs, headings, lists, remarks, tables and formulas as HTML."""
    return _keep_marks(MARKDOWN.render(text))


def inline(text: str) -> Markup:
    """One run of prose as HTML."""
    return _keep_marks(MARKDOWN.renderInline(text))


def _keep_marks(html: str) -> Markup:
    # No line may start with the mark that follows, which browsers allow after a formula.
    formula = r'<span class="math inline">(.*?)</span>([,.;:)，。、；：）])'
    return Markup(re.sub(formula, r'<span class="keep">\1\2</span>', html))  # noqa: S704


def source(name: str) -> str:
    """The source of `module:function` or `module:Class.method`, without indentation."""
    module, _, path = name.partition(":")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return textwrap.dedent(inspect.getsource(found)).rstrip()


def listing(name: str) -> Markup:
    """That source as HTML, coloured by the classes of Pygments."""
    coloured = highlight(source(name), PythonLexer(), HtmlFormatter(nowrap=True))
    return Markup(coloured.rstrip())  # noqa: S704


def drawing(path: Path, alt: str) -> Markup:
    """The picture itself, so that the page needs no other file."""
    if path.suffix == ".png":
        encoded = base64.b64encode(path.read_bytes()).decode()
        return Markup('<img alt="{}" src="data:image/png;base64,{}">').format(alt, encoded)
    svg = path.read_text(encoding="utf-8")
    svg = svg[svg.index("<svg") + len("<svg") :].replace(INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    # Ids need to differ between the pictures of one page.
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{path.stem}-", svg)
    return Markup('<svg role="img" aria-label="{}"{}').format(alt, Markup(svg))  # noqa: S704
