"""Once more, on training and validation rows together, as long as the first training asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from model.blend import Blend
from reader.fitting import InputOptions
from reader.source import SplitTable
from reader.training_data import fit as fit_rows
from run.signals import Signals
from trainer.build import Fit, build
from trainer.evaluation import Evaluation
from trainer.progress import Progress
from trainer.session import train
from trainer.settings import CheckpointOptions


def second_fit(source: SplitTable, inputs: InputOptions, first: Fit, epochs: int) -> Fit:
    """A regressor of the same settings with first weights, to be trained for so many epochs on
    training and validation rows; of a blend, with the share that the first one has found."""
    parts = first.data.parts
    every = np.sort(np.concatenate([parts.train, parts.validation]))
    data = fit_rows(source, parts._replace(train=every, validation=every[:0]), inputs)
    settings = replace(first.settings, patience=0, export="last", stop_after=epochs)
    fit = build(settings, data)
    if isinstance(fit.network, Blend) and isinstance(first.network, Blend):
        fit.network.share.set_value(first.network.share)
    return fit


def refit(
    fit: Fit,
    folder: Path,
    checkpoint: CheckpointOptions,
    signals: Signals,
    progress: Progress,
) -> dict[str, Evaluation]:
    """Train what `second_fit` made, in `folder`; what it predicts of each part."""
    progress.prefix = "refit  "
    try:
        return train(fit, folder, checkpoint, signals, progress, None)[1]
    finally:
        progress.prefix = ""
