"""Numbers as people write them: $1,234.50, 45 %, (1,234), 12 kg."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

import polars as pl

from display import quoted, short
from errors import TableError

CURRENCIES = (
    *("$", "€", "£", "¥", "￥", "₹", "₩", "₽", "₺", "₴", "₫", "฿", "元", "円", "원"),
    *("US$", "A$", "C$", "CA$", "AU$", "HK$", "NT$", "NZ$", "S$", "R$", "Rs", "Rs.", "kr", "kr."),
    *("zł", "Kč", "Ft", "Fr", "Fr.", "CHF", "EUR", "USD", "GBP", "JPY", "CNY", "RMB", "INR", "AUD"),
    *("CAD", "NZD", "SGD", "HKD", "TWD", "KRW", "SEK", "NOK", "DKK", "PLN", "CZK", "HUF", "BRL"),
    *("MXN", "ZAR", "TRY", "THB", "RUB", "ILS", "AED", "SAR"),
)
PERCENT = ("%", "％")
QUANTITIES = (
    *("mg", "g", "kg", "t", "lb", "lbs", "oz", "mm", "cm", "m", "km", "in", "ft", "mi", "ml", "l"),
    *("L", "ms", "s", "sec", "min", "h", "hr", "hrs", "d", "days", "W", "kW", "MW", "KB", "MB"),
    *("GB", "TB", "k", "K", "M", "B", "bn", "万", "亿", "克", "公斤", "千克", "米", "公里"),
)
"""Units that are often mixed in one column."""
SPACES = " \u00a0\u2009\u202f"
APOSTROPHES = "'’"
UNIT = r"[\p{L}\p{S}°%][^\d;,()\s\p{C}]{0,11}(?: ?[^\d;,()\s\p{C}]{1,11})?"
MOSTLY = 0.95  # of the cells, or of those with a unit
RARELY = 0.2  # of the cells with a comma
FEW = 4  # units of a column


class Form(NamedTuple):
    """How a column writes its numbers: with a `unit`, or none, and a decimal comma or point.

    Its text is how one and a half is written: 1.5, $1.5, 1,5 kg, 1.5%.

    >>> Form.parse("1,5 kg")
    Form(unit='kg', comma=True)
    """

    unit: str = ""
    comma: bool = False

    @classmethod
    def parse(cls, text: str) -> Form:
        unit = text.replace("1.5", "").replace("1,5", "").strip()
        return cls(unit, "1,5" in text)

    @property
    def is_known(self) -> bool:
        """Whether the unit is none, or one that is known to be a unit wherever it stands."""
        return self.unit in ("", *CURRENCIES, *PERCENT, *QUANTITIES)

    def __str__(self) -> str:
        number = "1,5" if self.comma else "1.5"
        if self.unit in PERCENT:
            return f"{number}{self.unit}"
        if self.unit in CURRENCIES and not self.unit[0].isalpha():
            return f"{self.unit}{number}"
        return f"{number} {self.unit}".strip()


def _pattern(comma: bool, before: str, after: str) -> str:
    """A written number: groups of three digits, all between the same sign, or none."""
    point, group = (",", r"\.") if comma else (r"\.", ",")
    signs = (group, f"[{SPACES}]", f"[{APOSTROPHES}]")
    grouped = "|".join(rf"[1-9]\d{{0,2}}(?:{sign}\d{{3}})+" for sign in signs)
    space = f"[{SPACES}]?"
    return (
        rf"^(?P<open>\()?(?P<sign>[+\-−])?{space}(?P<before>{before})?{space}(?P<inner>[+\-−])?"
        rf"(?P<digits>(?:{grouped}|\d+)(?:{point}\d+)?|{point}\d+)"
        rf"{space}(?P<after>{after})?(?P<close>\))?$"
    )


def _any_of(texts: tuple[str, ...]) -> str:
    return "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))


def read(cells: pl.Series, form: Form) -> pl.Series:
    """Float64 numbers of texts; null where one is none, or is one in another unit.

    Groups of digits are three long, (1,234) is -1234, and 45% is 0.45. A currency may be left out,
    as no other unit may, except of 0.
    """
    unit = re.escape(form.unit) or r"\b\B"  # which is nowhere
    parts = cells.str.extract_groups(_pattern(form.comma, unit, unit)).struct.unnest()
    unitless = parts["before"].is_null() & parts["after"].is_null()
    twice = parts["before"].is_not_null() & parts["after"].is_not_null()
    torn = parts["open"].is_null() != parts["close"].is_null()
    minus = [parts[name] for name in ("open", "sign", "inner")]
    signs = sum(sign.is_not_null().cast(pl.Int8) for sign in minus)
    between = rf"[{SPACES}{APOSTROPHES}{'.' if form.comma else ','}]"
    digits = _with_point(parts["digits"].str.replace_all(between, ""))
    hundredth = "e-2" if form.unit in PERCENT else ""
    numbers = (digits + hundredth).cast(pl.Float64, strict=False)
    below_zero = [sign.is_in(["(", "-", "−"]).fill_null(False) for sign in minus]
    numbers = numbers.zip_with(~(below_zero[0] | below_zero[1] | below_zero[2]), -numbers)
    wrong = twice | torn | (signs > 1)
    if form.unit and form.unit not in CURRENCIES:
        return numbers.set((wrong | (unitless & (numbers != 0))).fill_null(False), None)
    dotted = cells.str.contains(".", literal=True).fill_null(False) & form.comma
    plain = (_with_point(cells) if form.comma else cells).cast(pl.Float64, strict=False)
    return numbers.set(wrong.fill_null(False), None).fill_null(plain.set(dotted, None))


def _with_point(cells: pl.Series) -> pl.Series:
    return cells.str.replace(",", ".", literal=True)


class Seen(NamedTuple):
    """What a column of texts has of written numbers: the share of its known cells that are one, in
    one form, and an `example` of one that is no plain number, "" where there is none. `units`: an
    example of each, where most cells are numbers with one of a few."""

    form: Form
    share: float
    example: str
    units: dict[str, str]


def survey(cells: pl.Series, comma: bool = False) -> Seen:
    """What the texts of a column look like; `comma`: whether their decimals follow one."""
    known = cells.drop_nulls()
    currency = _any_of(CURRENCIES)
    pattern = _pattern(comma, currency, f"{currency}|{_any_of(PERCENT)}|{UNIT}")
    parts = known.str.extract_groups(pattern).struct.unnest()
    unit = parts["before"].fill_null("") + parts["after"].fill_null("")
    written = parts["digits"].is_not_null()
    counts = Counter(unit.filter(written & (unit != "")).to_list())
    main = counts.most_common(1)[0][0] if counts else ""
    form = Form(main, comma)
    numbers = read(known, form)
    plain = known.cast(pl.Float64, strict=False).is_not_null()
    dressed = known.filter(numbers.is_not_null() & ~plain)
    share = 1 - numbers.null_count() / len(known) if len(known) else 0.0
    units = {u: known.filter(written & (unit == u))[0] for u, _ in counts.most_common(FEW + 1)}
    if len(units) > FEW or written.sum() < MOSTLY * len(known):
        units = {}
    if counts and counts[main] < MOSTLY * counts.total():
        share = 0.0
    return Seen(form, share, dressed[0] if len(dressed) else "", units)


def form_of(name: str, cells: pl.Series, comma: bool) -> Form:
    """The form of a column whose texts are to be read as numbers.

    A column may have decimal commas of its own, where few of its commas could be ones between
    thousands. Raises TableError where they have several units, of which none stands for most.
    """
    seen = survey(cells, comma)
    if not comma and seen.share < MOSTLY:
        with_comma = cells.drop_nulls().filter(cells.drop_nulls().str.contains(",", literal=True))
        other = survey(cells, comma=True)
        if other.share >= MOSTLY and survey(with_comma).share < RARELY:
            return other.form
    if seen.share or len(seen.units) < 2:
        return seen.form
    shown = " and ".join(quoted(example) for example in list(seen.units.values())[:2])
    raise TableError(
        f"column {short(name)} (data.kinds: numeric): found {shown}, expected numbers of one unit; "
        "convert them in the table, or leave the column out (data.exclude)"
    )
