"""Chapter 2, page 2. A penalty on bends, and how the data say how strong it should be.

python -m lesson.smoothness
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lesson.data import PICTURES, Array, Facts
from lesson.drawing import BLUE, GREY, ORANGE, RED, Labels, picture
from lesson.tents import LABELS, LSTAT, deal, knots_of, rmse, tents

KNOTS = 32
STRENGTHS = np.logspace(-3, 6, 37)  # at which the likelihood and the test error are drawn
LEAST, MOST = 1e-6, 1e7  # of a strength; beyond them no prediction changes any more
ROUNDS, SETTLED = 100, 0.1  # at most so many; a change in degrees of freedom that ends them


class Part(NamedTuple):
    """A penalty: its strength times |root w|^2, w being the weights at `at` [k]; root [r, k]."""

    at: slice
    root: Array


class Smooth(NamedTuple):
    """`weights` [D], the `strengths` [J] of the penalties, the degrees of `freedom` [J] that they
    leave, and the variance of the `noise`."""

    weights: Array
    strengths: Array
    freedom: Array
    noise: float


def bends(size: int) -> Array:
    """[size - 2, size]: from heights to their second differences, a - 2b + c."""
    return np.diff(np.eye(size), 2, axis=0)


def straight(size: int) -> Array:
    """[2, size]: what has no bend, the constant and the line, as orthonormal rows."""
    lines = np.vander(np.arange(float(size)), 2)
    return np.linalg.qr(lines)[0].T.astype(np.float64)


def curve_parts(size: int, start: int = 0) -> list[Part]:
    """The two penalties of a curve whose columns begin at `start`: on bends, and on the rest."""
    at = slice(start, start + size)
    return [Part(at, root) for root in (bends(size), straight(size)) if len(root)]


def ranks(parts: Sequence[Part]) -> Array:
    """In how many directions each penalty holds the weights [J]."""
    return np.array([float(np.linalg.matrix_rank(root)) for _, root in parts])


def solve(
    gram: Array, cross: Array, parts: Sequence[Part], strengths: Sequence[float] | Array
) -> tuple[Array, Array]:
    """From X'X [D, D] and X'y [D] the penalised weights, and the inverse of A [D, D]."""
    matrix = gram.copy()
    for (at, root), strength in zip(parts, strengths, strict=True):
        matrix[at, at] += strength * root.T @ root
    inverse: Array = np.linalg.inv(matrix).astype(np.float64)
    return inverse @ cross, inverse


def smooth(x: Array, y: Array, parts: Sequence[Part]) -> Smooth:
    """The weights of centred x [n, D] for centred y [n], under the likeliest strengths."""
    gram, cross, most = x.T @ x, x.T @ y, ranks(parts)
    strengths, before = np.ones(len(parts)), 0.0
    for _ in range(ROUNDS):
        weights, inverse = solve(gram, cross, parts, strengths)
        held = [np.sum((root @ inverse[at, at]) * root) for at, root in parts]
        freedom = most - strengths * held
        noise = np.sum((y - x @ weights) ** 2) / (len(y) - 1 - freedom.sum())
        if abs(freedom.sum() - before) < SETTLED:
            break
        before = freedom.sum()
        bent = np.array([np.sum((root @ weights[at]) ** 2) for at, root in parts])
        strengths = np.clip(noise * freedom / np.maximum(bent, 1e-30), LEAST, MOST)
    return Smooth(weights, strengths, freedom, float(noise))


def likelihood(x: Array, y: Array, parts: Sequence[Part], strengths: Array) -> float:
    """The logarithm of how likely y is under these strengths, less a constant."""
    weights, inverse = solve(x.T @ x, x.T @ y, parts, strengths)
    penalty = sum(
        strength * np.sum((root @ weights[at]) ** 2)
        for (at, root), strength in zip(parts, strengths, strict=True)
    )
    squares, freedom = np.sum((y - x @ weights) ** 2) + penalty, len(y) - 1
    volume = np.linalg.slogdet(inverse)[1] + ranks(parts) @ np.log(strengths)
    return float(volume - freedom * np.log(squares / freedom)) / 2


class Curve:
    """A curve of LSTAT: its knots, and the columns of the training rows, centred."""

    def __init__(self) -> None:
        training, self.test = deal()
        self.y, self.price = training[:, -1] - training[:, -1].mean(), training[:, -1].mean()
        self.knots = knots_of(training[:, LSTAT], KNOTS)
        columns = tents(training[:, LSTAT], self.knots)
        self.mean = columns.mean(axis=0)
        self.x, self.parts = columns - self.mean, curve_parts(len(self.knots))

    def weights(self, strengths: Sequence[float] | Array) -> Array:
        return solve(self.x.T @ self.x, self.x.T @ self.y, self.parts, strengths)[0]

    def heights(self, weights: Array) -> Array:
        """The price at each knot."""
        return weights - self.mean @ weights + self.price

    def test_error(self, weights: Array) -> float:
        columns = tents(self.test[:, LSTAT], self.knots)
        return rmse(columns @ self.heights(weights), self.test[:, -1])


def scan(curve: Curve, line: float) -> tuple[Array, Array]:
    """The likelihood and the test error at all STRENGTHS of the penalty on bends."""
    pairs = [np.array([strength, line]) for strength in STRENGTHS]
    likelihoods = [likelihood(curve.x, curve.y, curve.parts, pair) for pair in pairs]
    errors = [curve.test_error(curve.weights(p)) for p in pairs]
    return np.array(likelihoods), np.array(errors)


def show_strength(curve: Curve, found: Smooth) -> Facts:
    line = found.strengths[1]
    likelihoods, errors = scan(curve, line)
    print("A curve of LSTAT with 32 knots")
    print("strength   likelihood, log   test error")
    best = likelihood(curve.x, curve.y, curve.parts, found.strengths)
    for i in range(0, len(STRENGTHS), 4):
        print(f"{STRENGTHS[i]:8.0e}{likelihoods[i] - best:18.2f}{errors[i]:13.3f}")
    print(f"{found.strengths[0]:8.1f}{0:18.2f}{curve.test_error(found.weights):13.3f}   chosen")
    print()
    free = curve.weights([LEAST, LEAST])
    return {
        "knots": len(curve.knots),
        "chosen": found.strengths[0],
        "freedom": found.freedom.sum(),
        "smooth_test": curve.test_error(found.weights),
        "free_test": curve.test_error(free),
        "least_test": errors.min(),
    }


def draw_curves(folder: Path, curve: Curve, found: Smooth) -> None:
    training, _ = deal()
    strong = curve.weights([MOST, found.strengths[1]])
    free = curve.weights([LEAST, found.strengths[1]])
    with picture(folder / "smoothness-curves.svg", **LABELS) as axes:
        axes.plot(training[:, LSTAT], training[:, -1], ".", markersize=3, color=BLUE, alpha=0.5)
        names = ("too weak", "chosen", "too strong")
        for weights, name, colour in zip(
            (free, found.weights, strong), names, (GREY, ORANGE, RED), strict=True
        ):
            width = 2.2 if name == "chosen" else 1.2
            heights = curve.heights(weights)
            axes.plot(curve.knots, heights, color=colour, linewidth=width, label=name)
        axes.legend()


def draw_likelihood(folder: Path, curve: Curve, found: Smooth) -> None:
    likelihoods, errors = scan(curve, found.strengths[1])
    labels: Labels = {"xlabel": r"$\lambda$ of the bends", "xscale": "log"}
    for name, values, ylabel in (
        ("likelihood", likelihoods - likelihoods.max(), "log-likelihood, less its highest"),
        ("errors", errors, "error on test rows, 1,000 USD"),
    ):
        with picture(folder / f"smoothness-{name}.svg", ylabel=ylabel, **labels) as axes:
            axes.plot(STRENGTHS, values, color=BLUE)
            axes.axvline(found.strengths[0], color=ORANGE, linestyle="--", label="chosen")
            axes.legend()


def main(folder: Path = PICTURES) -> Facts:
    """Print what the page shows, save its pictures to `folder`; the figures for the chapter."""
    curve = Curve()
    found = smooth(curve.x, curve.y, curve.parts)
    draw_curves(folder, curve, found)
    draw_likelihood(folder, curve, found)
    return show_strength(curve, found)


if __name__ == "__main__":
    main()
