"""What a server has done, in Prometheus' text format, added up over its worker processes.

Each worker writes figures of its own into memory that all of them share, so that whoever is asked
can add them up, and none waits for another.
"""

from __future__ import annotations

import mmap
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

Labels = tuple[tuple[str, str], ...]
APIS = ("predict", "infer")
BOUNDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds that a request takes at most, of the buckets of its histogram."""
CODES = (400, 413, 415, 500)
UNLIKE = ("missing", "unknown", "out_of_range")
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
HELP = {
    "regressor_requests_total": "Requests for predictions.",
    "regressor_errors_total": "Requests for predictions that were refused, by status code.",
    "regressor_request_seconds": "Time from the head of a request to its answer.",
    "regressor_rows_total": "Rows predicted.",
    "regressor_values_total": "Values unlike training, by column of the table: missing, of no "
    "known level, or outside the range of the training rows.",
    "regressor_training_share": "The share of values in training that were missing or of no known "
    "level.",
    "regressor_model_info": "The models that are served.",
    "regressor_workers": "Worker processes.",
}


class Series(NamedTuple):
    """One figure: the name it has on the page, and that of the metric it belongs to."""

    metric: str
    name: str
    labels: Labels


class Described(NamedTuple):
    """What the figures of a model are called; `shares`: of each column, missing and unknown in
    training."""

    name: str
    version: str
    engine: str
    shares: Mapping[str, Mapping[str, float]]


class Metrics:
    """The figures of all workers; one of them, `worker`, is the process at hand.

    Made before the workers are forked. Calls are of one thread a process.
    """

    def __init__(self, models: Sequence[Described], workers: int = 1) -> None:
        self.models, self.workers, self.worker = models, workers, 0
        self._series = [series for model in models for series in _series_of(model)]
        self._index = {(s.name, s.labels): at for at, s in enumerate(self._series)}
        self._memory = memoryview(mmap.mmap(-1, 8 * max(1, len(self._series)) * workers)).cast("d")
        self._of = {
            (model.name, api): self._slots(model.name, api) for model in models for api in APIS
        }

    def request(self, model: str, api: str, seconds: float, rows: int, code: int = 200) -> None:
        """A request was answered."""
        slots, memory = self._of[model, api], self._memory
        start = self.worker * len(self._series)
        memory[start + slots.requests] += 1
        memory[start + slots.bucket + bisect_left(BOUNDS, seconds)] += 1
        memory[start + slots.seconds] += seconds
        memory[start + slots.rows] += rows
        if code != 200:
            memory[start + slots.errors[code]] += 1

    def unlike(self, model: str, column: str, what: str, count: int) -> None:
        """So many values of a column are one of UNLIKE."""
        labels = (("model", model), ("column", column), ("what", what))
        at = self._index["regressor_values_total", labels]
        self._memory[self.worker * len(self._series) + at] += count

    def page(self) -> str:
        """All figures, as Prometheus reads them."""
        return "".join(self._lines())

    def _slots(self, model: str, api: str) -> _Slots:
        labels: Labels = (("model", model), ("api", api))
        first = (*labels, ("le", f"{BOUNDS[0]:g}"))
        return _Slots(
            self._index["regressor_requests_total", labels],
            self._index["regressor_request_seconds_bucket", first],
            self._index["regressor_request_seconds_sum", labels],
            self._index["regressor_rows_total", labels],
            {
                code: self._index["regressor_errors_total", (*labels, ("code", str(code)))]
                for code in CODES
            },
        )

    def _total(self, at: int) -> float:
        return sum(self._memory[at :: len(self._series)])

    def _lines(self) -> Iterator[str]:
        kinds = {"regressor_request_seconds": "histogram"}
        for metric in dict.fromkeys(series.metric for series in self._series):
            yield _head(metric, kinds.get(metric, "counter"))
            below = 0.0  # a bucket holds all requests up to its bound
            for at, series in enumerate(self._series):
                if series.metric != metric:
                    continue
                value = self._total(at)
                if series.name.endswith("_bucket"):
                    below = value = below + value
                yield _line(series.name, series.labels, value)
                if ("le", "+Inf") in series.labels:
                    yield _line(f"{metric}_count", series.labels[:-1], value)
                    below = 0.0
        yield _head("regressor_training_share", "gauge")
        for model in self.models:
            for column, shares in model.shares.items():
                for what in ("missing", "unknown"):
                    labels = (("model", model.name), ("column", column), ("what", what))
                    yield _line("regressor_training_share", labels, shares[what])
        yield _head("regressor_model_info", "gauge")
        for model in self.models:
            of = (("model", model.name), ("version", model.version), ("engine", model.engine))
            yield _line("regressor_model_info", of, 1)
        yield _head("regressor_workers", "gauge") + _line("regressor_workers", (), self.workers)


class _Slots(NamedTuple):
    """Where the figures of a model and an api begin."""

    requests: int
    bucket: int
    seconds: int
    rows: int
    errors: Mapping[int, int]


def _series_of(model: Described) -> Iterator[Series]:
    for api in APIS:
        labels: Labels = (("model", model.name), ("api", api))
        yield Series("regressor_requests_total", "regressor_requests_total", labels)
        yield Series("regressor_rows_total", "regressor_rows_total", labels)
        for code in CODES:
            coded = (*labels, ("code", str(code)))
            yield Series("regressor_errors_total", "regressor_errors_total", coded)
        for bound in (*(f"{bound:g}" for bound in BOUNDS), "+Inf"):
            bounded = (*labels, ("le", bound))
            name = "regressor_request_seconds"
            yield Series(name, f"{name}_bucket", bounded)
        yield Series("regressor_request_seconds", "regressor_request_seconds_sum", labels)
    for column in model.shares:
        for what in UNLIKE:
            of = (("model", model.name), ("column", column), ("what", what))
            yield Series("regressor_values_total", "regressor_values_total", of)


def _head(metric: str, kind: str) -> str:
    return f"# HELP {metric} {HELP[metric]}\n# TYPE {metric} {kind}\n"


def _line(name: str, labels: Labels, value: float) -> str:
    told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    return f"{name}{{{told}}} {value:.17g}\n" if labels else f"{name} {value:.17g}\n"


def _escaped(text: str) -> str:
    """A label's value: any text, in UTF-8."""
    plain = text.encode("utf-8", "backslashreplace").decode()
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
