r"""Formulas: a little of TeX's notation as MathML, which browsers set by themselves.

Letters, numbers and signs as they are; _ and ^ with {groups}; \frac{a}{b}; \name for a symbol;
\text{words}.
"""

from __future__ import annotations

import re
from html import escape

SYMBOLS = {
    "eta": "<mi>η</mi>",
    "sigma": "<mi>σ</mi>",
    "partial": "<mi>∂</mi>",
    "sum": "<mo>∑</mo>",
    "cdot": "<mo>·</mo>",
    "odot": "<mo>⊙</mo>",
    "times": "<mo>×</mo>",
    "leftarrow": "<mo>←</mo>",
    "top": "<mo>⊤</mo>",
    "lambda": "<mi>λ</mi>",
    "ge": "<mo>≥</mo>",
    "ldots": "<mo>…</mo>",
}
TOKEN = re.compile(r"(?<=[=(,])[-−]\d+(?:\.\d+)?|\\text\{[^}]*\}|\\[a-z]+|\d+(?:[.,]\d+)*|\S")


def to_mathml(source: str, display: bool = False) -> str:
    """One formula as a <math> element; `display` sets it on a line of its own."""
    # A minus behind one of these belongs to its number.
    tokens = TOKEN.findall(re.sub(r"([=(,])\s+(?=[-−])", r"\1", source))
    row = _row(tokens, display)
    if tokens:
        raise ValueError(f"formula {source!r}: unmatched {tokens[0]!r}")
    return f'<math display="{"block" if display else "inline"}">{row}</math>'


def _row(tokens: list[str], display: bool) -> str:
    """Everything up to the end or the closing brace."""
    parts = []
    while tokens and tokens[0] != "}":
        parts.append(_scripted(tokens, display))
    return f"<mrow>{''.join(parts)}</mrow>"


def _scripted(tokens: list[str], display: bool) -> str:
    """One atom with its subscript and superscript, if it has any."""
    is_sum = tokens[0] == "\\sum"
    base = _atom(tokens, display)
    scripts = {}
    while tokens and tokens[0] in "_^":
        sign = tokens.pop(0)
        scripts[sign] = _atom(tokens, display)
    if not scripts:
        return base
    limits = is_sum and display
    tag = {
        "_": "munder" if limits else "msub",
        "^": "mover" if limits else "msup",
        "_^": "munderover" if limits else "msubsup",
    }["".join(sorted(scripts, key="_^".index))]
    inner = "".join(scripts[sign] for sign in "_^" if sign in scripts)
    return f"<{tag}>{base}{inner}</{tag}>"


def _atom(tokens: list[str], display: bool) -> str:
    sign = tokens.pop(0)
    if sign == "{":
        row = _row(tokens, display)
        if not tokens:
            raise ValueError("formula: a brace is not closed")
        tokens.pop(0)
        return row
    if sign == "\\frac":
        return f"<mfrac>{_atom(tokens, display)}{_atom(tokens, display)}</mfrac>"
    if sign.startswith("\\text"):
        # Browsers trim plain spaces at the ends of <mtext>.
        return f"<mtext>{escape(sign[6:-1])}</mtext>".replace(" ", "\u00a0")
    if sign.startswith("\\"):
        return SYMBOLS[sign[1:]]
    if sign[-1].isdigit():
        return f"<mn>{sign.replace('-', '−')}</mn>"
    if sign.isalpha():
        return f"<mi>{sign}</mi>"
    if sign in "()[]":
        return f'<mo stretchy="false">{sign}</mo>'
    return f"<mo>{'−' if sign == '-' else escape(sign)}</mo>"
