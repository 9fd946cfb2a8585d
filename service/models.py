"""The models of a server: opened, asked, and watched."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from display import short
from errors import DeviceError, ExportError
from model.base_predictor import BasePredictor
from model.contract import CALENDAR
from model.folder import Export
from model.monitor import Monitor
from model.onnx_predictor import OnnxPredictor
from model.predictor import Predictor
from reader.formats import Reading
from reader.one_row import Encoded, TableEncoder
from reader.schema import Column, Schema
from service.names import DIGITS

Rows = NDArray[np.float32]
MOST_TOLD = 100  # warnings of one answer
PLATFORMS = {"paddle": "paddle_inference", "onnx": "onnxruntime_onnx"}


class Warned(NamedTuple):
    """A value unlike training; `what`: out_of_range or unknown, `row` from 0."""

    row: int
    column: str
    what: str


class Answer(NamedTuple):
    """`outputs`: float32 [N, outputs]; `counts`: values unlike training, by column and kind."""

    outputs: Rows
    counts: Mapping[tuple[str, str], int]
    warnings: Sequence[Warned]


def open_predictor(export: Export, engine: str, device: str) -> BasePredictor:
    """Raises ExportError and DeviceError, as the predictors do."""
    return {"paddle": Predictor, "onnx": OnnxPredictor}[engine](export, device)


class Model:
    """One exported model: rows in, predictions out, and what is unlike training."""

    def __init__(self, name: str, export: Export, engine: str, device: str) -> None:
        self.name, self.contract, self.sha256 = name, export.contract, export.sha256
        self.version, self.platform = export.sha256[:DIGITS], PLATFORMS[engine]
        self.predictor = open_predictor(export, engine, device)
        self.schema = Schema.read(self.contract["schema"])
        self.reading = Reading(**self.contract["reading"])
        self.may_be_empty: bool = self.contract["may_be_empty"]
        self.columns: tuple[Column, ...] = self.schema.features
        self.features = self.predictor.features
        self.outputs = self.predictor.outputs
        self.encoder = TableEncoder(self.columns, self.may_be_empty, self.reading)
        self.monitor = Monitor(self.contract)
        self.low, self.high = (
            limit.astype(np.float32) for limit in (self.monitor.low, self.monitor.high)
        )
        self.column_of = [column.name for column in self.columns for _ in column.packed]
        kinds = {name: column.kind for column in self.columns for name in column.packed}
        self.is_code = np.array([kinds[name] == "categorical" for name in self.features])
        self.codes = self._codes()
        self._check()

    def predict(self, encoded: Encoded) -> Answer:
        """The predictions of rows, and what is unlike training in them."""
        outputs = self.predictor.predict_outputs(encoded.rows)
        return self.told(encoded, outputs, self.outside(encoded.rows))

    def outside(self, rows: Rows) -> NDArray[np.bool_]:
        """Where rows [N, D] are outside the training range."""
        found: NDArray[np.bool_] = (rows < self.low) | (rows > self.high)
        return found

    def told(self, encoded: Encoded, outputs: Rows, outside: NDArray[np.bool_]) -> Answer:
        """The answer for rows whose predictions are known."""
        if not (encoded.missing or encoded.unknown or np.count_nonzero(outside)):
            return Answer(outputs, {}, ())
        counts = {(column, "missing"): count for column, count in encoded.missing.items()}
        counts |= {(column, "unknown"): count for column, count in encoded.unknown.items()}
        for feature, count in enumerate(outside.sum(axis=0).tolist()):
            if count:  # of a time, several parts may be outside
                key = (self.column_of[feature], "out_of_range")
                counts[key] = max(counts.get(key, 0), count)
        warnings = {*self._warned(outside, "out_of_range")}
        if encoded.unknown:
            warnings |= {*self._warned((encoded.rows == 0) & self.is_code, "unknown")}
        return Answer(outputs, counts, sorted(warnings)[:MOST_TOLD])

    def _warned(self, where: NDArray[np.bool_], what: str) -> Iterator[Warned]:
        for row, feature in np.argwhere(where)[: MOST_TOLD * 4].tolist():
            yield Warned(row, self.column_of[feature], what)

    def wrong_number(self, rows: Rows) -> str | None:
        """What is wrong with rows of encoded features [N, D], if anything is."""
        with np.errstate(invalid="ignore"):
            sound = np.isfinite(rows)
            if self.may_be_empty:
                sound |= np.isnan(rows) & ~np.array([name in self.codes for name in self.features])
            for name, levels in self.codes.items():
                codes = rows[:, self.features.index(name)]
                sound[:, self.features.index(name)] &= (codes >= 0) & (codes < levels)
        if sound.all():
            return None
        row, feature = np.argwhere(~sound)[0].tolist()
        name, found = self.features[feature], rows[row, feature]
        expected = "a finite number (float32)"
        if name in self.codes:
            expected = f"a code from 0 to {self.codes[name] - 1}"
        shown = "an empty value" if np.isnan(found) else f"{found:g}"
        return f"row {row + 1}, feature {short(name)}: found {shown}, expected {expected}"

    def _codes(self) -> dict[str, int]:
        """How many codes the features have that are some."""
        codes: dict[str, int] = {}
        for column in self.columns:
            if column.kind == "categorical":
                codes[column.name] = len(column.levels) + 1
            for part, name in zip(column.parts, column.packed, strict=False):
                if part in CALENDAR and name in self.features:
                    codes[name] = CALENDAR[part]
        return codes

    def _check(self) -> None:
        """Predict once by each way, so that the first request takes no longer than others."""
        typical = np.nan_to_num(np.maximum(self.low, 0), posinf=0, neginf=0)[None]
        self.predict(Encoded(typical.astype(np.float32), {}, {}))


def load_models(exports: Mapping[str, Export], engine: str, device: str) -> dict[str, Model]:
    """Raises ExportError and DeviceError, which name the model where there are several."""
    models: dict[str, Model] = {}
    for name, export in exports.items():
        try:
            models[name] = Model(name, export, engine, device)
        except (ExportError, DeviceError) as error:
            raise type(error)(f"{name}: {error}") from None
    return models


@contextmanager
def share_of_cores(worker: int, workers: int) -> Iterator[None]:
    """What is loaded here takes but a worker's share of the cores, so that workers do not wait for
    each other."""
    if workers == 1 or not hasattr(os, "sched_getaffinity"):
        yield
        return
    cores = sorted(os.sched_getaffinity(0))
    share = max(1, len(cores) // workers)
    first = worker * share % len(cores)
    os.sched_setaffinity(0, cores[first : first + share] or cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
