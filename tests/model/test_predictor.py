from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from numpy.typing import NDArray

from model import predictor as module
from model.base_predictor import ROWS_AT_ONCE, available_cores
from model.export import Proof, export
from model.input_layers import Scale, TargetScale
from model.networks import build_network
from model.objective import SquaredError
from model.predictor import Predictor
from model.regressor import Regressor
from reader.inputs import InputColumn
from tests.conftest import plain_contract

Rows = NDArray[np.float32]
COLUMNS = [InputColumn(name, "number") for name in "abc"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = some_rows(100)
    network = build_network("mlp", COLUMNS, seed=0, hidden=[8, 8], activation="relu", dropout=0.0)
    scale = Scale(rows.mean(axis=0), rows.std(axis=0))
    regressor = Regressor(scale, network, SquaredError(TargetScale(50.0, 9.0)))
    folder = tmp_path_factory.mktemp("predictor") / "export"
    contract = plain_contract("abc")
    export(regressor, folder, contract, Proof(rows, regressor.predict, 10.0))
    return folder


@pytest.fixture(scope="module")
def predictor(folder: Path) -> Predictor:
    return Predictor(folder)


def some_rows(count: int) -> Rows:
    return np.random.default_rng(count).normal(5, 3, size=(count, 3)).astype(np.float32)


def test_many_threads_get_their_own_answers(predictor: Predictor) -> None:
    """Of several sizes at once: another thread's answer would have another length or values."""
    sizes = [1, 2, 3, 700, 701, 9_000, 9_001, 70_000] * 20
    inputs = {size: some_rows(size) for size in set(sizes)}
    expected = {size: predictor.predict(rows) for size, rows in inputs.items()}
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda size: predictor.predict(inputs[size]), sizes)
        for size, values in zip(sizes, found, strict=True):
            np.testing.assert_allclose(values, expected[size], atol=1e-4)


def test_an_answer_stays_as_it_was(predictor: Predictor) -> None:
    first = predictor.predict_outputs(some_rows(10))
    kept = first.copy()
    predictor.predict_outputs(some_rows(11))
    np.testing.assert_array_equal(first, kept)


def test_many_rows_are_predicted_in_pieces(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    run = module.run_graph

    def noted(graph: module.Graph, rows: Rows) -> Rows:
        sizes.append(len(rows))
        return run(graph, rows)

    monkeypatch.setattr(module, "run_graph", noted)
    rows = some_rows(2 * ROWS_AT_ONCE + 1)
    found = predictor.predict(rows)
    assert sizes == [ROWS_AT_ONCE, ROWS_AT_ONCE, 1]
    at = np.linspace(0, len(rows) - 1, num=50, dtype=int)
    np.testing.assert_allclose(found[at], predictor.predict(rows[at]), atol=1e-4)


def test_rows_of_any_layout_and_type(predictor: Predictor) -> None:
    rows = some_rows(20)
    expected = predictor.predict(rows)
    others: list[Any] = [rows.astype(np.float64), np.asfortranarray(rows), rows.tolist()]
    for other in [*others, np.repeat(rows, 2, axis=0)[::2]]:
        np.testing.assert_array_equal(predictor.predict(other), expected)
    whole = rows.round()
    np.testing.assert_array_equal(
        predictor.predict(whole.astype(np.int64)), predictor.predict(whole)
    )
    assert predictor.predict([[np.nan, 1, 2]]).shape == (1,)


def test_threads_of_the_graph_are_those_of_the_work(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few rows by a graph that keeps its memory, some by one core, many by all of them."""
    used: list[module.Graph] = []

    def noted(graph: module.Graph, rows: Rows) -> Rows:
        used.append(graph)
        return np.zeros((len(rows), 1), dtype=np.float32)

    monkeypatch.setattr(module, "run_graph", noted)
    few, many = module.FEW_ROWS, module.ROWS_FOR_ALL_CORES
    for size in (1, few, few + 1, many - 1, many):
        predictor.predict(some_rows(size))
    assert used[0] is used[1] is not used[2] is used[3]
    assert (used[4] is used[3]) == (available_cores() == 1)


def test_few_rows_are_predicted_as_more_are(predictor: Predictor) -> None:
    rows = some_rows(module.FEW_ROWS + 1)
    expected = predictor.predict(rows)
    for size in (1, 3, module.FEW_ROWS, 2):
        np.testing.assert_allclose(predictor.predict(rows[:size]), expected[:size], rtol=1e-6)


def test_flags_of_paddle_stay_as_they_were(folder: Path) -> None:
    before = paddle.get_flags([module.KEPT_GIGABYTES])
    Predictor(folder)
    assert paddle.get_flags([module.KEPT_GIGABYTES]) == before


def test_few_rows_never_go_through_onednn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    load = module.load_graph

    def noted(graph: Path, weights: Path, device: str, onednn: bool, threads: int = 1) -> Any:
        asked.append(onednn)
        return load(graph, weights, device, onednn, threads)

    monkeypatch.setattr(module, "load_graph", noted)
    loaded = Predictor(folder, onednn=True)
    assert asked == [False, True]
    assert loaded._some is not loaded._many
