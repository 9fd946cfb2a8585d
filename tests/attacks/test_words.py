"""Names, cells, paths and keys that would act: nowhere do they, and each message stays one."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unicodedata import category

import numpy as np
import polars as pl
import pytest

import infer
import train
from configs.yaml_text import parse
from output import output_of
from report import compare
from trainer.progress import Progress

ACTS = "\x1b[31m\x9b2J\x1b]0;t\x07\b\b\r\nerror: gone\u202e\u2067\u200f\u200b\ufeff\x7f\x85\u2028"
"""What a path may hold, too; each name below goes on behind it."""
LONG = "x" * 5_000
Main = Callable[[Sequence[str]], int]
Case = Callable[[Path], tuple[Main, list[str]]]


def hostile(name: str) -> str:
    return f"{name}{ACTS}{name}"


def acting(text: str) -> list[str]:
    """The characters of a text that control something, turn its direction or are not seen."""
    kinds = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return sorted({hex(ord(c)) for c in text if c != "\n" and category(c) in kinds})


def ran(main: Main, arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> Any:
    """(exit code, what was said): nothing of it acts, and an error is one message."""
    try:
        code = main(arguments)
    except SystemExit as end:
        code = int(str(end.code))
    said = capsys.readouterr()
    assert acting(said.out) == []
    assert acting(said.err) == []
    assert not said.out.startswith("error: ")
    lines = said.err.splitlines()
    if code == 2:
        assert lines[0].startswith("error: ")
        assert all(line.startswith("  ") for line in lines[1:])
    else:
        assert not any(line.startswith("error") for line in lines)
    assert max(map(len, lines), default=0) < 3_000
    return code, said


def table(folder: Path, text: str, name: str = "table.csv") -> list[str]:
    """A table of this text, and the options that name it."""
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    return ["--data", str(path), "--target", "y", "-o", f"run.dir={folder / 'run'}"]


def recipe(folder: Path, text: str) -> list[str]:
    path = folder / hostile("r")
    path.write_text(text, encoding="utf-8", newline="")
    return ["-c", str(path)]


def in_json(text: str) -> str:
    return json.dumps(text)


def rows(*lines: str) -> str:
    return "\n".join(lines) + "\n"


def cells(*lines: Sequence[object]) -> str:
    """Lines of CSV, quoted where that is needed."""
    return rows(*(",".join(f'"{cell!s}"' for cell in line) for line in lines))


NAME = hostile("a").replace("\r\n", " ")  # as a header of text gives it
GOOD = [(i, i % 3, i * 2) for i in range(40)]
PLAIN = cells(("a", "b", "y"), *GOOD)
OPTIONS = [
    ["--data", hostile("none.csv"), "--target", "y"],
    ["-c", hostile("none.yaml")],
    ["-c", LONG],
    ["-o", hostile("word")],
    ["-o", f"{hostile('key')}=1"],
    ["-o", f"train.{hostile('key')}=1"],
    [f"--{hostile('epochs')}"],
    [f"--{hostile('epochs')}=3"],
    ["--epochs", hostile("3")],
    [hostile("table.csv")],
    [f"{hostile('a')}=b"],
    ["--help-keys", hostile("section")],
    ["--device", hostile("cuda")],
    ["--on", hostile("b"), LONG],
]
VALUES = {
    "train.epochs": hostile("3"),
    "model.name": hostile("mlp"),
    "model.hidden": f"[{in_json(hostile('3'))}]",
    "data.target": hostile("z"),
    "data.exclude": f"[{in_json(hostile('z'))}]",
    "data.kinds": f"{{{in_json(hostile('z'))}: id}}",
    "data.columns": f"[{in_json(hostile('z'))}, {in_json(hostile('z'))}]",
    "data.encoding": hostile("gbk"),
    "data.separator": hostile(";"),
    "data.format": hostile("csv"),
    "data.time_format": f"{{b: {in_json(hostile('%Y'))}}}",
    "data.split.column": hostile("b"),
    "data.split.method": hostile("time"),
    "data.missing.numeric": hostile("mean"),
    "loss.name": f"{{{hostile('a')}: 1",
    "data.path": hostile("none"),
    "run.dir": f"LICENSE/{hostile('run')}",
    "train.device": hostile("gpu:x"),
    "train.precision": hostile("float16"),
}
RECIPES = {
    "no mapping": f"[{hostile('a')}]",
    "text": in_json(hostile("a")),
    "no key": f"{in_json(hostile('a'))}: 1\ntrain: {{{in_json(hostile('b'))}: 2}}",
    "a key twice": f"{in_json(hostile('a'))}: 1\n{in_json(hostile('a'))}: 2\n",
    "no YAML": f"data: [\u202e{LONG}\u2028\nb: }}",
    "control character": f"data: {hostile('a')}",
    "no path": f"data: {{path: {in_json(hostile('t'))}, target: y}}",
    "value": f"data: {{path: LICENSE, target: [{in_json(hostile('t'))}]}}",
    "long": f"data: {{path: LICENSE, target: [{LONG}, {LONG}]}}",
    "tag": f"data: !{hostile('a')} b",
    "alias": f"data: *{hostile('a')}",
}
TABLES = {
    "empty": "",
    "header alone": cells((NAME, "y")),
    "wrong cell": cells((NAME, "y"), *GOOD[:30], (hostile("six"), 3)).replace(",2,", ","),
    "long cell": cells((NAME, "y"), *((i, i) for i in range(9)), (LONG, 3)),
    "wrong target": cells((NAME, "y"), *((i, i) for i in range(9)), (1, hostile("six"))),
    "ragged": cells((NAME, NAME + "b", "y"), *GOOD, (hostile("x"), 2)),
    "name twice": cells((NAME, NAME, "y"), *GOOD),
    "no name": cells((NAME, " ", "y"), *GOOD),
    "no target": cells((NAME, NAME + "2"), (1, 2)),
    "target empty": cells((NAME, "y"), *((i, i) for i in range(9)), (1, "")),
    "no feature": cells((NAME, "y"), *((hostile(f"l{i}"), i) for i in range(60))),
    "constant target": cells((NAME, "y"), *((i, 5) for i in range(60))),
    "quote": rows(f'"{NAME}",y', '"open,1', "2,3"),
    "too coarse": cells((NAME, "y"), *((f"100000000{i:02}.5", i) for i in range(60))),
}
JSON_LINES = {
    "broken": in_json("a") + "{" + hostile("b"),
    "no object": in_json(hostile("a")),
    "nested": json.dumps({hostile("a"): {"b": 1}, "y": 1}) + "\n",
    "half a character": '{"a\\ud800": 1, "y": 2}\n' * 30,
    "cell of half a character": '{"a": "\\ud800", "y": 2}\n' * 30,
}


@pytest.mark.parametrize("options", OPTIONS, ids=range(len(OPTIONS)))
def test_arguments(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    given = options if "--data" in options or "-c" in options else ["-c", "configs/boston.yaml"]
    assert ran(train.main, [*given, *options], capsys)[0] == 2


@pytest.mark.parametrize("key", VALUES)
def test_values(key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {"run.dir": str(tmp_path / "run")} | {key: VALUES[key]}
    options = [word for name, value in values.items() for word in ("-o", f"{name}={value}")]
    assert ran(train.main, ["-c", "configs/boston.yaml", *options], capsys)[0] == 2


@pytest.mark.parametrize("kind", RECIPES)
def test_recipes(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(train.main, recipe(tmp_path, RECIPES[kind]), capsys)[0] == 2


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_text(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = table(tmp_path, TABLES[kind], hostile("table.csv"))
    assert ran(train.main, given, capsys)[0] == 2


@pytest.mark.parametrize("kind", JSON_LINES)
def test_tables_of_json(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = table(tmp_path, JSON_LINES[kind], hostile("t") + ".jsonl")
    assert ran(train.main, given, capsys)[0] == 2


def typed(folder: Path, **columns: Sequence[Any]) -> list[str]:
    path = folder / f"{hostile('t')}.parquet"
    pl.DataFrame({hostile(name): cells for name, cells in columns.items()}).write_parquet(path)
    return ["--data", str(path), "--target", hostile("y"), "-o", f"run.dir={folder / 'run'}"]


TYPED: dict[str, dict[str, Sequence[Any]]] = {
    "nested": {"a": [[1], [2]], "y": [1, 2]},
    "infinite": {"a": [1.0, float("inf")] * 20, "y": range(40)},
    "hole in the target": {"a": range(40), "y": [None, *range(39)]},
    "texts in the target": {"a": range(40), "y": [hostile("z")] * 40},
    "no feature": {"id": range(40), "y": range(40)},
    "NUL": {"a\0": [hostile("\0"), *range(39)], "y": [f"\0{ACTS}"] * 40},
}
SPLITS = {
    "column": "it names a part",
    "time": "it is a time",
    "group": "one group",
}


@pytest.mark.parametrize("kind", TYPED)
def test_tables_with_types(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = {name: [*map(str, v)] if kind == "NUL" else v for name, v in TYPED[kind].items()}
    assert ran(train.main, typed(tmp_path, **columns), capsys)[0] == 2


@pytest.mark.parametrize("method", SPLITS)
def test_columns_that_divide(
    method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = typed(tmp_path, a=range(40), s=[hostile("l")] * 40, y=range(40))
    asked = [f"data.split.method={method}", f"data.split.column={hostile('s')}"]
    assert ran(train.main, [*given, "-o", asked[0], "-o", asked[1]], capsys)[0] == 2
    given = typed(tmp_path, a=range(40), s=[None, *[hostile("l")] * 39], y=range(40))
    assert ran(train.main, [*given, "-o", asked[0], "-o", asked[1]], capsys)[0] == 2


def test_kinds_that_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = typed(tmp_path, a=[hostile("3 kg"), hostile("3 g")] * 20, y=range(40))
    for kind in ("numeric", "time", "boolean"):
        key = f"data.kinds={{{in_json(hostile('a'))}: {kind}}}"
        assert ran(train.main, [*given, "-o", key], capsys)[0] == 2


def test_files_of_an_archive(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"{hostile('t')}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("a", "b", LONG):
            archive.writestr(hostile(name) + ".csv", "a,y\n1,2\n")
    assert ran(train.main, ["--data", str(path), "--target", "y"], capsys)[0] == 2


def test_files_of_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / hostile("t")
    folder.mkdir()
    (folder / hostile("a.csv")).write_text(cells((NAME, "y"), *GOOD))
    (folder / hostile("b.csv")).write_text(cells((NAME + "b", "y"), *GOOD))
    (folder / hostile("note")).write_text(ACTS)
    assert ran(train.main, ["--data", str(folder), "--target", "y"], capsys)[0] == 2


def test_sheets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    xlsxwriter = pytest.importorskip("xlsxwriter")
    path = tmp_path / f"{hostile('t')}.xlsx"
    with xlsxwriter.Workbook(path) as book:
        for name in ("a\u202eb", "c\u200bd"):
            book.add_worksheet(name).write_row(0, 0, ["a", "y"])
    assert ran(train.main, ["--data", str(path), "--target", "y"], capsys)[0] == 2
    asked = f"data.sheet={hostile('a')}"
    assert ran(train.main, ["--data", str(path), "--target", "y", "-o", asked], capsys)[0] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model", hostile("m")],
        ["--model", hostile("m"), "--verify", "--input", hostile("i")],
        ["--model", "configs", "--input", hostile("i")],
        ["--model", "m", "--input", "LICENSE", "--output", hostile("o")],
        ["--model", "m", "--input", "LICENSE", "--output", f"{hostile('o')}.x{ACTS}"],
        ["--model", "m", "--input", "LICENSE", "--output", f"{hostile('o')}/o.csv"],
        ["--model", "m", "--input", "LICENSE", "--on-error", hostile("f")],
        [hostile("m"), f"--{hostile('m')}"],
        ["--model", "m", "--input", LONG],
    ],
    ids=range(9),
)
def test_arguments_of_infer(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(infer.main, arguments, capsys)[0] == 2


def test_runs_to_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(compare.main, [hostile("a"), hostile("b")], capsys)[0] == 2
    for name in "ab":
        (tmp_path / hostile(name)).mkdir()
        report = json.dumps({hostile("a"): 1})
        (tmp_path / hostile(name) / "report.json").write_text(report)
    folders = [str(tmp_path / hostile(name)) for name in "ab"]
    assert ran(compare.main, folders, capsys)[0] == 2


FORMULAS = ["=1+1", "+1", "-5", "-x", "@a", "a;=1", "plain", "1e3", "-1.5e3", "'"]


def test_texts_that_a_spreadsheet_takes_for_formulas(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    with output_of(str(path)).open(safe=True) as writer:
        texts = pl.Series(FORMULAS)
        predictions = pl.Series([-1.5] * len(texts))
        columns = {"=a": texts, "'=a": texts, "-5": texts, "prediction": predictions}
        writer.write(pl.DataFrame(columns))
    header, *lines = csv.reader(path.read_text().splitlines())
    assert header == ["'=a", "'=a", "-5", "prediction"]
    safe = ["'=1+1", "+1", "-5", "'-x", "'@a", "a;'=1", "plain", "1e3", "-1.5e3", "'"]
    assert lines == [[text, text, text, "-1.5"] for text in safe]


ROWS = 240


def hostile_table(path: Path, names: Sequence[str] = "acdehmnlkoty") -> None:
    """Findings of nearly each kind, in columns whose names, levels and ids act."""
    draw = np.random.default_rng(0)
    a, e = ([draw.random() for _ in range(ROWS)] for _ in range(2))
    columns: dict[str, list[Any]] = {
        "a": a,
        "c": [hostile("uvw"[i % 3]) for i in range(ROWS)],
        "d": [f"{draw.integers(1, 29)}.{draw.integers(1, 13)}.2023" for _ in range(ROWS)],
        "e": [None if i % 5 else value for i, value in enumerate(e)],
        "h": [2.0] * ROWS,
        "m": [f"${draw.integers(9)}.5" for _ in range(ROWS)],
        "n": list(range(1, ROWS + 1)),
        "l": [hostile(f"{i}") for i in range(ROWS)],
        "k": [2 * value + 1 for value in a],
        "o": [-999.0 if i % 40 == 0 else draw.random() for i in range(ROWS)],
        "t": [f"2023-01-{1 + i % 28:02}" for i in range(ROWS)],
        "y": [3 * x + draw.normal(0, 0.1) for x in a],
    }
    frame = {hostile(name) if name != "l" else f"={hostile('id')}": columns[name] for name in names}
    pl.DataFrame(frame | {LONG: e} if "h" in names else frame).write_parquet(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an acting name, and a hostile table in it."""
    folder = tmp_path / hostile("f")
    folder.mkdir()
    hostile_table(folder / f"{hostile('t')}.parquet")
    return folder


def training(folder: Path, name: str, **values: object) -> list[str]:
    keys = {"train.epochs": 2, "run.dir": folder / hostile(name), "card.data": hostile("card")}
    keys |= {"data.kinds": f"{{{in_json(hostile('h'))}: numeric}}"}
    options = [f"{key}={value}" for key, value in (keys | values).items()]
    words = ["--data", str(next(folder.glob("*.parquet"))), "--target", hostile("y")]
    return [*words, *(word for option in options for word in ("-o", option))]


def suggested(said: str, name: str) -> list[str]:
    """The words of a command that the console suggests, as bash reads them."""
    line = next(line for line in said.splitlines() if line.startswith(name))
    command = line[line.index("-o ") :] if name == "next" else line.removeprefix(name)
    script = f"printf '%s\\0' {command}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


def assert_shown(run: Path) -> None:
    """report.html and the VisualDL log of a run hold nothing that acts, report.json the truth."""
    page = (run / "report.html").read_bytes().decode()
    assert acting(page) == []
    assert LONG not in page
    report = json.loads((run / "report.json").read_text())
    assert report["data"]["target"] == hostile("y")
    assert parse((run / "config.yaml").read_text(), "")["data"]["target"] == hostile("y")
    for text in ((run / "config.yaml").read_text(), *texts_of_curves(run)):
        assert acting(text) == []


def texts_of_curves(run: Path) -> list[str]:
    from visualdl import LogReader

    reader = LogReader(file_path=str(next((run / "curves" / "train").iterdir())))
    texts = [reader.get_data("text", tag)[0].text for tag in reader.get_tags()["text"]]
    (keys,) = reader.get_data("hyper_parameters", "hparam")
    values = [info.string_value for info in keys.hparam.hparamInfos]
    return [*(text.encoded_text_string for text in texts), *values]


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        {"intervals.coverage": 0.5, "data.split.folds": 2},
        {"model.name": "mlp", "data.categories.one_hot": 1, "intervals.coverage": 0.5},
    ],
    ids=["line", "mlp"],
)
def test_runs(values: dict[str, object], folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = training(folder, "run", **values)
    code, said = ran(train.main, given, capsys)
    assert code == 0
    run = folder / hostile("run")
    assert_shown(run)
    assert suggested(said.out, "predict")[3] == str(run)
    assert suggested(said.out, "report") == [str(run / "report.html")]
    assert ran(train.main, given, capsys)[0] == 2
    assert ran(train.main, [*given, "--resume"], capsys)[0] == 0
    assert ran(train.main, [*given, "-o", "train.seed=1", "--resume"], capsys)[0] == 2
    assert ran(train.main, [*given, "--overwrite", "-o", "train.seed=1"], capsys)[0] == 0
    assert ran(train.main, [*given, "-o", f"run.dir={folder / hostile('b')}"], capsys)[0] == 0
    folders = [str(run), str(folder / hostile("b"))]
    assert ran(compare.main, folders, capsys)[0] == 0
    assert ran(infer.main, ["--model", str(run), "--verify"], capsys)[0] == 0


def test_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = ran(train.main, [*training(folder, "run"), "--check"], capsys)
    assert code == 0
    kinds = ("look like dates", "currency", "constant:", "a copy of", "numbers the rows", "-999")
    for words in kinds:
        assert words in said.out


def test_a_first_recipe(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = next(folder.glob("*.parquet")).resolve()
    monkeypatch.chdir(folder)
    assert ran(train.main, ["--init", str(table), "--target", hostile("y")], capsys)[0] == 0
    text = next(folder.glob("*.yaml")).read_text()
    assert acting(text) == []
    assert parse(text, "")["data"] == {"path": str(table), "target": hostile("y")}
    assert ran(train.main, ["--init", str(table), "--target", hostile("y")], capsys)[0] == 2


@pytest.mark.slow
def test_a_leak_that_is_left_out_as_advised(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pl.DataFrame({hostile("a"): range(60), hostile("b"): [i % 7 for i in range(60)]})
    target = (frame[hostile("a")] * 2 + 1).alias(hostile("y"))
    frame.with_columns(target).write_parquet(next(folder.glob("*.parquet")))
    code, said = ran(train.main, training(folder, "run", **{"data.kinds": "{}"}), capsys)
    assert code == 0
    options = dict(word.split("=", 1) for word in suggested(said.out, "next") if word != "-o")
    assert parse(options["data.exclude"], "") == [hostile("a")]
    given = training(folder, "run", **{"data.kinds": "{}"} | options)
    assert ran(train.main, given, capsys)[0] == 0


@pytest.mark.slow
def test_predictions(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(train.main, training(folder, "run"), capsys)[0] == 0
    table, run, output = next(folder.glob("*.parquet")), folder / hostile("run"), folder / "o.csv"
    given = ["--model", str(run), "--input", str(table), "--output", str(output)]
    assert ran(infer.main, given, capsys)[0] == 0
    assert ran(infer.main, [*given[:4], "--output", str(table)], capsys)[0] == 2
    frame = pl.read_parquet(table, glob=False)
    wrong = [hostile("six"), *["1.5"] * (ROWS - 1)]
    frame.with_columns(pl.Series(hostile("a"), wrong)).write_parquet(table)
    assert ran(infer.main, given, capsys)[0] == 2
    assert ran(infer.main, [*given, "--on-error", "flag", "--safe-csv"], capsys)[0] == 0
    lines = list(csv.reader(output.open(newline="")))
    assert lines[0][0].startswith("'=id\x1b")  # data stays data
    assert acting(lines[1][-1]) == []
    assert "found 'six" in lines[1][-1]
    frame.drop(hostile("a")).write_parquet(table)
    assert ran(infer.main, given, capsys)[0] == 2


def test_a_bar_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress()
    progress.prefix = hostile("p")
    progress.phase(hostile("a"))
    progress.close()
    said = capsys.readouterr().err
    assert acting(said.replace("\r\x1b[K", "")) == []
    assert "\n" not in said


def test_names_that_are_not_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = table(tmp_path, PLAIN, "t\udcff.csv")
    code, said = ran(train.main, given, capsys)
    assert code == 2
    assert "t\\udcff.csv: the name is not in UTF-8; rename the file" in said.err
    given = [*table(tmp_path, PLAIN), "-o", f"run.dir={tmp_path}/r\udcff"]
    code, said = ran(train.main, given, capsys)
    assert code == 2
    assert "r\\udcff: the name is not in UTF-8; choose another run.dir" in said.err
