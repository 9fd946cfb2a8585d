"""The trained regressor as a static graph, proven equal to it before it gets its name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from errors import ExportError
from files import drafted_folder, seal, write_atomically
from model.contract import FORMAT, WITH_ONNX
from model.folder import CONTRACT, GRAPH, ONNX, WEIGHTS, Export, read_export
from model.onnx_predictor import OnnxPredictor
from model.predictor import load_graph, run_graph
from model.regressor import Regressor

WITHOUT_ONNX = "nothing is exported; set export.onnx=false, and continue with --resume"

Predict = Callable[[NDArray[np.float32]], NDArray[Any]]


def parity_tolerance(target_range: float, expected: NDArray[np.float64]) -> float:
    """What float32 arithmetic in another order may change, in the target's unit.

    1e-5 of the target's range, and 1e-6 (about 8 units in the last place) of the predictions.
    """
    return 1e-5 * target_range + 1e-6 * float(np.abs(expected).max(initial=0.0))


@dataclass(frozen=True, eq=False)
class Proof:
    """What an export is proven by.

    `rows`: float32 [N, P] real rows; `expected`: what predicts them as training did, in the
    target's unit; `target_range`: the target's maximum minus its minimum in training, from which
    the tolerance follows; `unusual`: other rows by kind, which join some of the real ones as golden
    rows.
    """

    rows: NDArray[np.float32]
    expected: Predict
    target_range: float
    unusual: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


def export(
    regressor: Regressor,
    folder: Path,
    contract: Mapping[str, Any],
    proof: Proof,
    fused: nn.Layer | None = None,
    onnx: bool = False,
) -> Export:
    """Write the static graph, its weights and contract.json to `folder`; what was written.

    `fused`: a shorter form of the regressor, to be exported in its place if it predicts the same.
    `onnx`: whether to write model.onnx too.
    Everything is written beside `folder` and renamed. Raises ExportError, and leaves nothing, where
    the exported graph, or its ONNX form, differs from what was trained by more than the tolerance.
    """
    rows, target_range = proof.rows, proof.target_range
    with drafted_folder(folder) as draft:
        # Before to_static, which puts a static function in the place of `forward`.
        expected = _predictions(proof.expected, rows)
        tolerance = parity_tolerance(target_range, expected)
        for form in [fused, regressor] if fused else [regressor]:
            _save_graph(form, draft, rows.shape[1])
            try:
                # oneDNN knows no float64: it would only wrap the one product of a fused line.
                maybe_onednn = form is regressor
                parity, onednn = prove(draft, rows, expected, tolerance, maybe_onednn)
                break
            except ExportError:
                if form is regressor:
                    raise
        real = rows[np.linspace(0, len(rows) - 1, num=min(8, len(rows)), dtype=int)]
        predictor = load_graph(draft / GRAPH, draft / WEIGHTS, "cpu", onednn=False)
        parts = {
            "format": FORMAT,
            **contract,
            "parity": parity,
            "inference": {"onednn": onednn, "fused": form is fused},
            "outputs": regressor.objective.outputs,
            "golden": golden(predictor, {"real": real, **proof.unusual}, target_range),
        }
        write_contract(draft, parts)
        exported = read_export(draft)  # what no one could read again is not published
        return add_onnx(draft, parts, rows, expected) if onnx else exported


def predicts_alike(form: nn.Layer, proof: Proof) -> bool:
    """Whether a layer on raw rows predicts, in dynamic graph, within the tolerance of an export."""
    form.eval()
    with paddle.no_grad():
        found = _predictions(lambda rows: form(paddle.to_tensor(rows)).numpy(), proof.rows)
    expected = _predictions(proof.expected, proof.rows)
    worst = float(np.abs(found - expected).max())
    return worst <= parity_tolerance(proof.target_range, expected)


def _save_graph(form: nn.Layer, folder: Path, columns: int) -> None:
    """Write a layer that takes float32 [N, columns] as a static graph, without dropout."""
    form.eval()
    # Paddle's own names count the tensors of a process, and a resumed one makes others.
    for name, tensor in [*form.named_parameters(), *form.named_buffers()]:
        tensor.name = name
    # Traced as it stands: no branch depends on a value, and Paddle takes ten times as long to
    # rewrite the source of all that is called for those that might.
    paddle.jit.not_to_static(type(form).forward)
    specification = paddle.static.InputSpec([None, columns], "float32", "features")
    graph = paddle.jit.to_static(form, input_spec=[specification], full_graph=True)
    with paddle.utils.unique_name.guard():
        paddle.jit.save(graph, str(folder / Path(GRAPH).stem))


def golden(
    predictor: Any, rows: Mapping[str, NDArray[np.float32]], target_range: float
) -> dict[str, Any]:
    """Rows by kind with what the graph says of them, for Predictor.verify: JSON values.

    A row whose prediction is not finite proves nothing, and is left out.
    """
    kinds = [kind for kind, group in rows.items() for _ in group]
    every = np.concatenate(list(rows.values()))
    predictions = run_graph(predictor, every)[:, 0]
    kept = [i for i in range(len(every)) if np.isfinite(predictions[i])]
    return {
        "kinds": [kinds[i] for i in kept],
        "rows": [[None if np.isnan(v) else float(v) for v in every[i]] for i in kept],
        "predictions": predictions[kept].tolist(),
        "tolerance": parity_tolerance(target_range, predictions[kept].astype(np.float64)),
    }


def prove(
    folder: Path,
    rows: NDArray[np.float32],
    expected: NDArray[np.float64],
    tolerance: float,
    maybe_onednn: bool = True,
) -> tuple[dict[str, Any], bool]:
    """Compare the exported graph with what the trained network predicts for `rows`.

    By paddle.jit.load and by Paddle Inference. Returns the parity, and whether many rows may be
    predicted by oneDNN: where it does not exceed the tolerance either. Few rows never are: it needs
    several times as long for them. Raises ExportError where the graph exceeds the tolerance.
    """
    if not np.isfinite(expected).all():
        raise ExportError("the trained network predicts NaN or infinity; nothing is exported")
    try:
        loaded = paddle.jit.load(str(folder / Path(GRAPH).stem))
    except (
        RuntimeError,
        ValueError,
        OSError,
    ) as error:  # Paddle does not tell what it could not write
        raise ExportError(
            f"Paddle cannot read the model that it has just written ({str(error).strip()[:100]}); "
            "most likely the disk is full: make room, then continue with --resume"
        ) from None
    loaded.eval()
    by_load = _predictions(lambda batch: loaded(paddle.to_tensor(batch)).numpy(), rows)
    worst = float(np.abs(by_load - expected).max())
    onednn = False
    for choice in (False, True)[: 1 + maybe_onednn]:
        try:
            predictor = load_graph(folder / GRAPH, folder / WEIGHTS, "cpu", choice)
            by_inference = _predictions(partial(run_graph, predictor), rows)
        except (RuntimeError, ValueError):
            # oneDNN makes NaN a number, which then finds no table row
            difference = math.inf
        else:
            difference = float(np.abs(by_inference - expected).max())
        if not choice or difference <= tolerance:
            worst, onednn = max(worst, difference), choice
    if not worst <= tolerance:
        raise ExportError(
            f"the exported graph differs from the trained network by {worst:g} in the target's "
            f"unit, more than the tolerance of {tolerance:g}; nothing is exported"
        )
    return {"max_abs_difference": worst, "rows": len(rows), "tolerance": tolerance}, onednn


def add_onnx(
    folder: Path,
    contract: Mapping[str, Any],
    rows: NDArray[np.float32],
    expected: NDArray[np.float64],
) -> Export:
    """Write model.onnx to an export folder, and note it in its contract; what was written.

    Raises ExportError where ONNX Runtime differs from what the trained network predicts of `rows`,
    or from the golden rows, by more than the tolerance.
    """
    from model.onnx import onnx_model

    exported, tolerance = read_export(folder), contract["parity"]["tolerance"]
    exported = exported._replace(onnx=onnx_model(exported))
    try:
        predictor = OnnxPredictor(exported)
        worst = float(np.abs(_predictions(predictor.predict_outputs, rows) - expected).max())
        if not worst <= tolerance:
            raise ExportError(
                f"differs from the trained network by {worst:g} in the target's unit, more than "
                f"the tolerance of {tolerance:g}"
            )
        predictor.verify()
    except ExportError as error:
        raise ExportError(f"{ONNX}: {error}; {WITHOUT_ONNX}") from None
    write_atomically(folder / ONNX, exported.onnx or b"")
    parity = {"max_abs_difference": worst, "rows": len(rows), "tolerance": tolerance}
    write_contract(folder, {**contract, "format": WITH_ONNX, "onnx": parity})
    return read_export(folder)


def _predictions(predict: Predict, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Predictions in batches, the last one ragged, and of the first row alone: [N + 1, outputs]."""
    size = max(1, len(rows) // 3 - 1)
    batches = [rows[start : start + size] for start in range(0, len(rows), size)]
    return np.concatenate([predict(batch) for batch in [*batches, rows[:1]]]).astype(np.float64)


def write_contract(folder: Path, contract: Mapping[str, Any]) -> None:
    """Write contract.json with size and SHA-256 of each other file, and its own SHA-256."""
    names = (GRAPH, WEIGHTS, *([ONNX] if "onnx" in contract else []))
    contents = {name: (folder / name).read_bytes() for name in names}
    sizes = {name: len(content) for name, content in contents.items()}
    write_atomically(folder / CONTRACT, seal({**contract, "sizes": sizes}, contents))
