"""Export folders made by an attacker, who seals what was changed anew: each is refused with one
ExportError, quickly, and nothing outside the folder is opened."""

from __future__ import annotations

import copy
import json
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from itertools import count
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

import infer
from errors import ExportError
from files import MOST_VALUES, digest, parse_json
from model import contract as schema
from model.folder import CONTRACT, GRAPH, ONNX, WEIGHTS, read_export
from model.graph import OPERATORS
from model.monitor import Monitor
from model.predictor import Predictor
from reader.formats import Reading
from reader.kinds import Encoder
from reader.moments import PARTS
from reader.schema import KINDS, Column, Schema
from tests.conftest import PATIENCE, SOAK, train_recipe
from trainer.build import Fit

Change = Callable[[Any], Any]
INFINITE = "an infinite number"  # JSON that Python does not write
VALUES: list[Any] = [
    *(None, True, 0, 1, 0.5, "", "text", [], ["text"], {}, {"key": 1}, [[[]]], ["a", "a"]),
    *(INFINITE, float("nan"), -1.0, 1e308, -1e308, -1, 2**63, 10**400, 10**5_000),
    *("\x00", "\ud800", "../../x", "/dev/zero", "x" * 10**5, "%" * 99),
    *([0.5] * 10**4, dict.fromkeys(map(str, range(10**3)), 0.5)),
]
"""Of another type, or extreme, at most places."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of columns of every kind, with intervals."""
    folder = tmp_path_factory.mktemp("sound")
    random = np.random.default_rng(0)
    lines = ["key,a,b,town,new,day,y"]
    for i in range(120):
        a = "" if i % 9 == 0 else f"{random.normal():.3f}"
        town, new = f"t{random.integers(5)}", ("yes", "no")[i % 2]
        day = f"2024-{1 + i // 28:02}-{1 + i % 28:02}"
        lines.append(
            f"k{i},{a},${random.normal():.2f},{town},{new},{day},{random.exponential():.3f}"
        )
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    (folder / "recipe.yaml").write_text(
        f"data: {{path: {folder / 'table.csv'}, target: y, kinds: {{b: numeric}}}}\n"
        "model: {name: mlp, hidden: [4]}\nintervals: {coverage: 0.8}\ntrain: {epochs: 1}\n"
    )
    previous = Path.cwd()
    os.chdir(folder)
    try:
        train_recipe(folder / "run", str(folder / "recipe.yaml"))
    finally:
        os.chdir(previous)
    return folder / "run" / "export"


@pytest.fixture
def export(sound: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(sound, tmp_path / "export"))


def seal(folder: Path, values: dict[str, Any], note: bool = True) -> None:
    """What an attacker does: write the contract with sums and sizes that are right."""
    if note:
        contents = {name: (folder / name).read_bytes() for name in (GRAPH, WEIGHTS)}
        values["files"] = {name: digest(content) for name, content in contents.items()}
        values["sizes"] = {name: len(content) for name, content in contents.items()}
    if "sha256" in values:
        values["sha256"] = "0" * 64
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    text = json.dumps(values).replace(json.dumps(INFINITE), "1e400").encode()
    sys.set_int_max_str_digits(limit)
    (folder / CONTRACT).write_bytes(text.replace(b"0" * 64, digest(text).encode()))


def contract_of(folder: Path) -> Any:
    return json.loads((folder / CONTRACT).read_text())


def graph_of(folder: Path) -> Any:
    return json.loads((folder / GRAPH).read_text())


def operators_of(graph: Any) -> Any:
    return graph["program"]["regions"][0]["blocks"][0]["ops"]


def places(values: Any) -> Iterator[tuple[Any, ...]]:
    """The keys that lead to each value; of a list, and of a mapping of columns, to two of them."""
    members = list(values.items()) if isinstance(values, dict) else list(enumerate(values))
    alike = isinstance(values, list) or {"a", "y"} & values.keys()
    for key, member in [*members[:1], *members[-1:]] if alike else members:
        yield (key,)
        if isinstance(member, dict | list):
            yield from ((key, *inner) for inner in places(member))


def changed(values: Any, place: tuple[Any, ...], change: Change) -> Any:
    """A copy in which the container of a value was changed."""
    values = copy.deepcopy(values)
    inner = values
    for key in place[:-1]:
        inner = inner[key]
    change(inner)
    return values


def put(key: Any, value: Any) -> Change:
    def change(container: Any) -> None:
        container[key] = value

    return change


def drop(key: Any) -> Change:
    def change(container: Any) -> None:
        del container[key]

    return change


def refused(folder: Path) -> str:
    """The message, or "" where the export is used."""
    begin = time.process_time()
    try:
        use(read_export(folder).contract)
        message = ""
    except ExportError as error:
        message = str(error)
    assert time.process_time() - begin < 2  # of work, in place of some milliseconds
    assert "\n" not in message
    return message


def use(contract: Any) -> None:
    """As infer.py does, but for the graph."""
    columns = Schema.read(contract["schema"]).features
    encoders = [Encoder(column, contract["may_be_empty"]) for column in columns]
    assert Reading(**contract["reading"]).missing is not None
    monitor = Monitor(contract)
    for far in (-1e30, 1e30):
        monitor.add(np.full((9, len(contract["features"])), far, dtype=np.float32))
    for encoder in encoders:
        monitor.count(encoder.column.name, 9, 9)
    assert list(monitor.warnings())


def runs(folder: Path) -> str:
    """The same with the graph, which then predicts."""
    if not (message := refused(folder)):
        try:
            predictor = Predictor(folder)
            assert len(predictor.predict(np.zeros((3, len(predictor.features))))) == 3
        except ExportError as error:
            return str(error)
    return message


def test_the_copy_is_sound(export: Path) -> None:
    seal(export, contract_of(export))
    assert runs(export) == ""


def test_each_key_is_missed(export: Path) -> None:
    values = contract_of(export)
    optional = {"levels", "format", "parts", "origin", "stem"}  # of some columns
    for place in places(values):
        left = changed(values, place, drop(place[-1]))
        seal(export, left, note=place[0] not in ("files", "sizes"))
        message = refused(export)
        listed = place[0] in ("versions", "statistics") or isinstance(place[-1], int)
        assert message or listed or place[-1] in optional, place


def test_no_other_key_is_taken(export: Path) -> None:
    values = contract_of(export)
    for place in [("key",), *((*place, "key") for place in places(values))]:
        try:
            more = changed(values, place, put("key", "value"))
        except TypeError:  # a list or a scalar
            continue
        seal(export, more, note=place[0] not in ("files", "sizes"))
        assert refused(export) or place[0] == "versions", place


MUTATIONS = 300 * SOAK


@pytest.mark.soak
def test_each_value_of_another_type_or_size(export: Path) -> None:
    """Anywhere in the contract: refused, or taken where it means something."""
    values = contract_of(export)
    tries = [(place, value) for place in places(values) for value in VALUES]
    taken = 0
    for at in np.random.default_rng(0).permutation(len(tries))[:MUTATIONS]:
        place, value = tries[at]
        other = changed(values, place, put(place[-1], value))
        seal(export, other, note=place[0] not in ("files", "sizes"))
        taken += not refused(export)
    assert taken < min(MUTATIONS, len(tries)) / 5


def test_parts_that_disagree(export: Path) -> None:
    """Each alone is of the right type."""
    values = contract_of(export)
    features, columns = values["features"], values["schema"]["columns"]
    disagreeing: dict[str, Callable[[Any], Any]] = {
        "features": lambda v: v["features"].pop(),
        "target": lambda v: v.update(target="a"),
        "columns": lambda v: v["schema"]["columns"].append(columns[0]),
        "kind": lambda v: v["schema"]["columns"][1].update(kind="ignored"),
        "shares": lambda v: v["shares"].pop("a"),
        "outputs": lambda v: v["outputs"].pop(),
        "statistics": lambda v: v["statistics"]["columns"].pop("y"),
        "golden.rows": lambda v: v["golden"]["rows"][0].pop(),
        "golden": lambda v: v["golden"]["predictions"].pop(),
        "codes": lambda v: v["golden"]["rows"][0].__setitem__(features.index("town"), 99.0),
        "day": lambda v: v["statistics"]["columns"]["day.elapsed"].update(maximum=1e12),
        "encoding": lambda v: v["reading"].update(encoding="no_such_encoding"),
        "level": lambda v: columns_of(v, "town")["levels"].append("t0"),
        "origin": lambda v: columns_of(v, "day").update(origin="2024-99-99"),
    }
    for name, disagree in disagreeing.items():
        other = copy.deepcopy(values)
        disagree(other)
        seal(export, other)
        assert refused(export), name


def columns_of(values: Any, name: str) -> Any:
    return next(column for column in values["schema"]["columns"] if column["name"] == name)


def test_json_that_is_none(export: Path) -> None:
    path, text = export / CONTRACT, (export / CONTRACT).read_bytes()
    empty = json.dumps({"sha256": ""}).encode() + b" " * 10**6
    for content in (
        *(b"", b"{", b"[" * 10**6, b"\xff\xfe", b"null", b"[]", b"{}", text[:-2], empty),
        *(b'{"a":' * 10**5, b"[" + b"0," * (MOST_VALUES + 1) + b"0]", b"9" * 10**6),
        text.decode().encode("utf-16"),
    ):
        path.write_bytes(content)
        assert refused(export)


def test_numbers_of_values_are_bounded() -> None:
    with pytest.raises(ValueError, match="more than"):
        parse_json(b"[" + b"0," * MOST_VALUES + b"0]")


SHAPES: dict[str, Callable[[Path, Path], Any]] = {
    "a link out": lambda path, outside: path.symlink_to(outside / path.name),
    "a link inside": lambda path, outside: path.symlink_to(path.with_name("copy")),
    "a link nowhere": lambda path, outside: path.symlink_to(outside / "nothing"),
    "zeros": lambda path, outside: path.symlink_to("/dev/zero"),
    "a pipe": lambda path, outside: os.mkfifo(path),
    "a folder": lambda path, outside: path.mkdir(),
    "20 GB": lambda path, outside: grow(path),
    "a socket": lambda path, outside: bind(path),
    "nothing": lambda path, outside: None,
    "empty": lambda path, outside: path.touch(),
}


def grow(path: Path) -> None:
    """To a size of which no byte is on the disk."""
    path.touch()
    os.truncate(path, 20 * 2**30)


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        previous = Path.cwd()
        os.chdir(path.parent)  # a name in an address is short
        listener.bind(path.name)
        os.chdir(previous)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", [CONTRACT, GRAPH, WEIGHTS])
def test_what_is_no_plain_file(
    sound: Path, export: Path, opened: list[str], shape: str, name: str
) -> None:
    (export / "copy").write_bytes((export / name).read_bytes())
    (export / name).unlink()
    SHAPES[shape](export / name, sound)
    opened.clear()
    assert str(export / name) in refused(export)
    assert not [path for path in opened if not path.startswith(str(export))]


def test_a_link_to_the_whole_folder_is_followed(export: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(export)
    assert runs(tmp_path / "link") == ""


@pytest.mark.parametrize("name", ["../../x", "/etc/hostname", "/dev/zero", "more", "", "\x00"])
def test_files_are_those_that_are_written(export: Path, opened: list[str], name: str) -> None:
    sound = contract_of(export)
    for kept in ([], [GRAPH], [GRAPH, WEIGHTS]):
        values = copy.deepcopy(sound)
        values["files"] = {key: sound["files"][key] for key in kept} | {name: digest(b"")}
        seal(export, values, note=False)
        opened.clear()
        assert "files" in refused(export)
        assert {Path(path) for path in opened} <= {export / CONTRACT}
    seal(export, sound | {"files": {}}, note=False)
    assert "files" in refused(export)


WATCHED: list[list[str]] = []


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    if WATCHED and event == "open" and isinstance(arguments[0], str | bytes):
        WATCHED[-1].append(os.fsdecode(arguments[0]))


sys.addaudithook(watch)


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The paths that Python opens while the test runs, by sys.addaudithook."""
    WATCHED.append([])
    yield WATCHED[-1]
    WATCHED.pop()


def test_nothing_else_is_opened(export: Path, opened: list[str]) -> None:
    """A prediction opens the export, and writes a copy that is its own."""
    predictor = Predictor(export)
    predictor.verify()
    private = str(Path(tempfile.gettempdir()) / "model-")
    mine = (str(export), private, sys.prefix, sys.base_prefix, "/proc/", "/sys/")
    assert [path for path in opened if not path.startswith(mine)] == []
    assert [path for path in opened if path.startswith(private)]
    assert not [path for path in opened if path.startswith(private) and Path(path).exists()]


HARMFUL = (
    *("1.read_file", "1.save_combine", "1.load_combine", "1.print", "1.py_func", "1.decode_jpeg"),
    *(
        "1.run_program",
        "1.while",
        "1.if",
        "2.if",
        "2.while",
        "3.custom",
        "pd_op.read_file",
        "",
        None,
    ),
    *(7, ["1.add"], "1.full_", "1.uniform", "1.send_v2", "builtin.module", "0.module", "1.assert"),
)


@pytest.mark.parametrize("name", HARMFUL)
def test_an_operator_that_exports_do_not_use(export: Path, name: Any) -> None:
    graph = graph_of(export)
    for operator in operators_of(graph)[-2:]:
        operator["#"] = name
    write_graph(export, graph)
    assert "operator" in refused(export)


def write_graph(folder: Path, graph: Any) -> None:
    text = graph if isinstance(graph, bytes) else json.dumps(graph).encode()
    (folder / GRAPH).write_bytes(text)
    seal(folder, contract_of(folder))


def test_no_operator_knows_files() -> None:
    words = ("read", "write", "load", "save", "file", "print", "py", "run", "while", "if", "custom")
    for name in OPERATORS:
        assert not [word for word in words if word in name.partition(".")[2].split("_")], name
        assert name[0] in "01"


OF_A_GRAPH: list[Any] = [None, -2, 0.5, "/x", [{}]]


@pytest.mark.soak
def test_each_place_of_a_graph(export: Path) -> None:
    """Whatever stands at a place of some operator of each name: refused, or Paddle runs it. Of
    several thousand such graphs, some."""
    graph = graph_of(export)
    first = {operator["#"]: at for at, operator in reversed([*enumerate(operators_of(graph))])}
    tries = [
        (("program", "regions", 0, "blocks", 0, "ops", at, *place), change)
        for at in first.values()
        for place in places(operators_of(graph)[at])
        for change in (drop(place[-1]), *(put(place[-1], value) for value in OF_A_GRAPH))
    ]
    for at in np.random.default_rng(0).permutation(len(tries))[: 100 * SOAK]:
        place, change = tries[at]
        write_graph(export, changed(graph, place, change))
        runs(export)


def test_other_operators_inside_one(export: Path) -> None:
    graph = graph_of(export)
    operators_of(graph)[-2]["regions"] = copy.deepcopy(graph["program"]["regions"])
    write_graph(export, graph)
    assert "regions" in refused(export)


@pytest.mark.parametrize("shape", [[10**12], [2**31, 2**31], [-1], [10**400], [1.5], ["1"]])
def test_a_constant_that_fills_the_memory(export: Path, shape: list[Any]) -> None:
    graph = graph_of(export)
    constant = next(o for o in operators_of(graph) if o["#"] == "1.full")
    next(a for a in constant["A"] if a["N"] == "shape")["AT"]["D"] = shape
    write_graph(export, graph)
    assert "full" in refused(export)


def test_graphs_that_are_none(export: Path) -> None:
    text = (export / GRAPH).read_bytes()
    for content in (b"", b"{}", b"[" * 10**6, text[:-1], b"null", b'{"a": NaN}', b"\xff"):
        write_graph(export, content)
        assert refused(export)
    twice = text.replace(b'"#":"1.relu"', b'"#":"1.read_file","#":"1.relu"')
    assert twice != text
    write_graph(export, twice)
    assert runs(export) == ""
    assert b"read_file" not in read_export(export).graph  # of two, the one that was checked


def test_weights_of_another_graph(export: Path) -> None:
    weights = (export / WEIGHTS).read_bytes()
    for content in (weights[:-4], weights + b"\x00", b"\x00" * len(weights), b"", weights[::-1]):
        (export / WEIGHTS).write_bytes(content)
        seal(export, contract_of(export))
        assert WEIGHTS in refused(export)


def test_weights_are_those_that_were_checked(export: Path, sound: Path) -> None:
    """They may be replaced, or go, as soon as they are read."""
    rows = np.zeros((3, len(Predictor(sound).features)))
    expected = Predictor(sound).predict(rows)
    kept = read_export(export)
    (export / WEIGHTS).write_bytes(bytes((export / WEIGHTS).stat().st_size))
    (export / GRAPH).unlink()
    np.testing.assert_array_equal(Predictor(kept).predict(rows), expected)


def other_model(export: Path, folder: Path) -> Path:
    """The same with other weights: every bias is larger."""
    shutil.copytree(export, folder)
    weights = bytearray((folder / WEIGHTS).read_bytes())
    weights[-4:] = np.float32(3).tobytes()
    (folder / WEIGHTS).write_bytes(weights)
    seal(folder, contract_of(folder))
    return folder


def test_a_folder_that_is_replaced_meanwhile(export: Path, tmp_path: Path) -> None:
    """Each reading gives one model or the other whole, or one message."""
    other = other_model(export, tmp_path / "other")
    rows = np.full((2, len(read_export(export).contract["features"])), 1.0)
    known = {read_export(path).sha256: Predictor(path).predict(rows) for path in (export, other)}
    assert len(known) == 2
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            export.rename(tmp_path / "old")
            other.rename(export)
            (tmp_path / "old").rename(other)

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen, begun = set[str](), time.monotonic()
    try:
        for turn in count():
            if turn >= 30 and (seen == known.keys() or time.monotonic() > begun + PATIENCE):
                break
            try:
                found = read_export(export)
            except ExportError:
                continue
            seen.add(found.sha256)
            if turn % 10 == 0:
                np.testing.assert_array_equal(Predictor(found).predict(rows), known[found.sha256])
    finally:
        stop.set()
        swapper.join()
    assert seen == known.keys()


def test_a_model_that_is_expected(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = read_export(export).sha256
    assert Predictor(export, expect=known.upper()).contract
    with pytest.raises(ExportError, match="another model than expected"):
        Predictor(export, expect="0" * 64)
    command = ["--model", str(export), "--verify", "--expect"]
    assert infer.main([*command, known]) == 0
    capsys.readouterr()
    assert infer.main([*command, known[::-1]]) == 2
    assert capsys.readouterr().err.startswith(f"error: {export / CONTRACT}: another model")
    with pytest.raises(SystemExit, match="2"):
        infer.main([*command, "abc"])


def test_one_line_at_the_command(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = contract_of(export)
    for change in (drop("golden"), put("\x1b[2J\nerror: b", 1)):
        seal(export, changed(values, ("features",), change))
        assert infer.main(["--model", str(export), "--input", "data/boston/housing.data"]) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("error: ")
        assert captured.err.count("\n") == 1
        assert "\x1b" not in captured.err


def test_the_contract_says_what_the_reader_knows() -> None:
    assert set(get_type_hints(schema.Column)) == {field.name for field in fields(Column)}
    assert set(get_type_hints(schema.Reading)) == {field.name for field in fields(Reading)}
    assert get_args(schema.Part) == PARTS
    kinds = get_args(get_type_hints(schema.Column)["kind"])
    assert set(kinds) == {*KINDS, "target"}
    assert set(get_type_hints(schema.Files)) == {GRAPH, WEIGHTS, ONNX}


RECIPES = (
    ["model.name=linear", "loss.name=huber", "data.categories.one_hot=0"],
    ["model.name=linear", "data.scale.features=standard", "data.scale.target=log1p"],
    ["model.hidden=[4]", "model.activation=tanh", "data.missing.indicator=true"],
    ["model.hidden=[4]", "model.activation=sigmoid", "data.categories.one_hot=0"],
    ["model.name=resnet", "model.normalization=batch", "data.scale.target=log1p"],
    ["model.name=resnet", "model.normalization=layer", "intervals.coverage=null"],
    ["model.name=realmlp", "model.hidden=[4]", "model.members=2", "model.activation=mish"],
    ["model.name=realmlp", "model.hidden=[4]", "model.members=1", "data.scale.features=robust"],
    ["model.name=tabm", "model.hidden=[4]", "model.members=2"],
    ["model.name=additive", "model.beyond=line"],
)


@pytest.mark.slow
def test_each_operator_of_the_list_is_used(
    sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That exports use no other is checked with every export."""
    table, recipe = sound.parent.parent / "table.csv", tmp_path / "recipe.yaml"
    used = {operator["#"] for operator in operators_of(graph_of(sound))}
    for turn, overrides in enumerate((*RECIPES, ["model.name=additive"])):
        if turn == 0:
            monkeypatch.setattr(Fit, "fused", lambda fit: None)  # a line has its longer form then
        if turn == len(RECIPES):
            monkeypatch.undo()
        model = "" if overrides[0].startswith("model.name") else "model: {name: mlp}\n"
        recipe.write_text(
            f"data: {{path: {table}, target: y}}\n"
            f"{model}intervals: {{coverage: 0.8}}\ntrain: {{epochs: 1}}\n"
        )
        train_recipe(tmp_path / f"run{turn}", str(recipe), overrides)
        graph = graph_of(tmp_path / f"run{turn}" / "export")
        used |= {operator["#"] for operator in operators_of(graph)}
    assert OPERATORS.keys() == used - {"p"}
