"""Page 7. NumPy's arrays and Paddle's tensors.

python -m lesson.tensors
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

import model  # noqa: F401  (before Paddle: it keeps the import quiet)
from lesson.backpropagation import sigmoid
from lesson.data import PICTURES, Array, Facts
from lesson.drawing import BLUE, ORANGE, picture

Image = NDArray[np.uint8]


def sigmoid_slope(x: Array) -> Array:
    """The derivative of the sigmoid, from its own value."""
    return sigmoid(x) * (1 - sigmoid(x))


def relu(x: Array) -> Array:
    """The positive part."""
    return np.maximum(x, 0)


def relu_slope(x: Array) -> Array:
    """1 where x is positive, else 0."""
    return (x > 0).astype(np.float64)


def draw_house(height: int = 72, width: int = 96) -> Image:
    """A house in the evening, painted by slicing and comparing: uint8 [height, width, 3]."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    row, column = np.mgrid[:height, :width]
    image[...] = np.stack([60 + row, 90 + row, 150 - row // 2], axis=-1)  # the sky
    image[(row - 16) ** 2 + (column - 76) ** 2 < 81] = (255, 200, 80)  # the sun
    image[58:] = (60, 110, 70)  # the meadow
    image[36:60, 22:58] = (205, 180, 150)  # the wall
    image[(row >= 20) & (row < 36) & (np.abs(column - 39.5) < 1.4 * (row - 18))] = (150, 60, 50)
    image[46:60, 28:36] = (90, 60, 40)  # the door
    image[42:50, 43:52] = (250, 225, 130)  # the window
    return image


def crop(image: Image, rows: slice, columns: slice) -> Image:
    """A part of the image; a view, nothing is copied."""
    return image[rows, columns]


def flip(image: Image) -> Image:
    """Left and right exchanged; a view as well, read backward."""
    return image[:, ::-1]


def brighten(image: Image, factor: float) -> Image:
    """Every value multiplied, what exceeds 255 cut off; a new array."""
    return np.clip(image * factor, 0, 255).astype(np.uint8)


def show_arrays() -> Facts:
    a = np.arange(12.0).reshape(3, 4)
    print("An array and its shape")
    print(a)
    print("shape", a.shape, "  dtype", a.dtype)
    print("a[1, 2] =", a[1, 2], "  a[:, 0] =", a[:, 0])
    print()
    print("Broadcasting")
    column, row = np.array([[0], [10], [20]]), np.array([1, 2, 3, 4])
    print(column.shape, "+", row.shape, "->", (column + row).shape)
    print(column + row)
    print()
    print("Views and copies")
    view, copy = a[0], a[0].copy()
    view[0] = 99
    print("a[0, 0] after writing to a slice:", a[0, 0], "  the copy kept:", copy[0])
    print()
    return {"kept": copy[0], "written": a[0, 0]}


def show_mathematics() -> None:
    matrix = np.array([[2.0, 1.0], [1.0, 3.0]])
    target = np.array([3.0, 5.0])
    solution = np.linalg.solve(matrix, target)
    print("Linear algebra")
    print("matrix @ [1, 2] =", matrix @ [1, 2], "  determinant =", round(np.linalg.det(matrix), 6))
    print("solve: x =", solution.round(6), "  check: matrix @ x =", (matrix @ solution).round(6))
    print()
    random = np.random.default_rng(0)
    draws = random.normal(loc=5.0, scale=2.0, size=10_000)
    print("Random numbers and statistics")
    print(f"{draws.size} draws of N(5, 2): mean {draws.mean():.3f}, deviation {draws.std():.3f}")
    print(f"median {np.median(draws):.3f}, from {draws.min():.2f} to {draws.max():.2f}")
    again = np.random.default_rng(0).normal(5.0, 2.0, 10_000)
    print("the same seed gives the same draws:", bool(np.array_equal(draws, again)))
    print()


def show_tensors() -> Facts:
    import paddle

    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    copied = paddle.to_tensor(array)
    shared = paddle.utils.dlpack.from_dlpack(array)
    array[0, 0] = 99
    print("From array to tensor")
    print("to_tensor copies:   ", float(copied[0, 0]))
    print("from_dlpack shares: ", float(shared[0, 0]))
    print("back to NumPy:", type(copied.numpy()).__name__, copied.numpy().dtype)
    print("from float64:      ", paddle.to_tensor(np.zeros(1)).dtype)
    print("from Python floats:", paddle.to_tensor([0.0]).dtype)
    print()
    x: Any = paddle.to_tensor([-2.0, 0.0, 2.0], stop_gradient=False)
    y = paddle.nn.functional.sigmoid(x).sum()
    y.backward()
    by_hand = sigmoid_slope(np.array([-2.0, 0.0, 2.0]))
    print("A tensor remembers how it was made")
    print("slopes by Paddle: ", x.grad.numpy().round(6))
    print("slopes by hand:   ", by_hand.round(6))
    print()
    return {"copied": float(copied[0, 0]), "shared": float(shared[0, 0]), "steepest": by_hand[1]}


def show_image(image: Image) -> Facts:
    cropped, flipped, bright = (
        crop(image, slice(16, 64), slice(8, 72)),
        flip(image),
        brighten(image, 1.5),
    )
    print("An image is an array")
    print("shape", image.shape, "  dtype", image.dtype)
    for name, other in (("cropped", cropped), ("flipped", flipped), ("brighter", bright)):
        shares = bool(np.shares_memory(image, other))
        print(f"{name:<9}shape {other.shape}   mean {other.mean():6.2f}   a view: {shares}")
    return {"image_mean": image.mean(), "bright_mean": bright.mean()}


def draw_activations(folder: Path) -> None:
    x = np.linspace(-6, 6, 241)
    pairs = (("sigmoid", sigmoid, sigmoid_slope), ("relu", relu, relu_slope))
    for name, function, slope in pairs:
        with picture(folder / f"tensors-{name}.svg", height=2.6, xlabel="$x$") as axes:
            axes.plot(x, function(x), color=BLUE, label=name)
            axes.plot(x, slope(x), color=ORANGE, linestyle="--", label="derivative")
            axes.set_ylim(-0.1, 1.1 if name == "sigmoid" else 4)
            axes.grid()
            axes.legend(loc="upper left")


def save_images(folder: Path, image: Image) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    variants = {
        "house": image,
        "cropped": crop(image, slice(16, 64), slice(8, 72)),
        "flipped": flip(image),
        "bright": brighten(image, 1.5),
    }
    for name, variant in variants.items():
        imsave(folder / f"tensors-{name}.png", np.ascontiguousarray(variant))


def main(folder: Path = PICTURES) -> Facts:
    """Print what the page shows, save its pictures to `folder`; the figures for the chapter."""
    image = draw_house()
    draw_activations(folder)
    save_images(folder, image)
    facts = show_arrays()
    show_mathematics()
    return facts | show_tensors() | show_image(image)


if __name__ == "__main__":
    main()
