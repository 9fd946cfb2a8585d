"""An exported model: checked, loaded, and asked for predictions.

Needs numpy, paddle, and what model/base_predictor.py needs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from errors import ExportError
from model.base_predictor import BasePredictor, available_cores
from model.device import full_float32, resolve_device
from model.folder import GRAPH, WEIGHTS, Export, read_export

PADDLE_ERRORS = (
    *(RuntimeError, ValueError, LookupError, ArithmeticError, MemoryError, TypeError, SystemError),
)
FEW_ROWS = 64  # of these it costs little memory to keep all that a graph computes
ROWS_FOR_ALL_CORES = 8_192  # with fewer, cores wait for each other longer than they work
KEPT_GIGABYTES = "FLAGS_eager_delete_tensor_gb"


class Predictor(BasePredictor):
    """Predictions of an exported model, by Paddle Inference.

        predictor = Predictor("runs/boston")
        predictor.features                       # the columns it wants, in order
        predictor.predict(rows)                  # float32 [N, D] raw values -> float32 [N]
        predictor.predict_outputs(rows)          # -> float32 [N, 3], where `outputs` has intervals

        predictor.predict(predictor.encode({"area": [7.5], "town": ["north"]}))

    One predictor serves any number of threads: calls from several are right, and take turns, for
    Paddle Inference computes one at a time in a process in any case. Rows may be one or millions:
    the work is done in pieces, so that what it needs beside the rows and predictions stays small.
    From some thousand rows on it uses every core that the process may use.

    `folder` may be what `read_export` gave. `device` is auto, cpu, gpu or gpu:N; `expect`: the
    SHA-256 that contract.json must have. Raises ExportError where the folder is not a sound export,
    DeviceError where there is no such device.
    """

    engine = "Paddle"

    def __init__(
        self,
        folder: str | Path | Export,
        device: str = "cpu",
        onednn: bool | None = None,
        expect: str | None = None,
    ) -> None:
        export = folder if isinstance(folder, Export) else read_export(folder, expect)
        super().__init__(export)
        onednn = self.contract["inference"]["onednn"] if onednn is None else onednn
        device, cores = resolve_device(device), available_cores()
        # Paddle opens files by name: these are nobody else's, and hold what was checked.
        with tempfile.TemporaryDirectory(prefix="model-") as private:
            graph, weights = Path(private, GRAPH), Path(private, WEIGHTS)
            graph.write_bytes(export.graph)
            weights.write_bytes(export.weights)
            load = partial(load_graph, graph, weights, device)
            with paddle_errors():
                self._few = self._some = self._many = load(False)
                if device == "cpu":
                    self._few = keeping_memory(self._some, len(self.features))
                    self._many = load(onednn, cores) if onednn or cores > 1 else self._some
        self._lock = Lock()
        self._predict_piece(np.zeros((2, len(self.features))))  # whether it predicts at all

    def _run(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        graph = self._some if len(rows) > FEW_ROWS else self._few
        if len(rows) >= min(ROWS_FOR_ALL_CORES, self._rows_at_once):
            graph = self._many
        try:  # without paddle_errors, whose generator costs each call time
            with self._lock:
                return run_graph(graph, rows)
        except PADDLE_ERRORS as error:
            raise export_error(error) from None


@contextmanager
def paddle_errors() -> Iterator[None]:
    """What Paddle refuses, as an ExportError."""
    try:
        yield
    except PADDLE_ERRORS as error:
        raise export_error(error) from None


def export_error(error: BaseException) -> ExportError:
    """What Paddle refused: the line of its message that says why."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = next((line for line in lines if "Error:" in line), lines[-1] if lines else "")
    return ExportError(f"Paddle cannot run this model: {reason or type(error)}")


class Graph(NamedTuple):
    """A Paddle Inference predictor, and the handles of its input and output: to look them up by
    name costs more than to predict one row."""

    predictor: Any
    input: Any
    output: Any


def load_graph(graph: Path, weights: Path, device: str, onednn: bool, threads: int = 1) -> Graph:
    """The two exported files in Paddle Inference; `threads` are those of the CPU."""
    from paddle import inference

    config = inference.Config(str(graph), str(weights))
    config.disable_glog_info()
    if device.startswith("gpu"):
        full_float32()
        config.enable_use_gpu(256, int(device.removeprefix("gpu:")))
    else:
        config.disable_gpu()
        config.set_cpu_math_library_num_threads(threads)
        if onednn:
            config.enable_onednn()
        else:
            config.disable_onednn()
    return with_handles(inference.create_predictor(config))


def keeping_memory(graph: Graph, columns: int) -> Graph:
    """The same graph, with the same weights, which keeps the memory of each operator's result for
    its next run: to free it after each operator takes a large part of the time of one row."""
    import paddle

    before = paddle.get_flags([KEPT_GIGABYTES])
    paddle.set_flags({KEPT_GIGABYTES: -1.0})  # read while a graph runs for the first time
    try:
        kept = with_handles(graph.predictor.clone())
        run_graph(kept, np.zeros((1, columns), np.float32))
        return kept
    finally:
        paddle.set_flags(before)


def with_handles(predictor: Any) -> Graph:
    (features,), (predictions,) = predictor.get_input_names(), predictor.get_output_names()
    return Graph(
        predictor, predictor.get_input_handle(features), predictor.get_output_handle(predictions)
    )


def run_graph(graph: Graph, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [N, D], N >= 1 -> float32 [N, outputs]. Of one thread at a time."""
    graph.input.copy_from_cpu(rows)
    graph.predictor.run()
    return np.asarray(graph.output.copy_to_cpu())
