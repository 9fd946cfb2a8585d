"""An exported model: checked, loaded, and asked for predictions.

Needs numpy, paddle, errors.py and files.py; `Predictor.encode` needs polars and reader/ too.
"""

from __future__ import annotations

import os
import re
from functools import cached_property, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from display import short
from errors import DeviceError, ExportError
from files import AlteredError, compare, unseal

if TYPE_CHECKING:
    from reader.frame import Frame
    from reader.kinds import Levels
    from reader.schema import Column

CONTRACT = "contract.json"
GRAPH, WEIGHTS = "model.json", "model.pdiparams"
FORMAT = 4
ROWS_AT_ONCE = 65_536  # more do not fit the caches, and take longer a row
ROWS_FOR_ALL_CORES = 8_192  # with fewer, cores wait for each other longer than they work


def read_contract(folder: Path) -> dict[str, Any]:
    """The contract of an export folder, after every SHA-256 in it has been compared.

    `sha256` in contract.json is that of contract.json itself with the 64 digits set to 0.
    Raises ExportError for a file that is missing or not as it was exported.
    """
    path = folder / CONTRACT
    try:
        contract = unseal(path.read_bytes())
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror}; {_expected(folder)}") from None
    except AlteredError as error:
        raise _altered(path, error) from None
    except (ValueError, KeyError, TypeError):
        raise ExportError(f"{path}: not a contract; export the model again") from None
    if contract["format"] != FORMAT:
        raise ExportError(
            f"{path}: exported in format {contract['format']}, but this version reads format "
            f"{FORMAT}; train the model again, or predict with the version that exported it"
        )
    for name, noted in contract["files"].items():
        try:
            compare((folder / name).read_bytes(), noted)
        except OSError as error:
            raise ExportError(
                f"{folder / name}: {error.strerror}; copy the whole export folder"
            ) from None
        except AlteredError as error:
            raise _altered(folder / name, error) from None
    return contract


def _expected(folder: Path) -> str:
    """What helps where there is no contract."""
    if (folder / "config.yaml").exists():
        return "this run has not been exported yet; finish it with train.py --resume"
    if inner := sorted(path.parts[-3] for path in folder.glob(f"*/export/{CONTRACT}")):
        return f"expected a run folder, such as {folder / inner[0]}"
    place = "" if folder.is_absolute() else f", relative to {Path.cwd()}"
    return f"expected a run folder or its export folder{place}"


def _altered(path: Path, error: AlteredError) -> ExportError:
    return ExportError(
        f"{path}: altered or incomplete: {error}; copy the export folder again, or export the "
        "model again"
    )


def find_export(folder: str | Path) -> Path:
    """The export folder: `folder` itself, or the one in a run folder."""
    inner = Path(folder) / "export"
    return inner if (inner / CONTRACT).exists() else Path(folder)


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

    `device` is auto, cpu, gpu or gpu:N. Raises ExportError where the folder is not a sound
    export, DeviceError where there is no such device.
    """

    def __init__(self, folder: str | Path, device: str = "cpu", onednn: bool | None = None) -> None:
        folder = find_export(folder)
        self.contract = read_contract(folder)
        self.features: tuple[str, ...] = tuple(self.contract["features"])
        self.target: str = self.contract["target"]
        self.outputs: tuple[str, ...] = tuple(self.contract["outputs"])
        onednn = self.contract["inference"]["onednn"] if onednn is None else onednn
        device = resolve_device(device)
        load = partial(load_graph, folder / GRAPH, folder / WEIGHTS, device, onednn)
        self._graph, cores = load(), available_cores()
        self._graph_on_all_cores = load(cores) if cores > 1 and device == "cpu" else self._graph
        self._lock = Lock()

    def predict(self, rows: ArrayLike | Frame) -> NDArray[np.float32]:
        """Predict for `rows` [N, D], columns in the order of `features`, in raw units -> [N].

        A table with columns by name, as for `encode`, goes by its names: others are not looked at.
        """
        return self.predict_outputs(rows)[:, 0]

    def predict_outputs(self, rows: ArrayLike | Frame) -> NDArray[np.float32]:
        """All `outputs` of `rows` [N, D], or of a table by its names -> [N, outputs]."""
        if any(hasattr(rows, name) for name in ("items", "iter_columns", "column_names")):
            rows = self._by_name(cast("Frame", rows))
        values = np.asarray(rows)
        if values.ndim != 2 or values.shape[1] != len(self.features):
            raise ValueError(
                f"found an array of shape {values.shape}, expected [rows, {len(self.features)}] "
                f"({', '.join(map(short, self.features[:20]))}"
                f"{', ...' if len(self.features) > 20 else ''})"
            )
        if 0 < len(values) <= ROWS_AT_ONCE:
            return self._predict_piece(values)
        starts = range(0, len(values), ROWS_AT_ONCE)
        pieces = [self._predict_piece(values[start : start + ROWS_AT_ONCE]) for start in starts]
        return np.concatenate([np.empty((0, len(self.outputs)), dtype=np.float32), *pieces])

    def _predict_piece(self, values: NDArray[Any]) -> NDArray[np.float32]:
        rows = np.ascontiguousarray(values, dtype=np.float32)
        many = len(rows) >= ROWS_FOR_ALL_CORES
        with self._lock:
            return run_graph(self._graph_on_all_cores if many else self._graph, rows)

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
    predictor = inference.create_predictor(config)
    (features,), (predictions,) = predictor.get_input_names(), predictor.get_output_names()
    return Graph(
        predictor, predictor.get_input_handle(features), predictor.get_output_handle(predictions)
    )


def run_graph(graph: Graph, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [N, D], N >= 1 -> float32 [N, outputs]. Of one thread at a time."""
    graph.input.copy_from_cpu(rows)
    graph.predictor.run()
    return np.asarray(graph.output.copy_to_cpu())
