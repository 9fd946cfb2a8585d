"""Chapter 2, page 1. Where the line fails, and a row of tents in its place.

python -m lesson.tents
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import model  # noqa: F401  (before Paddle: it keeps the import quiet)
from lesson.data import COLUMNS, PICTURES, Array, Facts, read_flat, split_rows, to_table
from lesson.drawing import BLUE, GREEN, GREY, INK, ORANGE, RED, Labels, picture

LSTAT = COLUMNS.index("LSTAT")
FEW = 6  # knots that are few enough to draw each tent
COUNTS = (4, 8, 16, 32, 64, 128)
LABELS: Labels = {"xlabel": "LSTAT, %", "ylabel": "MEDV, 1,000 USD"}


def deal() -> tuple[Array, Array]:
    """Rows to train on and to test on, dealt out at random: [405, 14] and [101, 14], not scaled."""
    return split_rows(to_table(read_flat()), "random")


def knots_of(x: Array, count: int) -> Array:
    """At most `count` knots, ascending: quantiles of the values x [n], each once."""
    knots: Array = np.unique(np.quantile(x, np.linspace(0, 1, count), method="nearest"))
    return knots


def tents(x: Array, knots: Array) -> Array:
    """[n] and [k] -> [n, k]: 1 at a column's own knot, 0 at the others, else straight."""
    return np.stack([np.interp(x, knots, tent) for tent in np.eye(len(knots))], axis=1)


def least_squares(x: Array, y: Array) -> Array:
    """The weights [D] of columns [n, D] for which the squared errors of y [n] add up to least."""
    return np.linalg.lstsq(x, y, rcond=None)[0].astype(np.float64)


def with_one(x: Array) -> Array:
    """The columns, and one of ones, whose weight is the bias."""
    return np.column_stack([x, np.ones(len(x))])


def rmse(predicted: Array, y: Array) -> float:
    """Root of the mean squared error, 1,000 USD."""
    return float(np.sqrt(np.mean((predicted - y) ** 2)))


def fifths(x: Array) -> NDArray[np.intp]:
    """Of each value, in which fifth of them it lies: 0 to 4."""
    return np.searchsorted(np.quantile(x, [0.2, 0.4, 0.6, 0.8]), x)


def line_errors(columns: list[int]) -> tuple[Array, float]:
    """What a line on these columns leaves of the training prices [405], and its test error."""
    training, test = deal()
    weights = least_squares(with_one(training[:, columns]), training[:, -1])
    left = training[:, -1] - with_one(training[:, columns]) @ weights
    return left, rmse(with_one(test[:, columns]) @ weights, test[:, -1])


def curve_errors(count: int) -> tuple[float, float]:
    """Training and test error of a curve of LSTAT with `count` knots."""
    training, _ = deal()
    knots = knots_of(training[:, LSTAT], count)
    weights = least_squares(tents(training[:, LSTAT], knots), training[:, -1])
    errors = [rmse(tents(rows[:, LSTAT], knots) @ weights, rows[:, -1]) for rows in deal()]
    return errors[0], errors[1]


def as_linear(x: Array, knots: Array, heights: Array) -> Array:
    """The curve as a layer of Paddle: x [n] -> [n]."""
    import paddle

    linear = paddle.nn.Linear(len(knots), 1, bias_attr=False)
    linear.weight.set_value(heights[:, None].astype(np.float32))
    curve: Array = linear(paddle.to_tensor(tents(x, knots), "float32")).numpy()[:, 0]
    return curve


def show_line() -> Facts:
    training, _ = deal()
    left, error = line_errors(list(range(13)))
    _, alone = line_errors([LSTAT])
    x, fifth = training[:, LSTAT], fifths(training[:, LSTAT])
    means = [left[fifth == k].mean() for k in range(5)]
    print("What the line on all 13 features leaves, by fifths of LSTAT")
    for k, mean in enumerate(means):
        print(f"{x[fifth == k].min():6.2f} to {x[fifth == k].max():5.2f} % {mean:8.2f}")
    print()
    return {
        "line_test": error,
        "line_alone": alone,
        "left_low": means[0],
        "left_middle_size": -min(means),
        "test_rows": len(deal()[1]),
    }


def show_tents() -> Facts:
    training, test = deal()
    x, knots = training[:, LSTAT], knots_of(training[:, LSTAT], FEW)
    heights = least_squares(tents(x, knots), training[:, -1])
    print("Six knots and the heights that least squares gives them")
    print("LSTAT, %          ", *(f"{knot:7.2f}" for knot in knots))
    print("height, 1,000 USD ", *(f"{height:7.2f}" for height in heights))
    print()
    straight = np.interp(test[:, LSTAT], knots, heights)
    curve = as_linear(test[:, LSTAT], knots, heights)
    return {
        "few": FEW,
        "few_test": curve_errors(FEW)[1],
        "linear_apart": float(np.abs(curve - straight).max()),
    }


def show_counts() -> Facts:
    errors = {count: curve_errors(count) for count in COUNTS}
    print("Error of a curve of LSTAT, 1,000 USD")
    print("knots   training    test")
    for count, (training, test) in errors.items():
        print(f"{count:5d}{training:11.3f}{test:8.3f}")
    print()
    best = min(COUNTS, key=lambda count: errors[count][1])
    return {
        "best_count": best,
        "best_count_test": errors[best][1],
        "most_knots": COUNTS[-1],
        "most_test": errors[COUNTS[-1]][1],
    }


def draw_line(folder: Path) -> None:
    training, _ = deal()
    x, y = training[:, LSTAT], training[:, -1]
    ends = np.array([x.min(), x.max()])
    with picture(folder / "tents-line.svg", **LABELS) as axes:
        axes.plot(x, y, ".", markersize=3, color=BLUE)
        axes.plot(ends, with_one(ends) @ least_squares(with_one(x), y), color=ORANGE)
    left, _ = line_errors(list(range(13)))
    labels: Labels = LABELS | {"ylabel": "left over, 1,000 USD"}
    with picture(folder / "tents-residuals.svg", **labels) as axes:
        axes.plot(x, left, ".", markersize=3, color=BLUE)
        axes.axhline(0, color=GREY, linewidth=0.8)
        for k in range(5):
            part = fifths(x) == k
            axes.hlines(left[part].mean(), x[part].min(), x[part].max(), color=RED, linewidth=3)


def draw_tents(folder: Path) -> None:
    training, _ = deal()
    x, y = training[:, LSTAT], training[:, -1]
    knots = knots_of(x, FEW)
    heights = least_squares(tents(x, knots), y)
    colours = (BLUE, ORANGE, GREEN, RED, GREY, INK)
    with picture(folder / "tents-row.svg", xlabel="LSTAT, %") as axes:
        for tent, colour in zip(np.eye(FEW), colours, strict=True):
            axes.plot(knots, tent, color=colour)
    with picture(folder / "tents-curve.svg", **LABELS) as axes:
        axes.plot(x, y, ".", markersize=3, color=BLUE)
        axes.plot(knots, heights, "o-", color=ORANGE, markersize=5)


def draw_counts(folder: Path) -> None:
    training, _ = deal()
    x, y = training[:, LSTAT], training[:, -1]
    for count in (16, 128):
        knots = knots_of(x, count)
        with picture(folder / f"tents-{count}.svg", **LABELS) as axes:
            axes.plot(x, y, ".", markersize=3, color=BLUE)
            axes.plot(knots, least_squares(tents(x, knots), y), color=ORANGE)


def main(folder: Path = PICTURES) -> Facts:
    """Print what the page shows, save its pictures to `folder`; the figures for the chapter."""
    draw_line(folder)
    draw_tents(folder)
    draw_counts(folder)
    return show_line() | show_tents() | show_counts()


if __name__ == "__main__":
    main()
