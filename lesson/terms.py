"""Chapter 2, page 3. All features together, and pairs of them.

python -m lesson.terms
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lesson.data import COLUMNS, PICTURES, Array, Facts, read_flat, to_table
from lesson.drawing import BLUE, ORANGE, Labels, picture
from lesson.smoothness import Part, Smooth, bends, curve_parts, smooth, straight
from lesson.tents import deal, knots_of, least_squares, rmse, tents, with_one

Term = dict[int, Array]  # the knots of one feature, or of two
FEATURES = len(COLUMNS) - 1
KNOTS, PAIR_KNOTS = 16, 5
PAIRS = 10
CELLS = 4  # along each feature of a pair
FOLDS = 5
DRAWN = ("LSTAT", "RM", "DIS", "NOX")


class Model(NamedTuple):
    """A sum of terms, with the means of their columns [D] and of the price."""

    terms: list[Term]
    mean: Array
    price: float
    smooth: Smooth


def columns_of(rows: Array, term: Term) -> Array:
    """The tents of a feature [n, k], or the products of two features' tents [n, k l]."""
    columns = np.ones((len(rows), 1))
    for feature, knots in term.items():
        along = tents(rows[:, feature], knots)
        columns = (columns[:, :, None] * along[:, None, :]).reshape(len(rows), -1)
    return columns


def parts_of(term: Term, start: int) -> list[Part]:
    """The two penalties of a term whose columns begin at `start`."""
    if len(term) == 1:
        return curve_parts(len(next(iter(term.values()))), start)
    one, other = map(len, term.values())
    along_one = np.kron(bends(one), np.eye(other))
    along_other = np.kron(np.eye(one), bends(other))
    at = slice(start, start + one * other)
    bent: Array = np.vstack([along_one, along_other])
    rest: Array = np.kron(straight(one), straight(other)).astype(np.float64)
    return [Part(at, root) for root in (bent, rest) if len(root)]


def design(rows: Array, terms: Sequence[Term]) -> tuple[Array, list[Part]]:
    """The columns of all terms side by side [n, D], and their penalties."""
    columns, parts, start = list[Array](), list[Part](), 0
    for term in terms:
        columns.append(columns_of(rows, term))
        parts += parts_of(term, start)
        start += columns[-1].shape[1]
    return np.hstack(columns), parts


def fit(rows: Array, terms: list[Term]) -> Model:
    """All terms at once, to rows [n, 14]."""
    columns, parts = design(rows, terms)
    mean, price = columns.mean(axis=0), rows[:, -1].mean()
    return Model(terms, mean, price, smooth(columns - mean, rows[:, -1] - price, parts))


def predict(found: Model, rows: Array) -> Array:
    """Prices [n]."""
    columns, _ = design(rows, found.terms)
    prices: Array = (columns - found.mean) @ found.smooth.weights + found.price
    return prices


def curves(rows: Array) -> list[Term]:
    """One term of each feature."""
    return [{j: knots_of(rows[:, j], KNOTS)} for j in range(FEATURES)]


def cuts(x: Array) -> Array:
    """The values that cut a feature into CELLS parts of as many rows."""
    return np.quantile(x, np.linspace(0, 1, CELLS + 1)[1:-1])


def gains(rows: Array, left: Array, noise: float) -> list[tuple[float, tuple[int, int]]]:
    """By pair of features, how far beyond chance the sums of the residual `left` [n] in its
    cells are, the furthest first."""
    at = [np.searchsorted(cuts(x), x, side="right") for x in rows[:, :FEATURES].T]
    found = []
    for i, j in combinations(range(FEATURES), 2):
        cell = at[i] * CELLS + at[j]
        count, total = np.bincount(cell), np.bincount(cell, left)
        seen = count > 0
        found.append((float(np.sum(total[seen] ** 2 / count[seen] / noise - 1)), (i, j)))
    return sorted(found, reverse=True)


def best_pairs(rows: Array, found: Model, count: int) -> list[Term]:
    """The pairs whose cells show most of what the curves leave."""
    left = rows[:, -1] - predict(found, rows)
    first = gains(rows, left, found.smooth.noise)[:count]
    return [{j: knots_of(rows[:, j], PAIR_KNOTS) for j in pair} for _, pair in first]


def name_of(term: Term) -> str:
    return " x ".join(COLUMNS[feature] for feature in term)


def held_out(training: Array, test: Array) -> dict[str, Array]:
    """By model, its predictions of the test rows."""
    weights = least_squares(with_one(training[:, :-1]), training[:, -1])
    additive = fit(training, curves(training))
    predicted = {
        "line": with_one(test[:, :-1]) @ weights,
        "curves": predict(additive, test),
    }
    for count, name in ((1, "one pair"), (PAIRS, "ten pairs")):
        terms = additive.terms + best_pairs(training, additive, count)
        predicted[name] = predict(fit(training, terms), test)
    return predicted


def every_row() -> dict[str, float]:
    """By model, its error on all 506 rows, each predicted from the other folds."""
    table = to_table(read_flat())
    fold = np.random.default_rng(0).permutation(len(table)) % FOLDS
    predicted: dict[str, Array] = {}
    for k in range(FOLDS):
        for name, prices in held_out(table[fold != k], table[fold == k]).items():
            predicted.setdefault(name, np.zeros(len(table)))[fold == k] = prices
    return {name: rmse(prices, table[:, -1]) for name, prices in predicted.items()}


def show_curves(found: Model) -> Facts:
    training, _ = deal()
    columns, parts = design(training, found.terms)
    print("Thirteen curves: degrees of freedom of each")
    for term, at in zip(found.terms, spans(found), strict=True):
        pairs = zip(parts, found.smooth.freedom, strict=True)
        freedom = sum(f for part, f in pairs if part.at.start == at.start)
        print(f"{name_of(term):<8}{at.stop - at.start:4d} knots{freedom:7.1f}")
    print()
    return {
        "columns": columns.shape[1],
        "curves_freedom": found.smooth.freedom.sum(),
    }


def show_pairs(found: Model) -> Facts:
    training, _ = deal()
    left = training[:, -1] - predict(found, training)
    first = gains(training, left, found.smooth.noise)[:PAIRS]
    print("Pairs by their cells")
    for gain, (i, j) in first:
        print(f"{COLUMNS[i]:>8} x {COLUMNS[j]:<8}{gain:6.1f}")
    print()
    _, (i, j) = first[0]
    return {"first_of_pair": COLUMNS[i], "second_of_pair": COLUMNS[j], "cells": CELLS**2}


def show_errors() -> Facts:
    training, test = deal()
    one_deal = {name: rmse(p, test[:, -1]) for name, p in held_out(training, test).items()}
    all_rows = every_row()
    print("Error on rows held out, 1,000 USD")
    print(f"{'':<20} {len(test)} rows   all {sum(map(len, deal()))}, {FOLDS} folds")
    for name, error in one_deal.items():
        print(f"{name:<20}{error:9.3f}{all_rows[name]:14.3f}")
    print()
    return {
        "folds": FOLDS,
        **{f"{name.replace(' ', '_')}_once": error for name, error in one_deal.items()},
        **{f"{name.replace(' ', '_')}_all": error for name, error in all_rows.items()},
    }


def spans(found: Model) -> list[slice]:
    """The columns of each term."""
    widths = [int(np.prod([len(knots) for knots in term.values()])) for term in found.terms]
    ends = np.cumsum([0, *widths]).tolist()
    return [slice(a, b) for a, b in pairwise(ends)]


def draw_curves(folder: Path, found: Model) -> None:
    """What each curve adds to the mean price, and below it where the rows are."""
    training, _ = deal()
    for term, at in zip(found.terms, spans(found), strict=True):
        (feature, knots), *_ = term.items()
        if (name := COLUMNS[feature]) not in DRAWN:
            continue
        adds = found.smooth.weights[at] - found.mean[at] @ found.smooth.weights[at]
        labels: Labels = {"xlabel": name, "ylabel": "adds, 1,000 USD", "ylim": (-11, 19)}
        with picture(folder / f"terms-{name.lower()}.svg", height=2.4, **labels) as axes:
            axes.plot(knots, adds, "o-", color=ORANGE, markersize=3)
            axes.plot(training[:, feature], np.full(len(training), -10.5), "|", color=BLUE)


def draw_pair(folder: Path, found: Model) -> None:
    """What the curves leave, by cells of the best pair; and the product of two tents."""
    training, _ = deal()
    left = training[:, -1] - predict(found, training)
    _, (i, j) = gains(training, left, found.smooth.noise)[0]
    labels: Labels = {"xlabel": COLUMNS[i], "ylabel": COLUMNS[j]}
    with picture(folder / "terms-left.svg", **labels) as axes:
        far = float(np.quantile(np.abs(left), 0.98))
        points = axes.scatter(
            training[:, i], training[:, j], c=left, s=9, cmap="coolwarm", vmin=-far, vmax=far
        )
        for line, feature in ((axes.axvline, i), (axes.axhline, j)):
            for cut in cuts(training[:, feature]):
                line(cut, color="#8b909a", linewidth=0.7)
        axes.figure.colorbar(points, label="left over, 1,000 USD")
    side = np.linspace(0, 4, 41)
    tent = tents(side, np.arange(5.0))[:, 2]
    a, b = np.meshgrid(side, side)
    with picture(folder / "terms-product.svg", projection="3d") as axes:
        axes.plot_surface(a, b, np.outer(tent, tent), color=BLUE, alpha=0.7)
        axes.set(xticks=range(5), yticks=range(5), zticks=[0, 1])


def main(folder: Path = PICTURES) -> Facts:
    """Print what the page shows, save its pictures to `folder`; the figures for the chapter."""
    training, _ = deal()
    found = fit(training, curves(training))
    draw_curves(folder, found)
    draw_pair(folder, found)
    return show_curves(found) | show_pairs(found) | show_errors()


if __name__ == "__main__":
    main()
