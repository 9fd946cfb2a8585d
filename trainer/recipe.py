"""What a recipe asks for, made of the reader's and the model's parts."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from configs.schema import Config, DataConfig
from errors import RunError
from reader.formats import Reading
from reader.ready import Ready
from reader.split import Split
from reader.training_data import Source, TrainingData, read, study
from run.optimum import Optimum, least_squares

if TYPE_CHECKING:
    from paddle import nn

    from model.regressor import Regressor


def reading_of(data: DataConfig) -> Reading:
    return Reading(
        data.format, data.separator, data.comment, data.decimal_comma, data.missing.values
    )


def read_table(data: DataConfig) -> Source:
    """The table, packed and divided; Paddle is imported beside the reading of a large one."""
    return read(
        data.path,
        data.target,
        reading_of(data),
        columns=data.columns,
        exclude=data.exclude,
        kinds=data.kinds,
        time_format=data.time_format,
        split_options=data.split.model_dump(exclude={"validation_path", "test_path", "folds"}),
        other_paths=(data.split.validation_path, data.split.test_path),
        may_be_empty=data.missing.numeric != "error",
        cache=Path(data.cache),
        memory_limit=data.memory_limit,
        meanwhile=partial(import_module, "paddle"),
    )


def study_rows(data: DataConfig, source: Source, parts: Split) -> TrainingData:
    """What the training rows of `parts` tell."""
    missing = data.missing.model_dump(exclude={"values"})
    return study(source, parts, **missing, **data.categories.model_dump())


def check_parts(config: Config, parts: Split) -> None:
    """Raises RunError where the validation part is too small for what it is to do."""
    rows, coverage = len(parts.validation), config.intervals.coverage
    if config.train.patience and not rows:
        raise RunError("train.patience needs a validation part, and data.split.column names none")
    if coverage and rows < (least := int(np.ceil(coverage / (1 - coverage) - 1e-9))):
        raise RunError(
            f"intervals.coverage={coverage:g} needs {least:,} validation rows, found {rows:,}; "
            "enlarge data.split.validation, or ask for less"
        )


def build(config: Config, data: TrainingData) -> Regressor:
    """The regressor that the recipe describes, with first weights."""
    from model.preprocess import Preprocess
    from model.regressor import Regressor, build_network, build_target
    from model.scale import Scale, Whiten

    encoding, scale = data.encoding, config.data.scale
    if scale.features == "whiten":
        scaled: nn.Layer = Whiten(*data.feature_map("whiten"))
    else:
        scaled = Scale(*data.features(scale.features))
    prepare = Preprocess(
        encoding.numbers.tolist(),
        encoding.fill,
        encoding.indicated.tolist(),
        encoding.one_hot,
        [position for position, _ in encoding.embedded],
        scaled,
        holes=config.data.missing.numeric != "error",
    )
    network = build_network(
        features=len(encoding.names),
        seed=config.train.seed,
        codes=[codes for _, codes in encoding.embedded],
        **config.model.model_dump(),
    )
    target = build_target(*data.target(scale.target), log=scale.target == "log1p")
    return Regressor(prepare, network, target)


def ready_of(config: Config, data: TrainingData) -> Ready:
    """What makes rows ready for the network of the recipe."""
    scale = config.data.scale
    return data.ready(scale.features, scale.target)


def is_line(config: Config, data: TrainingData) -> bool:
    """Whether least squares on the encoded columns is what the model minimises."""
    line = config.model.name == "linear" and config.data.scale.target != "log1p"
    return line and not data.encoding.embedded


def decays_in_loss(config: Config) -> bool:
    """Whether weight decay is a part of the loss; AdamW's is not."""
    return str(config.optimizer.name) != "adamw"


def best_line(config: Config, data: TrainingData) -> Optimum:
    """Least squares on the training rows; for a linear model, with its weight decay."""
    statistics = data.statistics
    return least_squares(statistics.mean, statistics.covariance, penalty(config, data))


def penalty(config: Config, data: TrainingData) -> NDArray[np.float64] | float:
    """What weight decay adds to the curvature of the loss in raw units: see least_squares.

    Paddle adds decay * w to the gradient of the mean squared error on scaled columns, so the
    optimum has decay / 2 beside the scaled variances: decay / 2 * spread^2 beside the raw ones,
    and decay / 2 of themselves where whitening made the scaled ones 1. AdamW's decay is no part of
    its loss.
    """
    decay, scaling = config.optimizer.weight_decay, config.data.scale.features
    if not decay or not is_line(config, data) or not decays_in_loss(config):
        return 0.0
    if scaling == "whiten":
        return 0.5 * decay * data.statistics.covariance[:-1, :-1]
    return 0.5 * decay * data.features(scaling)[1] ** 2


def trained_line(
    config: Config, data: TrainingData, network: nn.Layer
) -> tuple[NDArray[np.float64], float]:
    """(weights [D], bias) of a linear network without embeddings, from the encoded columns to the
    target's scaled unit times its spread, plus its shift: raw units, unless that is log1p."""
    weight, bias = (p.numpy().astype(np.float64) for p in network.parameters())
    shift, matrix = data.feature_map(config.data.scale.features)
    target_shift, target_spread = data.target(config.data.scale.target)
    raw = matrix @ weight[:, 0] * target_spread
    return raw, float(target_shift + target_spread * bias[0] - shift @ raw)


def fold(config: Config, data: TrainingData, regressor: Regressor) -> nn.Layer | None:
    """The regressor as one product on encoded columns, where its network is a line."""
    from model.folded import Folded

    if config.model.name != "linear" or data.encoding.embedded:
        return None
    margin, log = regressor.margin, config.data.scale.target == "log1p"
    if margin is not None:
        margin *= data.target(config.data.scale.target)[1]
    return Folded(regressor.prepare, *trained_line(config, data, regressor.network), margin, log)


def gap(config: Config, data: TrainingData, network: nn.Layer, line: Optimum) -> float:
    """By what share a line's loss on all training rows is above least squares: from their moments,
    without a look at them. Where least squares fits exactly, as a share of 1e-6 of the variance."""
    statistics = data.statistics
    weights, bias = trained_line(config, data, network)
    moments = (statistics.mean, statistics.covariance, penalty(config, data))
    variance = float(statistics.covariance[-1, -1])
    return line.excess(weights, bias, *moments) / max(line.mse, 1e-6 * variance)
