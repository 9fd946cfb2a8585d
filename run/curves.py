"""The VisualDL log of a run."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paddle import nn
from visualdl import LogWriter

from run.metrics import Metrics


RESULTS = ("rmse", "mae", "r2")


class Curves:
    """Curves in `folder`, one log a part, so that VisualDL draws the parts into one chart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, LogWriter] = {}

    def _writer(self, part: str) -> LogWriter:
        if part not in self._writers:
            self._writers[part] = LogWriter(logdir=str(self._folder / part))
        return self._writers[part]

    def recipe(self, config: dict[str, Any], text: str) -> None:
        """The recipe: its leaves as hyper-parameters, beside the final test metrics, and as text."""
        names = [f"result/{name}" for name in RESULTS]
        self._writer("train").add_hparams(dict(_leaves(config)), names)
        self._writer("train").add_text("config", text, 0)

    def step(self, step: int, loss: float, learning_rate: float) -> None:
        """The loss of one mini-batch, on the scaled target."""
        self._writer("train").add_scalar("step/loss", loss, step)
        self._writer("train").add_scalar("step/learning_rate", learning_rate, step)

    def epoch(self, epoch: int, metrics: dict[str, Metrics], rows_per_second: float) -> None:
        """What an epoch came to: the speed, and each part's metrics; the loss is the MSE."""
        self._writer("train").add_scalar("epoch/rows_per_second", rows_per_second, epoch)
        for part, found in metrics.items():
            values = {"loss": found.mse, "rmse": found.rmse, "mae": found.mae, "r2": found.r2}
            for name, value in values.items():
                if value is not None:
                    self._writer(part).add_scalar(f"epoch/{name}", value, epoch)

    def histograms(self, epoch: int, network: nn.Layer) -> None:
        """The network's weights, and the gradients of its last mini-batch."""
        for name, parameter in network.named_parameters():
            self._writer("train").add_histogram(f"weights/{name}", parameter.numpy().ravel(), epoch)
            if parameter.grad is not None:
                gradient = parameter.grad.numpy().ravel()
                self._writer("train").add_histogram(f"gradients/{name}", gradient, epoch)

    def result(self, metrics: Metrics) -> None:
        """The final figures, to compare runs by."""
        for name in RESULTS:
            if (value := getattr(metrics, name)) is not None:
                self._writer("train").add_scalar(f"result/{name}", value, 0)

    def picture(self, name: str, picture: NDArray[np.uint8]) -> None:
        """uint8 [H, W, 3]."""
        self._writer("train").add_image(f"result/{name}", picture, 0)

    def __enter__(self) -> Curves:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for writer in self._writers.values():
            writer.close()


def _leaves(section: dict[str, Any], prefix: str = "") -> list[tuple[str, str | float | int]]:
    leaves: list[tuple[str, str | float | int]] = []
    for key, value in section.items():
        if isinstance(value, dict):
            leaves += _leaves(value, f"{prefix}{key}.")
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            leaves.append((prefix + key, value))
        else:
            leaves.append((prefix + key, str(value)))
    return leaves
