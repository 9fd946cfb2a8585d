"""Page 5, second half. Back-propagation through a network of two layers.

python -m lesson.backpropagation
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import model  # noqa: F401  (before Paddle: it keeps the import quiet)
from lesson.data import PICTURES, Array, Facts, load_data
from lesson.descent import optimum
from lesson.drawing import BLUE, GREEN, ORANGE, Labels, arrow, blank, circle, picture
from lesson.network import Network

ITERATIONS, ETA = 8000, 0.5
Gradients = tuple[Array, Array, Array, Array]


def sigmoid(x: Array) -> Array:
    """From any number to one between 0 and 1."""
    return 1 / (1 + np.exp(-x))


class TwoLayerNetwork:
    """h = sigmoid(x w1 + b1), then z = h w2 + b2."""

    def __init__(self, num_features: int, num_hidden: int, seed: int = 0) -> None:
        random = np.random.RandomState(seed)
        # Sums of n terms grow like sqrt(n); dividing keeps the sigmoid where it is steep.
        self.w1: Array = random.randn(num_features, num_hidden) / np.sqrt(num_features)
        self.b1: Array = np.zeros(num_hidden)
        self.w2: Array = random.randn(num_hidden, 1) / np.sqrt(num_hidden)
        self.b2: Array = np.zeros(1)

    def hidden(self, x: Array) -> Array:
        """x [N, num_features] -> h [N, num_hidden]."""
        return sigmoid(x @ self.w1 + self.b1)

    def forward(self, x: Array) -> Array:
        """x [N, num_features] -> z [N, 1]."""
        return self.hidden(x) @ self.w2 + self.b2

    def loss(self, z: Array, y: Array) -> float:
        """The mean squared error of predictions z [N, 1] for targets y [N, 1]."""
        return float(np.mean((z - y) ** 2))

    def gradient(self, x: Array, y: Array) -> Gradients:
        """The slopes of half the loss by w1, b1, w2 and b2, from the output back."""
        h = self.hidden(x)
        g_z = (h @ self.w2 + self.b2 - y) / len(x)  # [N, 1]
        g_w2, g_b2 = h.T @ g_z, g_z.sum(axis=0)
        g_h = g_z @ self.w2.T  # [N, num_hidden]
        g_sum = g_h * h * (1 - h)  # the slope of the sigmoid is h (1 - h)
        g_w1, g_b1 = x.T @ g_sum, g_sum.sum(axis=0)
        return g_w1, g_b1, g_w2, g_b2

    def update(self, gradient: Gradients, eta: float) -> None:
        """Take one step of size eta against the gradient."""
        for parameter, slope in zip(self.parameters(), gradient, strict=True):
            parameter -= eta * slope

    def parameters(self) -> Gradients:
        return self.w1, self.b1, self.w2, self.b2

    def train(self, x: Array, y: Array, iterations: int, eta: float) -> list[float]:
        """Descend on all samples at once; the losses before each update."""
        losses = []
        for _ in range(iterations):
            losses.append(self.loss(self.forward(x), y))
            self.update(self.gradient(x, y), eta)
        return losses


def finite_differences(net: TwoLayerNetwork, x: Array, y: Array) -> Gradients:
    """The slopes of half the loss, by moving one number at a time up and down."""
    step = 1e-5
    slopes = []
    for parameter in net.parameters():
        slope = np.empty_like(parameter)
        for index in np.ndindex(parameter.shape):
            kept = parameter[index]
            parameter[index] = kept + step
            above = net.loss(net.forward(x), y)
            parameter[index] = kept - step
            below = net.loss(net.forward(x), y)
            parameter[index] = kept
            slope[index] = (above - below) / (2 * step) / 2
        slopes.append(slope)
    return slopes[0], slopes[1], slopes[2], slopes[3]


def paddle_gradients(net: TwoLayerNetwork, x: Array, y: Array) -> Gradients:
    """The slopes of half the loss by Paddle, in float64."""
    import paddle
    import paddle.nn.functional as F

    parameters: Any = [paddle.to_tensor(p, stop_gradient=False) for p in net.parameters()]
    w1, b1, w2, b2 = parameters
    z = F.sigmoid(paddle.to_tensor(x) @ w1 + b1) @ w2 + b2
    half = F.mse_loss(z, paddle.to_tensor(y)) / 2
    half.backward()
    return w1.grad.numpy(), b1.grad.numpy(), w2.grad.numpy(), b2.grad.numpy()


def show_challenge(x: Array, y: Array) -> Facts:
    net = TwoLayerNetwork(13, 13)
    by_hand = net.gradient(x, y)
    differences = finite_differences(net, x, y)
    by_paddle = paddle_gradients(net, x, y)
    print("A network of two layers, 13-13-1: its gradient by hand")
    print("         shape  largest slope  off Paddle  off differences")
    off_paddle, off_differences = 0.0, 0.0
    for name, a, c, d in zip(
        ("w1", "b1", "w2", "b2"), by_hand, by_paddle, differences, strict=True
    ):
        to_paddle, to_difference = np.abs(a - c).max(), np.abs(a - d).max()
        off_paddle, off_differences = (
            max(off_paddle, to_paddle),
            max(off_differences, to_difference),
        )
        largest = np.abs(a).max()
        print(f"{name:<5}{a.shape!s:>9}{largest:15.6f}{to_paddle:12.1e}{to_difference:17.1e}")
    print()
    return {
        "off_paddle": off_paddle,
        "off_differences": off_differences,
        "parameters": sum(value.size for value in net.parameters()),
    }


def show_training(x: Array, y: Array) -> Facts:
    losses = TwoLayerNetwork(13, 13).train(x, y, ITERATIONS, ETA)
    print(f"{ITERATIONS:,} iterations on all rows, eta = {ETA}")
    for i in (0, 9, 99, 999, ITERATIONS - 1):
        print(f"iter {i:4d}   L {losses[i]:.6f}")
    print(f"the best that one neuron can do: L {optimum(x, y):.6f}")
    return {
        "two_layers_last": losses[-1],
        "two_layers_iterations": ITERATIONS,
        "one_neuron_best": optimum(x, y),
    }


def draw_network(folder: Path) -> None:
    with picture(folder / "backpropagation-network.svg", height=2.9) as axes:
        blank(axes, 10, 7)
        rows = ((6.2, "0"), (4.6, "1"), (1.0, "12"))
        for height, index in rows:
            for other, _ in rows:
                arrow(axes, (1, height), (5, other))
            arrow(axes, (5, height), (9, 3.6))
            circle(axes, 1, height, f"$x_{{{index}}}$")
            circle(axes, 5, height, f"$h_{{{index}}}$", GREEN)
        circle(axes, 9, 3.6, "$z$")
        for x, height, text in ((1, 2.8, "⋮"), (5, 2.8, "⋮"), (3, 6.6, "$w_1$"), (7, 5.6, "$w_2$")):
            axes.text(x, height, text, ha="center", va="center", color=ORANGE)


def draw_losses(folder: Path, x: Array, y: Array) -> None:
    labels: Labels = {"xlabel": "iteration", "ylabel": "$L$", "yscale": "log"}
    with picture(folder / "backpropagation-losses.svg", **labels) as axes:
        one = Network(13).train(x, y, ITERATIONS, ETA)
        two = TwoLayerNetwork(13, 13).train(x, y, ITERATIONS, ETA)
        axes.plot(one, color=BLUE, label="13-1")
        axes.plot(two, color=ORANGE, label="13-13-1")
        axes.axhline(optimum(x, y), color=GREEN, linestyle="--", label="least squares")
        axes.grid()
        axes.legend()


def main(folder: Path = PICTURES) -> Facts:
    """Print what the page shows, save its pictures to `folder`; the figures for the chapter."""
    training_data, _ = load_data()
    x, y = training_data[:, :-1], training_data[:, -1:]
    draw_network(folder)
    draw_losses(folder, x, y)
    return show_challenge(x, y) | show_training(x, y)


if __name__ == "__main__":
    main()
