"""Where a recipe ends: plain values, and what `auto` stands for, chosen from the training rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from bilingual import Text
from configs.load import differences, kept, load
from configs.schema import AdditiveConfig, Config, DataConfig, Section
from configs.yaml_text import dump
from model.line import LinearProblem
from model.objective import OBJECTIVES
from reader.fitting import InputOptions
from reader.formats import Reading
from reader.inputs import TargetScale
from reader.source import TableOptions
from reader.split import SplitOptions
from reader.training_data import TrainingData
from trainer import line_defaults, network_defaults
from trainer.line_defaults import linear_problem
from trainer.network_defaults import BOUND, NETWORKS
from trainer.term_choice import choose_terms

WIDEST = 5_000  # columns; whitening costs their number cubed, and squared a row
POINTS = 200
GAP = 1e-4
MAY_CHANGE = (
    "train.device",
    "data.cache",
    "data.memory_limit",
    "data.unpack_limit",
    "checkpoint",
    "export",
    "card",
    "run.dir",
)
PATHS = ("data.path", "data.split.validation_path", "data.split.test_path")


class Choice(NamedTuple):
    value: Any
    why: Text


class Named(NamedTuple):
    """A part that a recipe names, and the keys that are its own."""

    name: str
    options: dict[str, Any]

    @classmethod
    def of(cls, section: Section, *aside: str) -> Named:
        values = section.model_dump(exclude={"name", *aside})
        return cls(str(section.model_dump()["name"]), values)


@dataclass(frozen=True)
class Settings:
    """All that training needs to know beside its rows; no value is `auto`.

    `terms`: the options of an additive model or of that in a blend, None for others; `members`:
    networks that are trained side by side; `bounded`: whether predictions stay in the range of the
    training targets; `is_line`: whether the model is a straight line on the encoded columns and the
    levels of codes; `by_level`: whether it sees features less their average row by level;
    `optimum_is_known`: whether, further, the least loss of such a line is what the recipe
    minimises, or of an additive model, which is a line on other columns; `until_optimum`: whether
    training ends within GAP of it; `stop_after`: so many epochs, 0 for all. `coverage`: of
    intervals, None for none; `fill`: the constant that stands for a hole, if the recipe has one.
    `chosen`: by key, what `auto` became, and why; `recipe`: the values of all keys, these among
    them; `identity`: a text of those that were given and that a resumed run may not change.
    """

    model: Named
    loss: Named
    optimizer: Named
    schedule: Named
    scaling: str
    clip: float | None
    target_scaling: str
    learning_rate: float
    weight_decay: float
    batch_size: int
    epochs: int
    log_every: int
    precision: str
    fill: float | None
    seed: int
    average: bool
    patience: int
    export: str
    coverage: float | None
    is_line: bool
    is_additive: bool
    is_network: bool
    terms: dict[str, Any] | None
    members: int
    bounded: bool
    by_level: bool
    optimum_is_known: bool
    until_optimum: bool
    refit: bool
    chosen: dict[str, Choice]
    recipe: dict[str, Any]
    identity: str
    stop_after: int = 0

    def linear_problem(self, data: TrainingData, target: TargetScale) -> LinearProblem:
        """The best line on the same columns; with weight decay where the model is a line, and the
        decay, as with all but AdamW, a part of its loss."""
        decays = self.optimum_is_known and self.optimizer.name != "adamw"
        scaling = "standard" if self.scaling in ("quantile", "robust", "mixed") else self.scaling
        problem = linear_problem(data, scaling, self.by_level)
        return replace(
            problem,
            target_center=target.center,
            target_scale=target.scale,
            decay=self.weight_decay if decays else 0.0,
        )


@dataclass(frozen=True)
class CheckpointOptions:
    """A checkpoint is due after so many seconds, steps or epochs (0: never); the last `keep` are
    kept."""

    seconds: float = 60.0
    steps: int = 0
    epochs: int = 0
    keep: int = 3


@dataclass(frozen=True)
class Experiment:
    """A recipe as plain values: what is known of a run before its rows are.

    `text` gives the recipe as YAML; `resolve` gives the rest, from training rows; `differences`
    gives a line for each key in which another recipe, a file, is not this one, those left out that
    a resumed run may change; `keys` has the values of the others, those that tell where a table is
    left out, too. `skew_counts`: whether the loss is the squared error of the target
    itself, most of which a few large targets can make up.
    """

    table: TableOptions
    inputs: InputOptions
    folds: int
    coverage: float | None
    patience: int
    skew_counts: bool
    device: str
    precision: str
    folder: Path
    onnx: bool
    checkpoint: CheckpointOptions
    card: dict[str, str]
    text: Callable[[], str] = field(repr=False)
    resolve: Callable[[TrainingData], Settings] = field(repr=False)
    differences: Callable[[Path], list[str]] = field(repr=False)
    keys: dict[str, str] = field(repr=False, default_factory=dict)


def experiment(config: Config) -> Experiment:
    """The plain values of a recipe."""
    missing = config.data.missing.model_dump(exclude={"values", "target"})
    return Experiment(
        table=table_options(config.data),
        inputs=InputOptions(**missing, **config.data.categories.model_dump()),
        folds=config.data.split.folds,
        coverage=config.intervals.coverage,
        patience=given_patience(config.train.patience),
        skew_counts=config.loss.name == "mse" and config.data.scale.target != "log1p",
        device=config.train.device,
        precision=config.train.precision,
        folder=Path(config.run.dir),
        onnx=config.export.onnx,
        checkpoint=CheckpointOptions(**config.checkpoint.model_dump()),
        card=config.card.model_dump(),
        text=lambda: dump(config.model_dump()),
        resolve=partial(resolve, config),
        differences=lambda path: differences(load(path), config, MAY_CHANGE),
        keys={key: json.dumps(value) for key, value in kept(config, MAY_CHANGE + PATHS).items()},
    )


def given_patience(patience: int | str) -> int:
    """What the recipe itself asks for; 0 for auto."""
    return 0 if isinstance(patience, str) else patience


def table_options(data: DataConfig) -> TableOptions:
    split = data.split.model_dump(exclude={"validation_path", "test_path", "folds"})
    return TableOptions(
        path=data.path,
        target=data.target,
        reading=Reading(
            format=data.format,
            separator=data.separator,
            comment=data.comment,
            decimal_comma=data.decimal_comma,
            missing=data.missing.values,
            encoding=data.encoding,
            sheet=data.sheet,
            unpack_limit=data.unpack_limit << 20,
        ),
        columns=data.columns,
        exclude=data.exclude,
        kinds=data.kinds,
        time_format=data.time_format,
        split=SplitOptions(**split),
        other_paths=(data.split.validation_path, data.split.test_path),
        may_be_empty=data.missing.numeric != "error",
        drop_without_target=data.missing.target == "drop",
        cache=Path(data.cache),
        memory_limit=data.memory_limit << 20,
        per_host=data.shards == "per_host",
    )


def resolve(config: Config, data: TrainingData) -> Settings:
    """A value for each `auto`: see trainer.line_defaults and trainer.network_defaults."""
    settings = _Resolving(config, data).settings()
    if settings.is_additive:
        choose_terms(data.schema, settings.model.options)  # a mistake is told before a run begins
    return settings


class _Resolving:
    """A recipe on its way to settings: each `auto` is chosen when those it follows from are."""

    def __init__(self, config: Config, data: TrainingData) -> None:
        self.config, self.data = config, data
        self.chosen: dict[str, Choice] = {}
        self.objective = OBJECTIVES[config.loss.name]
        self.is_additive = config.model.name == "additive"
        self.defaults = NETWORKS.get(config.model.name)
        loss = Named.of(config.loss)
        single = self.objective.width_of(**loss.options) == 1
        self.is_line = config.model.name == "linear" and single
        self.is_parabola = self.is_line and self.objective.quadratic
        decays = config.optimizer.weight_decay not in ("auto", 0)
        solvable = self.objective.quadratic or not decays
        if data.encoding.codes:
            solvable = self.objective.quadratic and not decays
        is_log = config.data.scale.target == "log1p"
        self.optimum_is_known = self.is_line and solvable and not is_log
        self.stops_at_optimum = self.optimum_is_known and self.objective.quadratic
        if self.is_additive:
            self.stops_at_optimum = self.objective.quadratic
            self.optimum_is_known = self.objective.quadratic and not is_log

    def settings(self) -> Settings:
        config = self.config
        scaling = self.choose("data.scale.features", config.data.scale.features, self.scaling)
        optimizer, weight_decay = self.optimizer_and_decay()
        model = Named.of(config.model, "members")
        members = self.choose("model.members", getattr(config.model, "members", 1), self.members)
        patience = self.choose("train.patience", config.train.patience, self.patience)
        codes = bool(self.data.encoding.codes)
        self.by_level = self.is_line and codes and scaling == "whiten" and bool(self.data.absorbed)
        self.averages = self.does_average(scaling, optimizer.name)
        schedule = Named.of(config.schedule)
        name = self.choose("schedule.name", schedule.name, self.schedule)
        batch_size = self.choose("train.batch_size", config.train.batch_size, self.batch_size)
        learning_rate = self.choose(
            "optimizer.learning_rate",
            config.optimizer.learning_rate,
            partial(self.learning_rate, scaling, batch_size),
        )
        epochs = self.choose(
            "train.epochs", config.train.epochs, partial(self.epochs, name, patience, members)
        )
        missing = config.data.missing
        steps = -(-len(self.data.parts.train) // batch_size) * epochs
        every = partial(self.log_every, steps)
        return Settings(
            model=model,
            loss=Named.of(config.loss),
            optimizer=optimizer,
            schedule=Named(name, schedule.options),
            scaling=scaling,
            clip=BOUND if self.defaults and scaling in ("standard", "whiten") else None,
            target_scaling=config.data.scale.target,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            batch_size=batch_size,
            epochs=epochs,
            log_every=self.choose("train.log_every", config.train.log_every, every),
            precision=config.train.precision,
            fill=missing.constant if missing.numeric == "constant" else None,
            seed=config.train.seed,
            average=config.train.average,
            patience=patience,
            export=config.train.export,
            coverage=config.intervals.coverage,
            is_line=self.is_line,
            is_additive=self.is_additive,
            is_network=self.defaults is not None,
            terms=self.terms(model),
            members=members,
            bounded=self.is_bounded(model.options),
            by_level=self.by_level,
            optimum_is_known=self.optimum_is_known,
            until_optimum=self.stops_at_optimum and "train.epochs" in self.chosen,
            refit=config.train.refit,
            chosen=self.chosen,
            recipe=self.recipe(),
            identity=json.dumps(kept(config, MAY_CHANGE)),
        )

    def recipe(self) -> dict[str, Any]:
        """The values of all keys, with what was chosen for `auto`."""
        values = self.config.model_dump()
        for key, choice in self.chosen.items():
            *sections, name = key.split(".")
            section = values
            for inner in sections:
                section = section[inner]
            section[name] = choice.value
        if values["optimizer"]["weight_decay"] == "auto":
            values["optimizer"]["weight_decay"] = 0.0
        return values

    def optimizer_and_decay(self) -> tuple[Named, float]:
        """The optimizer's name and own options, and the weight decay."""
        given, defaults = self.config.optimizer, self.defaults
        optimizer = Named.of(given, "learning_rate", "weight_decay")
        name = self.choose("optimizer.name", optimizer.name, self.optimizer)
        if defaults and "optimizer.name" in self.chosen:
            optimizer = optimizer._replace(options=defaults.optimizer_options)
            if defaults.weight_decay and given.weight_decay == "auto":
                why = Text("as its authors tuned it", "采用其作者调好的值")
                choice = Choice(defaults.weight_decay, why)
                self.choose("optimizer.weight_decay", "auto", lambda: choice)
                return optimizer._replace(name=name), defaults.weight_decay
        decay = 0.0 if given.weight_decay == "auto" else given.weight_decay
        return optimizer._replace(name=name), decay

    def does_average(self, scaling: str, optimizer: str) -> bool:
        """Whether an epoch's last weights are the average of what its mini-batches ask for."""
        config = self.config
        return (
            ((self.is_parabola and scaling == "whiten") or self.is_additive)
            and self.objective.quadratic
            and optimizer == "sgd"
            and config.optimizer.learning_rate == "auto"
            and config.train.batch_size == "auto"
            and config.schedule.name in ("auto", "inverse")
        )

    def log_every(self, steps: int) -> Choice:
        why = Text(f"about {POINTS} points per curve", f"每条曲线约 {POINTS} 个点")
        return Choice(max(1, steps // POINTS), why)

    def choose(self, key: str, given: Any, choice: Callable[[], Choice]) -> Any:
        """What was given; or what `auto` is, of which note is taken."""
        if given == "auto" and key not in self.chosen:
            self.chosen[key] = choice()
        return self.chosen[key].value if key in self.chosen else given

    def scaling(self) -> Choice:
        columns = len(self.data.encoding.names)
        if self.defaults and self.defaults.scaling:
            return Choice(*self.defaults.scaling(len(self.data.parts.train)))
        if self.is_additive:
            why = Text("of the best line; terms need no scaling", "用于最优直线；各项无需缩放")
            return Choice("standard", why)
        if not self.is_line:
            why = Text("the model is not purely linear", "模型并非纯线性")
            return Choice("standard", why)
        if self.config.optimizer.weight_decay not in ("auto", 0):
            why = Text("weight decay then treats all columns alike", "使权重衰减对各列一视同仁")
            return Choice("standard", why)
        if columns > WIDEST:
            why = Text(
                f"whitening more than {WIDEST} columns costs more than it saves",
                f"超过 {WIDEST} 列时，白化的开销大于收益",
            )
            return Choice("standard", why)
        return Choice("whiten", Text("so one step size fits all columns", "使同一步长适合所有列"))

    def optimizer(self) -> Choice:
        if self.defaults:
            why = Text(
                "adapts the step size of each weight of a network", "为网络的每个权重调整步长"
            )
            return Choice(self.defaults.optimizer, why)
        why = Text(
            "a linear model has a known curvature, so one step size is enough",
            "线性模型的曲率已知，一个步长就够",
        )
        return Choice("sgd", why)

    def members(self) -> Choice:
        assert self.defaults
        rows, columns = len(self.data.parts.train), len(self.data.encoding.columns)
        return Choice(*network_defaults.members(rows, columns))

    def terms(self, model: Named) -> dict[str, Any] | None:
        """The options of the model's terms, None where it has none."""
        if model.name == "blend":
            return AdditiveConfig(name="additive").model_dump(exclude={"name"})
        return model.options if self.is_additive else None

    def is_bounded(self, options: dict[str, Any]) -> bool:
        """Whether predictions stay in the range of the training targets."""
        if self.defaults:
            return self.defaults.bounded
        return self.is_additive and options["beyond"] == "flat"

    def patience(self) -> Choice:
        if self.defaults and self.defaults.stops_early:
            return Choice(*network_defaults.patience(len(self.data.parts.validation)))
        if self.defaults:
            why = Text(
                "the schedule leads to the end of the last epoch", "学习率计划一直走到最后一轮"
            )
            return Choice(0, why)
        return Choice(0, Text("a linear model is trained to its optimum", "线性模型会训练到最优解"))

    def schedule(self) -> Choice:
        if self.averages:
            why = Text("averages over the rows of each epoch", "对每一轮的样本取平均")
            return Choice("inverse", why)
        if self.defaults and self.defaults.schedule:
            return Choice(*self.defaults.schedule)
        why = Text(
            "falls to 0, which removes the noise of mini-batches", "降到 0，以消除小批量带来的噪声"
        )
        return Choice("cosine", why)

    def batch_size(self) -> Choice:
        rows = len(self.data.parts.train)
        if self.defaults:
            return Choice(*self.defaults.batch_size(rows))
        if not self.averages:
            size = min(1_024, max(64, 1 << (rows // 256).bit_length() >> 1))
            why = Text(
                f"about 256 steps per epoch of {rows:,} rows",
                f"每轮 {rows:,} 个训练样本，约 256 步",
            )
            return Choice(size, why)
        most = line_defaults.largest_batch(self.data)
        if self.is_additive:
            size = -(-rows // -(-rows // most))  # of mini-batches that are all as large
            return Choice(size, Text("each step is exact", "每一步都精确"))
        if rows <= most:
            return Choice(
                rows, Text("all rows, so each step is exact", "全部样本，因此每一步都精确")
            )
        batch, rate = line_defaults.averaging_batch(self.data, self.by_level, most)
        self.chosen["optimizer.learning_rate"] = Choice(*rate)
        return Choice(*batch)

    def learning_rate(self, scaling: str, batch_size: int) -> Choice:
        if self.defaults and "optimizer.name" in self.chosen:
            why = Text("the best over many tables", "在许多表格上效果最好")
            return Choice(self.defaults.rate(batch_size), why)
        if self.is_additive:
            why = Text("half the largest stable step: curvature 1", "最大稳定步长的一半：曲率 1")
            if self.averages:
                return Choice(0.5, why)
            # Of all rows a single one may make up a direction, which it then has in its mini-batch.
            share = min(1.0, batch_size / len(self.data.parts.train))
            return Choice(float(f"{0.5 * share:.4g}"), why)
        if not self.is_line:
            return Choice(0.02, Text("default for non-linear models", "非线性模型的默认值"))
        keeps = 1 - getattr(self.config.optimizer, "momentum", 0.0)
        problem = linear_problem(self.data, scaling, self.by_level)
        rate = line_defaults.learning_rate(self.data, problem, scaling, batch_size, keeps)
        return Choice(*rate)

    def epochs(self, schedule: str, patience: int, members: int) -> Choice:
        rows, columns = len(self.data.parts.train), len(self.data.encoding.columns)
        if self.defaults and not self.defaults.stops_early:
            return Choice(*network_defaults.tuned_epochs(rows, columns, members))
        if self.defaults and patience:
            return Choice(*network_defaults.epochs(rows, patience))
        if self.stops_at_optimum:
            why = Text(
                f"at most; stops within {GAP * 100:g} % of the optimum",
                f"上限；与最优解相差不到 {GAP * 100:g} % 即停止",
            )
            return Choice(200 if self.data.iterated else 50, why)
        return Choice(10 if schedule == "inverse" else 50, Text("default", "默认值"))
