"""The training loop, for whoever has a network, an objective, and rows in blocks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING, Protocol

import paddle

from errors import DivergedError
from model.network import flat_cosine
from model.precision import Precision
from ranks.share import WHOLE, Share
from reader.metrics import Metrics

if TYPE_CHECKING:
    from model.average import Average
    from model.network import Network
    from model.objective import Objective
    from model.optimizer import Schedule
    from reader.dataset import TableDataset

EXPLODED = 1_000  # times the least loss
Evaluate = Callable[[], Mapping[str, Metrics]]


class Optimizer(Protocol):
    """What the loop asks of an optimizer of Paddle."""

    def step(self) -> None: ...

    def clear_grad(self, set_to_zero: bool = True) -> None: ...

    fade: float  # of weight decay

    def set_lr(self, value: float) -> None: ...

    def get_lr(self) -> float: ...


@dataclass
class State:
    """`epoch` whole epochs, and `block` blocks of the next one, are done: `step` steps in all.

    `best_value` is that of the watched metric on the watched part, in the target's unit; `history`
    has the metric by part after each epoch; `seconds` are those spent in the loop, `total_seconds`
    those of the whole run, sittings before a resume included. `stop`: why training ends before its
    last epoch, if it does.
    """

    epoch: int = 0
    block: int = 0
    step: int = 0
    seconds: float = 0.0
    total_seconds: float = 0.0
    epoch_seconds: float = 0.0
    best_epoch: int = 0
    best_value: float | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    stop: str = ""


class Observer:
    """Told of training as it goes; it may set `state.stop`, which ends training with the epoch."""

    def step(self, state: State, loss: float, learning_rate: float) -> None:
        """After a step whose loss is drawn; the loss is that of its mini-batch."""

    def block(self, state: State) -> None:
        """Between two blocks of an epoch, where training may be interrupted and resumed."""

    def epoch(self, state: State, metrics: Mapping[str, Metrics]) -> None:
        """After an epoch and its evaluation; metrics by part."""


def watched_part(metrics: Mapping[str, object]) -> str:
    """The part that picks the best epoch: validation, or training where there is none."""
    return "validation" if "validation" in metrics else "train"


class Trainer:
    """Trains `network` on the blocks of `loader`, a step for each mini-batch.

    Nothing is drawn from a global random state: the order of rows follows from (seed, epoch),
    dropout from (seed, epoch, block), the learning rate from the step. `average`: the mean of the
    weights after each step of an epoch takes their place at its end. Where several processes train,
    each has its share of every mini-batch, and all make the same steps. `precision`: the numbers
    that steps compute in, float32 unless it is set.
    """

    def __init__(
        self,
        network: Network,
        objective: Objective,
        optimizer: Optimizer,
        schedule: Schedule,
        loader: TableDataset,
        average: Average | None = None,
    ) -> None:
        self.network, self.objective, self.optimizer = network, objective, optimizer
        self.schedule, self.loader, self.average = schedule, loader, average
        self.precision = Precision()
        self.epochs, self._is_checked = 1, False

    def fit(
        self,
        state: State,
        epochs: int,
        observers: Sequence[Observer] = (),
        evaluate: Evaluate | None = None,
        log_every: int = 0,
    ) -> State:
        """Train from where `state` stands to the end of the last of `epochs`, or until an observer
        stops it; the state then. `log_every`: steps between two losses that observers are told.

        Raises DivergedError where a loss or the watched metric is not finite, or explodes.
        """
        self.check_shapes()
        self.epochs = epochs
        while state.epoch < epochs and not state.stop:
            for loss in self.steps(state, observers):
                if log_every and state.step % log_every == 0:
                    value, rate = self.finite(float(loss), state), self.optimizer.get_lr()
                    for observer in observers:
                        observer.step(state, value, rate)
            metrics = evaluate() if evaluate else {}
            self.end_epoch(state, metrics)
            for observer in observers:
                observer.epoch(state, metrics)
        return state

    def steps(self, state: State, observers: Sequence[Observer] = ()) -> Iterator[paddle.Tensor]:
        """What is left of the epoch, block by block: yields the loss of each step as it is made,
        before the step is counted."""
        network, optimizer, average = self.network, self.optimizer, self.average
        rate_of, loader = self.schedule, self.loader
        if not state.block:
            state.epoch_seconds = 0.0
        loader.set_epoch(state.epoch + 1, state.block)
        clock = time.perf_counter()
        for index, block in loader.blocks():
            network.train()
            done = state.step / (loader.steps * self.epochs)
            network.begin_block(loader.block_seed(index), done, loader.batch_size)
            if network.fades:
                optimizer.fade = flat_cosine(done)
            rate = None
            shares = loader.shares(index)
            batches = loader.batches(block, shares)
            for (x, y), share in zip(batches, shares or repeat(WHOLE), strict=False):
                if rate != (rate := rate_of(state.step)):
                    optimizer.set_lr(rate)
                loss = self.gradients(x, y, share)
                self.precision.step(optimizer)
                if average:
                    average.add()
                yield loss
                state.step += 1
            state.block = index + 1
            is_last = state.block == loader.blocks_per_epoch
            if average and is_last:
                average.end_epoch(loader.steps)
            seconds = time.perf_counter() - clock
            state.seconds += seconds
            state.epoch_seconds += seconds
            if not is_last:
                for observer in observers:
                    observer.block(state)
            clock = time.perf_counter()

    def gradients(self, x: paddle.Tensor, y: paddle.Tensor, share: Share) -> paddle.Tensor:
        """Those of a mini-batch, of which these inputs [n, D] and targets [n, 1] are this process's
        share, put into the parameters; its loss."""
        network = self.network
        if network.masks:
            network.masks.part = share
        with self.precision.casts():
            loss = self.objective.loss(network(x), y)
        penalty = network.penalty()
        self.optimizer.clear_grad(set_to_zero=False)
        total = loss if penalty is None else loss + penalty
        # Of the members' mean loss, each is to have the gradient that it has alone.
        self.precision.backward(total if network.members == 1 else total * network.members)
        if share is WHOLE:
            return loss
        ranks = self.loader.table.ranks
        return ranks.sum_gradients(network.parameters(), loss, share.weight)

    def end_epoch(self, state: State, metrics: Mapping[str, Metrics]) -> None:
        """Count the epoch, and take note of the watched metric of each part."""
        values = {part: getattr(m, self.objective.watched) for part, m in metrics.items()}
        if values:
            self.finite(values[watched_part(metrics)], state)
            if self.objective.smaller_is_better and "train" in values:
                self.bounded(metrics["train"], values["train"], state)
        state.epoch, state.block = state.epoch + 1, 0
        state.history.append({"epoch": state.epoch, **values})

    def check_shapes(self) -> None:
        """Once, before the first step. Raises AssertionError where output and target are not what
        the objective wants."""
        if self._is_checked:
            return
        inputs, target = self.loader.first_row()
        self.network.eval()
        with paddle.no_grad():
            self.objective.check_shapes(self.network(inputs), target)
        self._is_checked = True

    def bounded(self, metrics: Metrics, value: float, state: State) -> None:
        """Raises DivergedError where the model has become worse than the mean of its training rows,
        and far worse than it was."""
        least = min((each["train"] for each in state.history), default=value)
        if metrics.r2 is not None and metrics.r2 < 0 and value > EXPLODED * least:
            raise self.diverged(value, state)

    def finite(self, value: float, state: State) -> float:
        """The value itself. Raises DivergedError where it is NaN or infinite."""
        if math.isfinite(value):
            return value
        raise self.diverged(value, state)

    def diverged(self, value: float, state: State) -> DivergedError:
        return DivergedError(
            f"the loss is {value} in epoch {state.epoch + 1}: training diverged; try a smaller "
            f"step, -o optimizer.learning_rate={self.schedule(0) / 10:g}, or another data.scale"
        )
