"""A linear model as one SELECT, which a database runs over the raw table.

python -m model.sql runs/boston --dialect duckdb --table houses
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from display import UNSEEN, quoted, say, short, visible
from errors import UserError, tell
from model.contract import CALENDAR, Column, Contract, features_of, packed
from model.folder import read_export
from model.raw_line import RawLine, Term, raw_line

NUMBER = r"^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$"
DAY, CLOCK = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}", r"[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
ZONE = r" ?([+-][0-9]{2}(:?[0-9]{2})?|Z)"
WHOLE = r"[+-]?[0-9]+"  # a level that a table may also write with .0
NOT_A_NUMBER = ("nan", "NaN")  # marks of a missing number that any spelling is
WIDTHS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2}  # of directives of strftime
CHARACTER = "\0"  # stands for the function that makes one of its code; no name or text has it
TERMS_A_GROUP = 50  # SQLite takes expressions of depth 1,000


class Dialect(NamedTuple):
    """What differs between databases. `number`: a text as float32 in float64, NULL where it is
    none; `moment`: a text in ISO 8601 as what `elapsed`, microseconds or days since an ISO date,
    and `part` take; `most`: columns of a SELECT; `once`: what has a step computed once, and not
    wherever the next one names it; `bytes`: of a name, of which more are cut off."""

    text: str
    number: Callable[[str], str]
    moment: Callable[[str], str]
    elapsed: Callable[[str, str], str]
    part: Callable[[str, str], str]
    float32: Callable[[str], str]
    most: int
    character: str = "CHR"
    once: str = ""
    bytes: int = 2**30
    folds_case: bool = True


def _cast32(x: str) -> str:
    return f"CAST(CAST({x} AS REAL) AS DOUBLE PRECISION)"


def _rounded32(x: str) -> str:
    """24 of 53 bits, to nearest: x c - (x c - x), where c is 2^29 + 1 (Veltkamp)."""
    return f"({x} * 536870913.0 - ({x} * 536870913.0 - {x}))"


def _extract(part: str, moment: str) -> str:
    return f"EXTRACT({'isodow' if part == 'day_of_week' else part} FROM {moment})"


def _strftime(part: str, moment: str) -> str:
    of = {"month": "%m", "day_of_week": "%w", "hour": "%H"}[part]
    number = f"CAST(strftime('{of}', {moment}) AS INTEGER)"
    return f"({number} + 6) % 7 + 1" if part == "day_of_week" else number


def _postgres_moment(t: str) -> str:
    return (
        f"CASE WHEN {t} ~ '{DAY}{CLOCK}{ZONE}$' "
        f"THEN CAST({t} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' "
        f"WHEN {t} ~ '{DAY}({CLOCK})?$' THEN CAST({t} AS TIMESTAMP) END"
    )


DIALECTS = {
    "duckdb": Dialect(
        text="VARCHAR",
        number=lambda t: (
            f"CASE WHEN regexp_matches({t}, '{NUMBER}') "
            f"THEN CAST(TRY_CAST({t} AS REAL) AS DOUBLE) END"
        ),
        moment=lambda t: f"TRY_CAST({t} AS TIMESTAMP)",
        elapsed=lambda m, day: f"((epoch_us({m}) - epoch_us(TIMESTAMP '{day}')) / 86400000000e0)",
        part=_extract,
        float32=_cast32,
        most=10_000,
    ),
    "sqlite": Dialect(
        text="TEXT",
        number=lambda t: (
            f"CASE WHEN {t} = CAST({t} AS NUMERIC) THEN {_rounded32(f'CAST({t} AS REAL)')} END"
        ),
        moment=lambda t: (
            f"CASE WHEN date(substr({t}, 1, 10), '+0 days') = substr({t}, 1, 10) THEN {t} END"
        ),
        elapsed=lambda m, day: f"(julianday({m}) - julianday('{day}'))",
        part=_strftime,
        float32=_rounded32,
        most=2_000,
        character="CHAR",
        once="MATERIALIZED ",
    ),
    "postgres": Dialect(
        text="TEXT",
        number=lambda t: (
            f"CASE WHEN {t} ~ '{NUMBER}' THEN {_cast32(f'CAST({t} AS DOUBLE PRECISION)')} END"
        ),
        moment=_postgres_moment,
        elapsed=lambda m, day: f"(EXTRACT(epoch FROM {m} - TIMESTAMP '{day}') / 86400e0)",
        part=_extract,
        float32=_cast32,
        most=1_600,
        once="MATERIALIZED ",
        bytes=63,
        folds_case=False,
    ),
}


def select(line: RawLine, contract: Contract, dialect: Dialect, table: str) -> str:
    """The SELECT of the id columns and the outputs of `line`, over the table called `table`.

    Raises UserError where the database does not tell columns apart, or takes fewer."""
    from reader.schema import id_headers

    features = features_of(contract)
    ids = [c["name"] for c in contract["schema"]["columns"] if c["kind"] == "id"]
    _check_names([*ids, *(column["name"] for column in features)], dialect)
    passed = {f"id{number}": name for number, name in enumerate(ids, start=1)}
    texts = {f"c{number}": column for number, column in enumerate(features, start=1)}
    terms = [
        part for name, column in texts.items() for part in _terms(name, column, line.terms, dialect)
    ]
    outputs = _outputs(line, contract["outputs"])
    headers = id_headers(ids, contract["outputs"])
    cells = [f"{_quoted('t', name)} AS {alias}" for alias, name in passed.items()]
    cells += [f"{_cell(c, contract, dialect)} AS {alias}" for alias, c in texts.items()]
    kept = ", ".join([*passed, *texts])
    moments = [
        f"{dialect.moment(_iso(name, c))} AS m{name[1:]}"
        for name, c in texts.items()
        if c["kind"] == "time"
    ]
    numbers = [
        f"{dialect.number(name)} AS n{name[1:]}"
        for name, c in texts.items()
        if c["kind"] == "numeric"
    ]
    total = f"{_number(line.bias)}{_sum(terms)}"
    chosen = [f"{alias} AS {_quoted(headers[name])}" for alias, name in passed.items()]
    chosen += [f"{sql} AS {_quoted(name)}" for name, sql in outputs.items()]
    steps = {
        "texts": (cells, f"{_quoted(table)} AS t"),
        "cells": ([kept, *numbers, *moments], "texts"),
        "sums": ([*passed, f"{total} AS total"], "cells"),
        "limited": ([*passed, f"{_limited(line)} AS z"], "sums"),
    }
    named = [
        f"{name} AS {dialect.once}(\n  SELECT\n    {_lines(columns)}\n  FROM {source}\n)"
        for name, (columns, source) in steps.items()
    ]
    chosen_of = f"SELECT\n  {_lines(chosen, '  ')}\nFROM limited;"
    sql = f"WITH {_lines(named, '')}\n{chosen_of}"
    return sql.replace(CHARACTER, dialect.character)


def _lines(parts: Sequence[str], indent: str = "    ") -> str:
    return f",\n{indent}".join(parts)


def _check_names(names: Sequence[str], dialect: Dialect) -> None:
    if len(names) > dialect.most:
        raise UserError(
            f"found {len(names):,} columns; the database takes at most {dialect.most:,} in a SELECT"
        )
    seen: dict[str, str] = {}
    for name in names:
        known_as = name.encode()[: dialect.bytes].decode(errors="ignore")
        known_as = known_as.lower() if dialect.folds_case else known_as
        if known_as in seen:
            raise UserError(
                f"columns {short(seen[known_as])} and {short(name)}: have one name to the "
                "database; rename one of them in the table, and train the model again"
            )
        seen[known_as] = name


def _quoted(*names: str) -> str:
    """Names in double quotes, after dots. Raises UserError for one that cannot be shown."""
    for name in names:
        if not name or visible(name) != name.replace("\n", "\\n"):
            raise UserError(
                f"the name {quoted(name)}: is empty, or has characters that are not seen; rename "
                "it in the table, and train the model again"
            )
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def _text(text: str) -> str:
    """A text between single quotes; characters that are not seen by their codes. Raises UserError
    for a NUL, which no text of a database has."""
    if "\0" in text:
        raise UserError(f"the text {quoted(text)}: has a NUL character, which SQL cannot have")
    plain = text.replace("'", "''")
    found = UNSEEN.sub(lambda letter: f"' || {CHARACTER}({ord(letter[0])}) || '", plain)
    return f"'{found}'" if found == plain else f"('{found}')"


def _texts(texts: Sequence[str]) -> str:
    return f"({', '.join(map(_text, texts))})"


def _number(number: float) -> str:
    """All its bits: with an exponent, or else DuckDB takes it for a decimal number."""
    text = repr(float(number))
    text = text if "e" in text else f"{text}e0"
    return f"({text})" if text.startswith("-") else text


def _sum(terms: Sequence[str]) -> str:
    groups = [terms[at : at + TERMS_A_GROUP] for at in range(0, len(terms), TERMS_A_GROUP)]
    if len(groups) < 2:
        return "".join(f"\n    + {term}" for term in terms)
    return "".join(f"\n    + (0e0{_sum(group)})" for group in groups)


def _cell(column: Column, contract: Contract, dialect: Dialect) -> str:
    """The text of a cell without spaces around it, NULL where it is missing. Where none may be, a
    mark of a missing cell is NULL for it is no number."""
    text = f"TRIM(CAST({_quoted('t', column['name'])} AS {dialect.text}))"
    marks, is_number = list(contract["reading"]["missing"]), column["kind"] == "numeric"
    may_be_empty = contract["may_be_empty"] or column["kind"] == "categorical"
    missing = [f"{text} IN {_texts(marks)}"] if marks and may_be_empty else []
    if may_be_empty and is_number and set(marks) & set(NOT_A_NUMBER):
        missing.append(f"LOWER({text}) IN ('nan', '-nan', '+nan')")
    numbers = [_number(number) for number in _finite(marks)]
    if is_number and numbers:
        missing.append(f"{dialect.number(text)} IN ({', '.join(numbers)})")
    return f"CASE WHEN {' OR '.join(missing)} THEN NULL ELSE {text} END" if missing else text


def _finite(marks: Sequence[str]) -> Iterator[float]:
    """The marks, such as -999, that are numbers, in float32."""
    from array import array

    for mark in marks:
        if re.fullmatch(NUMBER.strip("^$"), mark):
            number = array("f", [float(mark)])[0]
            if math.isfinite(number):
                yield number


def _iso(cell: str, column: Column) -> str:
    """A time in ISO 8601: what the table has, or where texts are written in the column's format of
    another order, their parts; a day that is not told is the first."""
    form = column["format"].removesuffix("%.f").removesuffix(".%f")
    if form.startswith("%Y-%m-%d"):
        return cell
    at, like, places = 1, "", {}
    for directive, literal in re.findall(r"%(\w)|(.)", form, flags=re.DOTALL):
        if directive and directive not in WIDTHS:
            return cell
        width = WIDTHS.get(directive, 1)
        if directive:
            places[directive] = f"substr({cell}, {at}, {width})"
        like += "_" * width if directive else literal.replace("%", "_")
        at += width
    if not {"Y", "m"} <= places.keys():
        return cell
    day = f"{places['Y']} || '-' || {places['m']} || '-' || {places.get('d', _text('01'))}"
    clock = [places.get(each, "'00'") for each in "HMS"] if "H" in places else []
    clock_of = f" || ' ' || {(' || ' + _text(':') + ' || ').join(clock)}" if clock else ""
    tail = "%" if form != column["format"] else ""
    return f"CASE WHEN {cell} LIKE {_text(like + tail)} THEN {day}{clock_of} ELSE {cell} END"


def _terms(cell: str, column: Column, terms: Mapping[str, Term], dialect: Dialect) -> Iterator[str]:
    """What the packed features of a column add."""
    from reader.kinds import FALSE, TRUE

    of = [terms[name] for name in packed(column)]
    if column["kind"] == "categorical":
        yield _category(cell, column, of[0])
    elif column["kind"] == "boolean":
        slope = _number(of[0].slope)
        cases = f"WHEN LOWER({cell}) IN {_texts(TRUE)} THEN {slope} "
        cases += f"WHEN LOWER({cell}) IN {_texts(FALSE)} THEN 0e0"
        yield f"CASE {_hole(cell, of[0])}{cases} END"
    elif column["kind"] == "numeric":
        yield _scaled(cell, of[0], f"n{cell[1:]}")
    else:
        moment = f"m{cell[1:]}"
        for part, term in zip(column["parts"], of, strict=True):
            if part in CALENDAR:
                codes = enumerate(term.values)
                cases = " ".join(f"WHEN {code} THEN {_number(value)}" for code, value in codes)
                found = f"CASE {dialect.part(part, moment)} {cases} END"
                yield (
                    f"CASE {_hole(cell, term)}ELSE {found} END" if term.hole is not None else found
                )
            else:
                days = dialect.elapsed(moment, column["origin"])
                yield _scaled(cell, term, dialect.float32(days))


def _hole(cell: str, term: Term) -> str:
    return "" if term.hole is None else f"WHEN {cell} IS NULL THEN {_number(term.hole)} "


def _scaled(cell: str, term: Term, number: str) -> str:
    product = f"{_number(term.slope)} * {number}"
    return product if term.hole is None else f"CASE {_hole(cell, term)}ELSE {product} END"


def _category(cell: str, column: Column, term: Term) -> str:
    """By the texts of levels, whole numbers among them also as 1.0, true and false also as True and
    TRUE."""
    levels = column.get("levels", [])
    texts = dict(zip(levels, term.values[1:], strict=True))
    empty = texts.pop(None, term.values[0])
    text = cell
    if any(re.fullmatch(WHOLE, level or "", re.ASCII) for level in levels):
        signs = "'+-0123456789'"
        text = (
            f"CASE WHEN RTRIM(LTRIM({cell}, {signs}), {signs}) = '.' AND "
            f"RTRIM({cell}, '0') LIKE '%.' AND {cell} NOT LIKE '%.' "
            f"THEN RTRIM(RTRIM({cell}, '0'), '.') ELSE {cell} END"
        )
    spelled = [
        (spelling, value) for level, value in texts.items() for spelling in _spellings(level or "")
    ]
    cases = "".join(f"WHEN {_text(level)} THEN {_number(value)} " for level, value in spelled)
    known = f"CASE {text} {cases}ELSE {_number(term.values[0])} END" if cases else ""
    known = known or _number(term.values[0])
    return f"CASE WHEN {cell} IS NULL THEN {_number(empty)} ELSE {known} END"


def _spellings(level: str) -> tuple[str, ...]:
    return (level, level.title(), level.upper()) if level in ("true", "false") else (level,)


def _limited(line: RawLine) -> str:
    if line.limits is None:
        return "total"
    low, high = map(_number, line.limits)
    return f"CASE WHEN total < {low} THEN {low} WHEN total > {high} THEN {high} ELSE total END"


def _outputs(line: RawLine, names: Sequence[str]) -> dict[str, str]:
    """Each output, of `z`: NULL where that is."""
    found = dict.fromkeys(names, "z")
    if line.hinges:
        gain, offset, weights = line.hinges
        for index, name in enumerate(names):
            parts = zip(gain.tolist(), offset.tolist(), weights[:, index].tolist(), strict=True)
            found[name] = "0e0" + "".join(_hinge(*part) for part in parts if part[2])
    return {name: f"EXP({sql}) - 1e0" if line.log else sql for name, sql in found.items()}


def _hinge(gain: float, offset: float, weight: float) -> str:
    inner = f"{_number(gain)} * z + {_number(offset)}"
    return f"\n    + {_number(weight)} * CASE WHEN {inner} < 0e0 THEN 0e0 ELSE {inner} END"


class Parser(argparse.ArgumentParser):
    """Says what is wrong on one line."""

    def error(self, message: str) -> NoReturn:
        tell(UserError(f"{message}; python -m model.sql --help lists the options"))
        self.exit(2)


def main(arguments: Sequence[str]) -> int:
    parser = Parser(prog="python -m model.sql", description="Print a linear model as one SELECT.")
    add = parser.add_argument
    add("model", metavar="FOLDER", help="a run folder, or its export folder")
    add("--dialect", choices=[*DIALECTS], default="duckdb", help="the database (duckdb)")
    add("--table", metavar="NAME", default="data", help="what the raw table is called (data)")
    add("--expect", metavar="SHA256", help="refuse a model whose contract.json has another one")
    options: Any = parser.parse_args(arguments)
    try:
        export = read_export(options.model, options.expect)
        line = raw_line(export, options.model)
        text = select(line, export.contract, DIALECTS[options.dialect], options.table)
    except (UserError, OSError) as error:
        tell(error)
        return 2
    say(*text.split("\n"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
