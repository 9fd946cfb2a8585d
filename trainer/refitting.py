"""Once more, on training and validation rows together, as long as the first training asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from model.blend import Blend
from reader.fitting import InputOptions
from reader.source import SplitTable
from reader.training_data import TrainingData
from reader.training_data import fit as fit_rows
from trainer.build import Fit, build
from trainer.evaluation import Evaluation
from trainer.progress import Progress
from trainer.session import Keeping, train
from trainer.settings import Settings

Resolve = Callable[[TrainingData], Settings]


def second_fit(
    source: SplitTable, inputs: InputOptions, resolve: Resolve, first: Fit, epochs: int
) -> Fit:
    """A regressor with first weights, to be trained on training and validation rows: a network with
    the settings of the first one for so many epochs, a blend with the share that was found; a line
    or an additive model to the optimum of these rows, which has a step size of its own."""
    parts = first.data.parts
    every = np.sort(np.concatenate([parts.train, parts.validation]))
    data = fit_rows(source, parts._replace(train=every, validation=every[:0]), inputs)
    settings = replace(first.settings, stop_after=epochs)
    if not settings.is_network:
        settings = resolve(data)
    settings = replace(settings, patience=0, export="last")
    fit = build(settings, data)
    if isinstance(fit.network, Blend) and isinstance(first.network, Blend):
        fit.network.share.set_value(first.network.share)
    return fit


def refit(fit: Fit, keeping: Keeping | None, progress: Progress) -> dict[str, Evaluation]:
    """Train what `second_fit` made; what it predicts of each part."""
    progress.prefix = "refit  "
    try:
        return train(fit, keeping, progress, None)[1]
    finally:
        progress.prefix = ""
