"""Pictures of how predictions meet the truth."""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from run.evidence import histogram

Picture = NDArray[np.uint8]


def predicted_against_actual(
    target: NDArray[np.float32], prediction: NDArray[np.float32]
) -> Picture:
    """A point a row, and the line on which a perfect model would put them all: uint8 [H, W, 3]."""
    figure = Figure(figsize=(5, 5))
    axes = figure.add_subplot(xlabel="actual", ylabel="predicted", title="Predicted against actual")
    ends = [min(target.min(), prediction.min()), max(target.max(), prediction.max())]
    axes.plot(ends, ends, color="0.6", linewidth=1)
    axes.scatter(target, prediction, s=9, alpha=0.6)
    return _render(figure)


def residuals(target: NDArray[np.float32], prediction: NDArray[np.float32]) -> Picture:
    """Predicted minus actual over the prediction, and their distribution: uint8 [H, W, 3]."""
    figure = Figure(figsize=(9, 4))
    over, spread = figure.subplots(1, 2)
    over.axhline(0, color="0.6", linewidth=1)
    over.scatter(prediction, prediction - target, s=9, alpha=0.6)
    over.set(xlabel="predicted", ylabel="predicted - actual", title="Residuals")
    found = histogram((prediction - target).astype(np.float64))
    spread.stairs(found["counts"], found["edges"], fill=True)
    spread.set(xlabel="predicted - actual", ylabel="rows", title="Their distribution")
    return _render(figure)


def _render(figure: Figure) -> Picture:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3]
