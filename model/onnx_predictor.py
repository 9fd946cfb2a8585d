"""The ONNX form of an exported model, in ONNX Runtime: without Paddle.

Needs numpy, onnxruntime, and what model/base_predictor.py needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from display import short
from errors import DeviceError, ExportError
from model.base_predictor import BasePredictor, Rows, available_cores
from model.folder import ONNX, Export, read_export
from model.onnx_graph import INPUT, INSTALL, OUTPUT

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

ROWS_AT_ONCE, CELLS_AT_ONCE = 1_024, 1 << 17  # of a piece, whose numbers then fit the caches
SILENT = 4  # but for what ends the process: errors are raised
LONGEST = 200  # of a reason


class OnnxPredictor(BasePredictor):
    """Predictions of an exported model, by ONNX Runtime on the CPU; used as a Predictor is.

        predictor = OnnxPredictor("runs/boston")     # trained with -o export.onnx=true
        predictor.predict(rows)                      # float32 [N, D] raw values -> float32 [N]

    Calls of several threads run at the same time. Many rows are predicted in pieces, on every core
    that the process may use; a piece by one. `folder`, `device` and `expect` are those of a
    Predictor. Raises ExportError where the folder is not a sound export with an ONNX model, or
    onnxruntime is missing, and DeviceError for another device than the CPU.
    """

    engine = "ONNX Runtime"

    def __init__(
        self, folder: str | Path | Export, device: str = "cpu", expect: str | None = None
    ) -> None:
        check_device(device)
        export = folder if isinstance(folder, Export) else read_export(folder, expect)
        super().__init__(export)
        if export.onnx is None:
            raise ExportError(
                f"the model has no {ONNX}; train it with -o export.onnx=true, or predict with "
                "--engine paddle"
            )
        self._session, self._errors = load_session(export.onnx)
        self._predict_piece(np.zeros((2, len(self.features))))  # whether it predicts at all

    @cached_property
    def _rows_at_once(self) -> int:
        return max(1, min(ROWS_AT_ONCE, CELLS_AT_ONCE // len(self.features)))

    def _run(self, rows: Rows) -> Rows:
        try:
            (found,) = self._session.run([OUTPUT], {INPUT: rows})
        except self._errors as error:
            raise session_error(error) from None
        return np.asarray(found)

    def _run_all(self, pieces: Iterable[Rows]) -> Iterable[Rows]:
        with ThreadPoolExecutor(available_cores()) as threads:
            yield from threads.map(self._predict_piece, pieces)


def check_device(device: str) -> None:
    """Raises DeviceError where it is not the CPU."""
    if device not in ("auto", "cpu"):
        known = re.fullmatch(r"gpu|gpu:\d+", device)
        raise DeviceError(
            f"device {short(device)}: ONNX Runtime predicts on the CPU here; use --device cpu, or "
            "for a GPU --engine paddle"
            if known
            else f"device {short(device)}: expected auto or cpu"
        )


def load_session(model: bytes) -> tuple[InferenceSession, tuple[type[Exception], ...]]:
    """A checked model in ONNX Runtime, and what that raises. Raises ExportError."""
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as state
    except ImportError as error:
        raise ExportError(f"ONNX Runtime is missing ({error}): {INSTALL}") from None
    kinds = [kind for kind in vars(state).values() if isinstance(kind, type)]
    its_own = [kind for kind in kinds if issubclass(kind, Exception)]
    errors: tuple[type[Exception], ...] = (*its_own, RuntimeError, ValueError)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = SILENT
    try:
        session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )  # which would print what is wrong on standard output, and try the same again
    except errors as error:
        raise session_error(error) from None
    return session, errors


def session_error(error: Exception) -> ExportError:
    """What ONNX Runtime refused, on one line."""
    reason = " ".join(str(error).split())
    return ExportError(f"ONNX Runtime cannot run this model: {short(reason, LONGEST)}")
