"""Which word was meant by a misspelled one."""

from __future__ import annotations

from collections.abc import Iterable

from display import quoted

NEAR = 0.34  # the largest share of a word that may be misspelled


def nearest(word: str, options: Iterable[str]) -> str | None:
    """The option that takes the fewest typing mistakes, in whatever case, in at most NEAR of its
    letters."""
    near = [
        (mistakes, option)
        for option in dict.fromkeys(options)
        if abs(len(word) - len(option)) <= (most := NEAR * min(len(word), len(option)))
        and (mistakes := distance(word.lower(), option.lower())) <= most
    ]
    return min(near)[1] if near else None


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """`; did you mean 'x'?` with the nearest of the options, or nothing."""
    near = nearest(word, options)
    return f"; did you mean {quoted(near)}?" if near else ""


def distance(one: str, other: str) -> int:
    """Letters to insert, delete, replace, or swap with their neighbour: the optimal string
    alignment distance."""
    before, last = [0] * (len(other) + 1), list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        row = [i]
        for j, wanted in enumerate(other, start=1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]
