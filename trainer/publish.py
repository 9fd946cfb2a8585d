"""The export of a fitted regressor: its contract, and the rows that prove it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from paddle import nn

from model.blend import Blend
from model.export import Proof, export, predicts_alike
from model.folder import Export
from reader.axes import Axis
from reader.source import TableOptions
from reader.split import evenly
from reader.training_data import TrainingData
from trainer.build import Fit
from trainer.effects import EffectTables

PROVEN_ROWS = 10_000


def publish(
    fit: Fit, table: TableOptions, versions: dict[str, str], folder: Path, onnx: bool = False
) -> Export:
    """Export, and prove the export on training rows; with `onnx` model.onnx too. Raises
    ExportError."""
    data, proof = fit.data, proof_of(fit, table)
    contract = data.contract(table.reading, table.may_be_empty) | {"versions": versions}
    if fit.effects:
        share = fit.network.share.item() if isinstance(fit.network, Blend) else None
        contract["additive"] = additive_section(fit, fit.effects, share)
    return export(fit.regressor, folder, contract, proof, fit.fused(), onnx)


def proof_of(fit: Fit, table: TableOptions) -> Proof:
    """Training rows, and what the trained network predicts of them."""
    data, rows = fit.data, fit.data.parts.train
    statistics = data.statistics
    some = rows[evenly(len(rows), PROVEN_ROWS)]
    return Proof(
        rows=data.packed.sample(some)[:, :-1],
        expected=fit.predict,
        target_range=float(statistics.maximum[-1] - statistics.minimum[-1]),
        unusual=unusual_rows(data, table.may_be_empty),
    )


def shorter(fit: Fit, table: TableOptions) -> nn.Layer | None:
    """The shorter form that is exported in the place of the regressor: where there is one, and it
    predicts the same."""
    form = fit.fused()
    return form if form and predicts_alike(form, proof_of(fit, table)) else None


def additive_section(fit: Fit, effects: EffectTables, share: float | None = None) -> dict[str, Any]:
    """Axes and values of all terms, for contributions without the graph: JSON values. `share`: that
    of the terms in a blend."""
    center, limits, is_log = fit.outcome(effects)
    if share is not None:
        center, limits = fit.target.center + share * (center - fit.target.center), None
    axes = [_axis(axis) for axis in effects.axes]
    terms = []
    for use, shape, table in zip(effects.uses, effects.shapes, fit.tables(effects), strict=True):
        values = table.reshape(shape)
        for number, axis in enumerate(effects.axes[i] for i in use):
            if axis.codes is not None:  # each code has its place here
                values = values.take([*axis.codes, axis.levels], axis=number)
        values = values.reshape(-1) * (1.0 if share is None else share)
        terms.append({"axes": [axes[i] for i in use], "values": values.tolist()})
    return {
        "center": center,
        "log": is_log,
        "limits": None if limits is None else list(limits),
        "beyond": (fit.settings.terms or {})["beyond"],
        "terms": terms,
        **({"network": True} if share is not None else {}),
    }


def _axis(axis: Axis) -> dict[str, Any]:
    levels = axis.levels if axis.codes is None else len(axis.codes)
    hole = axis.hole if axis.is_number else float(levels)
    return {"feature": axis.name, "knots": axis.knots.tolist(), "levels": levels, "hole": hole}


def unusual_rows(data: TrainingData, may_be_empty: bool) -> dict[str, NDArray[np.float32]]:
    """Rows that a table seldom has, by kind: made of what training rows hold."""
    real = data.packed.sample(data.parts.train[:1])[:, :-1]
    low, high, unknown, empty = (real.copy() for _ in range(4))
    columns = [column for column in data.schema.features for _ in column.packed]
    coded = {i for i, column in enumerate(columns) if column.kind == "categorical"}
    statistics = data.statistics
    for i, name in enumerate(data.schema.packed):
        if i in coded:
            low[:, i], high[:, i] = min(1, len(columns[i].levels)), len(columns[i].levels)
            unknown[:, i] = 0
            continue
        empty[:, i] = np.nan
        if (at := statistics.position.get(name)) is not None:
            low[:, i], high[:, i] = statistics.minimum[at], statistics.maximum[at]
    rows = {"extreme": np.concatenate([low, high])}
    if may_be_empty and len(coded) < len(columns):
        rows["missing"] = empty
    if coded:
        rows["unknown"] = unknown
    return rows
