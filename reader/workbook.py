"""Excel and other workbooks: one sheet of them, as text."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from display import quoted
from errors import TableError
from reader.decode import Plain, check_archive, copied
from reader.formats import POLARS_ERRORS, Reading
from reader.schema import abridged
from spelling import did_you_mean

MIDNIGHT = " 00:00:00"
MOMENT = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$"


def as_csv(plain: Plain, reading: Reading) -> tuple[Plain, Reading]:
    """The sheet that was asked for, or the only one that is not empty, as a CSV file; and how to
    read that. Numbers keep their value, dates become ISO.

    Raises TableError where the file cannot be read or is too large, and where several sheets are
    not empty.
    """
    check_archive(plain)
    try:
        from fastexcel import FastExcelError

        sheets = pl.read_excel(
            plain.path,
            sheet_id=0,  # all of them
            has_header=False,
            infer_schema_length=None,
            drop_empty_rows=False,
            drop_empty_cols=False,
            raise_if_empty=False,
        )
    except ModuleNotFoundError:
        raise TableError(
            f"{plain.original}: an Excel file needs one more package: .venv/bin/pip install "
            "fastexcel; or save the sheet as CSV"
        ) from None
    except (FastExcelError, *POLARS_ERRORS):
        raise TableError(
            f"{plain.original}: cannot be read as Excel (damaged, or protected by a password); "
            "save the sheet as CSV"
        ) from None
    frame = sheets[_chosen(plain, sheets, reading.sheet)]
    cells = frame.with_columns(map(_days, frame)).write_csv(include_header=False)
    text = copied(replace(plain, name=f"{plain.name}.csv"), iter([cells.encode()]))
    asked = replace(reading, format="csv", separator=",", comment=None, decimal_comma=False)
    return text, asked


def _chosen(plain: Plain, sheets: dict[str, pl.DataFrame], asked: str | None) -> str:
    listed = abridged([*map(quoted, sheets)])
    filled = [name for name, frame in sheets.items() if frame.height]
    if asked is not None and asked not in sheets and len(filled) != 1:
        hint = did_you_mean(asked, list(sheets))
        raise TableError(
            f"{plain.original}: data.sheet names {quoted(asked)}, which is not a sheet{hint}; "
            f"the sheets are {listed}"
        )
    if asked in sheets:
        return str(asked)
    if len(filled) > 1:
        raise TableError(
            f"{plain.original}: found {len(filled)} sheets ({listed}); say which in "
            "data.sheet, or keep only one of them in the file"
        )
    if not filled:
        raise TableError(f"{plain.original}: all sheets are empty; expected a table")
    return filled[0]


def _days(cells: pl.Series) -> pl.Series:
    """Cells as texts; days without a clock, where no cell of the column has another than midnight.

    A workbook does not tell a day from its midnight.
    """
    if cells.dtype in (pl.Date, pl.Datetime):
        cells = cells.cast(pl.Datetime("us")).dt.to_string("%Y-%m-%d %H:%M:%S")
    if cells.dtype != pl.String:
        return cells
    moments = cells.filter(cells.str.contains(MOMENT))
    if not len(moments) or not moments.str.ends_with(MIDNIGHT).all():
        return cells
    return cells.str.replace(f"{MIDNIGHT}$", "")
