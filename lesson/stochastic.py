"""Page 4. Stochastic gradient descent: many small, cheap steps.

python -m lesson.stochastic
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle

from lesson.data import PICTURES, Array, Facts, load_data
from lesson.drawing import BLUE, GREEN, GREY, ORANGE, Labels, picture
from lesson.network import Network


def mini_batches(data: Array, batch_size: int) -> list[Array]:
    """Consecutive slices of the rows; the last one is what is left over."""
    starts = range(0, len(data), batch_size)
    return [data[start : start + batch_size] for start in starts]


def inner_iterations(epochs: int, samples: int, batch_size: int) -> int:
    """How often the inner loop runs; an incomplete last batch counts as one."""
    return epochs * -(-samples // batch_size)


def course_network() -> Network:
    """The network of the course's run of 50 epochs, with the generator in the same state.

    Its notebook draws weights twice after one seed, and trains the second set.
    """
    net = Network(13)
    net.w = net.random.randn(13, 1)
    return net


def show_shuffle() -> None:
    random = Network(13).random
    numbers = np.arange(1, 13)
    random.shuffle(numbers)
    print("Shuffling a list")
    print(*numbers)
    print()
    pairs = np.arange(1, 13).reshape(6, 2)
    random.shuffle(pairs)
    print("Shuffling a table: rows move, columns stay")
    print(*pairs, sep="\n")
    print()


def show_batches(training_data: Array) -> Facts:
    batches = mini_batches(training_data, batch_size=10)
    print(f"{len(training_data)} rows in mini-batches of 10")
    print("mini-batches:", len(batches))
    print("first:", batches[0].shape, "  last:", batches[-1].shape)
    print()
    return {
        "batches": len(batches),
        "last_batch": len(batches[-1]),
        "iterations": inner_iterations(epochs=5, samples=1000, batch_size=20),
        "iterations_an_epoch": inner_iterations(epochs=1, samples=1000, batch_size=20),
    }


def show_training(training_data: Array) -> Facts:
    x, y = training_data[:, :-1], training_data[:, -1:]
    net = course_network()
    start = net.loss(net.forward(x), y)
    losses = net.train_stochastic(training_data, num_epochs=50, batch_size=100, eta=0.1)
    per_epoch = len(mini_batches(training_data, 100))
    print("50 epochs of mini-batches of 100, eta = 0.1")
    for epoch in (0, 1, 2, 49):
        values = losses[epoch * per_epoch : (epoch + 1) * per_epoch]
        print(f"epoch {epoch:2d}   L", *(f"{loss:.4f}" for loss in values))
    end = net.loss(net.forward(x), y)
    print(f"all rows: L {start:.4f} before, {end:.4f} after {len(losses)} updates")
    print()
    return {"sgd_epochs": 50, "sgd_updates": len(losses), "sgd_start": start, "sgd_end": end}


def microseconds_a_step(training_data: Array, batch_size: int, steps: int = 200) -> float:
    """How long one update on a mini-batch takes; the shuffling is left out."""
    net, batch = Network(13), training_data[:batch_size]
    started = time.perf_counter()
    net.train(batch[:, :-1], batch[:, -1:], iterations=steps, eta=0.01)
    return 1e6 * (time.perf_counter() - started) / steps


def show_sizes(training_data: Array) -> Facts:
    x, y = training_data[:, :-1], training_data[:, -1:]
    print("20 epochs at eta = 0.1, by batch size")
    print("batch  updates  L on all rows  spread at the end  µs a step")
    facts: Facts = {}
    for size in (1, 10, 100, len(training_data)):
        net = course_network()
        losses = net.train_stochastic(training_data, num_epochs=20, batch_size=size, eta=0.1)
        end = net.loss(net.forward(x), y)
        last = losses[-inner_iterations(1, len(training_data), size) :]
        cost = microseconds_a_step(training_data, size)
        print(f"{size:5d}{len(losses):9d}{end:15.5f}{np.std(last):19.5f}{cost:11.1f}")
        facts |= {f"updates_{size}": len(losses), f"end_{size}": end, f"step_{size}": cost}
    facts["step_ratio"] = float(facts["step_100"]) / float(facts["step_1"])
    return facts


def draw_curves(folder: Path, training_data: Array) -> None:
    """The losses of 50 epochs, over the epoch: one smooth curve and two jagged ones."""
    sizes = {10: ORANGE, 100: BLUE, len(training_data): GREEN}
    for name, zoom in (("stochastic-curves.svg", (0.0, 50.0)), ("stochastic-zoom.svg", (0.0, 3.0))):
        labels: Labels = {"xlabel": "epoch", "ylabel": "$L$", "yscale": "log", "xlim": zoom}
        with picture(folder / name, **labels) as axes:
            for size, colour in sizes.items():
                losses = course_network().train_stochastic(training_data, 50, size, eta=0.1)
                epoch = np.arange(len(losses)) * 50 / len(losses)
                shown = epoch <= zoom[1]
                axes.plot(
                    epoch[shown],
                    np.array(losses)[shown],
                    color=colour,
                    linewidth=0.6 if size == 10 else 1.4,
                    label=f"batch {size}",
                )
            axes.grid()
            axes.legend()


def draw_shuffle(folder: Path) -> None:
    random = Network(13).random
    table = np.arange(24).reshape(8, 3)
    shuffled = table.copy()
    random.shuffle(shuffled)
    with picture(folder / "stochastic-shuffle.svg", height=2.6) as axes:
        for side, rows in ((0, table), (6, shuffled)):
            for i, row in enumerate(rows):
                colour: Labels = {"facecolor": f"C{row[0] // 3}", "edgecolor": GREY, "alpha": 0.4}
                for j in range(3):
                    axes.add_patch(Rectangle((side + j, 7 - i), 1, 1, **colour))
                axes.text(side + 1.5, 7.5 - i, f"row {row[0] // 3}", ha="center", va="center")
        axes.annotate("", (5.7, 4), (3.3, 4), arrowprops={"arrowstyle": "-|>", "color": GREY})
        axes.set(xlim=(0, 9), ylim=(0, 8))
        axes.axis("off")


def main(folder: Path = PICTURES) -> Facts:
    """Print what the page shows, save its pictures to `folder`; the figures for the chapter."""
    training_data, _ = load_data()
    draw_shuffle(folder)
    draw_curves(folder, training_data)
    show_shuffle()
    return show_batches(training_data) | show_training(training_data) | show_sizes(training_data)


if __name__ == "__main__":
    main()
