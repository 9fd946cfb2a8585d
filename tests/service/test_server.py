"""serve.py as a process: how it starts, what it refuses, and how it ends."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import time
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.conftest import PATIENCE, ROOT, command
from tests.service.conftest import homes
from tests.service.server import Served, ended, serving, start
from tests.service.test_rows import GOOD

pytestmark = pytest.mark.xdist_group("service")  # one worker makes what they share


def refused(*arguments: str) -> str:
    """The one line that serve.py says instead of starting."""
    done = command("serve.py", *arguments, cwd=ROOT, timeout=PATIENCE)
    assert done.returncode == 2, done
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_what_does_not_start(homes_run: Path, tmp_path: Path) -> None:
    model = f"homes={homes_run}"
    assert "expected a model" in refused()
    assert "nowhere" in refused("--model", "nowhere")
    assert "the name homes is given twice" in refused("--model", model, "--model", model)
    assert "found the name 'a/b'" in refused("--model", f"a/b={homes_run}")
    assert "expected 0 to 65535" in refused("--model", model, "--port", "70000")
    assert "no such host" in refused("--model", model, "--host", "nowhere.invalid")
    assert "another model than expected" in refused("--model", model, "--expect", "0" * 64)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for workers in ("1", "2"):
            line = refused("--model", model, "--port", port, "--workers", workers)
            assert "is in use" in line
    altered = tmp_path / "altered"
    shutil.copytree(homes_run / "export", altered)
    weights = altered / "model.pdiparams"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    assert "altered or incomplete" in refused("--model", str(altered))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_request_ends(homes_run: Path, number: int) -> None:
    body = json.dumps({name: cells * 100 for name, cells in homes().items()}).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    with serving("--model", str(homes_run), "--max-body", "64") as served:
        with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE) as connection:
            connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
            assert connection.recv(1_024).startswith(b"HTTP/1.1 100")  # so the request is running
            connection.sendall(body)
            served.process.send_signal(number)
            answer = HTTPResponse(connection)
            answer.begin()
            predictions = json.loads(answer.read())["predictions"]
        assert ended(served) == 0
    assert answer.status == 200
    assert len(predictions["prediction"]) == 240 * 100


@pytest.mark.slow
def test_workers_add_up_and_are_replaced(homes_run: Path) -> None:
    with serving("--model", f"homes={homes_run}", "--workers", "2") as served:
        for _ in range(30):
            assert served.post("/predict", GOOD)[0] == 200
        served.post("/predict", GOOD | {"area": 1e6, "town": "atlantis"})
        served.post("/predict", b"?")
        text = served.get("/metrics")[1].decode()
        assert 'regressor_requests_total{model="homes",api="predict"} 32\n' in text
        assert 'regressor_rows_total{model="homes",api="predict"} 31\n' in text
        assert 'regressor_errors_total{model="homes",api="predict",code="400"} 1\n' in text
        unlike = 'regressor_values_total{model="homes",column='
        assert f'{unlike}"area",what="out_of_range"}} 1\n' in text
        assert f'{unlike}"town",what="unknown"}} 1\n' in text
        assert "regressor_workers 2\n" in text


def test_metrics_are_text_that_prometheus_reads(served: Served) -> None:
    text = served.get("/metrics")[1].decode()
    line = re.compile(r'[a-z_]+(\{([a-z]+="([^"\\\n]|\\.)*",?)*\})? [-+.e\d]+')
    seen = set()
    for each in text.splitlines():
        if each.startswith("# TYPE"):
            assert each not in seen
            seen.add(each)
        elif not each.startswith("#"):
            assert line.fullmatch(each), each
    buckets = re.findall(r'seconds_bucket\{model="homes",api="predict",le="[^"]+"\} (\d+)', text)
    assert buckets == sorted(buckets, key=int)


def test_pages_load_nothing_from_elsewhere(served: Served) -> None:
    for path in ("/", "/models/boston?lang=zh", "/docs"):
        status, text = served.get(path)
        assert status == 200
        assert not re.search(rb"""(src|href)=["'](https?:)?//""", text)
    described = json.loads(served.get("/openapi.json")[1])
    assert "/v2/models/homes/infer" in described["paths"]
    example = described["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert served.post("/predict", example["application/json"]["example"])[0] == 200
    text = example["text/csv"]["example"].encode()
    assert served.post("/predict", text, content_type="text/csv")[0] == 200
    infer = described["paths"]["/v2/models/homes/infer"]["post"]["requestBody"]["content"]
    body = infer["application/json"]["example"]
    assert served.post("/v2/models/homes/infer", body)[0] == 200


@pytest.mark.slow
def test_a_signal_while_models_are_loaded(homes_run: Path) -> None:
    """Whenever it comes, nothing is said, and no temporary file stays."""
    for seconds in (0.3, 1.0, 2.0):
        process = start("--model", str(homes_run))
        time.sleep(seconds)
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode in (0, -signal.SIGTERM), errors
        assert errors == ""


@pytest.mark.slow
@pytest.mark.parametrize("language", ["", ".zh-CN"])
def test_the_commands_of_the_document(served: Served, language: str) -> None:
    text = (ROOT / "docs" / f"serving{language}.md").read_text(encoding="utf-8")
    commands = re.findall(r"^curl .*$", text, re.MULTILINE)
    assert len(commands) == 5
    for line in commands:
        at = line.replace(":8080/predict", f":{served.port}/models/boston/predict")
        at = at.replace(":8080/", f":{served.port}/")
        done = subprocess.run(["bash", "-c", at], capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0
        assert "error" not in done.stdout[:10], done.stdout
        assert "prediction" in done.stdout or "regressor_rows_total" in done.stdout
