"""The report of a run: one typed object that report.json, the page and the console read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bilingual import Text
from errors import RunError
from files import parse_json, read_plain
from reader.findings import Finding
from reader.metrics import METRICS, Metrics

if TYPE_CHECKING:
    from pydantic import TypeAdapter

PARTS = ("train", "validation", "test")

FILE = "report.json"
MOST_BYTES = 1 << 26
ENDS = {"low": "from", "high": "to"}  # fields of a Band, and how report.json calls them
Interval = tuple[float, float]


@dataclass(frozen=True)
class Confidence:
    """95 % intervals of the metrics of one part; r2 is None where the target is constant."""

    mse: Interval
    rmse: Interval
    mae: Interval
    r2: Interval | None


@dataclass(frozen=True)
class Data:
    """The table: its path, rows, SHA-256, target and features, and how many of its rows have no
    target and are in no part."""

    path: str
    rows: int
    sha256: str
    target: str
    features: list[str]
    rows_without_target: int = 0


@dataclass(frozen=True)
class Processes:
    """The processes that trained the model together, how many hosts they were on, and of how many
    rows of the table each had charge, in order."""

    count: int
    hosts: int
    rows: list[int]


@dataclass(frozen=True)
class Best:
    """The epoch whose weights are the best by `metric`, and its value on the watched part."""

    epoch: int
    value: float
    metric: str = "mse"  # what reports watched before they named it


@dataclass(frozen=True)
class Optimum:
    """The least training loss of any line, as `metric`, in the target's unit.

    `gap`: by what share this run is above it (None: the fit is exact); `epochs`: for each gap the
    first epoch that came so near.
    """

    metric: str
    value: float
    gap: float | None
    epochs: dict[str, int | None]
    weight_decay: float | None = None


@dataclass(frozen=True)
class BestLine:
    """The best straight line on one part, as `metric`, and the share of it that the model is
    below."""

    metric: str
    value: float
    improvement: float


@dataclass(frozen=True)
class Examples:
    """Actual and predicted targets of some rows of a part."""

    part: str
    actual: list[float]
    predicted: list[float]

    def __post_init__(self) -> None:
        if len(self.actual) != len(self.predicted):
            raise ValueError("actual and predicted are of different lengths")


@dataclass(frozen=True)
class Level:
    """Residuals of one level of a category; None is an empty cell."""

    level: str | None
    rows: int
    mean: float
    rmse: float


@dataclass(frozen=True)
class Pattern:
    """A feature by whose value the residuals still follow a curve, and the share of their variance
    that it explains."""

    column: str
    share: float


@dataclass(frozen=True)
class Residuals:
    """The distribution of predicted minus actual, `counts` between `edges`; `patterns`: what they
    still follow, the clearest first."""

    part: str
    counts: list[int]
    edges: list[float]
    by_category: dict[str, list[Level]]
    patterns: list[Pattern] = field(default_factory=list)


@dataclass(frozen=True)
class WorstRow:
    """`row` counts from 1 in the order of the table; `file`: its name, where the table has several;
    `line`: its line there, where lines were counted; `values`: of its features, None for a missing
    one."""

    row: int
    ids: dict[str, str]
    actual: float
    predicted: float
    error: float
    file: str = ""
    line: int | None = None
    values: dict[str, float | str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Worst:
    """The rows of a part with the largest errors, the largest first."""

    part: str
    rows: list[WorstRow]

    @property
    def id_columns(self) -> list[str]:
        """The columns that name a row."""
        return list(dict.fromkeys(name for row in self.rows for name in row.ids))


@dataclass(frozen=True)
class Weight:
    """A coefficient in raw units; its standard error, t and two-sided p are None where the data do
    not tell them."""

    name: str
    weight: float
    standard_error: float | None
    t: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class Coefficients:
    """A line in raw units. The weight of a level of a category is its difference from the average
    training row of that category; `constant` is the intercept with its standard error, `of` what
    they change: the target, or its logarithm."""

    intercept: float
    weights: list[Weight]
    constant: Weight | None = None
    has_levels: bool = False
    of: str = ""


@dataclass(frozen=True)
class Effect:
    """A term of an additive model: what it adds to the prediction at each of its places, and the
    standard errors of that.

    `places`, by axis: the knots of a number, in ascending order, or the names of levels; None is
    an empty cell. A `curve` over names is one of levels in their order, as the months. `values`,
    `errors` and `rows` are row-major over all axes; `rows`: how many training rows lie near a
    place. `freedom`: effective degrees; `share`: the variance of what it adds to the training rows,
    as a share of the target's, of a pair without its main effects; `hole`: what a missing cell
    adds, of a curve that has one.
    """

    features: list[str]
    kind: Literal["curve", "levels", "map"]
    freedom: float
    share: float
    places: list[list[float | str | None]]
    values: list[float]
    errors: list[float]
    rows: list[float]
    hole: float | None = None

    def __post_init__(self) -> None:
        axes = 2 if self.kind == "map" else 1
        if len(self.features) != axes or len(self.places) != axes:
            raise ValueError(f"a {self.kind} is of {axes} features")
        size = math.prod(map(len, self.places))
        if not size or any(len(each) != size for each in (self.values, self.errors, self.rows)):
            raise ValueError("values, errors and rows are not of as many places")


@dataclass(frozen=True)
class Effects:
    """The terms of an additive model, those that explain most first. `of`: what they add to, the
    target or its logarithm; `columns` of the linear layer; `freedom`: effective degrees of all
    terms; `variance` of the noise, in the squared unit of `of`; `constraint`: by what share
    model.monotone raised the training MSE, None without it."""

    of: str
    columns: int
    freedom: float
    variance: float
    terms: list[Effect]
    constraint: float | None = None


@dataclass(frozen=True)
class ColumnImportance:
    """By how much the RMSE rises when a column is shuffled, and the deviation over repeats; both in
    the target's unit."""

    name: str
    rmse_increase: float
    deviation: float


@dataclass(frozen=True)
class Importance:
    """Permutation importance, the largest first, on so many rows of a part."""

    part: str
    rows: int
    columns: list[ColumnImportance]


@dataclass(frozen=True)
class Band:
    """The rows with predictions from `low` to `high`: the share of their true values that the
    intervals hold, and the mean width."""

    low: float
    high: float
    rows: int
    covered: float
    width: float


@dataclass(frozen=True)
class LevelBand:
    """The same of the rows with one level of a category; None is an empty cell."""

    column: str
    level: str | None
    rows: int
    covered: float
    width: float


@dataclass(frozen=True)
class Intervals:
    """The share of true values that intervals are to hold, what they held on `part`, and their
    mean width in the target's unit; the same by tenth of the prediction and by category."""

    coverage: float
    part: str
    rows: int
    measured: float
    mean_width: float
    calibration_rows: int
    by_prediction: list[Band] = field(default_factory=list)
    by_category: list[LevelBand] = field(default_factory=list)


@dataclass(frozen=True)
class Model:
    """The network's name, the number of its parameters, and its layers with their shapes."""

    name: str
    parameters: int
    layers: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Training:
    """How the network was trained: `epochs` of at most `planned`; the optimizer and the loss with
    the options that are their own."""

    loss: str
    optimizer: str
    learning_rate: float
    schedule: str
    weight_decay: float
    batch_size: int
    epochs: int
    planned: int


@dataclass(frozen=True)
class Parity:
    """The largest difference of the exported graph from the trained network, in the target's
    unit."""

    max_abs_difference: float
    rows: int
    tolerance: float


@dataclass(frozen=True)
class Timing:
    """Seconds of the run and of its loop, and rows per second in the loop."""

    total_s: float
    train_s: float
    rows_per_second: float


@dataclass(frozen=True)
class Choice:
    """A value that `auto` chose, and the reason."""

    value: Any
    why: Text


@dataclass(frozen=True)
class MeanAndDeviation:
    """Mean and standard deviation over the folds of a cross-validation."""

    mean: float
    deviation: float


@dataclass(frozen=True)
class Folds:
    """The metrics of each fold of a cross-validation, and their statistics."""

    count: int
    each: list[Metrics]
    mse: MeanAndDeviation
    rmse: MeanAndDeviation
    mae: MeanAndDeviation
    r2: MeanAndDeviation | None = None
    loss: MeanAndDeviation | None = None


@dataclass(frozen=True)
class Trial:
    """What a `model` with nothing else set was found to predict: `rmse` of the validation rows, in
    the target's unit, after so many `seconds`."""

    model: str
    rmse: float
    seconds: float


@dataclass(frozen=True)
class Members:
    """Of some `rows` of a part, the RMSE of each member alone, and the mean over rows of the
    standard deviation of their predictions, both in the target's unit."""

    part: str
    rows: int
    rmse: list[float]
    spread: float


@dataclass(frozen=True)
class BlendPart:
    """RMSE on one part of the additive model alone, of the network alone, and of both together."""

    additive: float
    network: float
    together: float


@dataclass(frozen=True)
class Blend:
    """The `share` of the additive model in a blend, and what its parts predict, by part."""

    share: float
    rmse: dict[str, BlendPart]


@dataclass(frozen=True)
class Refit:
    """The training whose model is exported: on so many training and validation `rows`."""

    rows: int
    epochs: int


@dataclass(frozen=True)
class Report:
    """All figures of a run. `metrics`, `confidence` and `best_line` are by part; a part without
    rows is absent. `split` has the method, the seed and the rows of each part; `history` the
    watched metric by part, epoch after epoch; `finished` is a time in ISO 8601, `command` what was
    typed, if anything was; `warning`: what is wrong with the model itself; `export_sha256`: of its
    contract.json."""

    metrics: dict[str, Metrics]
    confidence: dict[str, Confidence]
    data: Data
    split: dict[str, str | int]
    best: Best
    history: list[dict[str, float]]
    timing: Timing
    card: dict[str, str]
    environment: dict[str, str | int | None]
    config: dict[str, Any]
    examples: Examples
    residuals: Residuals
    worst: Worst
    model: Model
    parity: Parity
    versions: dict[str, str]
    findings: list[Finding] = field(default_factory=list)
    chosen: dict[str, Choice] = field(default_factory=dict)
    optimum: Optimum | None = None
    best_line: dict[str, BestLine] | None = None
    coefficients: Coefficients | None = None
    effects: Effects | None = None
    trial: Trial | None = None
    members: Members | None = None
    blend: Blend | None = None
    refit: Refit | None = None
    importance: Importance | None = None
    intervals: Intervals | None = None
    folds: Folds | None = None
    warning: str | None = None
    processes: Processes | None = None
    training: Training | None = None
    finished: str = ""
    command: str = ""
    export_sha256: str = ""

    @property
    def last_part(self) -> str:
        """The part that says most of new rows: test, else validation, else train."""
        return next(part for part in reversed(PARTS) if part in self.metrics)

    def to_json(self) -> dict[str, Any]:
        """JSON values; what the run does not have is absent, and a metric is named by its key."""
        values = {key: value for key, value in asdict(self).items() if value is not None}
        if self.optimum:
            values["optimum"] = _keyed(values["optimum"], "train_")
            if self.optimum.weight_decay is None:
                del values["optimum"]["weight_decay"]
        if self.best_line:
            values["best_line"] = {p: _keyed(v) for p, v in values["best_line"].items()}
        if self.intervals:
            bands = values["intervals"]["by_prediction"]
            values["intervals"]["by_prediction"] = [_renamed(band, ENDS) for band in bands]
        values["findings"] = [_in_json(finding, "message") for finding in values["findings"]]
        values["chosen"] = {key: _in_json(c, "why") for key, c in values["chosen"].items()}
        values["metrics"] = {part: metrics.describe() for part, metrics in self.metrics.items()}
        if self.folds:
            values["folds"]["each"] = [metrics.describe() for metrics in self.folds.each]
            values["folds"] = {k: v for k, v in values["folds"].items() if v is not None}
        return values

    @classmethod
    def read(cls, folder: Path) -> Report:
        """The report of the finished run in `folder`. Raises RunError where there is none, or one
        that this version does not write."""
        path = folder / FILE
        try:
            content = read_plain(path, MOST_BYTES, link=True)
        except OSError as error:
            raise RunError(
                f"{path}: {error.strerror}; expected the folder of a finished run"
            ) from None
        except ValueError as error:
            raise RunError(f"{path}: is not a report ({error}); run that recipe again") from None
        return cls.parse(content, str(path))

    @classmethod
    def parse(cls, content: bytes, name: str = FILE) -> Report:
        """The report that a text of `to_json` holds. Raises RunError, which begins with `name`."""
        from pydantic import ValidationError  # which the page and the console do not need

        try:
            return _schema().validate_python(_unkeyed(parse_json(content)))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            problem = f"{where}: {first['msg']}" if where else first["msg"]
            raise RunError(
                f"{name}: is not a report of this version ({problem}); run that recipe again"
            ) from None
        except ValueError as error:
            raise RunError(f"{name}: is not a report ({error}); run that recipe again") from None

    def _repr_html_(self) -> str:
        """The page, as a notebook shows it."""
        from report.page import framed

        return framed(self)


@cache
def _schema() -> TypeAdapter[Report]:
    from pydantic import TypeAdapter

    return TypeAdapter(Report)


def _keyed(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{metric: mse, value: 1, ...} -> {train_mse: 1, ...}, with the prefix train_."""
    rest = {key: value for key, value in values.items() if key not in ("metric", "value")}
    return {f"{prefix}{values['metric']}": values["value"], **rest}


def _in_json(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Values of which one is a Text, as {..., message: English, message_zh: Chinese}."""
    return {**values, key: values[key]["en"], f"{key}_zh": values[key]["zh"]}


def _of_json(values: Any, key: str) -> Any:
    """The inverse of `_in_json`; only English where there is no Chinese."""
    if not isinstance(values, dict) or not isinstance(english := values.get(key), str):
        return values
    rest = {name: value for name, value in values.items() if name != f"{key}_zh"}
    return rest | {key: {"en": english, "zh": values.get(f"{key}_zh", "")}}


def _renamed(values: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(values, dict):
        return values
    return {names.get(key, key): value for key, value in values.items()}


def _unkeyed(values: Any) -> Any:
    """The inverse of `to_json`, in a whole report; what has another form is left to validation."""

    def named(section: Any, prefix: str = "") -> Any:
        if not isinstance(section, dict):
            return section
        metrics = [name for name in METRICS if f"{prefix}{name}" in section]
        rest = _renamed(section, {f"{prefix}{name}": "value" for name in metrics})
        return rest | ({"metric": metrics[0]} if metrics else {})

    if isinstance(values, dict):
        if isinstance(findings := values.get("findings"), list):
            values["findings"] = [_of_json(finding, "message") for finding in findings]
        if isinstance(chosen := values.get("chosen"), dict):
            values["chosen"] = {key: _of_json(choice, "why") for key, choice in chosen.items()}
        if "optimum" in values:
            values["optimum"] = named(values["optimum"], "train_")
        if isinstance(lines := values.get("best_line"), dict):
            values["best_line"] = {part: named(line) for part, line in lines.items()}
        intervals = values.get("intervals")
        if isinstance(intervals, dict) and isinstance(intervals.get("by_prediction"), list):
            fields = {name: field for field, name in ENDS.items()}
            bands = [_renamed(band, fields) for band in intervals["by_prediction"]]
            intervals["by_prediction"] = bands
    return values
