"""What a recipe may say: every key, its type, its meaning and its default."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

Scaling = Literal["min_max", "mean_range", "standard", "none"]


def whole(value: Any) -> Any:
    """1e3 is a whole number, too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


PositiveInt = Annotated[int, BeforeValidator(whole), Field(ge=1, lt=2**31)]
Width = Annotated[int, BeforeValidator(whole), Field(ge=1, le=65_536)]
Members = Annotated[int, BeforeValidator(whole), Field(ge=1, le=256)]
NumericEmbedding = Literal["none", "ple", "pbld"]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]


def number_as_text(value: Any) -> Any:
    """A column that is called 1990 may be named without quotes."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Name = Annotated[str, BeforeValidator(number_as_text), Field(min_length=1)]


def usable_path(path: str) -> str:
    """Raises ValueError for what no path is, or no one means."""
    if "\0" in path or not path.strip():
        raise ValueError(f"found {path!r}, expected a path")
    return path


def with_a_name(path: str) -> str:
    """Raises ValueError for a folder that has no name of its own, which a run could not step
    aside from."""
    if PurePath(path).name in ("", ".."):
        raise ValueError(f"found {path}, expected a folder with a name, as in runs/houses")
    return path


Pair = Annotated[list[Name], Field(min_length=2, max_length=2)]
AnyPath = Annotated[Name, AfterValidator(usable_path)]
MISSING = (  # what pandas reads as missing
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
)


class Section(BaseModel):
    """A closed, frozen group of keys; the text under a key is its help."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def ignore_case(cls, values: Any) -> Any:
        """Names that are given by this project (Adam, ReLU, min-max) count in any case."""
        if not isinstance(values, Mapping):
            return values
        return {
            key: in_our_spelling(value, names_in(cls.model_fields[key].annotation))
            if key in cls.model_fields
            else value
            for key, value in values.items()
        }


def names_in(annotation: Any) -> tuple[str, ...]:
    """The texts that a (nested) type lists."""
    if get_origin(annotation) is Literal:
        return tuple(name for name in get_args(annotation) if isinstance(name, str))
    return tuple(name for inner in get_args(annotation) for name in names_in(inner))


def in_our_spelling(value: Any, names: tuple[str, ...]) -> Any:
    """The one of `names` that a value, or each value of a mapping, is but for case and dashes."""
    if isinstance(value, Mapping) and names:
        return {key: in_our_spelling(inner, names) for key, inner in value.items()}
    if not isinstance(value, str) or value in names:
        return value
    plain = value.strip().lower().replace("-", "_").replace(" ", "_")
    return plain if plain in names else value


class SplitConfig(Section):
    method: Literal["sequential", "random", "column", "group", "time", "files"] = "random"
    """how rows are split. random: seeded; a row keeps its part when rows are appended, by its id if
    it has one. sequential: in file order. column: a column says train, validation or test. group:
    rows of a group stay together. time: the earliest rows train, the latest test. files: one file
    per part"""
    column: Name | None = None
    """the column of parts, groups or times (numbers, or dates and times). Parts and groups are not
    features, unless data.kinds says so; times are, unless data.exclude names them"""
    train: Share = 0.8
    """share of the rows to train on; shares that are not given divide the rest 8 : 1 : 1"""
    validation: Share = 0.1
    """share that picks the best epoch and stops training early; 0: none"""
    test: Share = 0.1
    """test share, used only for the final metrics; 0: none"""
    seed: Annotated[int, Field(ge=0)] = 0
    """seed of the random split"""
    validation_path: AnyPath | None = None
    """the validation table, for method files; data.path is then the training table"""
    test_path: AnyPath | None = None
    """the test table, for method files"""
    folds: Annotated[int, Field(ge=0)] = 0
    """cross-validation on the training rows: each of this many folds is held out in turn, and then
    a model is trained on all of them. With method time, only earlier rows predict a fold. 0: off"""

    @model_validator(mode="before")
    @classmethod
    def fill_in_shares(cls, values: Any) -> Any:
        """Divide what the given shares leave among those not given, like 8 : 1 : 1."""
        shares = {"train": 8, "validation": 1, "test": 1}
        if not isinstance(values, dict):
            return values
        given = [values[key] for key in shares if key in values]
        left_out = {key: part for key, part in shares.items() if key not in values}
        if not left_out or not all(isinstance(share, int | float) for share in given):
            return values
        rest = max(0.0, round(1 - sum(given), 12)) / sum(left_out.values())
        return values | {key: round(part * rest, 12) for key, part in left_out.items()}

    @model_validator(mode="after")
    def check_column(self) -> SplitConfig:
        if (self.method in ("column", "group", "time")) != (self.column is not None):
            if self.column is None:
                raise ValueError(f"method {self.method} needs data.split.column, which is not set")
            raise ValueError(
                f"column is set, but method is {self.method}; column goes with method column, "
                "group or time"
            )
        return self

    @model_validator(mode="after")
    def check_paths(self) -> SplitConfig:
        given = self.validation_path is not None or self.test_path is not None
        if given != (self.method == "files"):
            if given:
                raise ValueError(
                    f"validation_path and test_path go with method files, found {self.method}"
                )
            raise ValueError("method files needs validation_path, test_path or both")
        return self

    @model_validator(mode="after")
    def check_folds(self) -> SplitConfig:
        if self.folds == 1:
            raise ValueError("folds: found 1, expected 0 or at least 2")
        return self

    @model_validator(mode="after")
    def check_shares(self) -> SplitConfig:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + validation + test add up to {total:g}, expected 1")
        if self.train == 0:
            raise ValueError("train is 0, so there would be no rows to train on")
        return self


class ScaleConfig(Section):
    features: Scaling | Literal["auto", "whiten", "quantile", "robust", "mixed"] = "auto"
    """how to scale features. min_max: (x - min) / (max - min); mean_range: (x - mean) /
    (max - min); standard: (x - mean) / deviation; whiten: standard, then decorrelated; none. For
    networks also quantile: normal scores of the ranks among training rows; robust: by median and
    quartiles, then drawn in smoothly; mixed: both, side by side. auto: whiten for a linear model
    without weight decay, for realmlp, tabm and blend mixed below 10,000 training rows and quantile
    from there on, else standard"""
    target: Scaling | Literal["log1p"] = "standard"
    """how to scale the target: as features, or log1p (standard scaling of log(1 + y)) where errors
    in per cent matter; predictions are in the target's own unit, and then stay near the range of
    the training targets"""


class MissingConfig(Section):
    numeric: Literal["error", "mean", "median", "constant"] = "mean"
    """how to fill missing numbers, in the exported graph: with the training mean, the training
    median or a constant; error: refuse them"""
    constant: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    """the number that missing.numeric=constant fills in"""
    indicator: bool = False
    """add a missing-value indicator for each column that has missing cells in training"""
    target: Literal["error", "drop"] = "error"
    """rows without a target: refuse them, or leave them out of all parts and count them (drop)"""
    values: Annotated[list[str], Field(min_length=1)] = list(MISSING)
    """cells that count as missing; in a column of texts, missing is a level of its own. A list
    here replaces the default, which is what pandas reads as missing"""


class CategoriesConfig(Section):
    one_hot: Annotated[int, Field(ge=0)] = 32
    """one-hot encode categories with up to this many levels; above, learn an embedding"""
    min_count: PositiveInt = 2
    """training rows that a level needs; rarer and unseen levels count as unknown"""


class DataConfig(Section):
    path: AnyPath
    """the table: CSV, TSV, text between runs of white space, Parquet, Arrow, JSON or Excel, also
    packed with gzip, zstd, bzip2, xz or zip; a file, a folder or a glob; relative to the working
    directory"""
    format: Literal["csv", "tsv", "white_space", "parquet", "arrow", "jsonl", "json"] | None = None
    """null: by suffix, else by the content"""
    separator: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """one character between values; null: by suffix, else the one of , ; tab | that divides the
    first lines evenly"""
    encoding: Name | None = None
    """of text, as in gbk, cp1252 or utf-16; null: UTF-8, or UTF-16 where the file shows it"""
    sheet: Name | None = None
    """of an Excel file; null: the only one that is not empty"""
    comment: Name | None = None
    """skip lines that start with this text"""
    decimal_comma: bool = False
    """numbers use a decimal comma: 1,5 means 1.5, and 1.011 means 1011"""
    columns: Annotated[list[Name], Field(min_length=2)] | None = None
    """column names, for a table without a header line; null: the first line is the header"""
    memory_limit: Annotated[int, Field(ge=0)] = 256
    """MB of packed rows (4 bytes per cell) to keep in memory; a larger table goes to data.cache"""
    unpack_limit: PositiveInt = 1024
    """MB that a packed file, or one whose rows take little space in it, may unpack to, where that
    is more than 100 times its size: a guard against files made to fill a disk"""
    shards: Literal["all", "per_host"] = "all"
    """what each host of a job of several processes reads. all: the whole table, the same on every
    host; per_host: rows of its own, as if the table held those of host 0, then those of host 1, and
    so on"""
    cache: AnyPath = ".cache"
    """folder for packed tables (memory-mapped); one is reused while its table is unchanged. Those
    unused for 30 days are removed, and the oldest where they fill more than half of the disk"""
    target: Name
    """the column to predict"""
    exclude: list[Name] = []
    """columns not used as features"""
    kinds: dict[Name, Literal["numeric", "categorical", "boolean", "time", "id", "ignored"]] = {}
    """overrides the inferred type of a column, as in {zip: categorical, note: ignored}. numeric
    (which the target may be) also reads numbers with a currency, a unit or thousands separators:
    $1,234 as 1234, 45% as 0.45, (12) as -12. An id is passed through to the predictions"""
    time_format: Name | dict[Name, Name] | None = None
    """how times are written, as in '%d.%m.%Y %H:%M', or by column, as in {sold: '%m/%d/%y'}; a
    time with the year first, as in 2024-12-31 23:59, is read without it"""
    missing: MissingConfig = MissingConfig()
    categories: CategoriesConfig = CategoriesConfig()
    split: SplitConfig = SplitConfig()
    scale: ScaleConfig = ScaleConfig()

    @field_validator("encoding")
    @classmethod
    def check_encoding(cls, name: str | None) -> str | None:
        try:
            "".encode(name or "utf-8")
        except LookupError:
            raise ValueError(
                "expected an encoding that Python knows, as in gbk or cp1252"
            ) from None
        return name

    @field_validator("columns", "exclude")
    @classmethod
    def check_repeats(cls, names: list[str] | None) -> list[str] | None:
        repeated = sorted(name for name, count in Counter(names or []).items() if count > 1)
        if repeated:
            raise ValueError(f"names {', '.join(repeated)} more than once")
        return names

    @model_validator(mode="after")
    def check_kinds(self) -> DataConfig:
        if both := sorted(set(self.kinds) & set(self.exclude)):
            raise ValueError(f"kinds: {', '.join(both)} is also in data.exclude")
        if (kind := self.kinds.get(self.target, "numeric")) != "numeric":
            raise ValueError(f"kinds: the target {self.target} is {kind}; only numeric is possible")
        return self


class LinearConfig(Section):
    name: Literal["linear"] = "linear"
    """linear: one linear layer; additive: one linear layer on a curve of each feature and on the
    pairs that matter, as smooth as the rows ask for; mlp: hidden layers with an activation; resnet:
    residual blocks; these two learn what ridge regression on the same inputs leaves; realmlp: an
    MLP whose details were tuned on many tables, eight of them side by side; tabm: one MLP that
    stands for many; blend: the mean of additive and realmlp"""


class AdditiveConfig(Section):
    name: Literal["additive"]
    knots: Annotated[int, BeforeValidator(whole), Field(ge=2, le=256)] = 32
    """most knots of a feature's curve; they are quantiles of the training rows"""
    beyond: Literal["flat", "line"] = "flat"
    """beyond its last knots a curve is flat, and predictions stay in the range of the training
    targets; line: it goes on as a straight line, and predictions may leave that range"""
    pairs: Annotated[int, BeforeValidator(whole), Field(ge=0, le=10_000)] | Literal["auto"] = "auto"
    """pairs of features whose joint effect is a term of its own: at most so many; auto: as many as
    fit in 1,400 columns, if they lower the error of training rows left out"""
    terms: Annotated[list[Name | Pair], Field(min_length=1)] | None = None
    """the only terms, as in [area, age, [latitude, longitude]]; a pair brings the curves of both
    along; null: a curve of every feature, and pairs as `pairs` says"""
    exclude_pairs: list[Pair] = []
    """pairs that are no terms, as in [[age, income]]"""
    monotone: dict[Name, Literal["up", "down"]] = {}
    """features along which predictions may only rise or fall, as in {area: up, age: down}"""

    @model_validator(mode="after")
    def check_pairs(self) -> AdditiveConfig:
        if self.terms is not None and (self.pairs != "auto" or self.exclude_pairs):
            raise ValueError("terms says which pairs there are; leave out pairs and exclude_pairs")
        pairs = [term for term in self.terms or [] if isinstance(term, list)]
        for one, other in [*pairs, *self.exclude_pairs]:
            if one == other:
                raise ValueError(f"the pair [{one}, {other}] names one feature twice")
        return self


class MLPConfig(Section):
    name: Literal["mlp"]
    hidden: Annotated[list[Width], Field(min_length=1, max_length=1_000)] = [128, 128]
    """width of each hidden layer"""
    activation: Literal["sigmoid", "tanh", "relu", "swish", "mish"] = "relu"
    """activation after each hidden layer"""
    numeric_embedding: NumericEmbedding = "none"
    """how each number becomes several: ple (piecewise linear, between quantiles of the training
    rows), pbld (periodic, with bias and the number itself) or none"""
    members: Members = 1
    """independent networks that are trained side by side and predict their mean"""
    embedding: Width = 8
    """embedding size of categories with more than data.categories.one_hot levels"""
    dropout: Fraction = 0.1
    """share of hidden values that are dropped in training"""


class ResNetConfig(Section):
    name: Literal["resnet"]
    width: Width = 128
    """width between the blocks; inside a block it is twice that"""
    members: Members = 1
    """independent networks that are trained side by side and predict their mean"""
    blocks: Annotated[PositiveInt, Field(le=1_000)] = 2
    """number of residual blocks"""
    normalization: Literal["batch", "layer"] = "batch"
    """what each block begins with: batch (statistics of the mini-batch; running ones to predict) or
    layer (statistics of the row)"""
    dropout: Fraction = 0.1
    """share of a block's values that are dropped in training"""


class RealMLPConfig(Section):
    name: Literal["realmlp"]
    hidden: Annotated[list[Width], Field(min_length=1, max_length=1_000)] = [256, 256, 256]
    """width of each hidden layer"""
    activation: Literal["swish", "mish", "relu", "tanh", "sigmoid"] = "swish"
    """activation after each hidden layer"""
    numeric_embedding: NumericEmbedding = "pbld"
    """how each number becomes several: pbld (periodic, with bias and the number itself), ple
    (piecewise linear, between quantiles) or none"""
    dropout: Fraction = 0.15
    """share of hidden values that are dropped in training, over its first half; then it falls"""
    members: Members | Literal["auto"] = "auto"
    """independent networks that are trained side by side and predict their mean; auto: 8, fewer
    above some 40,000 training rows"""


class BlendConfig(RealMLPConfig):
    name: Literal["blend"]  # type: ignore[assignment]


class TabMConfig(Section):
    name: Literal["tabm"]
    hidden: Annotated[list[Width], Field(min_length=1, max_length=1_000)] = [256, 256, 256]
    """width of each hidden layer"""
    numeric_embedding: NumericEmbedding = "ple"
    """how each number becomes several: ple, pbld or none"""
    dropout: Fraction = 0.1
    """share of hidden values that are dropped in training"""
    members: Annotated[Members, Field(ge=2)] = 32
    """networks that share all weights but what scales their inputs and outputs"""


class LossConfig(Section):
    name: Literal["mse", "mae"] = "mse"
    """what training minimises, on the scaled target: mse (mean squared error), mae (mean absolute
    error) or huber (squared for small errors, absolute for large ones); it also picks the best
    epoch"""


class HuberConfig(Section):
    name: Literal["huber"]
    delta: PositiveFloat = 1.0
    """errors up to this many standard deviations of the target count squared, larger ones
    linearly"""


class SGDConfig(Section):
    name: Literal["auto", "sgd"] = "auto"
    """auto (sgd for a linear model, adam for a network), sgd, momentum, adam or adamw, as in
    paddle.optimizer"""
    learning_rate: PositiveFloat | Literal["auto"] = "auto"
    """step size on scaled features and target. auto: for a linear model half of the largest stable
    step, known from the training rows' moments; for a network 0.002 where optimizer.name is auto,
    too, else 0.02. adam and adamw take a number"""
    weight_decay: NonNegativeFloat | Literal["auto"] = "auto"
    """L2 penalty on weights, not biases; decoupled with adamw; auto: 0, but for realmlp and tabm
    what their authors tuned"""


class MomentumConfig(SGDConfig):
    name: Literal["momentum"]  # type: ignore[assignment]
    momentum: Fraction = 0.9
    """share of the last step that carries over to the next one"""


class AdamConfig(SGDConfig):
    name: Literal["adam", "adamw"]  # type: ignore[assignment]
    learning_rate: PositiveFloat = 0.001
    """step size on scaled features and target"""
    beta1: Fraction = 0.9
    """decay rate of the running mean of the gradient"""
    beta2: Fraction = 0.999
    """decay rate of the running mean of the squared gradient"""
    clip: NonNegativeFloat = 0.0
    """gradients whose norm over all weights is larger are scaled down to it; 0: off"""


class ConstantConfig(Section):
    name: Literal["constant"]


class AutoConfig(Section):
    name: Literal["auto"] = "auto"
    """how the learning rate changes. constant; cosine: falls to 0 over the run, after a warm-up if
    it has one; one_cycle: rises, then falls to 0; coslog4: four cosines, each longer than the one
    before, as tuned for realmlp; step: is multiplied by gamma from time to time; inverse: falls as
    1 / step within each epoch, which averages over its rows where features are whitened; auto:
    inverse for a linear model on whitened features with all else on auto, coslog4 for realmlp and
    blend, otherwise cosine"""


class CosineConfig(Section):
    name: Literal["cosine"]
    warm_up: Fraction = 0.0
    """share of the run over which the rate rises first"""


class OneCycleConfig(Section):
    name: Literal["one_cycle"]
    warm_up: Annotated[float, Field(gt=0, lt=1)] = 0.25
    """share of the run over which the rate rises, from a 25th"""


class CosLog4Config(Section):
    name: Literal["coslog4"]


class InverseConfig(Section):
    name: Literal["inverse"]


class StepConfig(Section):
    name: Literal["step"]
    every: PositiveInt = 30
    """epochs between two drops of the learning rate"""
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1
    """factor of each drop"""


class TrainConfig(Section):
    epochs: PositiveInt | Literal["auto"] = "auto"
    """passes over the training rows; auto: at most 50 (a line stops within 0.01 % of least
    squares), at most 200 for a network with patience, and 4 to 256 for realmlp and blend: what two
    minutes of a core allow"""
    batch_size: PositiveInt | Literal["auto"] = "auto"
    """rows per mini-batch; auto: 64 to 1,024 by the number of rows, for a network 32 to 1,024, for
    realmlp, tabm and blend 256 to 1,024; for a linear model with all else on auto all rows, or of
    more than 65,536 as many as average out the differences between rows"""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """seed of the initial weights, the order of rows and dropout"""
    device: str = "auto"
    """auto (a GPU where there is one), cpu, gpu or gpu:N; also --device. Where a job has several
    processes on a machine, auto and gpu give each a GPU of its own"""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """numbers of the products of matrices in training steps: float32; bfloat16 or float16, which
    need a network and a GPU that has them, and may be faster where layers are wide. Parameters, the
    rest of a step, evaluation and export are float32 in any case"""
    average: bool = False
    """end each epoch at the mean of the weights of all its steps, and continue from there: less
    noise at a constant learning rate"""
    refit: bool = False
    """after the best epoch is known, train once more, from the beginning to that epoch, on training
    and validation rows together, and export that. Figures of the validation part, and intervals,
    are those of the first training"""
    patience: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """stop after this many epochs without a better validation metric; 0: never; auto: 30 for a
    network that has a validation part, else 0"""
    export: Literal["best", "last"] = "best"
    """which weights to export: those of the best epoch (by the loss's metric on the validation
    part, or on the training part if there is none; of a blend by its network; with coslog4 and
    fewer than 1,000 validation rows one at which the rate has fallen to a tenth) or of the last;
    the share of a blend is then a half"""
    log_every: PositiveInt | Literal["auto"] = "auto"
    """steps between two points of the curve of training loss; auto: about 200 points per curve"""

    @field_validator("device")
    @classmethod
    def check_device(cls, device: str) -> str:
        name = device.lower()
        if re.fullmatch(r"auto|cpu|gpu|gpu:\d+", name):
            return name
        hint = "; a CUDA GPU is called gpu here" if name.startswith("cuda") else ""
        raise ValueError(f"found {device}, expected auto, cpu, gpu or gpu:N{hint}")


class CheckpointConfig(Section):
    seconds: NonNegativeFloat = 60.0
    """seconds between checkpoints; 0: off"""
    steps: Annotated[int, Field(ge=0)] = 0
    """steps between checkpoints, rounded up to whole blocks of rows; 0: off"""
    epochs: Annotated[int, Field(ge=0)] = 0
    """epochs between checkpoints; 0: off. One is always written at the end"""
    keep: PositiveInt = 3
    """how many of the latest checkpoints to keep"""


class IntervalsConfig(Section):
    coverage: Annotated[float, Field(gt=0, lt=1)] | None = None
    """share of the true values that the intervals `lower` to `upper` should cover, as in 0.9; their
    width follows the prediction, is calibrated on the validation part (split conformal), and is
    part of the export; null: no intervals"""


class ExportConfig(Section):
    onnx: bool = False
    """also export `model.onnx`, for ONNX Runtime; needs `pip install -r requirements-onnx.txt`"""


class CardConfig(Section):
    intended_use: str = ""
    """what the model is for, and what not; shown in report.html"""
    data: str = ""
    """where the rows come from"""
    known_bias: str = ""
    """what is known to be unfair or one-sided in the rows"""


class RunConfig(Section):
    dir: Annotated[AnyPath, AfterValidator(with_a_name)]
    """run folder"""


def name_or(default: str) -> Discriminator:
    """Tell the variants of a section apart by their `name`; `default` where none is given."""

    def name_of(values: Any) -> str | None:
        if isinstance(values, dict):
            return str(values.get("name", default)).lower()
        return getattr(values, "name", None)

    return Discriminator(name_of)


ModelConfig = Annotated[
    Annotated[LinearConfig, Tag("linear")]
    | Annotated[AdditiveConfig, Tag("additive")]
    | Annotated[MLPConfig, Tag("mlp")]
    | Annotated[ResNetConfig, Tag("resnet")]
    | Annotated[RealMLPConfig, Tag("realmlp")]
    | Annotated[TabMConfig, Tag("tabm")]
    | Annotated[BlendConfig, Tag("blend")],
    name_or("linear"),
]
LossConfigs = Annotated[
    Annotated[LossConfig, Tag("mse")]
    | Annotated[LossConfig, Tag("mae")]
    | Annotated[HuberConfig, Tag("huber")],
    name_or("mse"),
]
OptimizerConfig = Annotated[
    Annotated[SGDConfig, Tag("auto")]
    | Annotated[SGDConfig, Tag("sgd")]
    | Annotated[MomentumConfig, Tag("momentum")]
    | Annotated[AdamConfig, Tag("adam")]
    | Annotated[AdamConfig, Tag("adamw")],
    name_or("auto"),
]
ScheduleConfig = Annotated[
    Annotated[AutoConfig, Tag("auto")]
    | Annotated[CosineConfig, Tag("cosine")]
    | Annotated[InverseConfig, Tag("inverse")]
    | Annotated[OneCycleConfig, Tag("one_cycle")]
    | Annotated[CosLog4Config, Tag("coslog4")]
    | Annotated[ConstantConfig, Tag("constant")]
    | Annotated[StepConfig, Tag("step")],
    name_or("auto"),
]


class Config(Section):
    """A whole recipe; `data.path` and `data.target` are required, the rest has defaults."""

    data: DataConfig
    model: ModelConfig = LinearConfig()
    loss: LossConfigs = LossConfig()
    optimizer: OptimizerConfig = SGDConfig()
    schedule: ScheduleConfig = AutoConfig()
    train: TrainConfig = TrainConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    intervals: IntervalsConfig = IntervalsConfig()
    export: ExportConfig = ExportConfig()
    card: CardConfig = CardConfig()
    run: RunConfig

    @model_validator(mode="after")
    def check_patience(self) -> Config:
        patience = self.train.patience
        if patience not in ("auto", 0) and not self.data.split.validation:
            raise ValueError("train.patience needs a validation part: set data.split.validation")
        return self

    @model_validator(mode="after")
    def check_refit(self) -> Config:
        split = self.data.split
        if self.train.refit and split.method not in ("column", "files") and not split.validation:
            raise ValueError("train.refit needs a validation part: set data.split.validation")
        return self

    @model_validator(mode="after")
    def check_precision(self) -> Config:
        precision, device, model = self.train.precision, self.train.device, self.model.name
        if precision != "float32" and model in ("linear", "additive"):
            raise ValueError(
                f"train.precision: {precision} is for networks, and what tells the optimum of "
                f"model.name={model} needs float32; leave it out"
            )
        if precision != "float32" and device == "cpu":
            raise ValueError(
                f"train.precision: {precision} needs a GPU, and train.device is cpu; leave it out, "
                "or use --device gpu"
            )
        return self

    @model_validator(mode="after")
    def check_smoothness(self) -> Config:
        if self.model.name == "additive" and self.optimizer.weight_decay not in ("auto", 0):
            raise ValueError(
                "optimizer.weight_decay: an additive model estimates its own penalty; leave it out"
            )
        return self

    @model_validator(mode="after")
    def check_ranks(self) -> Config:
        by_rank = self.data.scale.features in ("quantile", "robust", "mixed")
        if by_rank and self.model.name in ("linear", "additive"):
            raise ValueError(
                f"data.scale.features: {self.data.scale.features} is for networks; expected a "
                f"scaling that keeps lines straight for model.name={self.model.name}"
            )
        return self

    @model_validator(mode="after")
    def check_intervals(self) -> Config:
        split = self.data.split
        by_share = split.method not in ("column", "files")
        if self.intervals.coverage and by_share and not split.validation:
            raise ValueError(
                "intervals.coverage needs a validation part: set data.split.validation"
            )
        return self
