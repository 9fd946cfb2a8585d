"""Page 3. Gradient descent: the loss as a landscape, and the way down.

python -m lesson.descent
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lesson.data import PICTURES, Array, Facts, load_data, read_flat, split_rows, to_table
from lesson.drawing import BLUE, GREEN, GREY, INK, ORANGE, RED, Labels, picture
from lesson.network import Network

ETA = 0.01
ON_TWO, ON_ALL = 2000, 1000  # iterations
RM, TAX = 5, 9  # the columns of w5 and w9: rooms per dwelling and property tax


def walk(slope: Callable[[float], float], start: float, eta: float, steps: int) -> list[float]:
    """The points that gradient descent visits on a curve with the given slope."""
    points = [start]
    for _ in range(steps):
        points.append(points[-1] - eta * slope(points[-1]))
    return points


def squared_slope(error: float) -> float:
    """The slope of error ** 2."""
    return 2 * error


def absolute_slope(error: float) -> float:
    """The slope of |error|; there is none at the kink, where 0 is the usual choice."""
    return float(np.sign(error))


def surface(x: Array, y: Array, w5: Array, w9: Array) -> Array:
    """The loss of Network(13) at each pair: w5 [m], w9 [n] -> [m, n]."""
    net = Network(13)
    net.w[[RM, TAX]] = 0
    rest = net.forward(x) - y  # what the other parameters leave over
    losses = [[np.mean((rest + a * x[:, [RM]] + c * x[:, [TAX]]) ** 2) for c in w9] for a in w5]
    return np.array(losses)


def descend_on_two(
    x: Array, y: Array, iterations: int, eta: float
) -> tuple[Array, list[float], Network]:
    """From (w5, w9) = (-100, -100), with all other parameters fixed.

    The points before each update [n, 2], the losses there, and the network at the end.
    """
    net = Network(13)
    net.w[[RM, TAX]] = -100.0
    points, losses = [], []
    for _ in range(iterations):
        points.append(net.w[[RM, TAX], 0])
        losses.append(net.loss(net.forward(x), y))
        gradient_w, _ = net.gradient(x, y)
        net.w[[RM, TAX]] -= eta * gradient_w[[RM, TAX]]
    return np.array(points), losses, net


def valley(pair: Array, steps: int = 40) -> tuple[Array, Array]:
    """The curvature [2, 2] of the loss over two weights, and descent to its minimum at (0, 0).

    eta is the largest that still descends, less a tenth: [steps + 1, 2].
    """
    curvature = pair.T @ pair / len(pair)
    eta = 0.9 * 2 / np.linalg.eigvalsh(curvature)[-1]
    points = [np.array([1.0, 1.0])]
    for _ in range(steps):
        points.append(points[-1] - eta * curvature @ points[-1])
    return curvature, np.array(points)


def largest_step(x: Array) -> float:
    """The eta beyond which descent on all parameters climbs: 2 / the largest curvature."""
    inputs = np.hstack([x, np.ones((len(x), 1))])  # the bias is the weight of a column of ones
    return float(2 / np.linalg.eigvalsh(inputs.T @ inputs / len(x))[-1])


def optimum(x: Array, y: Array) -> float:
    """The smallest loss that any w and b can reach, by least squares."""
    inputs = np.hstack([x, np.ones((len(x), 1))])
    solution = np.linalg.lstsq(inputs, y, rcond=None)[0]
    return float(np.mean((inputs @ solution - y) ** 2))


def show_kink() -> Facts:
    smooth = walk(squared_slope, start=1.0, eta=0.3, steps=8)
    kinked = walk(absolute_slope, start=1.0, eta=0.3, steps=8)
    print("Step  on the square  on the absolute value")
    for step, (a, c) in enumerate(zip(smooth, kinked, strict=True)):
        print(f"{step:4d}{a:15.5f}{c:23.5f}")
    print()
    return {
        "smooth_end": abs(smooth[-1]),
        "kinked_near": min(abs(kinked[-1]), abs(kinked[-2])),
        "kinked_far": max(abs(kinked[-1]), abs(kinked[-2])),
    }


def show_two(x: Array, y: Array) -> Facts:
    points, losses, net = descend_on_two(x, y, ON_TWO, ETA)
    print(f"Descent on w5 and w9 alone, eta = {ETA}")
    for i in [0, 1, 50, 100, 200, 500, 1000, 1500, 1999]:
        print(f"iter {i:4d}  w5 {points[i, 0]:8.3f}  w9 {points[i, 1]:8.3f}  L {losses[i]:9.4f}")
    print()
    error = net.forward(x) - y
    pair = x[:, [RM, TAX]]
    best = net.w[[RM, TAX]] - np.linalg.lstsq(pair, error, rcond=None)[0]
    return {
        "two_iterations": ON_TWO,
        "two_first": losses[0],
        "two_last": losses[-1],
        "best_w5": best[0, 0],
        "best_w9": best[1, 0],
        "end_w5": points[-1, 0],
        "end_w9": points[-1, 1],
    }


def show_all(x: Array, y: Array) -> Facts:
    net = Network(13)
    losses = net.train(x, y, ON_ALL, ETA)
    print(f"Descent on all 14 parameters, eta = {ETA}")
    for i in [0, 9, 19, 49, 99, 199, 499, 999]:
        print(f"iter {i:4d}   L {losses[i]:.12f}")
    print(f"least squares: {optimum(x, y):.12f}")
    print()
    return {
        "all_iterations": ON_ALL,
        "all_first": losses[0],
        "all_last": losses[-1],
        "optimum": optimum(x, y),
    }


def show_steps(x: Array, y: Array, raw: Array) -> Facts:
    limits = [largest_step(x), largest_step(raw)]
    losses = Network(13).train(raw, y, iterations=4, eta=ETA)
    print("Scaled against raw columns")
    print(f"largest eta, scaled: {limits[0]:.4f}")
    print(f"largest eta, raw:    {limits[1]:.3g}")
    print(f"raw, eta = {ETA}: L", *(f"{loss:.1e}" for loss in losses))
    return {"scaled_limit": limits[0], "raw_limit": limits[1], "blown": losses[-1], "eta": ETA}


def draw_kink(folder: Path) -> None:
    error = np.linspace(-1.2, 1.2, 201)
    curves: list[tuple[str, Any, Callable[[float], float], str]] = [
        ("descent-square.svg", np.square, squared_slope, "$(z - y)^2$"),
        ("descent-absolute.svg", np.abs, absolute_slope, "$|z - y|$"),
    ]
    for name, curve, slope, label in curves:
        with picture(folder / name, xlabel="$z - y$", ylabel=label) as axes:
            axes.plot(error, curve(error), color=BLUE)
            points = np.array(walk(slope, start=1.0, eta=0.3, steps=8))
            axes.plot(points, curve(points), "o-", color=ORANGE, linewidth=0.8, markersize=4)
            for step, (at, height) in enumerate(zip(points[:4], curve(points[:4]), strict=True)):
                axes.annotate(str(step), (at, height), (5, 3), textcoords="offset points")


def draw_landscape(folder: Path, x: Array, y: Array) -> None:
    w = np.linspace(-160, 160, 81)
    losses = surface(x, y, w, w)
    with picture(folder / "descent-surface.svg", height=3.6, projection="3d") as axes:
        sheet = axes.plot_surface(*np.meshgrid(w, w, indexing="ij"), losses, cmap="viridis")
        sheet.set_rasterized(True)
        axes.set(xlabel="$w_5$", ylabel="$w_9$", zlabel="$L$", zticks=[0, 10_000, 20_000])
    points, _, _ = descend_on_two(x, y, ON_TWO, ETA)
    labels: Labels = {"xlabel": "$w_5$", "ylabel": "$w_9$", "aspect": "equal"}
    with picture(folder / "descent-contours.svg", height=3.6, **labels) as axes:
        levels = np.geomspace(5, losses.max(), 14)
        axes.contour(w, w, losses.T, levels, colors=BLUE, linewidths=0.7)
        axes.plot(*points.T, color=RED)
        axes.plot(*points[::200].T, "o", color=RED, markersize=3.5)
        axes.plot(*points[0], "o", color=INK, markersize=5)


def draw_losses(folder: Path, x: Array, y: Array) -> None:
    _, two, _ = descend_on_two(x, y, ON_TWO, ETA)
    everything = Network(13).train(x, y, ON_ALL, ETA)
    labels: Labels = {"xlabel": "iteration", "ylabel": "$L$", "yscale": "log"}
    with picture(folder / "descent-two.svg", **labels) as axes:
        axes.plot(two, color=BLUE)
        axes.grid()
    with picture(folder / "descent-all.svg", **labels) as axes:
        axes.plot(everything, color=BLUE)
        axes.axhline(optimum(x, y), color=GREEN, linestyle="--", label="least squares")
        axes.grid()
        axes.legend()


def draw_scaling(folder: Path, x: Array, raw: Array) -> None:
    """Level lines of the loss about its minimum, and descent on w5 and w9 with one eta."""
    for name, columns in (("descent-scaled.svg", x), ("descent-raw.svg", raw)):
        bowl, points = valley(columns[:, [RM, TAX]])
        reach = float(1.15 * np.abs(points).max())
        side = np.linspace(-reach, reach, 201)
        w5, w9 = np.meshgrid(side, side)
        height = bowl[0, 0] * w5**2 + 2 * bowl[0, 1] * w5 * w9 + bowl[1, 1] * w9**2
        labels: Labels = {"xlabel": "$w_5 - w_5^*$", "ylabel": "$w_9 - w_9^*$", "aspect": "equal"}
        with picture(folder / name, **labels) as axes:
            axes.contour(w5, w9, height, 10, colors=GREY, linewidths=0.8)
            axes.plot(*points.T, "o-", color=ORANGE, markersize=3, linewidth=0.9)
            axes.plot(0, 0, "*", color=RED, markersize=8)


def main(folder: Path = PICTURES) -> Facts:
    """Print what the page shows, save its pictures to `folder`; the figures for the chapter."""
    training_data, _ = load_data()
    x, y = training_data[:, :-1], training_data[:, -1:]
    raw = split_rows(to_table(read_flat()))[0][:, :-1]
    draw_kink(folder)
    draw_landscape(folder, x, y)
    draw_losses(folder, x, y)
    draw_scaling(folder, x, raw)
    return show_kink() | show_two(x, y) | show_all(x, y) | show_steps(x, y, raw)


if __name__ == "__main__":
    main()
