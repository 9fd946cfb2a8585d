"""What columns look like, and what they do not."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
import yaml

from reader.findings import Finding, in_yaml
from reader.frame import table_of
from reader.lookalikes import look_alikes
from reader.source import TableOptions, infer_schema
from tests.conftest import assert_says_the_same

ROWS = 120


def drawn(form: Callable[[random.Random], Any]) -> list[Any]:
    """A column of the same cells each time."""
    chance = random.Random(3)  # noqa: S311
    return [form(chance) for _ in range(ROWS)]


def written(form: Callable[[random.Random], object]) -> list[str]:
    return [str(cell) for cell in drawn(form)]


FIRST = datetime(2019, 1, 1, 9, 30)
DAYS = drawn(lambda r: FIRST + timedelta(days=r.randrange(900), hours=r.randrange(12)))


def found(cells: list[str], name: str = "c", comma: bool = False) -> list[Finding]:
    """What is said of a column, as a table of one file has it."""
    table = table_of({name: cells, "other": range(len(cells)), "y": range(len(cells))})
    schema, _ = infer_schema(table, TableOptions("t", "y", kinds={"other": "numeric"}))
    findings = list(look_alikes(table, schema, {"other": "numeric"}, comma))
    for finding in findings:
        assert_says_the_same(finding.message)
    return findings


@pytest.mark.parametrize(
    ("cells", "says", "key"),
    [
        (written(lambda r: f"${r.randrange(10**6):,}"), "a currency sign", "numeric"),
        (written(lambda r: f"{r.randrange(10**4)} kr"), "a currency sign", "numeric"),
        (written(lambda r: f"{r.random():.1%}"), "a percent sign", "numeric"),
        (written(lambda r: f"{r.randrange(100)} kg"), "the unit kg", "numeric"),
        (written(lambda r: f"{r.randrange(1000, 10**6):,}"), "thousands separators", "numeric"),
        (written(lambda r: f"({r.randrange(1, 999)})"), "in brackets", "numeric"),
        (written(lambda r: f"−{r.randrange(1, 999)}"), "a long minus sign", "numeric"),
        (written(lambda r: f"{r.random():.3f} {r.choice(['g', 'kg'])}"), "several units", ""),
        (written(lambda r: f"{r.choice('$€')}{r.random():.3f}"), "several units", ""),
        (written(lambda r: f"{r.random():.2f}".replace(".", ",")), "decimal comma", "comma: true"),
        (written(lambda r: f"{r.randrange(10**5):05}"), "zeros in front", "categorical"),
        (
            written(lambda r: f"({r.randrange(200, 999)}) 555-{r.randrange(10**4):04}"),
            "phone",
            "ex",
        ),
        (
            written(
                lambda r: f"{r.choice([7, 994, r.randrange(1000, 99000)]):,}".replace(",", ".")
            ),
            "thousands separators, but",
            "comma: true",
        ),
        (written(lambda r: r.choice(["North", "north", "South"])), "case or spaces", ""),
        (written(lambda r: f"n{r.randrange(400)}"), "different texts", "data.exclude: [c]"),
        (
            written(lambda r: r.choice([r.random(), "?", "?", "unknown"])),
            "numbers but for '?'",
            "data.missing.values",
        ),
        (written(lambda r: f"{r.randrange(2000, 2020)}Q{r.randrange(1, 5)}"), "quarters", ""),
        (written(lambda r: f"{r.randrange(24)}:{r.randrange(60):02}"), "times of the day", ""),
    ],
)
def test_texts_and_numbers_in_other_clothes(cells: list[str], says: str, key: str) -> None:
    (finding,) = found(cells)
    assert finding.columns == ("c",)
    assert says in finding.message.en
    assert key in finding.key
    assert finding.key in finding.message.en


def test_what_a_comma_may_be_is_not_guessed() -> None:
    (finding,) = found(written(lambda r: f"{r.randrange(1, 9)},{r.randrange(100, 999)}"))
    assert "unless their commas are decimal commas (data.decimal_comma: true)" in finding.message.en
    (finding,) = found(written(lambda r: f"{r.randrange(1, 9)},{r.randrange(100, 999)}.5"))
    assert "decimal_comma" not in finding.message.en


@pytest.mark.parametrize(
    ("form", "order"),
    [
        *(("%m/%d/%Y", "month first"), ("%d/%m/%Y", "day first"), ("%d.%m.%Y", "day first")),
        *(("%m-%d-%Y %H:%M", "month first"), ("%m/%d/%Y %I:%M %p", "month first")),
        *(("%d-%B-%Y", "dates ("), ("%B %d, %Y", "dates ("), ("%B-%y", "dates (")),
        *(("%Y%m%d", "dates ("), ("%Y%m", "dates (")),
    ],
)
def test_dates_in_other_clothes(form: str, order: str) -> None:
    (finding,) = found([day.strftime(form) for day in DAYS])
    assert order in finding.message.en
    assert finding.key.endswith(f"data.time_format: {{c: '{form}'}}")


def test_short_months_and_no_zeros_are_read_by_the_same_formats() -> None:
    (finding,) = found([f"{day.month}/{day.day}/{day.year}" for day in DAYS])
    assert "'%m/%d/%Y'" in finding.key
    (finding,) = found([f"{day:%d-%b-%Y}" for day in DAYS])
    cells = pl.Series(["05-Jan-2020"]).str.to_datetime(finding.key.split("'")[1])
    assert cells[0] == datetime(2020, 1, 5)


def test_an_order_of_day_and_month_that_cannot_be_told_is_not_guessed() -> None:
    (finding,) = found([f"{day.month}/{day.month % 12 + 1}/{day.year}" for day in DAYS])
    assert "day or month first: both are possible" in finding.message.en
    assert "%d/%m/%Y" in finding.key
    assert "%m/%d/%Y" in finding.key


def test_times_and_codes_that_a_name_tells_of() -> None:
    seconds = [str(int(day.timestamp())) for day in DAYS]
    assert "'%s'" in found(seconds, "created_at")[0].key
    assert not found(seconds, "population")
    zips = written(lambda r: r.randrange(10_000, 99_999))
    assert found(zips, "zipcode")[0].key == "data.kinds: {zipcode: categorical}"
    assert found(written(lambda r: r.randrange(40)), "store_id")[0].key.endswith("categorical}")
    customers = [str(1000 + 7 * i) for i in range(ROWS)]
    assert found(customers, "customer")[0].key == "data.kinds: {customer: id}"
    assert found(customers, "customers") == []  # may be a count
    barcodes = [str(4006381333931 + 17 * i) for i in range(ROWS)]
    assert found(barcodes, "x")[0].key == "data.kinds: {x: id}"
    assert found(written(lambda r: r.randrange(10**9, 10**10)), "phone")[0].key.startswith(
        "data.ex"
    )


@pytest.mark.parametrize(
    "cells",
    [
        written(lambda r: r.randrange(1950, 2025)),
        written(lambda r: r.randrange(300, 9000)),
        written(lambda r: f"{r.random():.3f}"),
        written(lambda r: f"{r.random() * 100:.3f}"),
        written(lambda r: f"{r.randrange(1, 13):02}"),
        written(lambda r: r.choice(["S", "M", "L", "XL"])),
        written(lambda r: r.choice(["1st", "2nd", "3rd"])),
        written(lambda r: f"{r.randrange(1, 9)}/{r.randrange(9, 12)}"),
        written(lambda r: r.choice(["1 room", "2 rooms"])),
        written(lambda r: r.choice(["320i", "520d", "X5", "A4"])),
        written(lambda r: f"10.0.0.{r.randrange(30)}"),
        written(lambda r: r.choice(["5+", "10+", "0-4"])),
        written(lambda r: f"#{r.randrange(30)}"),
        written(lambda r: f"{r.randrange(9)}{r.choice('abc')}"),
        written(lambda r: r.choice(["yes", "no"])),
        [f"2024-01-{day % 28 + 1:02}" for day in range(ROWS)],
        ["" for _ in range(ROWS)],
    ],
)
def test_nothing_is_said_of_what_is_read_as_it_should_be(cells: list[str]) -> None:
    assert found(cells) == []


def test_a_kind_that_was_asked_for_is_not_questioned() -> None:
    table = table_of({"zip": ["01234", "04321"] * 20, "y": range(40)})
    schema, _ = infer_schema(table, TableOptions("t", "y"))
    assert len(list(look_alikes(table, schema, {}, False))) == 1
    assert not list(look_alikes(table, schema, {"zip": "numeric"}, False))


@pytest.mark.parametrize("name", ["fare", "a b", 'q"x', "no", "2021", "a: b", "面积", "x,y", "# a"])
def test_a_key_can_be_pasted_into_a_recipe(name: str) -> None:
    assert yaml.safe_load(f"kinds: {{{in_yaml(name)}: numeric}}") == {"kinds": {name: "numeric"}}


def test_dots_between_thousands_that_are_read_as_such_are_not_told() -> None:
    cells = [f"{i}.{i:03}" if i % 2 else f"{i}" for i in range(1, 101)]
    assert any("thousands" in finding.message.en for finding in found(cells))
    assert not any("thousands" in finding.message.en for finding in found(cells, comma=True))
