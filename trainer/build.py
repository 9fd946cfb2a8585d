"""From settings and training rows to what is trained: inputs, network, objective, trainer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from errors import RunError
from model.additive import Additive
from model.average import Average
from model.blend import Blend
from model.fused_additive import FusedAdditive, Outcome
from model.input_layers import TargetScale as TargetLayer
from model.input_layers import layer_of, layers_of
from model.line import TINY, Line, LinearProblem
from model.linear import FusedLinear, LevelScaling, Linear
from model.network import Embedded, Network
from model.networks import build_members, build_network
from model.objective import OBJECTIVES
from model.optimizer import build_optimizer, build_schedule
from model.precision import build_precision
from model.regressor import Regressor
from model.ridge import FOLDS, Fold, ridge
from ranks.alone import Ranks
from reader.dataset import TableDataset
from reader.inputs import Beside, Inputs, TargetScale
from reader.split import evenly
from reader.statistics import NOTHING, Moments, Statistics, merge, moments
from reader.training_data import RAREST, TrainingData
from trainer.additive import TrainingRows
from trainer.additive_search import AdditiveOptions, AdditiveSearch
from trainer.effects import EffectTables, effect_tables
from trainer.settings import Settings
from trainer.term_choice import choose_terms
from trainer.trainer import Trainer

Rows = NDArray[np.float32]
Vector = NDArray[np.float64]
FIRST_ROWS = 3_000  # from which first weights are taken


@dataclass(frozen=True, eq=False)
class Fit:
    """A regressor on these rows, and the arrays that it goes with: its inputs and target scale in
    NumPy, and the line on the same columns."""

    settings: Settings
    data: TrainingData
    inputs: Inputs
    target: TargetScale
    problem: LinearProblem
    regressor: Regressor
    effects: EffectTables | None = None

    @property
    def network(self) -> nn.Layer:
        return self.regressor.network

    @property
    def width(self) -> int:
        """The most numbers that the network makes of a row at once."""
        network = self.regressor.network
        return max(len(self.inputs.columns), network.members * network.widest)

    @property
    def additive(self) -> Additive:
        """The network, or the part of a blend, that is a sum of terms."""
        return cast(Additive, getattr(self.network, "additive", self.network))

    def predict(self, rows: Rows) -> NDArray[np.float64]:
        """Raw rows float32 [n, P], their target may stand behind them -> [n, outputs] in the
        target's unit, by the arithmetic of training, not yet rounded to float32."""
        return self.regressor.predict_inputs(self.inputs.transform(rows))

    def member_outputs(self, rows: Rows) -> NDArray[np.float64]:
        """Of raw rows [n, P + 1], the first output of each member, [n, members], in the target's
        unit."""
        network, inputs = self.network, self.inputs.transform(rows)
        if isinstance(network, Blend):
            network, inputs = network.network, inputs[:, network.places :]
        network.eval()
        with paddle.no_grad():
            output = network(paddle.to_tensor(inputs))[:, :, :1].numpy()
        return self.target.inverse(output[:, :, 0])

    def gap(self, least: float, mse: float) -> float:
        """By what share of the least loss that of the training rows, whose squared error is `mse`,
        is above it: told by closed forms, where there are some."""
        if self.effects and self.settings.is_additive:
            excess, fit = self.additive.excess(), self.effects.fit
            return excess * fit.rows / max(fit.squares, TINY)
        if self.problem.iterated:
            return mse / least - 1 if least else math.inf
        network = cast(Linear, self.network)
        return self.problem.gap(*network.line(), network.effects())

    def fused(self) -> FusedLinear | FusedAdditive | None:
        """The regressor as one product on encoded columns, where its network is a line; or by a
        look-up a term, where it is additive."""
        if self.effects and self.settings.is_additive:
            return self._fused_additive(self.effects)
        if not self.settings.is_line:
            return None
        margins = self.regressor.objective.margins
        limits = self.target.raw_limits if self.target.log else None
        encode = layers_of(self.data.encoding.steps)
        line = self.line()
        return FusedLinear(encode, line.weights, line.bias, margins, limits, line.tables)

    def _fused_additive(self, effects: EffectTables) -> FusedAdditive:
        goes_on = self.settings.model.options["beyond"] == "line"
        return FusedAdditive(
            effects.axes,
            effects.layout(goes_on),
            np.concatenate(self.tables(effects)),
            self.outcome(effects),
            self.regressor.objective.margins,
        )

    def tables(self, effects: EffectTables) -> list[Vector]:
        """What each term adds at its places, in the target's unit, or of its logarithm where that
        is scaled."""
        change = self.additive.change()
        ends = np.cumsum([len(values) for values in effects.values])[:-1]
        whole = (np.concatenate(effects.values) + change) * self.target.scale
        return np.split(whole, ends)

    def outcome(self, effects: EffectTables) -> Outcome:
        """What the sum of the terms is added to, and becomes."""
        bias = effects.fit.bias + self.additive.bias_change
        center = float(self.target.center + self.target.scale * bias)
        return Outcome(center, self.target.raw_limits, self.target.log)

    def line(self) -> Line:
        """The network, where it is a line, in raw units."""
        network = cast(Linear, self.network)
        return self.problem.raw_line(*network.line(), network.effects())


def build(settings: Settings, data: TrainingData) -> Fit:
    """The regressor that the settings describe, with first weights."""
    options = settings.model.options
    bounded = settings.bounded
    target, effects = data.target_scale(settings.target_scaling, bounded), None
    inputs = network_inputs(settings, data)
    if settings.terms is not None:
        effects = fit_effects(settings, data, target)
        places = effects.places(not bounded)
        terms = Inputs(data.encoding.packed).then(places)
        if settings.is_additive:
            inputs, options = terms, {"solution": effects.solution(not bounded)}
        else:
            options = options | {"solution": effects.solved(), "places": len(places.columns)}
            both = Beside((*terms.columns, *inputs.columns), terms, inputs)
            inputs = Inputs(data.encoding.packed).then(both)
    scale, loss, model = cast(TargetLayer, layer_of(target)), settings.loss, settings.model
    objective = OBJECTIVES[loss.name](scale, **loss.options)
    if settings.is_line and data.levels:
        options = options | {"levels": level_scaling(settings, data)}
    if settings.is_network:
        rows = data.packed.sample(data.parts.train[evenly(len(data.parts.train), FIRST_ROWS)])
        seeds = [settings.seed + member for member in range(settings.members)]
        network = build_members(
            model.name, inputs.columns, seeds, inputs.transform(rows), objective.width, **options
        )
    else:
        network = build_network(
            model.name, inputs.columns, settings.seed, objective.width, **options
        )
    check_rows(network, min(settings.batch_size, len(data.parts.train)), data.packed.ranks)
    if isinstance(network, Embedded) and network.numbers:
        network.set_line(*_line(data, inputs, target))
    layers = layers_of(inputs.steps)
    regressor = Regressor(layers, network, objective)
    problem = settings.linear_problem(data, target)
    return Fit(settings, data, inputs, target, problem, regressor, effects)


def network_inputs(settings: Settings, data: TrainingData) -> Inputs:
    """The steps from packed rows to what a network sees."""
    inputs = data.inputs(settings.scaling, settings.by_level)
    return inputs.clipped(settings.clip) if settings.clip else inputs


def fit_effects(settings: Settings, data: TrainingData, target: TargetScale) -> EffectTables:
    """The terms of an additive model, fitted on the training rows."""
    given = settings.terms or {}
    choice = choose_terms(data.schema, given)
    options = AdditiveOptions(given["knots"], settings.fill, choice)
    rows = TrainingRows(data.packed, data.parts.train, partial(scaled_target, target))
    return effect_tables(AdditiveSearch(rows, options).fit())


def scaled_target(target: TargetScale, rows: Rows) -> Vector:
    """Of packed rows [n, P + 1], the scaled target [n]."""
    return target.transform(rows[:, -1]).astype(np.float64)


def level_scaling(settings: Settings, data: TrainingData) -> LevelScaling:
    """By the root of a level's share, as if a mini-batch held one row of it at least: steps then
    stay stable. With weight decay a level counts as any flag does."""
    levels, absorbed = data.levels, data.absorbed
    assert levels
    least = settings.batch_size**-0.5
    plain = LevelScaling.by_shares(
        levels.shares, max(least, RAREST) if settings.weight_decay else least
    )
    if not settings.by_level or absorbed is None or absorbed.rest is None:
        return plain
    root = absorbed.rest.root()
    if not root.shape[1]:  # the first column says all that the others could
        root = np.zeros((len(root), 1))
    scale = plain.scale[: levels.sizes[0]]
    return LevelScaling(levels.shares, scale, root, absorbed.conditional)


def _line(data: TrainingData, inputs: Inputs, target: TargetScale) -> tuple[Vector, float]:
    """(weights [D], bias) of the line that a network starts from, on scaled inputs without codes:
    one pass over the training rows. A row's fold follows from its place among them, whichever
    process has it."""
    columns = (*inputs.names, data.schema.target)
    packed, rows, width = data.packed, data.parts.train, FOLDS * len(columns)
    piece = packed.piece(width)

    def of_block(block: Rows) -> list[Moments]:
        numbers = inputs.transform(block)[:, : len(inputs.names)]
        both = np.column_stack([numbers, target.transform(block[:, -1:])])
        return [moments(both[k::FOLDS]) for k in range(min(FOLDS, len(both)))]

    def both(a: list[Moments], b: list[Moments]) -> list[Moments]:
        return [merge(x, y) for x, y in zip(a, b, strict=True)]

    ranks, found = packed.ranks_for(len(rows), width), [NOTHING] * FOLDS
    mine = packed.share_of(rows, ranks)
    place = mine.start
    for part in packed.map(of_block, rows[mine], width, place):
        turned = place % piece % FOLDS
        part += [NOTHING] * (FOLDS - len(part))
        found = both(found, part[FOLDS - turned :] + part[: FOLDS - turned])
        place += sum(each.rows for each in part)
    found = ranks.merged(found, both)
    folds = [Statistics.from_moments(columns, fold) for fold in found if fold.rows]
    return ridge([Fold(fold.count, fold.mean, fold.covariance) for fold in folds])


def check_rows(network: Network, rows: int, ranks: Ranks) -> None:
    """Raises RunError where mini-batches of so many rows are too small for the network, or where
    several processes have but a share of what it must see whole."""
    if network.fewest_rows > 1 and not ranks.is_alone:
        raise RunError(
            f"batch normalisation needs all rows of a mini-batch in one process, and {ranks.count} "
            "processes train; choose -o model.normalization=layer"
        )
    if rows < network.fewest_rows:
        raise RunError(
            f"mini-batches of {rows} rows (train.batch_size, or all training rows): batch "
            f"normalisation takes at least {network.fewest_rows}; enlarge them, or choose "
            "-o model.normalization=layer"
        )


def build_trainer(fit: Fit) -> Trainer:
    """What trains it, from the first step."""
    settings, network = fit.settings, fit.regressor.network
    loader = TableDataset(
        fit.data.packed,
        fit.data.parts.train,
        settings.batch_size,
        settings.seed,
        partial(_transform, fit.inputs, fit.target),
        len(fit.inputs.columns),
    )
    optimizer = build_optimizer(
        settings.optimizer.name,
        network,
        settings.learning_rate,
        settings.weight_decay,
        **settings.optimizer.options,
    )
    schedule = build_schedule(
        settings.schedule.name,
        settings.learning_rate,
        loader.steps,
        settings.epochs,
        **settings.schedule.options,
    )
    average = Average(network) if settings.average else None
    trainer = Trainer(network, fit.regressor.objective, optimizer, schedule, loader, average)
    trainer.precision = build_precision(settings.precision, network)
    return trainer


def _transform(inputs: Inputs, target: TargetScale, rows: Rows) -> tuple[Rows, Rows]:
    return inputs.transform(rows), target.transform(rows[:, -1:])
