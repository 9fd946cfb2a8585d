"""POST /predict: rows by name as JSON and as CSV."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.conftest import ROOT, command
from tests.service.conftest import homes
from tests.service.server import Served

pytestmark = pytest.mark.xdist_group("service")  # one worker makes what they share

GOOD = {
    "home": "H1",
    "area": 80.5,
    "rooms": 3,
    "town": "north",
    "garden": True,
    "sold": "2021-05-06 10:30",
}


def test_csv_in_and_out_is_what_infer_writes(
    served: Served, homes_run: Path, homes_csv: Path
) -> None:
    done = command("infer.py", "--model", str(homes_run), "--input", str(homes_csv), cwd=ROOT)
    status, answer = served.post("/predict", homes_csv.read_bytes(), content_type="text/csv")
    assert status == 200
    assert answer.decode() == done.stdout


def test_rows_and_columns_of_json(served: Served, homes_csv: Path) -> None:
    table = homes()
    columns = served.post("/models/homes/predict", table)[1]["predictions"]
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    by_row = served.post("/predict", rows)[1]["predictions"]
    assert by_row == served.post("/predict", {"rows": rows})[1]["predictions"]
    assert [row["prediction"] for row in by_row] == columns["prediction"]
    assert [row["home"] for row in by_row] == table["home"] == columns["home"]
    status, text = served.post("/predict", homes_csv.read_bytes(), content_type="text/csv")
    assert status == 200
    as_csv = pl.read_csv(io.BytesIO(text))["upper"].cast(pl.Float32)
    assert np.array_equal(as_csv.to_numpy(), np.float32(columns["upper"]))
    accepted = served.post("/predict", table, accept="text/csv")[1]
    assert accepted == text


def test_one_row(served: Served) -> None:
    status, answer = served.post("/predict", GOOD)
    assert status == 200
    assert answer["predictions"] == served.post("/predict", [GOOD])[1]["predictions"]
    assert answer["predictions"][0]["home"] == "H1"
    assert answer["warnings"] == []


def test_values_unlike_training_are_told(served: Served) -> None:
    row = GOOD | {"area": 9_000, "town": "atlantis", "sold": "2031-01-01 00:00"}
    for body in (row, [GOOD, row]):
        warnings = served.post("/predict", body)[1]["warnings"]
        assert [(each["column"], each["what"]) for each in warnings] == [
            ("area", "out_of_range"),
            ("sold", "out_of_range"),
            ("town", "unknown"),
        ]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rooms": "3x"}, "row 2, column rooms: found '3x', expected a number"),
        ({"rooms": [3]}, "row 2, column rooms: found [3] (list), expected a number"),
        ({"rooms": 1e39}, "row 2, column rooms: found '1e+39', expected a finite number (float32)"),
        ({"garden": "perhaps"}, "row 2, column garden: found 'perhaps', expected true or false"),
        ({"sold": "31.12.2021"}, "row 2, column sold: found '31.12.2021', expected a time"),
    ],
)
def test_a_wrong_cell_is_named(served: Served, changed: dict[str, Any], message: str) -> None:
    status, answer = served.post("/predict", [GOOD, GOOD | changed])
    assert status == 400
    assert message in answer["error"]
    if not isinstance(changed.get("rooms"), list):  # which may be columns
        one = served.post("/predict", GOOD | changed)[1]["error"]
        assert message.replace("row 2", "row 1") in one


def test_a_wrong_cell_of_csv_has_its_line_and_no_path(served: Served) -> None:
    text = b"area,rooms,town,garden,sold\n1,2,north,yes,2021-01-01 10:00\n1,two,north,no,2021\n"
    status, answer = served.post("/predict", text, content_type="text/csv")
    assert status == 400
    assert answer["error"].startswith("the table, line 3, column rooms: found 'two', expected")
    status, answer = served.post("/predict", b"area,rooms\n1,2\n", content_type="text/csv")
    assert status == 400
    assert "no column town, garden, sold" in answer["error"]
    assert "/" not in answer["error"]


def test_a_missing_column_is_named(served: Served) -> None:
    row = {name: value for name, value in GOOD.items() if name != "rooms"} | {"room": 3}
    status, answer = served.post("/predict", row)
    assert status == 400
    assert "no column rooms; did you mean 'room'?" in answer["error"]


@pytest.mark.parametrize("path", ["/predict", "/models/homes/predict", "/v2/models/homes/infer"])
def test_bodies_above_the_limit(served: Served, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n".encode()
    assert served.raw(head + b"Content-Length: 1073741824\r\n\r\n{").startswith(b"HTTP/1.1 413")
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 17
    assert served.raw(chunked).startswith(b"HTTP/1.1 413")


def test_what_is_not_there(served: Served) -> None:
    assert served.get("/predict")[0] == 405
    status, answer = served.post("/models/palaces/predict", GOOD)
    assert (status, answer["error"]) == (404, "no such model; found homes, boston")
    assert json.loads(served.get("/nowhere")[1])["error"].startswith("no such page")
    status, answer = served.post("/predict", b"{}", content_encoding="gzip")
    assert status == 415
