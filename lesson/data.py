"""Page 1. From a file of numbers to scaled training and test rows.

python -m lesson.data
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lesson.drawing import BLUE, GREY, INK, ORANGE, picture
from reader.split import SplitOptions, split
from reader.statistics import Statistics

Array = NDArray[np.float64]
Facts = dict[str, float | str]

PATH = Path(__file__).parent.parent / "data" / "boston" / "housing.data"
PICTURES = Path("runs/lesson")
COLUMNS = (
    *("CRIM", "ZN", "INDUS", "CHAS", "NOX", "RM", "AGE"),
    *("DIS", "RAD", "TAX", "PTRATIO", "B", "LSTAT", "MEDV"),
)


def read_flat(path: Path = PATH) -> Array:
    """Every number of the file, one after another: [7084]."""
    return np.fromfile(path, sep=" ")


def to_table(flat: Array) -> Array:
    """Cut the numbers into rows of 14: [506, 14]."""
    return flat.reshape(-1, len(COLUMNS))


def split_rows(table: Array, method: str = "sequential") -> tuple[Array, Array]:
    """Four fifths of the rows to train on, one fifth to test on: [404, 14] and [102, 14]."""
    rows = split(len(table), SplitOptions(method, train=0.8, validation=0.0, test=0.2))
    return table[rows.train], table[rows.test]


def scale(training: Array, test: Array) -> tuple[Array, Array]:
    """Map each column so that its training rows run from 0 to 1; test rows follow."""
    minimum, extent = Statistics.of(COLUMNS, [training]).scaling("min_max")
    return (training - minimum) / extent, (test - minimum) / extent


def load_data() -> tuple[Array, Array]:
    """(training_data, test_data), scaled: [404, 14] and [102, 14], the price last."""
    return scale(*split_rows(to_table(read_flat())))


def show_table(flat: Array, table: Array) -> Facts:
    print("The file as one long array")
    print("shape:", flat.shape)
    print("first numbers:", *flat[:5], "...")
    print()
    print("The same numbers as a table")
    print("shape:", table.shape)
    for name, value in zip(COLUMNS, table[0], strict=True):
        print(f"{name:<8}{value:>9.3f}")
    print()
    return {"values": flat.size, "rows": table.shape[0], "columns": table.shape[1]}


def show_split(table: Array) -> Facts:
    training, test = split_rows(table)
    dealt_training, dealt_test = split_rows(table, "random")
    price = [rows[:, -1].mean() for rows in (training, test, dealt_training, dealt_test)]
    print("Mean price (1,000 USD)      training    test")
    print(f"in the file's order        {price[0]:9.2f}{price[1]:8.2f}")
    print(f"dealt out at random        {price[2]:9.2f}{price[3]:8.2f}")
    print()
    return {
        "training_rows": len(training),
        "test_rows": len(test),
        "training_mean": price[0],
        "test_mean": price[1],
        "dealt_training_mean": price[2],
        "dealt_test_mean": price[3],
    }


def show_scaling(table: Array) -> Facts:
    raw, _ = split_rows(table)
    training, test = load_data()
    print("Column     raw training rows     scaled training     scaled test")
    for j, name in enumerate(COLUMNS):
        before = f"{raw[:, j].min():9.3f} to {raw[:, j].max():7.2f}"
        after = f"{training[:, j].min():.0f} to {training[:, j].max():.0f}"
        print(f"{name:<8}{before}{after:>14}{test[:, j].min():>14.2f} to {test[:, j].max():.2f}")
    print()
    print("The first training row, scaled")
    print("x[0] =", np.array2string(training[0, :-1], precision=3, max_line_width=60))
    print(f"y[0] = {training[0, -1]:.8f}")
    return {
        "first_y": training[0, -1],
        "highest": COLUMNS[test.max(axis=0).argmax()],
        "highest_value": test.max(),
        "lowest": COLUMNS[test.min(axis=0).argmin()],
        "lowest_value": test.min(),
    }


def draw_split(folder: Path, table: Array) -> None:
    training, test = split_rows(table)
    with picture(folder / "data-split.svg", xlabel="row", ylabel="MEDV, 1,000 USD") as axes:
        rows, boundary = np.arange(len(table)), len(training)
        axes.plot(rows[:boundary], training[:, -1], ".", markersize=3, color=BLUE)
        axes.plot(rows[boundary:], test[:, -1], ".", markersize=3, color=ORANGE)
        for start, end, part in ((0, boundary, training), (boundary, len(table), test)):
            mean = part[:, -1].mean()
            axes.hlines(mean, start, end, color=INK)
            axes.text((start + end) / 2, 53, f"mean {mean:.1f}", ha="center")
        axes.axvline(boundary, color=GREY, linestyle=":")


def draw_scaling(folder: Path) -> None:
    _, test = load_data()
    with picture(folder / "data-scaled.svg", xlabel="scaled value") as axes:
        place = np.arange(len(COLUMNS))
        axes.axvspan(0, 1, color=BLUE, alpha=0.15)
        axes.hlines(place, test.min(axis=0), test.max(axis=0), color=ORANGE, linewidth=4)
        axes.set_yticks(place, COLUMNS)
        axes.invert_yaxis()


def main(folder: Path = PICTURES) -> Facts:
    """Print what the page shows, save its pictures to `folder`; the figures for the chapter."""
    flat = read_flat()
    table = to_table(flat)
    draw_split(folder, table)
    draw_scaling(folder)
    return show_table(flat, table) | show_split(table) | show_scaling(table)


if __name__ == "__main__":
    main()
