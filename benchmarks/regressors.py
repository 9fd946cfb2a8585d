"""Regressors of other libraries, with their defaults and with tuned ones.

Tuned: the hyperparameters of XGB-TD, LGBM-TD and CatBoost-TD for regression, with early stopping by
the validation part (Holzmüller, Grinsztajn and Steinwart 2024, "Better by Default: Strong Pre-Tuned
MLPs and Boosted Trees on Tabular Data", https://arxiv.org/abs/2407.04491; the numbers as in
DefaultParams of https://github.com/dholzmueller/pytabkit). Untuned ones see no validation row.

A library is imported where it is used, so that one that is not installed is only left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reader.fitting import InputOptions, choose_levels
from reader.source import SplitTable
from reader.training_data import fit

Matrix = NDArray[np.float32]
Vector = NDArray[np.float64]
Options = Mapping[str, Any]

THREADS = 1
PATIENCE = 300  # trees without a lower validation error, after which the tuned variants stop
XGBOOST = {
    "n_estimators": 1_000,
    "learning_rate": 0.05,
    "max_depth": 9,
    "min_child_weight": 2.0,
    "reg_lambda": 0.0,
    "subsample": 0.7,
    "tree_method": "hist",
    "max_bin": 256,
}
LIGHTGBM = {
    "n_estimators": 1_000,
    "learning_rate": 0.05,
    "num_leaves": 100,
    "min_child_samples": 3,
    "min_child_weight": 1e-7,
    "subsample": 0.7,
    "subsample_freq": 1,
    "colsample_bytree": 1.0,
    "max_bin": 255,
}
CATBOOST = {
    "n_estimators": 1_000,
    "learning_rate": 0.09,
    "max_depth": 9,
    "l2_leaf_reg": 1e-5,
    "random_strength": 0,
    "boosting_type": "Plain",
    "bootstrap_type": "Bernoulli",
    "subsample": 0.9,
    "border_count": 254,
    "one_hot_max_size": 20,
    "leaf_estimation_iterations": 20,
}


class Part(NamedTuple):
    """`x` float32 [n, P]: numbers, NaN where one is missing, and codes of levels, 0 for one that no
    training row has; `y` float32 [n], in the target's unit."""

    x: Matrix
    y: Matrix


class Parts(NamedTuple):
    """`codes`: the columns of `x` that are codes."""

    train: Part
    validation: Part
    test: Part
    codes: list[int]

    @classmethod
    def of(cls, source: SplitTable) -> Parts:
        packed = choose_levels(source.packed, source.parts.train, min_count=1)
        blocks = [packed.take(rows) for rows in source.parts]
        train, validation, test = (Part(block[:, :-1], block[:, -1]) for block in blocks)
        return cls(train, validation, test, [packed.position[name] for name in packed.texts])


def scikit_learn(source: SplitTable, seed: int) -> Vector:
    """MLPRegressor on standardised inputs and a standardised target; every level is a column."""
    data = fit(source, source.parts, InputOptions(one_hot=1 << 30))
    inputs, target = data.inputs("standard"), data.target_scale("standard")
    train, test = (data.packed.take(rows) for rows in (source.parts.train, source.parts.test))
    model = import_module("sklearn.neural_network").MLPRegressor(random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that its 200 epochs are not enough: they are its default
        model.fit(inputs.transform(train), target.transform(train[:, -1]))
    return target.inverse(model.predict(inputs.transform(test)))


def xgboost(source: SplitTable, seed: int, options: Options) -> Vector:
    parts = Parts.of(source)
    stops = _stops(parts, options)
    model = import_module("xgboost").XGBRegressor(
        n_jobs=THREADS,
        random_state=seed,
        enable_categorical=True,
        feature_types=["c" if i in parts.codes else "q" for i in range(parts.train.x.shape[1])],
        **options,
        **({"early_stopping_rounds": PATIENCE} if stops else {}),
    )
    model.fit(*parts.train, verbose=False, **({"eval_set": [parts.validation]} if stops else {}))
    return np.asarray(model.predict(parts.test.x), np.float64)


def lightgbm(source: SplitTable, seed: int, options: Options) -> Vector:
    parts = Parts.of(source)
    package, stopping = import_module("lightgbm"), dict[str, Any]()
    if _stops(parts, options):
        callbacks = [package.early_stopping(PATIENCE, verbose=False)]
        stopping = {"eval_set": [parts.validation], "eval_metric": "rmse", "callbacks": callbacks}
    model = package.LGBMRegressor(n_jobs=THREADS, random_state=seed, verbosity=-1, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that columns without names are given some
        model.fit(*parts.train, categorical_feature=parts.codes, **stopping)
        return np.asarray(model.predict(parts.test.x), np.float64)


def catboost(source: SplitTable, seed: int, options: Options) -> Vector:
    parts, pandas = Parts.of(source), import_module("pandas")

    def frame(part: Part) -> Any:  # which, unlike an array, may have whole numbers among others
        return pandas.DataFrame(part.x).astype(dict.fromkeys(parts.codes, int))

    stopping = dict[str, Any]()
    if _stops(parts, options):
        validation = (frame(parts.validation), parts.validation.y)
        stopping = {"eval_set": validation, "early_stopping_rounds": PATIENCE}
    model = import_module("catboost").CatBoostRegressor(
        thread_count=THREADS,
        random_seed=seed,
        verbose=False,
        allow_writing_files=False,
        **options,
    )
    model.fit(frame(parts.train), parts.train.y, cat_features=parts.codes, **stopping)
    return np.asarray(model.predict(frame(parts.test)), np.float64)


def _stops(parts: Parts, options: Options) -> bool:
    """Whether the validation part ends training: that of the tuned variants, where there is one."""
    return bool(options) and len(parts.validation.y) > 0


class Regressor(NamedTuple):
    """`predict` trains on the table's training rows, by a seed, and gives its predictions [n] for
    the test rows in the target's unit."""

    module: str
    predict: Callable[[SplitTable, int], Vector]

    def load(self) -> bool:
        """Whether it is installed; imports it, so that its import is not timed."""
        if find_spec(self.module.partition(".")[0]) is None:
            return False
        import_module(self.module)
        return True


REGRESSORS = {
    "CatBoost": Regressor("catboost", partial(catboost, options={})),
    "CatBoost tuned": Regressor("catboost", partial(catboost, options=CATBOOST)),
    "XGBoost": Regressor("xgboost", partial(xgboost, options={})),
    "XGBoost tuned": Regressor("xgboost", partial(xgboost, options=XGBOOST)),
    "LightGBM": Regressor("lightgbm", partial(lightgbm, options={})),
    "LightGBM tuned": Regressor("lightgbm", partial(lightgbm, options=LIGHTGBM)),
    "scikit-learn MLP": Regressor("sklearn.neural_network", scikit_learn),
}
