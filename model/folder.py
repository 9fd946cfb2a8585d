"""An export folder, read once: what is checked is what is used."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from errors import ExportError
from files import AlteredError, compare, digest, read_plain, unseal
from model.conform import UnsoundError
from model.contract import Contract, check_contract
from model.graph import check_graph, check_weights, size_of_weights
from model.onnx_graph import check_onnx

CONTRACT = "contract.json"
GRAPH: Final = "model.json"
WEIGHTS: Final = "model.pdiparams"
ONNX: Final = "model.onnx"
MOST_JSON = 2**26  # bytes of contract.json or model.json
MOST_WEIGHTS = 2**29
TRIES = 5
PAUSE = 0.01  # seconds, in which a folder that is being replaced takes its place


class Export(NamedTuple):
    """What one export folder held: the contract, what Paddle may read, the SHA-256 of
    contract.json, which stands for all of it, and what ONNX Runtime may read, if it is there."""

    contract: Contract
    graph: bytes
    weights: bytes
    sha256: str
    onnx: bytes | None = None


def read_export(folder: str | Path, expect: str | None = None) -> Export:
    """All of an export folder, or of the one in a run folder; each file is read once.

    `expect`: the SHA-256 that contract.json must have. Raises ExportError for a file that is
    missing, not a plain one or not as it was exported, for a contract or a graph that no export of
    this version has, and for weights of another graph. A folder that is replaced meanwhile is read
    again: what is returned is of one export.
    """
    folder = Path(folder)
    for _ in range(TRIES):
        before = _standing(folder)
        try:
            return _read(find_export(folder), expect)
        except ExportError:
            if before[0] and _standing(folder) == before:
                raise
        time.sleep(PAUSE)
    return _read(find_export(folder), expect)


def find_export(folder: str | Path) -> Path:
    """The export folder: `folder` itself, or the one in a run folder."""
    inner = Path(folder) / "export"
    return inner if (inner / CONTRACT).exists() else Path(folder)


def _standing(folder: Path) -> list[tuple[int, ...] | None]:
    """What changes when an export takes the place of another one."""
    found: list[tuple[int, ...] | None] = []
    for name in (CONTRACT, GRAPH, WEIGHTS):
        try:
            of = (find_export(folder) / name).stat()
            found.append((of.st_dev, of.st_ino, of.st_size, of.st_mtime_ns, of.st_ctime_ns))
        except OSError:
            found.append(None)
    return found


def _read(folder: Path, expect: str | None) -> Export:
    path = folder / CONTRACT
    try:
        text = read_plain(path, MOST_JSON)
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror}; {_expected(folder)}") from None
    except ValueError as error:
        raise ExportError(f"{path}: {error}; copy the export folder with its files") from None
    if expect is not None and (found := digest(text)) != expect.lower():
        raise ExportError(
            f"{path}: another model than expected: SHA-256 {found}, expected {expect}"
        )
    with _explained(path):
        contract = check_contract(unseal(text))
    sizes, sums = contract["sizes"], contract["files"]
    graph = _read_noted(folder / GRAPH, MOST_JSON, sizes[GRAPH], sums[GRAPH])
    with _explained(folder / GRAPH):
        columns, outputs = len(contract["features"]), len(contract["outputs"])
        graph, parameters = check_graph(graph, columns, outputs)
    with _explained(folder / WEIGHTS):
        if (size := size_of_weights(parameters)) != sizes[WEIGHTS]:
            raise UnsoundError(f"{sizes[WEIGHTS]:,} bytes, but the graph needs {size:,}")
    weights = _read_noted(folder / WEIGHTS, MOST_WEIGHTS, size, sums[WEIGHTS])
    with _explained(folder / WEIGHTS):
        check_weights(weights, parameters)
    onnx = None
    if ONNX in sums:
        onnx = _read_noted(folder / ONNX, MOST_WEIGHTS, sizes[ONNX], sums[ONNX])
        with _explained(folder / ONNX):
            check_onnx(onnx)
    return Export(contract, graph, weights, digest(text), onnx)


def _read_noted(path: Path, most: int, size: int, noted: str) -> bytes:
    with _explained(path):
        try:
            content = read_plain(path, most, size)
        except OSError as error:
            raise ExportError(f"{path}: {error.strerror}; copy the whole export folder") from None
        compare(content, noted)
        return content


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What is wrong with a file, and what helps, as an ExportError."""
    try:
        yield
    except ExportError:
        raise
    except AlteredError as error:
        raise ExportError(
            f"{path}: altered or incomplete: {error}; copy the export folder again, or export the "
            "model again"
        ) from None
    except UnsoundError as error:
        raise ExportError(
            f"{path}: {error}; no export of this version is like that: use none that you cannot "
            "trust, or train the model again"
        ) from None
    except ValueError as error:
        raise ExportError(f"{path}: not sound ({error}); export the model again") from None


def _expected(folder: Path) -> str:
    """What helps where there is no contract."""
    if (folder / "config.yaml").exists():
        return "this run has not been exported yet; finish it with train.py --resume"
    try:
        inner = sorted(path.parts[-3] for path in folder.glob(f"*/export/{CONTRACT}"))
    except OSError:  # it went meanwhile
        inner = []
    if inner:
        return f"expected a run folder, such as {folder / inner[0]}"
    place = "" if folder.is_absolute() else f", relative to {Path.cwd()}"
    return f"expected a run folder or its export folder{place}"
