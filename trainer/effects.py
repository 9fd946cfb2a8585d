"""The terms of an additive fit as tables: what each adds at every place, and how sure that is.

A pair's own function is what is left of it when its main effects are taken out and added to those
of its features ("purified": Lengerich and others, "Purifying interaction effects with the
functional ANOVA", 2020), by the rows at its places. A feature's knots are then those of all its
terms, so that nothing of the sum changes. Every table has the mean 0 over the training rows.
C: the places of all terms, one behind the last knot or level being that of holes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bilingual import Text
from model.additive import Layout, Solution
from model.smoothing import extension
from reader.axes import Axis
from reader.design import Design, Term
from reader.findings import Finding
from reader.inputs import InputColumn, Places
from trainer.additive import AdditiveFit, marginal
from trainer.machine import all_cores

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class EffectTables:
    """`axes`: the distinct ones of all terms; `uses`: of each term, its axes by number; `maps`
    [places, D] of each, from the weights of the design to its table."""

    fit: AdditiveFit
    axes: tuple[Axis, ...]
    uses: tuple[tuple[int, ...], ...]
    maps: tuple[Matrix, ...]

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(self.axes[i].size + 1 for i in use) for use in self.uses)

    @cached_property
    def values(self) -> tuple[Vector, ...]:
        """Of each term its table [places], on the scaled target."""
        return tuple(table @ self.fit.weights for table in self.maps)

    @cached_property
    def directions(self) -> Matrix:
        """[C, D']: how the tables change with weights that are whitened by the penalised loss."""
        whitening = np.sqrt(self.fit.rows) * self.fit.whitening.T
        return np.concatenate([_product(table, whitening) for table in self.maps])

    @cached_property
    def errors(self) -> tuple[Vector, ...]:
        """Of each table its standard errors [places], of a Bayesian who believes the penalties
        (Wahba 1983; they cover as often as they say on average over the rows: Nychka 1988)."""
        scale, inverse = np.sqrt(self.fit.smooth.variance), self.fit.smooth.inverse.T
        spreads = (np.linalg.norm(_product(table, inverse), axis=1) for table in self.maps)
        return tuple(scale * spread for spread in spreads)

    def places(self, goes_on: bool) -> Places:
        """The step from packed rows to places; `goes_on`: whether curves are straight beyond their
        knots, or flat."""
        beyond = self._beyond() if goes_on else ()
        names = [
            *(axis.name for axis in self.axes),
            *(f"{self.axes[i].name} beyond" for i in beyond),
        ]
        columns = tuple(InputColumn(name, "number") for name in names)
        return Places(columns, self.axes, beyond)

    def _beyond(self) -> tuple[int, ...]:
        return tuple(use[0] for use in self.uses if len(use) == 1 and self.axes[use[0]].is_number)

    def layout(self, goes_on: bool) -> Layout:
        beyond = self._beyond() if goes_on else ()
        term = {use[0]: index for index, use in enumerate(self.uses) if len(use) == 1}
        return Layout(
            self.uses,
            self.shapes,
            tuple(not axis.is_number for axis in self.axes),
            tuple((len(self.axes) + k, term[axis]) for k, axis in enumerate(beyond)),
        )

    def solved(self) -> Solution:
        """With the weights of the closed form, in no direction of which training goes on."""
        tables = np.concatenate(self.values)
        none = np.zeros((1, 1))
        return Solution(
            self.layout(False), self.fit.bias, tables, np.zeros((len(tables), 1)), none[0], none
        )

    def solution(self, goes_on: bool) -> Solution:
        fit, whitening = self.fit, self.fit.whitening
        penalty = fit.penalty
        with all_cores():
            return Solution(
                self.layout(goes_on),
                fit.bias,
                np.concatenate(self.values),
                self.directions,
                whitening @ (penalty @ fit.weights) / np.sqrt(fit.rows),
                whitening @ penalty @ whitening.T,
            )


def pooled_levels(tables: EffectTables) -> list[Finding]:
    """What is said of categories with more levels than the model has weights for."""
    found = dict[str, Finding]()
    for axis in tables.axes:
        if axis.codes is not None:
            kept, levels = f"{axis.levels - 1:,}", f"{len(axis.codes) - 1:,}"
            message = Text(
                f"an additive model knows {kept} of its {levels} levels; the rarest are unknown",
                f"共 {levels} 个取值，加性模型只区分其中 {kept} 个，最少见的按未知处理",
            )
            found[axis.name] = Finding.of_column("levels", axis.name, message)
    return list(found.values())


def effect_tables(fit: AdditiveFit) -> EffectTables:
    """Of all terms in the order of the design, in which main effects come before pairs."""
    terms, spans = fit.design.terms, fit.design.spans
    whole = _whole_axes(fit.design)
    curves = {}
    for term, span in zip(terms, spans, strict=True):
        if len(term.axes) == 1:
            curves[term.axes[0].position] = _curve(fit, term.axes[0], span, whole)
    pairs = []
    for term, span in zip(terms, spans, strict=True):
        if len(term.axes) == 2:
            pairs.append(_without_main_effects(fit, term, span, curves))
    axes: list[Axis] = list(whole.values())
    uses: list[tuple[int, ...]] = [(index,) for index in range(len(axes))]
    for term in terms[len(axes) :]:
        uses.append(tuple(_number_of(axis, axes) for axis in term.axes))
    centred = []
    for curve in curves.values():
        table = curve.map - curve.center
        table[curve.unseen] = 0.0  # what no training row has moves no prediction
        centred.append(table)
    return EffectTables(fit, tuple(axes), tuple(uses), (*centred, *pairs))


@dataclass(eq=False)
class _Curve:
    """The main effect of a feature on the way: its `axis`, its `map` [places, D] from weights to
    values, by which its mean over the rows follows from `center` [D], and the `unseen` places."""

    axis: Axis
    map: Matrix
    center: Vector
    unseen: NDArray[np.bool_]

    def add(self, axis: Axis, span: slice, effect: Matrix, mass: Vector) -> None:
        """A function on a coarser axis: `effect` [axis.size, columns] of the weights of `span`, of
        whose places rows have a `mass`."""
        self.map[:-1, span] += between(axis, self.axis) @ effect
        self.center[span] += mass @ effect


def _whole_axes(design: Design) -> dict[int, Axis]:
    """By position of a feature, its axis with the knots of all its terms."""
    whole = {t.axes[0].position: t.axes[0] for t in design.terms if len(t.axes) == 1}
    for term in design.terms:
        for axis in term.axes:
            if axis.is_number:
                known = whole[axis.position]
                whole[axis.position] = known.with_knots(np.union1d(known.knots, axis.knots))
    return whole


def _curve(fit: AdditiveFit, axis: Axis, span: slice, whole: dict[int, Axis]) -> _Curve:
    target, width = whole[axis.position], fit.design.width
    table, center = np.zeros((target.size + 1, width)), np.zeros(width)
    table[:-1, span.start : span.start + axis.size] = between(axis, target)
    unseen = np.zeros(target.size + 1, dtype=bool)
    unseen[-1] = not axis.has_holes
    if axis.has_holes:
        table[-1, span.stop - 1] = 1.0
    if not axis.is_number:
        unseen[:-1] = fit.mean[span][: axis.size] == 0
    center[span] = fit.mean[span]
    return _Curve(target, table, center, unseen)


def _without_main_effects(
    fit: AdditiveFit, term: Term, span: slice, curves: dict[int, _Curve]
) -> Matrix:
    """The map [places, D] of a pair less the main effects in it, which go to the `curves`.

    A row with a hole has nothing of the pair, so what its curve was given is taken off there.
    """
    (first, second), (rows, columns) = term.axes, term.shape
    places = rows * columns
    grid = np.eye(places)
    if term.kept is not None:
        grid = extension([marginal(axis) for axis in term.axes], term.kept)
    mass = np.zeros(places)
    mass[slice(None) if term.kept is None else term.kept] = fit.mean[span]
    sides = np.hstack(
        [np.repeat(np.eye(rows), columns, axis=0), np.tile(np.eye(columns), (rows, 1))]
    )
    normal = sides.T @ (mass[:, None] * sides)
    effect = np.linalg.pinv(normal, hermitian=True) @ (sides.T * mass)
    by_place = mass.reshape(rows, columns)
    effect = effect @ grid
    curves[first.position].add(first, span, effect[:rows], by_place.sum(axis=1))
    curves[second.position].add(second, span, effect[rows:], by_place.sum(axis=0))
    own = np.zeros((rows + 1, columns + 1, term.size))
    own[:-1, :-1] = (grid - sides @ effect).reshape(rows, columns, term.size)
    own[:-1, -1], own[-1, :-1] = -effect[:rows], -effect[rows:]
    table = np.zeros((own.shape[0] * own.shape[1], fit.design.width))
    table[:, span] = own.reshape(-1, term.size)
    return table


def _product(table: Matrix, matrix: Matrix) -> Matrix:
    """Of a map, most of whose columns are zero."""
    used = np.flatnonzero(table.any(axis=0))
    return table[:, used] @ matrix[used]


def between(axis: Axis, finer: Axis) -> Matrix:
    """[finer.size, axis.size]: what a function on `axis` is at the places of another, which has all
    its knots."""
    if not axis.is_number:
        return np.eye(axis.size)
    places = axis.place(finer.knots)
    low = np.minimum(places.astype(np.intp), axis.size - 2)
    matrix, at = np.zeros((finer.size, axis.size)), np.arange(finer.size)
    matrix[at, low], matrix[at, low + 1] = 1 - (places - low), places - low
    return matrix


def _number_of(axis: Axis, axes: list[Axis]) -> int:
    """Where an axis stands among others, which it joins if it is new."""
    for index, other in enumerate(axes):
        if other.position == axis.position and np.array_equal(other.knots, axis.knots):
            return index
    axes.append(axis)
    return len(axes) - 1
