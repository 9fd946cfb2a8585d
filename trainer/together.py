"""Training by several processes as by one: they begin from one state, and stop at one block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from numpy.typing import NDArray

from model.optimizer import set_optimizer_state
from model.regressor import get_state, set_state
from ranks.alone import Ranks
from reader.metrics import Metrics
from run.restore import Restored
from run.signals import Signals, Stopped
from trainer.observers import BestWeights
from trainer.trainer import Observer, State, Trainer

Arrays = dict[str, NDArray[Any]]


class Beginning(NamedTuple):
    """From where training goes on: `optimizer` and `best` are empty where it begins."""

    state: State
    weights: Arrays
    optimizer: Arrays
    best: Arrays


def begin_together(
    ranks: Ranks, trainer: Trainer, best: BestWeights, state: State, restored: Restored | None
) -> State:
    """Put what the first process has, which has set all that was restored, into every other one;
    the state."""
    if ranks.is_alone:
        return state
    own = Beginning(state, get_state(trainer.network), {}, {})
    if restored:
        own = own._replace(optimizer=dict(restored.optimizer), best=dict(restored.best))
    given = ranks.shared(own)
    if not ranks.is_first:
        set_state(trainer.network, given.weights)
        if given.optimizer:
            set_optimizer_state(trainer.optimizer, trainer.network, given.optimizer)
            trainer.precision.restore(given.optimizer)
            if trainer.average:
                trainer.average.restore(given.optimizer)
        best.state = given.best
    return given.state


class StopTogether(Observer):
    """After each block, lets a signal that one process has received count for all; and those that
    save nothing stop then. It stands before and behind what the first process does there, which
    may take a while."""

    def __init__(self, ranks: Ranks, signals: Signals) -> None:
        self.ranks, self.signals = ranks, signals

    def block(self, state: State) -> None:
        self.signals.received = self.ranks.agree(self.signals.received)
        if self.signals.received and not self.ranks.is_first:
            raise Stopped(self.signals.received)

    def epoch(self, state: State, metrics: Mapping[str, Metrics]) -> None:
        self.block(state)
