"""Hosts with rows of their own train what one process trains on the rows of all."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

import train
from errors import RunError, TableError
from pipeline import built, finished, look_at, plan
from ranks.alone import ALONE, Ranks
from reader.data_checks import row_hashes
from reader.hosts import Hosts
from reader.pack import PackedTable
from reader.places import CELLS, cells_of
from reader.source import SplitTable, TableOptions, read
from reader.split import SplitOptions
from report.assemble import Finished
from report.report import Processes
from tests.ranks.jobs import Job, apart
from tests.ranks.threads import together
from trainer.build import build_trainer
from trainer.progress import Silence
from trainer.trainer import State

Value = TypeVar("Value")
ROWS, CUT = 613, (190, 420)  # of all hosts; where the second and the third begin
HEADER = "id,a,b,town,sold,agent,part,y"
THREE = (0, 0, 1, 0)  # the second of three hosts has two processes
NEAR = 1e-5


def line(row: int, random: np.random.Generator) -> str:
    a, b = random.normal(size=2)
    towns = ["Aachen", "Bonn", "Celle"] if row < CUT[0] else ["Emden", "Bonn", "Aachen", "Fulda"]
    town = towns[random.integers(len(towns))] if row != CUT[1] + 3 else "Goslar"
    sold = f"{2000 + random.integers(0, 9)}-0{random.integers(1, 9)}-11"
    part = ["train", "train", "train", "validation", "test"][random.integers(5)]
    known = "" if random.random() < 0.1 else f"{a:.5f}"
    y = 3 * a - b + len(town) + 0.2 * random.normal()
    return f"h{row},{known},{b:.5f},{town},{sold},{random.integers(0, 90)},{part},{y:.4f}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`all` has one file; `host0` two, and the others one; their columns are not in one order."""
    random, path = np.random.default_rng(0), tmp_path_factory.mktemp("shards")
    lines = [line(row, random) for row in range(ROWS)]
    write(path / "all" / "rows.csv", lines)
    write(path / "host0" / "1.csv", lines[:70])
    write(path / "host0" / "2.csv", lines[70 : CUT[0]])
    turned = [",".join(reversed(cells.split(","))) for cells in lines[CUT[0] : CUT[1]]]
    write(path / "host1" / "rows.csv", turned, ",".join(reversed(HEADER.split(","))))
    write(path / "host2" / "rows.csv", lines[CUT[1] :])
    return path


def write(path: Path, lines: Sequence[str], header: str = HEADER) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([header, *lines]) + "\n")


def options(path: Path, **given: Any) -> TableOptions:
    return TableOptions(str(path), "y", cache=path.parent / "cache", per_host=True, **given)


def host_of(rank: int, local_ranks: Sequence[int] = THREE) -> int:
    return sum(not local for local in local_ranks[: rank + 1]) - 1


def by_hosts(folder: Path, function: Callable[[SplitTable], Value], **given: Any) -> list[Value]:
    """What a function makes of the table that each of four processes has."""

    def of_process(ranks: Ranks) -> Value:
        path = folder / f"host{host_of(ranks.rank)}"
        return function(read(options(path, **given), ranks=ranks))

    return together(of_process, THREE)


SPLITS = {
    "random": SplitOptions(seed=4),
    "sequential": SplitOptions("sequential"),
    "column": SplitOptions("column", column="part"),
    "group": SplitOptions("group", column="agent"),
    "few groups": SplitOptions("group", column="town"),
    "time": SplitOptions("time", column="sold"),
    "times as numbers": SplitOptions("time", column="b"),
}


@pytest.mark.parametrize("method", SPLITS)
@pytest.mark.parametrize("by_id", [True, False])
def test_a_row_has_the_part_that_it_has_in_one_table(
    method: str, by_id: bool, folder: Path
) -> None:
    split, kinds = SPLITS[method], {"id": "id" if by_id else "ignored", "a": "ignored"}
    given: dict[str, Any] = {"split": split, "kinds": kinds}
    one = read(options(folder / "all", **given))
    folds = [] if method == "few groups" else list(one.folds(3))

    def parts(source: SplitTable) -> Any:
        return source.parts, list(source.folds(3)) if folds else []

    for found, found_folds in by_hosts(folder, parts, **given):
        for part, expected in zip(found, one.parts, strict=True):
            np.testing.assert_array_equal(part, expected)
        for fold, expected_fold in zip(found_folds, folds, strict=True):
            for part, expected in zip(fold, expected_fold, strict=True):
                np.testing.assert_array_equal(part, expected)


def test_parts_may_be_files_of_each_host(folder: Path, tmp_path: Path) -> None:
    """Of a host the training rows come first; each row's part is that of its file."""
    lines = (folder / "all" / "rows.csv").read_text().splitlines()[1:]
    cuts = {0: (20, 25, 30), 1: (40, 70, 75), 2: (80, 90, 95)}
    for host, (start, stop, end) in cuts.items():
        write(tmp_path / f"host{host}" / "train.csv", lines[start - 10 : start])
        write(tmp_path / f"host{host}" / "validation.csv", lines[start:stop])
        write(tmp_path / f"host{host}" / "test.csv", lines[stop:end])

    def of_process(ranks: Ranks) -> Any:
        path = tmp_path / f"host{host_of(ranks.rank)}"
        others = [str(path / f"{part}.csv") for part in ("validation", "test")]
        given: dict[str, Any] = {"split": SplitOptions("files"), "kinds": {"id": "id"}}
        source = read(options(path / "train.csv", other_paths=others, **given), ranks=ranks)
        names = [[texts["id"] for _, texts in cells_of(source, part)] for part in source.parts]
        return source.parts, names

    for parts, names in together(of_process, THREE):
        assert sorted(np.concatenate(parts)) == list(range(90))
        ranges = [[range(a - 10, a), range(a, b), range(b, c)] for a, b, c in cuts.values()]
        for part, found in enumerate(names):
            assert found == [f"h{row}" for of_host in ranges for row in of_host[part]]


def test_rows_are_those_of_one_table_and_each_is_of_one_process(folder: Path) -> None:
    one = read(options(folder / "all"))
    rows = np.random.default_rng(1).permutation(ROWS)[:200]

    def of_process(source: SplitTable) -> Any:
        packed = source.packed
        own, sorted_rows = packed.own(rows), np.sort(rows)
        share = packed.share_of(sorted_rows, packed.ranks)
        known = packed.take(rows[own])
        found = [(texts["id"], place) for place, texts in cells_of(source, rows[:40])]
        return packed, own, sorted_rows[share], known, packed.sample(rows), found

    every = by_hosts(folder, of_process)
    assert sorted(np.concatenate([own for _, own, *_ in every])) == list(range(200))
    assert np.concatenate([share for _, _, share, *_ in every]).tolist() == sorted(rows)
    for packed, own, _, known, sample, found in every:
        assert packed.schema == one.packed.schema
        assert packed.texts == one.packed.texts
        assert len(packed) == ROWS
        np.testing.assert_array_equal(sample, one.packed.take(rows))
        np.testing.assert_array_equal(known, one.packed.take(rows[own]))
        assert [name for name, _ in found] == [f"h{row}" for row in rows[:40]]
        for row, (_, (file, number)) in zip(rows, found, strict=False):
            first = next(at for at in reversed((0, 70, *CUT)) if at <= row)
            assert file == {0: "1.csv", 70: "2.csv"}.get(first, "rows.csv")
            assert number == row - first + 2


def test_rows_without_a_target_are_left_out_everywhere(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "all" / "rows.csv").read_text().splitlines()[1:]
    for row in (3, 200, 201, 500):
        lines[row] = lines[row].rpartition(",")[0] + ","
    write(tmp_path / "all" / "rows.csv", lines)
    for host, (start, stop) in enumerate(zip((0, *CUT), (*CUT, ROWS), strict=True)):
        write(tmp_path / f"host{host}" / "rows.csv", lines[start:stop])
    for split in (SplitOptions(), SplitOptions("group", column="agent")):
        given: dict[str, Any] = {"split": split, "drop_without_target": True}
        one = read(options(tmp_path / "all", **given))
        for found in by_hosts(tmp_path, lambda source: source.parts, **given):
            for part, expected in zip(found, one.parts, strict=True):
                np.testing.assert_array_equal(part, expected)
    with pytest.raises(TableError, match=r"host0.rows\.csv, line 5, .* 4 of 613 rows"):
        by_hosts(tmp_path, lambda source: source.parts)


def test_what_is_found_is_what_one_table_has(folder: Path, tmp_path: Path) -> None:
    """Copies across hosts, an absurd cell, and the rest."""
    lines = (folder / "all" / "rows.csv").read_text().splitlines()[1:]
    lines[450:470] = lines[10:30]
    cells = lines[333].split(",")
    lines[333] = ",".join([*cells[:2], "9e9", *cells[3:]])
    write(tmp_path / "all" / "rows.csv", lines)
    for host, (start, stop) in enumerate(zip((0, *CUT), (*CUT, ROWS), strict=True)):
        write(tmp_path / f"host{host}" / "rows.csv", lines[start:stop])
    keys = ["data.target=y", "data.exclude=[id, part]"]
    one = look_at(plan(None, [*keys, f"data.path={tmp_path / 'all'}"]), None, Silence())

    def of_process(ranks: Ranks) -> Any:
        path = tmp_path / f"host{host_of(ranks.rank)}"
        given = [*keys, f"data.path={path}", "data.shards=per_host", f"data.cache={tmp_path}/c"]
        found = look_at(plan(None, given), None, Silence(), ranks)
        return found, row_hashes(found.source.packed)

    for found, hashes in together(of_process, THREE):
        np.testing.assert_array_equal(hashes, row_hashes(one.source.packed))
        expected = [each.message.en for each in one.findings]
        expected = [text.replace("line 335", "rows.csv, line 145") for text in expected]
        assert any("20 of 613 rows are copies" in text for text in expected)
        assert any("9e+09 (rows.csv, line 145)" in text for text in expected)
        assert [each.message.en for each in found.findings] == expected
        assert found.data.missing == one.data.missing
        np.testing.assert_allclose(found.data.statistics.mean, one.data.statistics.mean, 1e-12)


MODELS = {
    "line": ("model.name=linear",),
    "codes": ("model.name=linear", "data.categories.one_hot=2", "data.split.folds=2"),
    "additive": ("model.name=additive",),
    "last rows on one host": ("model.name=linear", "data.split.method=sequential"),
}


def run_of(path: Path, keys: Sequence[str], ranks: Ranks) -> Finished:
    given = ["data.target=y", "data.exclude=[id, part]", f"data.path={path}", *keys]
    given += ["data.shards=per_host", f"data.cache={path.parent / 'cache'}"]
    experiment = plan(None, given)
    prepared = look_at(experiment, None, Silence(), ranks)
    settings = experiment.resolve(prepared.data)
    fit, prepared = built(settings, prepared)
    return finished(experiment, prepared, fit, None)


@pytest.mark.parametrize("model", MODELS)
def test_hosts_train_what_one_process_trains(model: str, folder: Path) -> None:
    one = run_of(folder / "all", MODELS[model], ALONE)
    every = together(
        lambda ranks: run_of(folder / f"host{host_of(ranks.rank)}", MODELS[model], ranks), THREE
    )
    for run in every:
        assert run.evaluations.keys() == one.evaluations.keys()
        for part, expected in one.evaluations.items():
            found = run.evaluations[part]
            np.testing.assert_array_equal(found.rows, expected.rows)
            np.testing.assert_array_equal(found.target, expected.target)
            np.testing.assert_allclose(found.prediction, expected.prediction, NEAR, NEAR)
            assert found.metrics.mse == pytest.approx(expected.metrics.mse, rel=NEAR)
        for fold, of_one in zip(run.folds, one.folds, strict=True):
            assert fold.mse == pytest.approx(of_one.mse, rel=NEAR)
        assert run.passes
        assert run.passes.processes == Processes(4, 3, [190, 115, 115, 193])


def test_hosts_make_the_steps_of_one_process(folder: Path) -> None:
    """Also where a host has no row of a mini-batch, or no training row at all."""

    def of_process(ranks: Ranks) -> Any:
        path = folder / ("all" if ranks.is_alone else f"host{host_of(ranks.rank)}")
        given = ["data.target=y", f"data.path={path}", "data.shards=per_host", "model.name=mlp"]
        given += ["model.hidden=[8]", "train.batch_size=4", "optimizer.name=sgd"]
        given += ["optimizer.learning_rate=0.01", "data.exclude=[id, part]"]
        given += ["data.split.method=sequential", "data.split.train=0.6"]
        experiment = plan(None, [*given, f"data.cache={folder / 'cache'}"])
        prepared = look_at(experiment, None, Silence(), ranks)
        fit, _ = built(experiment.resolve(prepared.data), prepared)
        begun = [p.numpy().copy() for p in fit.network.parameters()]
        build_trainer(fit).fit(State(), 2)
        return begun, [p.numpy() for p in fit.network.parameters()]

    first, expected = of_process(ALONE)
    for begun, found in together(of_process, THREE):
        for at, values in enumerate(found):
            np.testing.assert_array_equal(begun[at], first[at])
            np.testing.assert_allclose(values, expected[at], NEAR, NEAR)


def test_the_others_answer_the_first_until_it_is_done(folder: Path) -> None:
    one = read(options(folder / "all"))
    rows = np.array([600, 2, 300, 299, 2])

    def of_process(source: SplitTable) -> Any:
        packed = source.packed
        if not packed.ranks.is_first:
            packed.serve({CELLS: partial(cells_of, source)})
            return "served"
        with packed.alone():
            assert packed.ranks.is_alone
            known = packed.sample(rows), cells_of(source, rows), packed.sample(rows[:1])
            with pytest.raises(AssertionError, match="alone"):
                packed.reduce(len, lambda a, b: a + b, 0, np.arange(ROWS))
        return known

    found, *others = by_hosts(folder, of_process)
    assert others == ["served"] * 3
    np.testing.assert_array_equal(found[0], one.packed.take(rows))
    np.testing.assert_array_equal(found[2], one.packed.take(rows[:1]))
    assert [texts["id"] for _, texts in found[1]] == ["h600", "h2", "h300", "h299", "h2"]
    assert [texts["sold"] for _, texts in found[1]] == [
        texts["sold"] for _, texts in cells_of(one, rows)
    ]


def test_mistakes_are_told_with_their_place(folder: Path, tmp_path: Path) -> None:
    def refused(told: str, header: str = HEADER, **cells: str) -> None:
        usual = ["h9", "1", "2", "Bonn", "2001-02-11", "7", "train", "5"]
        row = dict(zip(HEADER.split(","), usual, strict=True))
        write(tmp_path / "host0" / "rows.csv", [",".join(row.values())] * 20)
        write(tmp_path / "host1" / "rows.csv", [",".join((row | cells).values())], header)

        def of_process(ranks: Ranks) -> PackedTable:
            return read(options(tmp_path / f"host{ranks.rank}"), ranks=ranks).packed

        with pytest.raises(TableError, match=told):
            together(of_process)

    refused(
        r"host1.*other columns \(without b, with c\).*host0 of process 0", "id,a,c" + HEADER[6:]
    )
    refused(r"host1.rows\.csv, line 2, column b: found 'much', expected a number", b="much")
    refused(r"host1.rows\.csv, line 2, column sold: found 'May', expected a time", sold="May")
    with pytest.raises(RunError, match="process 1 is number 2 of its host"):
        together(Hosts, (0, 2))
    with pytest.raises(RunError, match="/dev/null, which can be read but once"):
        together(lambda ranks: read(options(Path("/dev/null")), ranks=ranks))


def test_one_process_reads_its_own_host(folder: Path) -> None:
    source = read(options(folder / "host1"))
    assert type(source.packed) is PackedTable
    assert len(source.packed) == CUT[1] - CUT[0]


@pytest.mark.slow
def test_two_hosts_report_what_one_process_does(folder: Path, tmp_path: Path) -> None:
    """From the command line, with the export and all that the report asks of other hosts."""
    hosts = tmp_path / "0", tmp_path / "1"
    lines = (folder / "all" / "rows.csv").read_text().splitlines()[1:]
    write(hosts[0] / "rows.csv", lines[: CUT[0]])
    write(hosts[1] / "rows.csv", lines[CUT[0] :])
    arguments = ["--quiet", "--target", "y", "-o", "data.exclude=[part]", "model.name=mlp"]
    arguments += ["model.hidden=[8]", "train.epochs=3", "data.shards=per_host"]
    arguments += [f"data.cache={tmp_path / 'cache'}"]
    one = [*arguments, f"run.dir={tmp_path / 'one'}", "--data", str(folder / "all")]
    assert train.main(one) == 0
    prefixes = [["sh", "-c", 'exec "$@" --data "$0"', str(host)] for host in hosts]
    several = Job(2, tmp_path / "logs", [*arguments, f"run.dir={tmp_path / 'two'}"], prefixes)
    try:
        assert several.wait() == [0, 0], several.texts()
    finally:
        several.kill()
    assert apart(tmp_path / "one", tmp_path / "two") < NEAR
    alone, found = (json.loads((tmp_path / n / "report.json").read_text()) for n in ("one", "two"))
    assert found["processes"] == {"count": 2, "hosts": 2, "rows": [CUT[0], ROWS - CUT[0]]}
    assert "processes" not in alone
    for part, expected in alone["metrics"].items():
        assert found["metrics"][part]["mse"] == pytest.approx(expected["mse"], rel=NEAR)
    for row, expected in zip(found["worst"]["rows"], alone["worst"]["rows"], strict=True):
        assert (row["row"], row["ids"]) == (expected["row"], expected["ids"])
        assert row["values"] == expected["values"]
        assert row["line"] == expected["line"] - (CUT[0] if row["row"] > CUT[0] else 0)
