"""Chapter 2, page 4. Whitened columns: one step of gradient descent is the closed form.

python -m lesson.one_step
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

import model  # noqa: F401  (before Paddle: it keeps the import quiet)
from lesson.data import PICTURES, Array, Facts
from lesson.drawing import BLUE, GREEN, ORANGE, Labels, picture
from lesson.smoothness import Part, Smooth
from lesson.tents import deal, least_squares
from lesson.terms import PAIRS, best_pairs, curves, design, fit

STEPS = 1000
AXES: Labels = {"xscale": "log", "yscale": "log"}
Problem = tuple[Array, Array]


def with_penalty(x: Array, y: Array, parts: Sequence[Part], found: Smooth) -> Problem:
    """The rows [n, D] and [n], and below them those of the penalties' roots, with targets 0:
    the plain squares of all are the penalised squares."""
    more = []
    for (at, root), strength in zip(parts, found.strengths, strict=True):
        more.append(np.zeros((len(root), x.shape[1])))
        more[-1][:, at] = np.sqrt(strength) * root
    bottom = np.vstack(more)
    return np.vstack([x, bottom]), np.concatenate([y, np.zeros(len(bottom))])


def whitening(x: Array) -> Array:
    """W [D, D] for which x W has orthonormal columns."""
    lower = np.linalg.cholesky(x.T @ x)
    white: Array = np.linalg.inv(lower).T
    return white


def one_step(x: Array, y: Array) -> Array:
    """The weights [D] of x after one step of SGD from 0 on its whitened columns."""
    import paddle

    white = whitening(x)
    zero = paddle.nn.initializer.Constant(0.0)
    linear = paddle.nn.Linear(x.shape[1], 1, weight_attr=zero, bias_attr=False)
    optimizer = paddle.optimizer.SGD(learning_rate=1.0, parameters=linear.parameters())
    rows = paddle.to_tensor(x @ white, "float32")
    prices = paddle.to_tensor(y[:, None], "float32")
    loss = ((linear(rows) - prices) ** 2).sum() / 2
    loss.backward()
    optimizer.step()
    weights: Array = white @ linear.weight.numpy()[:, 0].astype(np.float64)
    return weights


def descend(x: Array, y: Array, steps: int = STEPS) -> Array:
    """Gradient descent from 0 with the longest safe step, 1 / the steepest curvature: by step, how
    far the squared error is above its least, as a share of where it began."""
    gram, best = x.T @ x, least_squares(x, y)
    eta = 1 / np.linalg.eigvalsh(gram)[-1]
    apart, above = -best, []
    for _ in range(steps + 1):
        above.append(apart @ gram @ apart)
        apart = apart - eta * (gram @ apart)
    return np.array(above) / above[0]


def problems() -> dict[str, Problem]:
    """By model, its columns and targets with the rows of its penalties; all centred."""
    training, _ = deal()
    y = training[:, -1] - training[:, -1].mean()
    features = training[:, :-1]
    found = {"line": ((features - features.mean(axis=0)) / features.std(axis=0), y)}
    main = fit(training, curves(training))
    pairs = fit(training, main.terms + best_pairs(training, main, PAIRS))
    for name, fitted in (("curves", main), ("ten pairs", pairs)):
        columns, parts = design(training, fitted.terms)
        found[name] = with_penalty(columns - fitted.mean, y, parts, fitted.smooth)
    return found


def above_least(x: Array, y: Array, weights: Array) -> float:
    """How far the squared error is above its least, as a share of how far it is for weights 0."""
    best = least_squares(x, y)
    return float(np.sum((x @ (weights - best)) ** 2) / np.sum((x @ best) ** 2))


def show_steps(found: dict[str, Problem]) -> Facts:
    training, _ = deal()
    print("One step on whitened columns, against the closed form")
    print("model       columns   condition   prices apart, 1,000 USD")
    facts: Facts = {"steps": STEPS}
    for name, (x, y) in found.items():
        difference = one_step(x, y) - least_squares(x, y)
        apart = float(np.abs(x[: len(training)] @ difference).max())
        condition = float(np.linalg.cond(x)) ** 2
        print(f"{name:<12}{x.shape[1]:7d}{condition:12.0e}{apart:17.1e}")
        key = name.replace(" ", "_")
        facts |= {f"{key}_apart": apart, f"{key}_condition": condition}
        facts |= {f"{key}_columns": x.shape[1], f"{key}_left": 100 * descend(x, y)[-1]}
    print()
    return facts


def draw_steps(folder: Path, found: dict[str, Problem]) -> None:
    labels: Labels = {"xlabel": "step", "ylabel": "loss above its least, as a share"}
    with picture(folder / "one-step.svg", **labels, **AXES) as axes:
        for (name, (x, y)), colour in zip(found.items(), (BLUE, ORANGE, GREEN), strict=True):
            width = 5 if name == "curves" else 1.4  # the next line covers it
            steps = np.arange(1, STEPS + 1)
            axes.plot(steps, descend(x, y)[1:], color=colour, linewidth=width, label=name)
            end = above_least(x, y, one_step(x, y))
            axes.plot(1, end, "*", color=colour, markersize=11)
        axes.legend(loc="center left")


def main(folder: Path = PICTURES) -> Facts:
    """Print what the page shows, save its pictures to `folder`; the figures for the chapter."""
    found = problems()
    draw_steps(folder, found)
    return show_steps(found)


if __name__ == "__main__":
    main()
