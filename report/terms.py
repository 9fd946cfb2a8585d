"""The terms of an additive model, as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from model.contract import Additive
from model.contributions import Contributions
from reader.axes import Axis
from reader.fitting import level_names
from reader.moments import LEVELS, level_name
from reader.schema import Schema
from reader.split import evenly
from report.report import Effect, Effects
from trainer.build import Fit
from trainer.effects import EffectTables
from trainer.publish import additive_section

Array = NDArray[np.float64]
ROWS = 20_000  # by which terms are compared


def effects(fit: Fit) -> Effects | None:
    """Of the model of `fit`, where it is additive: shares of variance are of evenly spaced training
    rows."""
    if not fit.effects:
        return None
    tables, target, data = fit.effects, fit.target, fit.data
    rows = data.packed.sample(data.parts.train[evenly(len(data.parts.train), ROWS)])
    added = Contributions(cast(Additive, additive_section(fit, tables)), data.schema.packed).of(
        rows[:, :-1]
    )
    scaled = target.transform(rows[:, -1:]).astype(np.float64) * target.scale
    shares = added[:, : len(tables.uses)].var(axis=0) / max(float(scaled.var()), 1e-300)
    values = fit.tables(tables)
    found = [
        _effect(fit, values[index], index, float(share), rows) for index, share in enumerate(shares)
    ]
    name = data.schema.target
    return Effects(
        of=f"log(1 + {name})" if target.log else name,
        columns=tables.fit.design.width,
        freedom=float(tables.fit.freedom().sum()),
        variance=float(tables.fit.smooth.variance * target.scale**2),
        terms=sorted(found, key=lambda effect: -effect.share),
        constraint=tables.fit.constraint,
    )


def _effect(fit: Fit, values: Array, index: int, share: float, rows: NDArray[Any]) -> Effect:
    tables = cast(EffectTables, fit.effects)
    axes = [tables.axes[i] for i in tables.uses[index]]
    shape = tables.shapes[index]
    errors = tables.errors[index] * fit.target.scale
    near = [np.rint(axis.place(rows[:, axis.position])).astype(np.intp) for axis in axes]
    counts = np.zeros(shape)
    np.add.at(counts, tuple(near), len(fit.data.parts.train) / len(rows))
    names = [_names(axis, fit.data.schema) for axis in axes]
    shown = np.ix_(*([i for i, name in enumerate(each) if name is not ...] for each in names))
    is_curve = axes[0].is_number or axes[0].is_cyclic
    kind: Literal["curve", "levels", "map"]
    kind = "map" if len(axes) == 2 else "curve" if is_curve else "levels"
    return Effect(
        features=[axis.name for axis in axes],
        kind=kind,
        freedom=float(tables.fit.freedom()[index]),
        share=share,
        places=[[name for name in each if name is not ...] for each in names],
        values=values.reshape(shape)[shown].reshape(-1).tolist(),
        errors=errors.reshape(shape)[shown].reshape(-1).tolist(),
        rows=counts[shown].reshape(-1).tolist(),
        hole=float(values[-1]) if len(axes) == 1 and axes[0].has_holes else None,
    )


def _names(axis: Axis, schema: Schema) -> Sequence[Any]:
    """Of each place: a number, the name of a level, None for an empty cell; ... for no level."""
    if axis.is_number:
        return axis.knots.tolist()
    for column in schema.features:
        if axis.name not in column.packed:
            continue
        parts = dict(zip(column.packed, column.parts, strict=False))
        if (part := parts.get(axis.name, "")) in LEVELS:
            there = LEVELS[part]
            return [level_name(part, i) if i in there else ... for i in range(axis.levels)]
        other = level_names(column)[0].removeprefix(f"{column.name} = ")
        known = np.flatnonzero(axis.codes) if axis.codes is not None else range(1, axis.levels)
        return [other, *(column.levels[code - 1] for code in known)]
    raise AssertionError(axis.name)
