"""The terms of an additive model in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from bilingual import Text
from display import short
from report.figures import cell, level_name, number, percent
from report.report import Effect, Effects
from report.texts import texts

STRONGEST = 3
LONGEST = 30  # columns of a name
TAIL = 0.01  # of the rows, beyond which a curve is not told
NEAR = 0.5  # rows, with fewer of which a cell of a map is empty
LEAST_LEG = 0.2  # of a curve's range: what it rises or falls by, to be told


def effect_name(effect: Effect) -> Text:
    """Its feature, or both.

    >>> effect_name(Effect(["a", "b"], "map", 1.0, 0.1, [[1.0], [2.0]], [0.0], [0.0], [1.0]))
    Text(en='a × b', zh='')
    """
    return Text(" × ".join(short(feature, LONGEST) for feature in effect.features))


def place_name(place: float | str | None) -> Text:
    """A knot with as many digits as tell it from others; a level in our words where it is ours.

    >>> place_name(14.15812).en, place_name(35682.0).en, place_name("north").en
    ('14.16', '35682', 'north')
    """
    if not isinstance(place, float):
        return level_name(place)
    return Text(cell(float(f"{place:.{4 if abs(place) < 1e4 else 5}g}")))


def counts(effects: Effects) -> Text:
    """How many terms of each kind there are: 8 curves, 20 pairs."""
    text = texts().effects
    names = {
        "curve": (text.curve, text.curves),
        "levels": (text.category, text.categories),
        "map": (text.pair, text.pairs),
    }
    found = Counter[str](effect.kind for effect in effects.terms)
    known = [
        names[kind][count > 1].fill(count=number(count)) for kind in names if (count := found[kind])
    ]
    return _listed(known, ", ", "、")


def size(effects: Effects) -> Text:
    """The terms, the columns of the linear layer, and the degrees of freedom."""
    return texts().effects.size.fill(
        terms=counts(effects), columns=number(effects.columns), freedom=degrees(effects.freedom)
    )


def cost(constraint: float) -> Text:
    """By what share a constraint raised the training MSE."""
    return texts().effects.rise.fill(share=percent(constraint, 2))


def degrees(freedom: float) -> str:
    """Degrees of freedom, to a tenth where they are few."""
    return f"{freedom:,.{0 if freedom >= 100 else 1}f}"


def share_and_freedom(effect: Effect, of: str) -> Text:
    """What a term explains and what it takes for that."""
    return texts().effects.share.fill(
        share=percent(effect.share), of=short(of, LONGEST), freedom=degrees(effect.freedom)
    )


def missing(effect: Effect) -> Text | None:
    """What a missing cell adds."""
    if effect.hole is None:
        return None
    return texts().effects.hole.fill(value=signed(effect.hole))


def strongest(effects: Effects) -> Text:
    """What the terms that explain most do, after semicolons."""
    return _listed(map(_told, effects.terms[:STRONGEST]), "; ", "；")


def signed(value: float) -> str:
    """Four digits, with the sign.

    >>> signed(45000.0), signed(-0.25)
    ('+45,000', '−0.2500')
    """
    return f"{'+' if value > 0 else ''}{number(value)}"


def _told(effect: Effect) -> Text:
    text = texts().effects
    values = np.nan_to_num(np.array(effect.values))
    if effect.kind == "curve":
        places = [place_name(place) for place in effect.places[0]]
        changes = [
            text.change.fill(
                start=places[a], end=places[b], change=signed(float(values[b] - values[a]))
            )
            for a, b in _legs(values, np.array(effect.rows))
        ]
        return text.told.fill(name=effect_name(effect), what=_listed(changes, ", ", "，"))
    known = np.flatnonzero(np.array(effect.rows) >= NEAR)
    known = known if len(known) else np.arange(len(values))
    low, high = (int(known[at(values[known])]) for at in (np.argmin, np.argmax))
    what = text.between.fill(
        low=signed(float(values[low])),
        high=signed(float(values[high])),
        lowest=_place(effect, low),
        highest=_place(effect, high),
    )
    return text.told.fill(name=effect_name(effect), what=what)


def _place(effect: Effect, index: int) -> Text:
    """The place of a value, on each axis."""
    at = np.unravel_index(index, [len(places) for places in effect.places])
    names = [place_name(places[i]) for places, i in zip(effect.places, at, strict=True)]
    return _listed(names, ", ", "，")


def _legs(values: NDArray[np.float64], rows: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Between which places a curve rises or falls much: from its first place by way of its
    extremes to the last, without those in the tails of the rows."""
    share = np.cumsum(rows) / max(float(rows.sum()), 1e-300)
    first = int(np.searchsorted(share, TAIL))
    last = max(min(int(np.searchsorted(share, 1 - TAIL)), len(values) - 1), first)
    inner = values[first : last + 1]
    extremes = sorted(first + int(at(inner)) for at in (np.argmin, np.argmax))
    stops = [first, *extremes, last]
    least = LEAST_LEG * float(np.ptp(inner))
    legs = [(a, b) for a, b in pairwise(stops) if a < b and abs(values[b] - values[a]) >= least]
    return legs or [(first, last)]


def _listed(texts: Iterable[Text], english: str, chinese: str) -> Text:
    """Texts in one, with what each language has between them."""
    every: Sequence[Text] = list(texts)
    return Text(
        english.join(text.en for text in every),
        chinese.join(text.zh or text.en for text in every),
    )
