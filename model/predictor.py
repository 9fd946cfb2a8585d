"""An exported model: checked, loaded, and asked for predictions.

Needs numpy, paddle, errors.py, files.py, and of model/ conform.py, contract.py, folder.py and
graph.py; `Predictor.encode` needs polars and reader/ too.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from display import short
from errors import DeviceError, ExportError
from model.folder import GRAPH, WEIGHTS, Export, read_export

if TYPE_CHECKING:
    from reader.frame import Frame
    from reader.kinds import Levels
    from reader.schema import Column

ROWS_AT_ONCE = 65_536  # more do not fit the caches, and take longer a row
NUMBERS_AT_ONCE, NUMBERS_A_TERM = 1 << 23, 16  # that a graph makes of rows, and of one
BYTES_A_NUMBER = 256  # of the weights of a network
PADDLE_ERRORS = (
    *(RuntimeError, ValueError, LookupError, ArithmeticError, MemoryError, TypeError, SystemError),
)
FEW_ROWS = 64  # of these it costs little memory to keep all that a graph computes
ROWS_FOR_ALL_CORES = 8_192  # with fewer, cores wait for each other longer than they work
KEPT_GIGABYTES = "FLAGS_eager_delete_tensor_gb"


class Predictor:
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

    def __init__(
        self,
        folder: str | Path | Export,
        device: str = "cpu",
        onednn: bool | None = None,
        expect: str | None = None,
    ) -> None:
        export = folder if isinstance(folder, Export) else read_export(folder, expect)
        self.contract, self._size = export.contract, len(export.weights)
        self.features: tuple[str, ...] = tuple(self.contract["features"])
        self.target: str = self.contract["target"]
        self.outputs: tuple[str, ...] = tuple(self.contract["outputs"])
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

    def predict(self, rows: ArrayLike | Frame) -> NDArray[np.float32]:
        """Predict for `rows` [N, D], columns in the order of `features`, in raw units -> [N].

        A table with columns by name, as for `encode`, goes by its names: others are not looked at.
        """
        return self.predict_outputs(rows)[:, 0]

    def predict_outputs(self, rows: ArrayLike | Frame) -> NDArray[np.float32]:
        """All `outputs` of `rows` [N, D], or of a table by its names -> [N, outputs]."""
        by_name = ("items", "iter_columns", "column_names")
        if not isinstance(rows, np.ndarray) and any(hasattr(rows, name) for name in by_name):
            rows = self._by_name(cast("Frame", rows))
        values = np.asarray(rows)
        if values.ndim != 2 or values.shape[1] != len(self.features):
            raise ValueError(
                f"found an array of shape {values.shape}, expected [rows, {len(self.features)}] "
                f"({', '.join(map(short, self.features[:20]))}"
                f"{', ...' if len(self.features) > 20 else ''})"
            )
        most = self._rows_at_once
        if 0 < len(values) <= most:
            return self._predict_piece(values)
        starts = range(0, len(values), most)
        pieces = [self._predict_piece(values[start : start + most]) for start in starts]
        return np.concatenate([np.empty((0, len(self.outputs)), dtype=np.float32), *pieces])

    @cached_property
    def _rows_at_once(self) -> int:
        """Fewer where a graph looks up many terms, or has large layers, whose width their weights
        tell roughly."""
        additive = self.contract.get("additive")
        numbers = self._size // BYTES_A_NUMBER
        if additive and not additive.get("network"):
            numbers = NUMBERS_A_TERM * len(additive["terms"])
        return max(1_024, min(ROWS_AT_ONCE, NUMBERS_AT_ONCE // (numbers or 1)))

    def _predict_piece(self, values: NDArray[Any]) -> NDArray[np.float32]:
        rows = np.ascontiguousarray(values, dtype=np.float32)
        graph = self._some if len(rows) > FEW_ROWS else self._few
        if len(rows) >= min(ROWS_FOR_ALL_CORES, self._rows_at_once):
            graph = self._many
        try:  # without paddle_errors, whose generator costs each call time
            with self._lock:
                found = run_graph(graph, rows)
        except PADDLE_ERRORS as error:
            raise export_error(error) from None
        if found.shape != (expected := (len(rows), len(self.outputs))):
            raise ExportError(f"the graph predicts {found.shape}, expected {expected}")
        return found

    def verify(self) -> tuple[int, float]:
        """Predict the contract's golden rows again: how many, and the largest difference.

        Raises ExportError where that is more than the contract's tolerance.
        """
        golden = self.contract["golden"]
        rows = np.array(golden["rows"], dtype=np.float32).reshape(-1, len(self.features))
        expected = np.array(golden["predictions"], dtype=np.float64)
        worst = float(np.abs(self.predict_outputs(rows)[:, 0] - expected).max(initial=0.0))
        if not worst <= golden["tolerance"]:
            raise ExportError(
                f"golden rows are predicted with a difference of {worst:g} in the target's unit, "
                f"more than the tolerance of {golden['tolerance']:g}; this Paddle computes "
                "something else than the one that trained: do not use the model with it"
            )
        return len(rows), worst

    def encode(self, table: Frame) -> NDArray[np.float32]:
        """The rows that `predict` takes, float32 [N, D], of a table with columns by name: a
        dictionary of lists or arrays, or a data frame of pandas, Polars or Arrow.

        A cell means what it means in a file: padded, missing, boolean, a time. Raises TableError
        for a column that is not there, and for the first wrong cell. Needs polars and reader/.
        """
        from reader.formats import Reading
        from reader.frame import encode
        from reader.kinds import Encoder

        may_be_empty = self.contract["may_be_empty"]
        encoders = [Encoder(column, may_be_empty, levels) for column, levels in self._columns]
        return encode(table, encoders, Reading(**self.contract["reading"]))

    def _by_name(self, table: Frame) -> NDArray[np.float32]:
        """The rows of a table, which has the columns of a table, or else those of `features`."""
        from reader.frame import columns_of

        columns = columns_of(table)
        if {column.name for column, _ in self._columns} <= columns.keys():
            return self.encode(table)
        if not columns.keys() >= {*self.features}:
            return self.encode(table)  # which says what is missing
        return np.column_stack([np.asarray(columns[name], np.float32) for name in self.features])

    @cached_property
    def _columns(self) -> list[tuple[Column, Levels]]:
        """The features of the table; to make codes of many levels takes long."""
        from reader.kinds import Levels
        from reader.schema import Schema

        features = Schema.read(self.contract["schema"]).features
        return [(column, Levels(column.levels, closed=True)) for column in features]


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


def available_cores() -> int:
    """The cores that this process may use; fewer than the machine has, under taskset say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resolve_device(name: str) -> str:
    """`cpu` or `gpu:N` for auto, cpu, gpu or gpu:N; auto is the first GPU, where there is one.

    Raises DeviceError for a GPU that this machine, or this build of Paddle, does not have.
    """
    if not re.fullmatch(r"auto|cpu|gpu|gpu:\d+", name):
        hint = "; a CUDA GPU is called gpu here" if name.startswith("cuda") else ""
        raise DeviceError(f"device {short(name)}: expected auto, cpu, gpu or gpu:N{hint}")
    import paddle

    count = paddle.device.cuda.device_count() if paddle.is_compiled_with_cuda() else 0
    if name == "cpu" or (name == "auto" and not count):
        return "cpu"
    number = int(name.partition(":")[2] or 0)
    if number >= count:
        found = f"found {count} GPU{'s' * (count != 1)}"
        cpu_only = "this build of Paddle is for CPU only (README, section GPU)"
        why = found if paddle.is_compiled_with_cuda() else cpu_only
        raise DeviceError(f"device {name}: no such GPU, {why}; use --device cpu or auto")
    return f"gpu:{number}"


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
