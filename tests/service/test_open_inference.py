"""The Open Inference Protocol, as tritonclient speaks it, against what infer.py writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from tests.conftest import ROOT, command
from tests.service.conftest import homes
from tests.service.server import Served

pytestmark = pytest.mark.xdist_group("service")  # one worker makes what they share

triton = pytest.importorskip("tritonclient.http")
DATATYPES: dict[str, Any] = {
    "FP64": np.float64,
    "FP32": np.float32,
    "BOOL": np.bool_,
    "BYTES": np.object_,
}


@pytest.fixture
def client(served: Served) -> Iterator[Any]:
    with triton.InferenceServerClient(f"127.0.0.1:{served.port}") as client:
        yield client


def infer(client: Any, table: dict[str, list[Any]], outputs: list[str] | None = None) -> Any:
    """Send the columns that the model says it wants."""
    inputs = []
    for tensor in client.get_model_metadata("homes")["inputs"]:
        cells = table[tensor["name"]]
        if tensor["datatype"] == "FP64":
            cells = [np.nan if cell is None else cell for cell in cells]
        each = triton.InferInput(tensor["name"], [len(cells)], tensor["datatype"])
        values: NDArray[Any] = np.array(cells, dtype=DATATYPES[tensor["datatype"]])
        each.set_data_from_numpy(values, binary_data=False)
        inputs.append(each)
    asked = [triton.InferRequestedOutput(name, binary_data=False) for name in outputs or []]
    return client.infer("homes", inputs, outputs=asked or None, request_id="mine")


def test_models_are_listed_and_described(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("homes")
    assert not client.is_model_ready("palaces")
    assert client.get_server_metadata()["name"] == "paddle-regressor"
    names = {model["name"]: model["version"] for model in client.get_model_repository_index()}
    assert names.keys() == {"homes", "boston"}
    told = client.get_model_metadata("homes", names["homes"])
    kinds = {each["name"]: each["datatype"] for each in told["inputs"]}
    numbers, texts = {"area": "FP64", "rooms": "FP64"}, {"town": "BYTES", "sold": "BYTES"}
    assert kinds == {**numbers, **texts, "garden": "BOOL"}
    assert [each["name"] for each in told["outputs"]] == ["prediction", "lower", "upper"]
    with pytest.raises(triton.InferenceServerException, match="no such version"):
        client.get_model_metadata("homes", "7")


def test_columns_give_what_infer_writes(client: Any, homes_run: Path, homes_csv: Path) -> None:
    done = command("infer.py", "--model", str(homes_run), "--input", str(homes_csv), cwd=ROOT)
    written = pl.read_csv(done.stdout.encode())
    found = infer(client, homes())
    assert found.get_response()["id"] == "mine"
    for name in ("prediction", "lower", "upper"):
        expected = written[name].cast(pl.Float32).to_numpy()
        assert np.array_equal(found.as_numpy(name), expected), name


def test_one_row_is_the_same_bits(client: Any) -> None:
    table = homes(40)
    every = infer(client, table).as_numpy("prediction")
    for row in range(40):
        one = infer(client, {name: [cells[row]] for name, cells in table.items()})
        # Few rows and many go different ways through Paddle.
        assert one.as_numpy("prediction")[0] == pytest.approx(every[row], rel=1e-6)


def test_outputs_select(client: Any) -> None:
    found = infer(client, homes(3), ["upper"]).get_response()
    assert [output["name"] for output in found["outputs"]] == ["upper"]
    with pytest.raises(triton.InferenceServerException, match="no output 'best'; found prediction"):
        infer(client, homes(3), ["best"])


def test_encoded_rows_as_one_matrix(served: Served, boston_run: Path) -> None:
    from model.predictor import Predictor

    predictor = Predictor(boston_run)
    rows = np.array(predictor.contract["golden"]["rows"], dtype=np.float32)
    for datatype, data in (("FP32", rows.ravel().tolist()), ("FP64", rows.tolist())):
        tensor = {"name": "features", "shape": [*rows.shape], "datatype": datatype, "data": data}
        status, answer = served.post("/v2/models/boston/infer", {"inputs": [tensor]})
        assert status == 200, answer
        assert np.array_equal(np.float32(answer["outputs"][0]["data"]), predictor.predict(rows))


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "rooms", "shape": [2], "datatype": "INT64", "data": [1, 2]} | changes


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"datatype": "FP8"}, "found datatype 'FP8', expected one of BOOL"),
        ({"shape": [3]}, "rooms: found 2 values, expected 3"),
        ({"shape": [1, 2]}, "expected [rows] or [rows, 1]"),
        ({"shape": ["2"]}, "expected a shape of whole numbers"),
        ({"data": [1, "2"]}, 'row 2, column rooms: found "2", expected INT64'),
        ({"data": [1, 2**63]}, "row 2, column rooms: found 9223372036854775808, expected INT64"),
        ({"data": [1, [2]]}, "row 2, column rooms: found a list"),
        ({"data": "1, 2"}, "expected shape and data to be lists"),
        ({"data": [1, 2], "name": 7}, "expected objects with name"),
        ({}, "no column area, town, garden, sold"),
        ({"name": "features"}, "features: found INT64 [2], expected FP32 or FP64 [rows, 8]"),
        ({"parameters": {"binary_data_size": 16}, "data": None}, "found binary data"),
    ],
)
def test_wrong_tensors(served: Served, changed: dict[str, Any], message: str) -> None:
    body = {"inputs": [tensor(**changed)]}
    status, answer = served.post("/v2/models/homes/infer", body)
    assert status == 400
    assert message in answer["error"]


@pytest.mark.parametrize(("value", "found"), [(-1, "-1"), (9, "9"), (None, "an empty value")])
def test_codes_are_known_ones(served: Served, value: Any, found: str) -> None:
    names = served.post("/v2/repository/index", b"")[1]
    assert names
    data = [50.0, 3, value, 1, 1, 1, 1, 7_700.5]
    body = {"inputs": [tensor(name="features", shape=[1, 8], datatype="FP64", data=data)]}
    status, answer = served.post("/v2/models/homes/infer", body)
    assert status == 400
    assert f"row 1, feature town: found {found}, expected a code from 0 to" in answer["error"]


def test_rows_that_come_together_get_their_own_answers(served: Served) -> None:
    """Also those beside one that is unlike training, and one that is refused."""
    from concurrent.futures import ThreadPoolExecutor

    table = homes(48)
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    rows[5] |= {"area": 9_000}
    rows[7] |= {"rooms": "many"}
    alone = [served.post("/predict", row) for row in rows]
    with ThreadPoolExecutor(16) as threads:
        together = list(threads.map(lambda row: served.post("/predict", row), rows * 3))
    for (status, found), (expected_status, expected) in zip(together, alone * 3, strict=True):
        assert status == expected_status
        assert found.get("warnings") == expected.get("warnings")
        if status == 200:
            a, b = found["predictions"][0], expected["predictions"][0]
            assert a["home"] == b["home"]
            assert a["prediction"] == pytest.approx(b["prediction"], rel=1e-6)
