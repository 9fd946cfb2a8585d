"""Where training stands, and how it is taken up again where it stopped."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from errors import RunError
from run.checkpoint import Checkpoint, Checkpoints
from run.signals import Signals, Stopped
from trainer.auto import GAP

if TYPE_CHECKING:
    from paddle import nn
    from paddle.optimizer import Optimizer

    from model.average import Average
    from run.curves import Curves


@dataclass
class Progress:
    """`epoch` whole epochs, and `block` blocks of the next one, are done: `step` steps in all.

    The best MSE (target unit squared) is that of the watched part; `history` has the MSE by part
    after each epoch; times are those spent in the loop. `done`: nothing is left to learn.
    """

    epoch: int = 0
    block: int = 0
    step: int = 0
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    best_epoch: int = 0
    best_mse: float | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    done: bool = False

    def spent(self, seconds: float) -> None:
        self.seconds += seconds
        self.epoch_seconds += seconds

    def end_epoch(self, mse: dict[str, float]) -> None:
        """Take note of the MSE by part, the watched one last, after the epoch's last block."""
        self.epoch, self.block, self.epoch_seconds = self.epoch + 1, 0, 0.0
        self.history.append({"epoch": self.epoch, **mse})

    def ends(self, patience: int) -> str:
        """Why training ends here, if it does: no better epoch for so many (0: never), or done."""
        if patience and self.epoch - self.best_epoch >= patience:
            return f"no better validation MSE for {patience} epochs: stopped early"
        return f"within {GAP:.2%} of least squares: done at epoch {self.epoch}" if self.done else ""


class Keeper:
    """Saves and restores all that the rest of a run follows from."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        network: nn.Layer,
        optimizer: Optimizer,
        average: Average | None,
        curves: Curves,
        signals: Signals,
        sha256: str,
    ) -> None:
        self.checkpoints, self.network, self.optimizer = checkpoints, network, optimizer
        self.curves, self.signals, self.sha256 = curves, signals, sha256
        self.average = average
        self.best: dict[str, NDArray[np.float32]] = {}

    def restore(self) -> Progress:
        """Go on from the newest checkpoint that is whole, or begin.

        Raises RunError where the table, by its SHA-256, or the version is not that of the run.
        """
        from model.optimizer import set_state
        from model.regressor import set_weights

        if (found := self.checkpoints.newest()) is None:
            self.curves.rewind({})
            return Progress()
        if found.state["data"] != self.sha256:
            raise RunError(
                f"{self.checkpoints.folder}: this run began on another table (SHA-256 "
                f"{found.state['data'][:12]}..., found {self.sha256[:12]}...); bring that table "
                "back, or train anew in another run.dir"
            )
        names = Progress.__dataclass_fields__
        if not names.keys() <= found.state.keys():
            raise RunError(
                f"{self.checkpoints.folder}: this run began with an earlier version, which took "
                "rows in another order; end it with that one, or train anew in another run.dir"
            )
        set_weights(self.network, dict(found.weights))
        set_state(self.optimizer, self.network, found.optimizer)
        if self.average:
            self.average.restore(found.optimizer)
        self.best = dict(found.best)
        self.curves.rewind(found.state["curves"])
        return Progress(**{name: found.state[name] for name in names})

    def compare(self, progress: Progress, mse: float) -> None:
        """Keep the weights of the epoch just done, if none was better."""
        from model.regressor import get_weights

        if mse < (math.inf if progress.best_mse is None else progress.best_mse):
            progress.best_epoch, progress.best_mse = progress.epoch, mse
            self.best = get_weights(self.network)

    def keep(self, progress: Progress, end: bool = False) -> None:
        """Save where a checkpoint is due, at the end, and on a signal. Then raises Stopped."""
        from model.optimizer import get_state
        from model.regressor import get_weights

        stop = self.signals.received
        wanted = end or stop or self.checkpoints.due(progress.step, progress.epoch)
        if wanted and not self.checkpoints.holds(progress.step):
            state = asdict(progress) | {"data": self.sha256, "curves": self.curves.offsets()}
            if progress.history:
                state["mse"] = list(progress.history[-1].values())[-1]
            weights, means = get_weights(self.network), get_state(self.optimizer, self.network)
            if self.average:
                means |= self.average.state()
            self.checkpoints.save(Checkpoint(weights, means, self.best, state))
        if stop:
            raise Stopped(stop)

    def choose(self, export: str) -> None:
        """Leave the weights to be exported, of the `best` epoch or the `last`, in the network."""
        from model.regressor import set_weights

        if export == "best":
            set_weights(self.network, self.best)
