"""What `auto` stands for, chosen from the training rows, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from configs.schema import Config, CosineConfig, InverseConfig
from reader.training_data import TrainingData
from trainer.recipe import is_line

WIDEST = 256  # columns; whitening costs their number squared a row
MOST_ROWS, MOST_NUMBERS = 65_536, 1 << 22  # of a mini-batch
FEWEST_ROWS = 4_096  # of one that averages: a step then costs less than the rows it takes
POINTS = 200
GAP = 1e-4


class Choice(NamedTuple):
    value: Any
    why: str


def settle(config: Config, data: TrainingData) -> tuple[Config, dict[str, Choice]]:
    """The recipe with a value for each `auto`, and by key what was chosen.

    Of a linear model without embeddings the loss is a parabola, whose curvature is the second
    moment of the features: 1 in all directions once they are whitened. One step of 1 / (2 * 1) on
    all rows then leads to its lowest point. A mini-batch has a curvature of its own, and steps
    of at most 1 / (largest curvature + noise / batch_size) do not diverge in the mean square
    (Bach and Moulines, "Non-strongly-convex smooth stochastic approximation with convergence
    rate O(1/n)", 2013); half of that is chosen.
    """
    chosen: dict[str, Choice] = {}
    for choose in (_scaling, _schedule, _batch_size, _learning_rate, _epochs, _log_every):
        found = choose(config, data)
        chosen |= found
        config = _with(config, found)
    return config, chosen


def _with(config: Config, found: Mapping[str, Choice]) -> Config:
    for key, choice in found.items():
        section, *path = key.split(".")
        if section == "data":
            scale = config.data.scale.model_copy(update={"features": choice.value})
            part: Any = config.data.model_copy(update={"scale": scale})
        elif section == "schedule":
            part = {"inverse": InverseConfig, "cosine": CosineConfig}[choice.value](
                name=choice.value
            )
        else:
            part = getattr(config, section).model_copy(update={path[0]: choice.value})
        config = config.model_copy(update={section: part})
    return config


def is_parabola(config: Config, data: TrainingData) -> bool:
    """Whether the loss is the squared error of a line on the encoded columns."""
    return config.model.name == "linear" and not data.encoding.embedded


def _scaling(config: Config, data: TrainingData) -> dict[str, Choice]:
    if config.data.scale.features != "auto":
        return {}
    columns = len(data.encoding.names)
    if not is_parabola(config, data):
        choice = Choice("standard", "the model is not a line on the columns themselves")
    elif config.optimizer.weight_decay:
        choice = Choice("standard", "weight decay pulls at each column alike")
    elif columns > WIDEST:
        choice = Choice(
            "standard", f"whitening more than {WIDEST} columns costs more than it saves"
        )
    else:
        choice = Choice("whiten", "one step then serves all directions of a line")
    return {"data.scale.features": choice}


def averages(config: Config, data: TrainingData) -> bool:
    """Whether all is left to us: large mini-batches on whitened features, averaged."""
    return (
        is_parabola(config, data)
        and config.data.scale.features == "whiten"
        and config.optimizer.name == "sgd"
        and config.optimizer.learning_rate == "auto"
        and config.train.batch_size == "auto"
        and config.schedule.name in ("auto", "inverse")
    )


def _schedule(config: Config, data: TrainingData) -> dict[str, Choice]:
    if config.schedule.name != "auto":
        return {}
    if averages(config, data):
        return {"schedule.name": Choice("inverse", "the average over an epoch's rows")}
    return {"schedule.name": Choice("cosine", "falls to 0, and the noise of mini-batches with it")}


def _batch_size(config: Config, data: TrainingData) -> dict[str, Choice]:
    if config.train.batch_size != "auto":
        return {}
    rows, columns = len(data.parts.train), len(data.encoding.names)
    if not averages(config, data):
        size = min(1_024, max(64, 1 << (rows // 256).bit_length() >> 1))
        return {"train.batch_size": Choice(size, f"some 256 steps an epoch of {rows:,} rows")}
    most = min(MOST_ROWS, max(FEWEST_ROWS, MOST_NUMBERS // columns))
    if rows <= most:
        return {"train.batch_size": Choice(rows, "all rows: the step is then exact")}
    noise = data.most_noise("whiten")
    if noise > FEWEST_ROWS / 8:  # where it may count, a pass over the rows is worth its time
        noise = data.noise("whiten")
    size = min(most, max(FEWEST_ROWS, 1 << int(noise).bit_length()))
    return {
        "train.batch_size": Choice(size, f"of single rows, the curvature is up to {noise:,.0f}"),
        "optimizer.learning_rate": _rate(1.0, noise / size),
    }


def _learning_rate(config: Config, data: TrainingData) -> dict[str, Choice]:
    if config.optimizer.learning_rate != "auto":
        return {}
    if not is_parabola(config, data):
        return {"optimizer.learning_rate": Choice(0.02, "the loss is no parabola")}
    scaling, batch = config.data.scale.features, int(config.train.batch_size)
    noise = 0.0 if batch >= len(data.parts.train) else data.noise(scaling) / batch
    keeps = 1 - getattr(config.optimizer, "momentum", 0.0)
    return {"optimizer.learning_rate": _rate(data.curvature(scaling), noise, keeps)}


def _rate(curvature: float, noise: float, keeps: float = 1.0) -> Choice:
    rate = float(f"{0.5 * keeps / (curvature + noise):.4g}")
    return Choice(
        rate, f"half the largest stable step: curvature {curvature:.4g}, noise {noise:.3g}"
    )


def _epochs(config: Config, data: TrainingData) -> dict[str, Choice]:
    if config.train.epochs != "auto":
        return {}
    if is_line(config, data):
        return {"train.epochs": Choice(50, f"at most, or until within {GAP:.2%} of least squares")}
    return {"train.epochs": Choice(10 if config.schedule.name == "inverse" else 50, "in all")}


def _log_every(config: Config, data: TrainingData) -> dict[str, Choice]:
    if config.train.log_every != "auto":
        return {}
    steps = -(-len(data.parts.train) // int(config.train.batch_size)) * int(config.train.epochs)
    return {"train.log_every": Choice(max(1, steps // POINTS), f"some {POINTS} points of a curve")}
