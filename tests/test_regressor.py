"""`Regressor` in Python: the same course as train.py, and scikit-learn's protocol."""

from __future__ import annotations

import copy
import html
import io
import json
import os
import pickle
import re
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import polars as pl
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from numpy.typing import NDArray
from playwright.sync_api import Browser

import train
from errors import ConfigError, ExportError, NotFittedError, RunError, TableError, UserError
from model.folder import CONTRACT, GRAPH, WEIGHTS
from model.onnx_predictor import OnnxPredictor
from model.predictor import Predictor
from regressor import Regressor
from report.page import page
from report.report import Report
from tests.conftest import PATIENCE, ROOT, command, free_ports

EVERY_ROW: dict[str, Any] = {"split": {"train": 1}}
REFUSED = {
    "check_do_not_raise_errors_in_init_or_set_params": "a section that there is not is refused at "
    "once, with the one that was meant",
}


def line(rows: int = 200) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    random = np.random.default_rng(0)
    x = random.normal(size=(rows, 4))
    return x, x @ [1.0, -2.0, 0.0, 3.0] + 5 + random.normal(size=rows)


@pytest.fixture(scope="module")
def fitted() -> Regressor:
    """A network with intervals, on an array."""
    return Regressor("mlp", train={"epochs": 2}, intervals={"coverage": 0.8}).fit(*line())


def tolerance(regressor: Regressor) -> float:
    contract = json.loads(regressor.__getstate__()["files"][CONTRACT])
    return float(contract["parity"]["tolerance"])


def contents(folder: Path) -> list[Any]:
    """An export without what counts the layers that its process has made, and without sums."""
    contract = json.loads((folder / CONTRACT).read_bytes())
    for name in ("files", "sizes", "sha256"):
        del contract[name]
    graph = re.sub(rb"_\d+/", b"/", (folder / GRAPH).read_bytes())
    return [contract, graph, (folder / WEIGHTS).read_bytes()]


def test_a_line_on_all_rows_is_least_squares() -> None:
    x, y = line()
    found = Regressor(data=EVERY_ROW).fit(x, y)
    beside = np.column_stack([x, np.ones(len(x))])
    expected = beside @ np.linalg.lstsq(beside, y, rcond=None)[0]
    np.testing.assert_allclose(found.predict(x), expected, atol=1e-4 * y.std())
    r2 = 1 - np.square(y - expected).sum() / np.square(y - y.mean()).sum()
    assert found.score(x, y) == pytest.approx(r2, abs=1e-5)
    linear_model = pytest.importorskip("sklearn.linear_model")
    peer = linear_model.LinearRegression().fit(x, y)
    np.testing.assert_allclose(found.predict(x), peer.predict(x), atol=1e-4 * y.std())


@pytest.mark.parametrize(
    "keys",
    [{}, {"model": "mlp", "train": {"epochs": 3, "refit": True}, "data": {"split": {"folds": 2}}}],
    ids=["line", "network"],
)
def test_the_export_is_that_of_train_py(tmp_path: Path, keys: dict[str, Any]) -> None:
    """The same course: the same graph, weights and contract, and the same figures."""
    x, y = line(120)
    table = tmp_path / "t.csv"
    pl.DataFrame({**{f"x{i}": x[:, i] for i in range(4)}, "y": y}).write_csv(table)
    recipe = tmp_path / "t.json"
    values = {"data": {"path": str(table), "target": "y", **keys.get("data", {})}}
    named = {"model": {"name": keys.get("model", "linear")}, "train": keys.get("train", {})}
    recipe.write_text(json.dumps(values | named))
    run = tmp_path / "run"
    assert train.main(["-c", str(recipe), "-q", "-o", f"run.dir={run}"]) == 0
    found = Regressor(**keys).fit(table, "y")
    found.save(tmp_path / "saved")
    assert contents(tmp_path / "saved") == contents(run / "export")
    there = Report.read(run)
    for of in ("metrics", "history", "best", "folds", "findings", "optimum", "worst", "parity"):
        assert getattr(found.report, of) == getattr(there, of), of
    loaded = Regressor.load(run)
    assert loaded.report == there
    assert loaded.get_params()["model"]["name"] == keys.get("model", "linear")
    frame = pl.read_csv(table)
    by_name = loaded.predict(frame.select(reversed(frame.columns)))
    np.testing.assert_array_equal(by_name, Predictor(run).predict(frame))
    np.testing.assert_array_equal(by_name, loaded.predict(table))
    assert loaded.score(frame) == loaded.score(table) == loaded.score(x, y)


def rows_of_every_kind() -> dict[str, list[Any]]:
    from datetime import datetime, timedelta

    random = np.random.default_rng(0)
    some = random.normal(size=120).round(3)
    return {
        "count": [None if i % 11 == 0 else i % 7 for i in range(120)],
        "area": [None if i % 9 == 0 else float(some[i]) for i in range(120)],
        "town": [("north", "south", "west")[i % 3] for i in range(120)],
        "note": [("a b", None, '"')[i % 3] for i in range(120)],
        "new": [None if i % 13 == 0 else i % 2 == 0 for i in range(120)],
        "sold": [
            datetime(2020, 1, 1) + timedelta(days=int(9 * i), hours=i % 5) for i in range(120)
        ],
        "price": [float(some[i] + i % 3 + i % 7) for i in range(120)],
    }


def in_pandas(columns: dict[str, list[Any]]) -> Any:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(columns)
    return frame.astype(
        {
            "count": "Int64",
            "town": "category",
            "note": "object",
            "new": "boolean",
            "sold": "datetime64[us]",
        }
    )


def in_arrow(columns: dict[str, list[Any]]) -> Any:
    return pytest.importorskip("pyarrow").table(columns)


@pytest.mark.parametrize("model", ["linear", pytest.param("mlp", marks=pytest.mark.slow)])
def test_frames_and_their_file_train_to_the_same_bits(tmp_path: Path, model: str) -> None:
    columns = rows_of_every_kind()
    path = tmp_path / "t.csv"
    pl.DataFrame(columns).write_csv(path, datetime_format="%Y-%m-%d %H:%M:%S")
    keys: dict[str, Any] = {"model": model, "train": {"epochs": 2}}
    expected = Regressor(**keys).fit(path, "price")
    predictions = expected.predict(path)
    assert predictions.std() > 0
    weights = expected.__getstate__()["files"][WEIGHTS]
    kinds = expected.__getstate__()["files"][CONTRACT].count(b'"kind": "time"')
    assert kinds == 1
    for made in (in_pandas, pl.DataFrame, in_arrow, dict):
        frame: Any = made(columns)
        found = Regressor(**keys).fit(frame, "price")
        np.testing.assert_array_equal(found.predict(frame), predictions)
        np.testing.assert_array_equal(found.predict(path), predictions)
        assert found.__getstate__()["files"][WEIGHTS] == weights, made
    frame = in_pandas(columns)
    apart = Regressor(**keys).fit(frame.drop(columns="price"), frame["price"])
    np.testing.assert_array_equal(apart.predict(frame), predictions)
    assert apart.feature_names_in_.tolist() == [name for name in columns if name != "price"]


def test_arrays_of_any_type() -> None:
    x, y = line(60)
    x = x.round(1)
    expected = Regressor(data=EVERY_ROW).fit(x, y)
    assert expected.n_features_in_ == 4
    assert not hasattr(expected, "feature_names_in_")
    made: tuple[Callable[[Any], Any], ...] = (np.asfortranarray, np.ndarray.tolist, pl.DataFrame)
    for each in made:
        found = Regressor(data=EVERY_ROW).fit(each(x), y.tolist())
        np.testing.assert_array_equal(found.predict(each(x)), expected.predict(x))
    of_float32 = Regressor(data=EVERY_ROW).fit(x.astype(np.float32), y.astype(np.float32))
    np.testing.assert_allclose(of_float32.predict(x), expected.predict(x), rtol=1e-4, atol=1e-4)
    whole = (10 * x).astype(int)
    assert Regressor().fit(whole, whole[:, 0]).predict(whole).shape == (60,)


def test_saved_and_loaded(tmp_path: Path, fitted: Regressor) -> None:
    x, _ = line()
    before, ends = fitted.predict(x), fitted.predict_interval(x)
    fitted.save(tmp_path / "m")
    assert {path.name for path in (tmp_path / "m").iterdir()} == {CONTRACT, GRAPH, WEIGHTS}
    loaded = Regressor.load(tmp_path / "m", expect=fitted.report.export_sha256)
    allowed = tolerance(fitted)
    np.testing.assert_allclose(loaded.predict(x), before, rtol=0, atol=allowed)
    np.testing.assert_allclose(loaded.predict_interval(x), ends, rtol=0, atol=allowed)
    np.testing.assert_array_equal(fitted.predict(x), before)  # an export changes nothing
    assert (ends[:, 0] <= before).all()
    assert (before <= ends[:, 1]).all()
    assert loaded.n_features_in_ == 4
    with pytest.raises(RunError, match="holds no report"):
        _ = loaded.report
    with pytest.raises(RunError, match="exists; save"):
        loaded.save(tmp_path / "m")
    loaded.save(tmp_path / "m", overwrite=True)
    (tmp_path / "mine").mkdir()
    for overwrite in (False, True):
        with pytest.raises(RunError, match="is not an export"):
            loaded.save(tmp_path / "mine", overwrite)
    with pytest.raises(ExportError, match="another model"):
        Regressor.load(tmp_path / "m", expect="0" * 64)
    assert Predictor(tmp_path / "m").verify()[0]


def test_an_onnx_model_goes_along(tmp_path: Path) -> None:
    x, y = line()
    fitted = Regressor(export={"onnx": True}).fit(x, y)
    fitted.save(tmp_path / "m")
    rows = x.astype(np.float32)
    expected = OnnxPredictor(tmp_path / "m").predict(rows)
    for other in (Regressor.load(tmp_path / "m"), sent(fitted)):
        other.save(folder := tmp_path / f"of {id(other)}")
        np.testing.assert_array_equal(OnnxPredictor(folder).predict(rows), expected)
    np.testing.assert_allclose(expected, fitted.predict(x), rtol=0, atol=tolerance(fitted))


def sent(regressor: Regressor) -> Regressor:
    """As another process receives it."""
    return pickle.loads(pickle.dumps(regressor))  # noqa: S301, of our own making


def test_a_copy_is_plain_bytes_that_are_checked(fitted: Regressor) -> None:
    x, _ = line()
    state = fitted.__getstate__()
    assert set(state) == {"parameters", "files", "report", "is_named"}
    assert {type(content) for content in state["files"].values()} == {bytes}
    for other in (sent(fitted), copy.deepcopy(fitted)):
        np.testing.assert_allclose(
            other.predict(x), fitted.predict(x), rtol=0, atol=tolerance(fitted)
        )
        assert other.report == fitted.report
        assert other.get_params() == fitted.get_params()
    for name in (CONTRACT, GRAPH, WEIGHTS):
        content = bytearray(state["files"][name])
        content[len(content) // 2] ^= 1
        with pytest.raises(ExportError, match="the model, "):
            Regressor().__setstate__({**state, "files": {**state["files"], name: bytes(content)}})
    assert sent(Regressor("mlp")).get_params()["model"] == "mlp"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"epochs": 3}, "epochs: no such key; did you mean train.epochs?"),
        ({"train": {"epoch": 3}}, "train.epoch: no such key; did you mean train.epochs?"),
        ({"train__lr": 3}, "train.lr: no such key; did you mean optimizer.learning_rate?"),
        ({"model": "rilmlp"}, "did you mean realmlp?"),
        ({"model": {"name": "mlp", "members": 0}}, "model.members: found 0, expected at least 1"),
        ({"data": {"path": "t.csv"}}, "data.path: X is the table"),
        ({"data": {"columns": ["a", "b"]}}, "data.columns: is for tables in files"),
        ({"data": {"target": "z"}}, "data.target: found z, and the target given to fit is y"),
        ({"run": {"dir": "r"}}, "run: nothing is written"),
        ({"checkpoint": {"keep": 1}}, "checkpoint: nothing is written"),
        (
            {"data__split": {"method": "files", "test_path": "t.csv"}},
            "files needs X to be the path",
        ),
    ],
)
def test_keys_that_are_wrong(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Regressor(**keys).fit(*line(20))
    assert words in str(caught.value)


X, Y = line(20)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X, Y[:5], "X has 20 rows, and y has 5"),
        (X, None, "the target y is None"),
        (X[0], Y, "Reshape your data"),
        (X, "y", "y='y': X has no such column"),
        ({"area": Y}, "are", "did you mean 'area'?"),
        (X, np.append(np.nan, Y[1:]), "row 1, column y (data.target): found an empty cell"),
        (X, [*Y[1:], np.inf], "row 20, column y: found 'inf'"),
        (X, np.column_stack([Y, Y]), "y should be a 1d array"),
        ("no.csv", "y", "no.csv: No such file or directory in the working directory"),
        ("no.csv", Y, "y is of type ndarray; expected y to be the name of a column"),
        (X[:1], Y[:1], "found 1 sample"),
        (X[:5], Y[:5], "data.split.validation=0"),
        (np.ones((20, 0)), Y, "0 feature(s)"),
        (X + 1j, Y, "Complex data not supported"),
        ([[1, 2], [3]], [1, 2], "rows of several lengths"),
        ({"a": 3}, Y, "column a: found 3 (int), expected a list of cells"),
        (pl.DataFrame({"y": Y}), pl.Series("y", Y), "the answer itself?"),
    ],
)
def test_rows_that_are_wrong(x: Any, y: Any, words: str) -> None:
    with pytest.raises(TableError if not isinstance(x, str) else UserError) as caught:
        Regressor().fit(x, y)
    assert words in str(caught.value)


def test_what_a_fitted_one_does_not_take(fitted: Regressor) -> None:
    with pytest.raises(TableError, match="X has 3 features, but Regressor is expecting 4"):
        fitted.predict(X[:, 1:])
    with pytest.raises(TableError, match="no column x1, x2, x3; found x0"):
        fitted.predict({"x0": [1.0]})
    plain = Regressor().fit(X, Y)
    with pytest.raises(RunError, match=r"intervals\.coverage was not set"):
        plain.predict_interval(X)
    with pytest.raises(TableError, match="row 2, column y: found an empty cell"):
        plain.score(X, [1.0, None, *Y[2:]])
    assert np.isnan(plain.score(X, np.ones(20)))
    for ask in ("predict", "score", "predict_interval"):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            getattr(Regressor(), ask)(X)
    with pytest.raises(AttributeError):
        _ = Regressor().report


def test_parameters() -> None:
    given = Regressor("mlp", train__epochs=3, data={"kinds": {"a__b": "id"}}, progress=True)
    assert given.get_params(deep=False)["train"] == {"epochs": 3}
    deep = given.get_params()
    assert deep["train__epochs"] == 3
    assert deep["data__kinds"] == {"a__b": "id"}
    assert "data__kinds__a__b" not in deep
    assert Regressor(**deep).get_params() == deep
    before = given.train
    given.set_params(model__hidden=[8], train__epochs=4, data__split__seed=1)
    assert given.model == {"name": "mlp", "hidden": [8]}
    assert (before, given.train) == ({"epochs": 3}, {"epochs": 4})
    assert given.data == {"kinds": {"a__b": "id"}, "split": {"seed": 1}}
    assert eval(repr(given)).get_params() == given.get_params()  # noqa: S307, of our own making
    x, y = line(30)
    of_numpy = Regressor(data=EVERY_ROW, train={"epochs": np.int64(2)}, model={"name": "linear"})
    assert of_numpy.fit(x, y).report.config["train"]["epochs"] == 2


def test_nothing_is_written_and_nothing_else_imported(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "heard = []\n"
        "signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))\n"
        "import numpy as np\n"
        "from regressor import Regressor\n"
        "assert 'paddle' not in sys.modules\n"
        "x = np.random.default_rng(0).normal(size=(60, 3))\n"
        "np.savetxt('t.csv', x, delimiter=',', header='a,b,c', comments='')\n"
        "Regressor().fit('t.csv', 'c').predict('t.csv')\n"
        "found = Regressor().fit(x[:, :2], x[:, 2])\n"
        "found.predict(x[:, :2])\n"
        "found.report._repr_html_()\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "assert heard == [signal.SIGTERM]\n"
        "late = {'visualdl', 'sklearn', 'tqdm.auto', 'pandas', 'matplotlib', 'pyarrow'}\n"
        "print(late & {*sys.modules})\n"
        "print(os.listdir())\n"
    )
    done = command("-c", script, cwd=tmp_path, env=os.environ | {"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["set()", "['t.csv']"]
    assert done.stderr == ""


def test_packed_rows_go_to_the_disk_where_the_recipe_says_so(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    x, y = line(40)
    pl.DataFrame({"a": x[:, 0], "b": x[:, 1], "price": y}).write_csv(path)
    cache = {"cache": str(tmp_path / "cache"), "memory_limit": 0, "target": "price"}
    found = Regressor(data=cache).fit(path)
    assert len(list((tmp_path / "cache").iterdir())) == 2
    np.testing.assert_array_equal(found.predict(path), Regressor().fit(path, "price").predict(path))


def test_a_small_line_is_fast() -> None:
    """Beside a million steps of Python, which some 60 ms are enough for, as for it."""
    x, y = line(500)

    def seconds(work: Callable[[], object]) -> float:
        clock = time.process_time()
        work()
        return time.process_time() - clock

    steps = [seconds(lambda: sum(i * i for i in range(1_000_000))) for _ in range(3)]
    assert min(seconds(lambda: Regressor().fit(x, y)) for _ in range(4)) < 5 * max(steps)


def test_threads_take_turns(fitted: Regressor) -> None:
    from threadpoolctl import threadpool_info

    x, y = line(60)
    before = [pool["num_threads"] for pool in threadpool_info()]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: Regressor().fit(x, y).predict(x), range(4)))
        again = list(pool.map(lambda _: fitted.predict(x), range(4)))
    assert all((each == found[0]).all() for each in found)
    assert all((each == again[0]).all() for each in again)
    assert [pool["num_threads"] for pool in threadpool_info()][: len(before)] == before
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm")
    shown = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", shown)
        Regressor("mlp", train={"epochs": 3}, progress=True).fit(*line(40))
    assert "3/3" in shown.getvalue()
    assert "validation RMSE" in shown.getvalue()
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(RunError, match="pip install tqdm"):
        Regressor(progress=True).fit(X, Y)


def test_the_report_draws_itself_in_a_frame(fitted: Regressor) -> None:
    shown = fitted.report._repr_html_()
    before, _, rest = shown.partition('srcdoc="')
    inside, _, after = rest.partition('"')
    assert before == "<iframe "
    assert html.unescape(inside) == page(fitted.report)
    assert "<" not in inside
    assert after.endswith("></iframe>")
    assert after.count("<") == 1
    assert "allow-same-origin" not in after
    assert fitted.report.data.path == "the table"
    assert fitted.report.metrics["test"].rows > 0


@pytest.mark.slow
def test_the_frame_in_a_browser(fitted: Regressor, browser: Browser) -> None:
    document, told = browser.new_page(), list[str]()
    document.on("console", lambda message: told.append(message.text))
    document.on("pageerror", lambda error: told.append(str(error)))
    document.set_content(fitted.report._repr_html_())
    inside = document.frame_locator("iframe")
    assert inside.locator("h1").first.inner_text() == "y"
    inside.locator("label[for=show-zh]").click()
    assert inside.locator("html").get_attribute("lang") == "zh"
    assert told == []
    document.close()


@pytest.mark.slow
def test_check_estimator() -> None:
    checks = pytest.importorskip("sklearn.utils.estimator_checks")
    with pytest.warns(UserWarning, match="does not inherit"):
        found = checks.check_estimator(Regressor(), expected_failed_checks=REFUSED, on_skip=None)
    status = {each["check_name"]: each["status"] for each in found}
    assert {name for name, told in status.items() if told == "xfail"} == set(REFUSED)
    assert "check_regressors_train" in status


def test_scikit_learn_takes_it() -> None:
    pytest.importorskip("sklearn")
    from sklearn.base import clone, is_regressor
    from sklearn.exceptions import NotFittedError as TheirError
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = line(60)
    first = Regressor(data=EVERY_ROW, train={"epochs": 1})
    assert is_regressor(first)
    assert clone(first).get_params() == first.get_params()
    grid = {"train__epochs": np.arange(1, 3), "model": ["linear", "additive"]}
    search = GridSearchCV(first, grid, cv=2, error_score="raise").fit(x, y)
    assert search.best_params_["model"] == "linear"
    assert search.best_estimator_.score(x, y) > 0.9
    steps = make_pipeline(StandardScaler(), first)
    assert cross_val_score(steps, x, y, cv=2, error_score="raise").min() > 0.8
    assert "Regressor" in steps._repr_html_()
    with pytest.raises(TheirError):
        first.predict(x)
    with pytest.raises(UserError):
        first.predict(x)


def in_docs(language: str) -> Any:
    text = (ROOT / "docs" / f"notebook{language}.ipynb").read_text(encoding="utf-8")
    return nbformat.reads(text, as_version=4)


@pytest.mark.slow
def test_the_notebook() -> None:
    pytest.importorskip("ipykernel")
    pytest.importorskip("pandas")
    notebook = in_docs("")  # the Chinese one has the same code
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)  # see docs/predicting.md
    names = ("shell", "iopub", "stdin", "hb", "control")
    kernel_ports = dict(zip([f"{name}_port" for name in names], free_ports(5), strict=True))
    NotebookClient(
        notebook,
        km=AsyncKernelManager(kernel_name="python3", cache_ports=False, **kernel_ports),
        timeout=PATIENCE,
        startup_timeout=PATIENCE,
        resources={"metadata": {"path": ROOT / "docs"}},
    ).execute()
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type in ("error",)]
    assert not [each for each in outputs if each.get("name") == "stderr"]
    assert any("text/html" in output.get("data", {}) for output in outputs)


def test_the_notebooks_have_the_same_code() -> None:
    one, other = (
        [cell.source for cell in in_docs(language).cells if cell.cell_type == "code"]
        for language in ("", ".zh-CN")
    )
    strip = [
        [
            "".join(line.partition("#")[0].rstrip() for line in source.splitlines())
            for source in all_
        ]
        for all_ in (one, other)
    ]
    assert strip[0] == strip[1]
