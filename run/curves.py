"""The VisualDL log of a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paddle import nn
from visualdl import LogWriter

from configs.flatten import leaves
from display import short, visible
from errors import RunError
from files import naming
from run.contents import LOG as LOG

HISTOGRAMS = 20
RESULTS = ("rmse", "mae", "r2")
HYPER_PARAMETERS = (
    *("run/dir", "model/name", "model/hidden", "model/width", "model/dropout", "loss/name"),
    *("optimizer/name", "optimizer/learning_rate", "optimizer/weight_decay", "schedule/name"),
    *("train/batch_size", "train/epochs", "train/seed", "data/scale/features", "data/scale/target"),
)


class Curves:
    """Curves in `folder`, one log a part, so that VisualDL draws the parts into one chart."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, LogWriter] = {}

    def rewind(self, offsets: Mapping[str, int]) -> None:
        """Cut each log to the length that a checkpoint took note of; before the first record.

        Raises RunError for a log that is a link, or lies behind one.
        """
        for log in self._folder.glob(f"*/{LOG}"):
            if not log.resolve().is_relative_to(self._folder.resolve()) or not log.is_file():
                raise RunError(f"{log}: not a file of this run; remove it, then use --resume again")
            os.truncate(log, min(offsets.get(log.parent.name, 0), log.stat().st_size))

    def _add(self, part: str, kind: str, *values: Any) -> None:
        """What `LogWriter.add_<kind>` writes; a write that is refused names the folder."""
        with naming(str(self._folder)):
            getattr(self._writer(part), f"add_{kind}")(*values)

    def offsets(self) -> dict[str, int]:
        """The length of each log in bytes, all records being written."""
        with naming(str(self._folder)):
            for writer in self._writers.values():
                writer.flush()
        return {log.parent.name: log.stat().st_size for log in self._folder.glob(f"*/{LOG}")}

    def _writer(self, part: str) -> LogWriter:
        if part not in self._writers:
            # Always the same name: a VisualDL that is open fails where a log it has read is gone.
            with redirect_stdout(StringIO()):  # it tells of a log that it goes on with
                self._writers[part] = LogWriter(str(self._folder / part), file_name=LOG)
        return self._writers[part]

    def recipe(self, config: Mapping[str, Any]) -> None:
        """The recipe, a text a section; and what runs differ in most, as hyper-parameters beside
        the final figures."""
        known = dict(leaves(config, separator="/"))  # its table shows nothing for a name with a dot
        values = {key: _plain(known.get(key, "-")) for key in HYPER_PARAMETERS}
        self._add("train", "hparams", values, [f"result/{name}" for name in RESULTS])
        for section, keys in config.items():
            lines = (visible(f"{key}: {value}") for key, value in leaves(keys))
            self._add("train", "text", f"recipe/{section}", "\n\n".join(lines), 0)

    def step(self, step: int, loss: float, learning_rate: float) -> None:
        """The loss of one mini-batch, on the scaled target."""
        self._add("train", "scalar", "step/loss", loss, step)
        self._add("train", "scalar", "step/learning_rate", learning_rate, step)

    def epoch(
        self, epoch: int, part: str, metrics: Mapping[str, float | None], watched: str
    ) -> None:
        """Metrics of one part, train or validation, after an epoch; the loss is the watched one."""
        for tag, name in (("loss", watched), ("rmse", "rmse"), ("mae", "mae"), ("r2", "r2")):
            if (value := metrics.get(name)) is not None:
                self._add(part, "scalar", f"epoch/{tag}", value, epoch)

    def weights(self, epoch: int, epochs: int, network: nn.Layer) -> None:
        """Histograms, which take longest, after about twenty of the `epochs`."""
        if epoch % -(-epochs // HISTOGRAMS) == 0 or epoch in (1, epochs):
            self.histograms(epoch, network)

    def optimum(self, epoch: int, value: float) -> None:
        """A point of the level that no straight line's loss can get below."""
        self._add("optimum", "scalar", "epoch/loss", value, epoch)

    def speed(self, epoch: int, rows_per_second: float) -> None:
        self._add("train", "scalar", "epoch/rows_per_second", rows_per_second, epoch)

    def histograms(self, epoch: int, network: nn.Layer) -> None:
        """The network's weights, and the gradients of its last mini-batch."""
        for name, parameter in network.named_parameters():
            for kind, tensor in (("weights", parameter), ("gradients", parameter.grad)):
                values = None if tensor is None else tensor.numpy().ravel().astype(np.float64)
                # Ten bins of values as large as those of a diverging run have no width.
                if values is not None and np.abs(values).max() < 1e12:
                    self._add("train", "histogram", f"{kind}/{name}", values, epoch)

    def result(self, values: Mapping[str, float | None]) -> None:
        """The final figures, to compare runs by."""
        for name in RESULTS:
            if (value := values[name]) is not None:
                self._add("train", "scalar", f"result/{name}", value, 0)

    def picture(self, name: str, picture: NDArray[np.uint8]) -> None:
        """uint8 [H, W, 3]."""
        self._add("train", "image", f"result/{name}", picture, 0)

    def __enter__(self) -> Curves:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with naming(str(self._folder)):
            for writer in self._writers.values():
                writer.close()


def _plain(value: Any) -> str | float:
    """A number or a text, which is all that a table of hyper-parameters takes."""
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return value if known else short(str(value))
