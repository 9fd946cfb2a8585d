"""What is found in the values of a table, and what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bilingual import Text
from errors import TableError
from reader.data_checks import find
from reader.findings import KINDS, Finding, listed
from reader.fitting import InputOptions
from reader.frame import table_of
from reader.source import TableOptions, read
from reader.split import SplitOptions
from reader.training_data import fit
from tests.conftest import assert_says_the_same

ROWS = 400


def plain(seed: int = 0) -> dict[str, Any]:
    """A table of which nothing need be said."""
    random = np.random.default_rng(seed)
    a, b, noise = random.normal(size=(3, ROWS))
    town = random.choice(["north", "south", "west"], ROWS)
    return {"a": a, "b": b, "town": town, "y": 2 * a - b + 3 * (town == "north") + 0.5 * noise}


def found(frame: dict[str, Any], skew_counts: bool = True, **options: Any) -> list[Finding]:
    split = SplitOptions(**options)
    table = TableOptions("frame", "y", split=split)
    source = read(table, table=table_of(frame))
    data = fit(source, source.parts, InputOptions())
    findings = list(find(source, data, table, skew_counts))
    for finding in findings:
        assert_says_the_same(finding.message)
    return findings


def one(frame: dict[str, Any], kind: str, **options: Any) -> Finding:
    (finding,) = found(frame, **options)
    assert finding.kind == kind
    assert finding.kind in KINDS
    assert finding.key in finding.message.en
    return finding


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_found_in_a_plain_table(seed: int) -> None:
    assert found(plain(seed)) == []


def test_constant_columns_are_named_together() -> None:
    frame = plain() | {"one": np.ones(ROWS), "level": ["x"] * ROWS}
    finding = one(frame, "constant")
    assert finding.columns == ("one", "level")
    assert "one and level have one value in all training rows" in finding.message.en
    assert finding.key == "data.exclude: [one, level]"


def test_a_column_in_another_unit_is_a_copy() -> None:
    frame = plain() | {"a_in_cm": 100 * plain()["a"] + 7, "minus": -plain()["a"]}
    copies = found(frame)
    assert [finding.columns for finding in copies] == [("a_in_cm",), ("minus",)]
    assert all("a copy of a" in finding.message.en for finding in copies)
    assert found(plain() | {"near": plain()["a"] + 0.001 * plain()["b"]}) == []


def test_holes_make_a_column_nearly_empty() -> None:
    some = [b if i % 40 == 0 else None for i, b in enumerate(plain()["b"] ** 2)]
    assert "missing in 97" in one(plain() | {"rare": some}, "missing").message.en
    half = [b if i % 2 else None for i, b in enumerate(plain()["b"] ** 2)]
    assert found(plain() | {"half": half}) == []


def test_row_numbers() -> None:
    rows = np.arange(ROWS) + 1
    assert one(plain() | {"n": rows}, "row_number").key == "data.exclude: [n]"
    for other in (np.random.default_rng(1).permutation(rows), 100 * rows, rows + 1900, rows // 2):
        assert found(plain() | {"n": other}) == []
    assert found(plain() | {"time": rows}) == []  # a trend may follow it


def test_a_number_that_stands_for_a_missing_one() -> None:
    area = np.random.default_rng(1).uniform(20, 300, ROWS)
    frame = plain() | {"area": np.where(np.arange(ROWS) % 9 == 0, -999, area)}
    finding = one(frame, "marks")
    assert finding.message.en.startswith("column area: -999 is unlike its other values")
    assert finding.key == "data.missing.values"
    low = plain() | {"area": np.where(np.arange(ROWS) % 9 == 0, -9, area - 40)}
    assert found(low) == []


def test_a_slip_that_would_set_the_scale_of_its_column() -> None:
    a = np.round(30 + 10 * plain()["a"], 2)
    finding = one(plain() | {"a": with_cell(a, 1e12)}, "extreme", method="sequential")
    assert "column a: 1e+12 (row 18) is over 1,000 times as far from the median (29.49)" in (
        finding.message.en
    )
    assert finding.key == "data.missing.values"
    (target,) = found(plain() | {"y": with_cell(a, -1e7)}, method="sequential")
    assert "correct it, or remove the row" in target.message.en
    two = with_cell(with_cell(a, 1e12), 3e9, 40)
    assert "1e+12 (row 18) and 3e+09 (row 41) are over" in (
        one(plain() | {"a": two}, "extreme", method="sequential").message.en
    )


def with_cell(cells: Any, value: float, row: int = 17) -> Any:
    return np.where(np.arange(ROWS) == row, value, cells)


@pytest.mark.parametrize("seed", range(10))
def test_a_heavy_tail_is_no_slip(seed: int) -> None:
    random = np.random.default_rng(seed)
    heavy = {"cauchy": random.standard_cauchy(ROWS), "lognormal": random.lognormal(0, 3, ROWS)}
    heavy["mostly zero"] = np.where(random.random(ROWS) < 0.03, random.lognormal(5, 3, ROWS), 0)
    heavy["but for one"] = with_cell(np.zeros(ROWS), 1e9)
    assert not [f for f in found(plain() | heavy) if f.kind == "extreme"]


def test_more_columns_than_rows() -> None:
    random = np.random.default_rng(0)
    columns = {f"x{i}": random.normal(size=40) for i in range(40)}
    frame = columns | {"c": [f"{i % 9}" for i in range(40)], "y": random.normal(size=40)}
    (finding,) = [f for f in found(frame) if f.kind == "few_rows"]
    assert finding.message.en.startswith(
        "41 columns, levels counted one by one, and 32 training rows"
    )
    assert finding.key in finding.message.en


def test_a_target_that_float32_rounds() -> None:
    y = np.round(1e6 + plain()["y"], 2)
    finding = one(plain() | {"y": y}, "digits")
    assert "near 1e+06, where float32 numbers, as which they are read, are 0.0625" in (
        finding.message.en
    )
    assert found(plain() | {"y": np.round(1e6 + plain()["y"])}) == []  # whole numbers are exact
    assert found(plain() | {"y": np.round(100 + plain()["y"], 2)}) == []


def test_float32_is_not_blamed_for_a_column_that_is_constant_in_the_training_rows() -> None:
    fees = np.where(np.arange(ROWS) == ROWS - 1, 0.1, 0.0)
    assert one(plain() | {"fees": fees}, "constant", method="sequential").columns == ("fees",)
    days = 1e9 + np.arange(ROWS) % 7
    with pytest.raises(TableError, match="column days: its values are near"):
        found(plain() | {"days": days})


def test_a_target_of_two_values_is_a_class() -> None:
    frame = plain() | {"y": (plain()["y"] > 0).astype(int)}
    assert "two values, 0 and 1, as in a classification" in one(frame, "target").message.en


def test_a_skewed_target() -> None:
    frame = plain() | {"y": np.exp(plain()["y"])}
    assert one(frame, "target").key == "data.scale.target: log1p"
    assert found(frame, skew_counts=False) == []
    gamma = np.random.default_rng(0).gamma(3, 1, ROWS)
    assert found(plain() | {"y": gamma}) == []


def test_copies_of_rows_and_how_many_are_both_trained_on_and_tested() -> None:
    frame = {name: np.concatenate([cells, cells[:40]]) for name, cells in plain().items()}
    finding = one(frame, "copied_rows", method="sequential")
    assert finding.message.en.startswith("40 of 440 rows are copies of another row")
    assert "90.9 % of the test rows are also training rows" in finding.message.en


def test_rows_of_few_values_are_equal_by_chance() -> None:
    random = np.random.default_rng(0)
    frame = {name: random.integers(0, 4, ROWS) for name in ("a", "b", "c", "y")}
    assert found(frame) == []


def test_a_leak_comes_first_and_names_the_key() -> None:
    frame = plain() | {"one": np.ones(ROWS), "tax": np.exp(plain()["y"])}
    leak, constant = found(frame)
    assert (leak.kind, constant.kind) == ("leak", "constant")
    assert leak.message.en.startswith("likely leak: tax alone gives y")
    assert leak.key == "data.exclude: [tax]"
    parts = plain() | {"c": plain()["y"] - plain()["a"]}
    assert "a and c (times constants) add up to y" in one(parts, "leak").message.en


def test_a_formula_of_all_columns_leaves_nothing_to_exclude() -> None:
    a, b = plain()["a"], plain()["b"]
    (finding,) = found({"a": a, "b": b, "y": 2 * a - 3 * b + 1})
    assert finding.columns == ("a", "b")
    assert finding.key == ""
    assert "a formula, unless" in finding.message.en


def test_texts_that_are_numbers_are_not_also_called_constant() -> None:
    price = [f"${1000 + i:,}" for i in range(ROWS)]
    assert one(plain() | {"price": price}, "numbers").key == "data.kinds: {price: numeric}"


def test_names_are_listed() -> None:
    assert listed(["a"]) == Text("a", "a")
    assert listed(["a", "b", "c"]) == Text("a, b and c", "a、b 和 c")
    assert listed([str(i) for i in range(9)]) == Text(
        "0, 1, 2, 3, 4, 5 and 3 more", "0、1、2、3、4、5 等 9 项"
    )
