"""Columns that look like something else than what their cells were read as."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

import polars as pl

from bilingual import Text
from display import quoted, short
from reader.findings import Finding, as_kind, exclude, in_yaml, listed
from reader.schema import Schema
from reader.table import Table
from reader.written import CURRENCIES, PERCENT, QUANTITIES, Seen, survey

SAMPLE = 2_000  # rows
FIRST_LOOK = 20  # cells
LONG, MANY = 11, 50  # digits of a code that its name does not tell, and cells that all differ
FEWEST = 10  # cells that tell of dates and codes
MOSTLY = 0.95

CLOCKS = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
NUMBERED = [f"{a}{s}{b}{s}{y}" for s in "/-. " for a, b in ("dm", "md") for y in "Yy"]
DAYS = [re.sub("([dmyY])", r"%\1", day) for day in NUMBERED]
DAYS += ["%d %B %Y", "%d-%B-%Y", "%d-%B-%y", "%d/%B/%Y", "%d. %B %Y", "%B %d, %Y", "%B %d %Y"]
MONTHS = ("%Y-%m", "%Y/%m", "%m/%Y", "%m-%Y", "%B %Y", "%B-%Y", "%B-%y", "%Y %B", "%Y-%B")
FORMATS = (*("".join(pair) for pair in product(DAYS, CLOCKS)), *MONTHS)
COMPACT = {
    r"^(19|20)\d{6}$": "%Y%m%d",
    r"^(19|20)\d{4}$": "%Y%m",
    r"^(19|20)\d{10}$": "%Y%m%d%H%M",
    r"^(19|20)\d{12}$": "%Y%m%d%H%M%S",
}
CLOCK = r"^\d{1,2}:\d{2}(:\d{2})?( ?[AaPp]\.?[Mm]\.?)?$"
QUARTER = r"^(\d{4}[-/ ]?Q[1-4]|Q[1-4][-/ ]?\d{4})$"
WITH_CENTURY = r"\d{4}"
DOTTED = r"^[1-9]\d{0,2}\.\d{3}$"
DOTTED_OR_SHORT = rf"{DOTTED}|^[1-9]\d{{0,2}}$|^0$"
WHOLE_OR_DOTTED = re.compile(r"\d+(\.0|\.\d{3})?")
UNIX = r"^1\d{9}$"
PHONE = r"^\+?\(?\d([\s()\-/]*\d){8,14}$"

TIME_NAME = re.compile(
    r"time|date|year|month|week|day|stamp|epoch|created|updated|_(at|ts)$|^ts$|时间|日期", re.I
)
PLACE_NAME = re.compile(r"(^|[\W_])(zip|postal|post_?code|plz|fips)|zip_?code$|邮编|区号", re.I)
PHONE_NAME = re.compile(r"(^|[\W_])(phone|tel|mobile|fax)([\W_]|$|number)|电话|手机", re.I)
CODE_NAME = re.compile(
    r"[\W_](id|code|nr)$|[a-z](ID|Id|Code|Nr)$|编号$|代码$|(^|[\W_])(?i:customer|client|account|invoice"
    r"|order|member|user|patient|student|employee|ticket|serial)[\W_]?(?i:no|num|number)?$"
)


def look_alikes(
    table: Table, schema: Schema, kinds: Mapping[str, str], decimal_comma: bool
) -> Iterator[Finding]:
    """What the first rows of the columns look like, but are not read as; those whose kind was asked
    for, in `kinds`, are not looked at."""
    looked = [c for c in schema.columns if c.kind in ("numeric", "categorical", "id")]
    kind_of = {column.name: column.kind for column in looked if column.name not in kinds}
    if not kind_of:
        return
    for name, cells in table.sample(list(kind_of), SAMPLE, numeric=False).items():
        known = cells.drop_nulls()
        if not len(known):
            continue
        if kind_of[name] == "numeric":
            found = of_numbers(name, known, decimal_comma)
        else:
            found = of_texts(name, known, decimal_comma)
        if kind_of[name] == "categorical" and not found:
            found = of_levels(name, known)
        if found:
            yield found


def of_texts(name: str, cells: pl.Series, decimal_comma: bool = False) -> Finding | None:
    """What a column of texts looks like: numbers, dates, or phone numbers."""
    if formats := date_formats(cells):
        return _dates(name, cells[0], formats)
    if _share(cells, QUARTER) > MOSTLY:
        message = Text(
            f"its texts look like quarters ({quoted(cells[0])}); a time needs their first days",
            f"文本看起来是季度（{quoted(cells[0])}）；改写为各季度的第一天，才能按时间读取",
        )
        return Finding.of_column("dates", name, message)
    if _share(cells, CLOCK) > MOSTLY:
        message = Text(
            f"its texts look like times of the day ({quoted(cells[0])}); write them as hours",
            f"文本看起来是一天中的时刻（{quoted(cells[0])}）；请改写为小时数",
        )
        return Finding.of_column("dates", name, message)
    seen, other = survey(cells, decimal_comma), survey(cells, comma=True)
    if seen.share >= MOSTLY and seen.example:
        comma = not decimal_comma and other.share >= MOSTLY and "," in other.example
        message = _numbers(seen, may_be_decimal=comma)
        return Finding.of_column("numbers", name, message, as_kind(name, "numeric"))
    if not decimal_comma and other.share >= MOSTLY and other.example:
        example, alone = quoted(other.example), as_kind(name, "numeric")
        message = Text(
            f"its texts look like numbers with a decimal comma ({example}); for this column alone "
            f"set {alone}, for all columns",
            f"文本看起来是以逗号作小数点的数字（{example}）；"
            f"只用于该列请设置 {alone}，用于所有列请设置 ",
        )
        return Finding.of_column("numbers", name, message, "data.decimal_comma: true")
    if not seen.share and len(seen.units) > 1 and {*seen.units} <= {*CURRENCIES, *QUANTITIES}:
        shown = listed([quoted(text) for text in list(seen.units.values())[:2]])
        message = Text(
            f"its texts look like numbers in several units ({shown.en}); convert them to one",
            f"文本看起来是单位不一的数字（{shown.zh}）；请换算成同一单位",
        )
        return Finding.of_column("numbers", name, message)
    if len(cells) >= FEWEST and _share(cells, PHONE) > MOSTLY:
        message = Text(
            f"its texts look like phone numbers ({quoted(cells[0])}); leave them out with",
            f"文本看起来是电话号码（{quoted(cells[0])}）；请排除：",
        )
        return Finding.of_column("codes", name, message, exclude(name))
    return None


def _numbers(seen: Seen, may_be_decimal: bool) -> Text:
    """What texts look like that are numbers with something beside them, and how to read them."""
    written, example = _written(seen), quoted(seen.example)
    read = Text("read them with", "可如下读取：")
    if seen.form.unit in PERCENT:
        read = Text("read them (45% as 0.45) with", "可如下读取（45% 读作 0.45）：")
    if may_be_decimal:
        read = Text(
            f"unless their commas are decimal commas (data.decimal_comma: true), {read.en}",
            f"除非其中的逗号是小数点（data.decimal_comma: true），{read.zh}",
        )
    return Text(
        f"its texts look like numbers {written.en} ({example}); {read.en}",
        f"文本看起来是{written.zh}的数字（{example}）；{read.zh}",
    )


def _written(seen: Seen) -> Text:
    unit, example = seen.form.unit, seen.example
    if unit in CURRENCIES:
        return Text("with a currency sign", "带货币符号")
    if unit in PERCENT:
        return Text("with a percent sign", "带百分号")
    if unit:
        return Text(f"with the unit {short(unit)}", f"带单位 {short(unit)} ")
    if "(" in example:
        return Text("in brackets", "带括号")
    if "−" in example:
        return Text("with a long minus sign", "带长减号")
    return Text("with thousands separators", "带千位分隔符")


def date_formats(cells: pl.Series) -> list[str]:
    """The formats in which the texts are dates; of two, each reads them otherwise."""
    some = cells.unique(maintain_order=True).head(500)
    if len(some) < 2 or _share(some, r"\d") < MOSTLY:
        return []
    century = _share(some, WITH_CENTURY) > MOSTLY
    read = {
        text: _count_of_dates(some, text)
        for text in FORMATS
        if ("%Y" in text) == century and _count_of_dates(some.head(5), text)
    }
    most = max(read.values(), default=0)
    if most < max(2, MOSTLY * len(some)):
        return []
    return [text for text, count in read.items() if count == most][:2]


def _count_of_dates(cells: pl.Series, text: str) -> int:
    return cells.str.to_datetime(text, strict=False).count()


def _share(cells: pl.Series, pattern: str) -> float:
    return int(cells.str.contains(pattern).sum()) / len(cells)


def _dates(name: str, example: str, formats: Sequence[str]) -> Finding:
    order = Text("", "")
    if len(formats) > 1:
        order = Text(
            ", with day or month first: both are possible", "（先日后月、先月后日都有可能）"
        )
    elif re.match(r"%[dm].%[md]", formats[0]):
        order = Text(" with the day first", "（先日后月）")
        if formats[0].startswith("%m"):
            order = Text(" with the month first", "（先月后日）")
    keys = [_time_format(name, text) for text in formats]
    message = Text(
        f"its texts look like dates{order.en} ({quoted(example)}); read them with "
        f"{' or '.join(keys)}",
        f"文本看起来是日期{order.zh}，如 {quoted(example)}；可如下读取：{' 或 '.join(keys)}",
    )
    return replace(Finding.of_column("dates", name, message), key=" or ".join(keys))


def _time_format(name: str, text: str) -> str:
    return f"data.time_format: {{{in_yaml(name)}: {text!r}}}"


def of_numbers(name: str, cells: pl.Series, decimal_comma: bool) -> Finding | None:
    """What a column of numbers looks like: numbers with dots for thousands, dates without
    separators, Unix times, or codes."""
    first = cells.head(FIRST_LOOK).to_list()
    if 2 * sum(bool(WHOLE_OR_DOTTED.fullmatch(cell)) for cell in first) <= len(first):
        return None
    dotted = cells.filter(cells.str.contains(DOTTED))
    if (
        not decimal_comma
        and dotted.n_unique() >= FEWEST
        and len(dotted) < len(cells)
        and _share(cells, DOTTED_OR_SHORT) == 1
    ):
        example, number = quoted(dotted[0]), float(dotted[0])
        message = Text(
            f"its dots look like thousands separators, but {example} is read as {number:g}; set",
            f"其中的点看起来是千位分隔符，但 {example} 会读作 {number:g}；请设置 ",
        )
        return Finding.of_column("numbers", name, message, "data.decimal_comma: true")
    whole = cells.filter(cells.str.contains(r"^\d+(\.0)?$")).str.strip_suffix(".0")
    if len(whole) < max(FEWEST, MOSTLY * len(cells)):
        return None
    if text := _compact_format(name, whole.unique(maintain_order=True).head(500)):
        what = Text("Unix times", " Unix 时间") if text == "%s" else Text("dates", "日期")
        message = Text(
            f"its numbers look like {what.en} ({whole[0]}); read them with",
            f"数字看起来是{what.zh}（{whole[0]}）；可如下读取：",
        )
        key = f"{as_kind(name, 'time')}, {_time_format(name, text)}"
        return Finding.of_column("dates", name, message, key)
    return _codes(name, whole)


def _compact_format(name: str, cells: pl.Series) -> str:
    """How whole numbers are dates: the format, or ""."""
    if len(cells) > 2:
        for pattern, text in COMPACT.items():
            if _share(cells, pattern) == 1 and _count_of_dates(cells, text) == len(cells):
                return text
    return "%s" if TIME_NAME.search(name) and _share(cells, UNIX) == 1 else ""


def _codes(name: str, cells: pl.Series) -> Finding | None:
    """Whole numbers that name something, and do not measure it."""
    levels, padded = cells.n_unique(), cells.filter(cells.str.contains(r"^0\d\d+$"))
    key, example = as_kind(name, "categorical"), str(cells[0])
    one_width = cells.str.len_chars().n_unique() == 1
    if len(padded) and one_width:
        what, example = Text("codes, with zeros in front", "前面补零的编码"), quoted(padded[0])
    elif PHONE_NAME.search(name):
        what, key = Text("phone numbers", "电话号码"), exclude(name)
    elif PLACE_NAME.search(name):
        what = Text("codes of places", "地区编码")
    elif (CODE_NAME.search(name) and levels > 2) or (
        one_width and len(cells[0]) >= LONG and levels == len(cells) >= MANY
    ):
        what = Text("codes", "编码")
        key = as_kind(name, "id") if levels == len(cells) else key
    else:
        return None
    message = Text(
        f"its numbers look like {what.en} ({example}); use",
        f"数字看起来是{what.zh}（{example}）；请设置 ",
    )
    return Finding.of_column("codes", name, message, key)


def of_levels(name: str, cells: pl.Series) -> Finding | None:
    """Levels of which many are numbers, that nearly every row has for itself, or that differ only
    in how they are written."""
    levels = cells.unique(maintain_order=True)
    others = cells.filter(cells.cast(pl.Float64, strict=False).is_null())
    marks = Counter(others.to_list()).most_common(4)
    of_numbers = len(levels) - len(marks)
    if of_numbers > FEWEST and 5 * len(others) < 4 * len(cells) and len(marks) < 4:
        rows = listed([f"{quoted(text)} ({count:,} rows)" for text, count in marks])
        counted = "、".join(f"{quoted(text)}（{count:,} 行）" for text, count in marks)
        message = Text(
            f"numbers but for {rows.en}; add what means missing to",
            f"除 {counted}外都是数字；请把其中表示缺失的加入 ",
        )
        return Finding.of_column("marks", name, message, "data.missing.values")
    if len(cells) >= 50 and len(levels) > 0.5 * len(cells):
        message = Text(
            f"{len(levels):,} different texts in {len(cells):,} rows teach little:",
            f"{len(cells):,} 行中有 {len(levels):,} 种不同的文本，难以从中学到规律；可排除：",
        )
        return Finding.of_column("levels", name, message, exclude(name))
    folded = levels.str.to_lowercase().str.replace_all(r"\s+", " ")
    if len(twins := folded.filter(folded.is_duplicated())):
        shown = listed([quoted(text) for text in levels.filter(folded == twins[0])[:2]])
        message = Text(
            f"some levels differ only in case or spaces ({shown.en}); write them alike",
            f"有些类别只是大小写或空格不同（{shown.zh}）；请统一写法",
        )
        return Finding.of_column("levels", name, message)
    return None
