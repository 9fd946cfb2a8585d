"""Page 2. One neuron: its prediction, its loss, its gradient, its training.

python -m lesson.network
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lesson.data import COLUMNS, PICTURES, Array, Facts, load_data
from lesson.drawing import BLUE, GREEN, GREY, ORANGE, Labels, arrow, blank, circle, picture


class Network:
    """A single neuron: z = x w + b."""

    def __init__(self, num_features: int, seed: int = 0) -> None:
        # The numbers of numpy.random.seed(seed), from a generator of our own.
        self.random = np.random.RandomState(seed)
        self.w: Array = self.random.randn(num_features, 1)
        self.b = 0.0

    def forward(self, x: Array) -> Array:
        """Predict: x [N, num_features] -> z [N, 1]."""
        return x @ self.w + self.b

    def loss(self, z: Array, y: Array) -> float:
        """The mean squared error of predictions z [N, 1] for targets y [N, 1]."""
        return float(np.mean((z - y) ** 2))

    def gradient(self, x: Array, y: Array) -> tuple[Array, float]:
        """The slopes of half the loss: (gradient_w [num_features, 1], gradient_b)."""
        error = self.forward(x) - y
        gradient_w = np.mean(error * x, axis=0)  # [N, 1] * [N, num_features] broadcasts
        return gradient_w[:, np.newaxis], float(np.mean(error))

    def update(self, gradient_w: Array, gradient_b: float, eta: float) -> None:
        """Take one step of size eta against the gradient."""
        self.w = self.w - eta * gradient_w
        self.b = self.b - eta * gradient_b

    def train(self, x: Array, y: Array, iterations: int, eta: float) -> list[float]:
        """Descend on all samples at once; the losses before each update."""
        losses = []
        for _ in range(iterations):
            losses.append(self.loss(self.forward(x), y))
            self.update(*self.gradient(x, y), eta)
        return losses

    def train_stochastic(
        self, training_data: Array, num_epochs: int, batch_size: int, eta: float
    ) -> list[float]:
        """Descend on one mini-batch after another; the loss of every mini-batch.

        training_data [N, num_features + 1] stays as it is. A copy of its rows is shuffled
        anew in each epoch, by the generator that drew the weights.
        """
        rows = training_data.copy()
        losses = []
        for _ in range(num_epochs):
            self.random.shuffle(rows)
            for start in range(0, len(rows), batch_size):
                batch = rows[start : start + batch_size]
                losses += self.train(batch[:, :-1], batch[:, -1:], iterations=1, eta=eta)
        return losses


def show_forward(x: Array, y: Array) -> Facts:
    net = Network(13)
    z = net.forward(x)
    print("One sample")
    print(f"z = {z[0, 0]:.8f}   y = {y[0, 0]:.8f}   L = {net.loss(z[:1], y[:1]):.8f}")
    print()
    print("Three samples")
    for i in range(3):
        print(f"z[{i}] = {z[i, 0]:.8f}   y[{i}] = {y[i, 0]:.8f}")
    print(f"L = {net.loss(z[:3], y[:3]):.12f}")
    print()
    print("All samples")
    print(f"z: shape {z.shape}   L = {net.loss(z, y):.12f}")
    print()
    return {
        "first_z": z[0, 0],
        "first_loss": net.loss(z[:1], y[:1]),
        "three_loss": net.loss(z[:3], y[:3]),
        "all_loss": net.loss(z, y),
    }


def show_gradient(x: Array, y: Array) -> Facts:
    net = Network(13)
    error = net.forward(x) - y
    print("One, three, all samples: the slopes by w5 and by b")
    for n in (1, 3, len(x)):
        slope_w, slope_b = net.gradient(x[:n], y[:n])
        shape = (error[:n] * x[:n]).shape
        print(f"error * x: {shape!s:<11}  w5 {slope_w[5, 0]:.6f}   b {slope_b:.6f}")
    print()
    gradient_w, gradient_b = net.gradient(x, y)
    print("The gradient, by broadcasting")
    print("error:", error.shape, "  x:", x.shape, "  error * x:", (error * x).shape)
    print("mean over samples:", gradient_w.shape)
    for name, slope in zip(COLUMNS, gradient_w[:, 0], strict=False):
        print(f"{name:<8}{slope:>9.5f}")
    print(f"b       {gradient_b:>9.5f}")
    print()
    before = net.loss(net.forward(x), y)
    net.update(gradient_w, gradient_b, eta=0.01)
    after = net.loss(net.forward(x), y)
    print("One step with eta = 0.01")
    print(f"L before {before:.6f}   L after {after:.6f}")
    return {"gradient_b": gradient_b, "loss_before": before, "loss_after": after}


def draw_neuron(folder: Path) -> None:
    with picture(folder / "network-neuron.svg", height=2.7) as axes:
        blank(axes, 10, 6)
        for height, index in ((5.2, "0"), (3.7, "1"), (0.8, "12")):
            circle(axes, 1, height, f"$x_{{{index}}}$")
            arrow(axes, (1, height), (5, 3))
            axes.text(2.6, 0.55 * height + 1.65, f"$w_{{{index}}}$", color=ORANGE)
        axes.text(1, 2.25, "⋮", ha="center", va="center")
        circle(axes, 5, 3, r"$\Sigma$", GREEN)
        circle(axes, 5, 5.2, "$b$", ORANGE)
        circle(axes, 9, 3, "$z$")
        arrow(axes, (5, 5.2), (5, 3))
        arrow(axes, (5, 3), (9, 3))


def draw_gradient(folder: Path, x: Array, y: Array) -> None:
    net = Network(13)
    single = ((net.forward(x) - y) * x)[:3]
    gradient_w, _ = net.gradient(x, y)
    labels: Labels = {"xlabel": "$j$", "ylabel": r"$\partial\,(L/2) / \partial w_j$"}
    with picture(folder / "network-gradient.svg", **labels) as axes:
        place = np.arange(13)
        axes.bar(place, gradient_w[:, 0], color=BLUE, alpha=0.35, label=f"mean of {len(x)}")
        for i, marker in enumerate("os^"):
            axes.plot(place, single[i], marker, color=GREY, markersize=4, label=f"sample {i}")
        axes.set_xticks(place)
        axes.legend()


def main(folder: Path = PICTURES) -> Facts:
    """Print what the page shows, save its pictures to `folder`; the figures for the chapter."""
    training_data, _ = load_data()
    x, y = training_data[:, :-1], training_data[:, -1:]
    draw_neuron(folder)
    draw_gradient(folder, x, y)
    return show_forward(x, y) | show_gradient(x, y)


if __name__ == "__main__":
    main()
