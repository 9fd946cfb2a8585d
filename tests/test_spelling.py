"""Which word was meant, of columns, sheets, keys and files."""

from __future__ import annotations

import pytest

from spelling import did_you_mean, nearest

COLUMNS = ["MEDV", "LSTAT", "SalePrice", "a", "b", "Sale Date", "面积"]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        *(("MDEV", "MEDV"), ("medv", "MEDV"), ("lsat", "LSTAT"), ("sale_price", "SalePrice")),
        *(("A", "a"), ("sale-date", "Sale Date"), ("面積", None), ("c", None), ("x" * 5_000, None)),
    ],
)
def test_columns(given: str, meant: str | None) -> None:
    assert nearest(given, COLUMNS) == meant


def test_nothing_is_said_where_nothing_is_near() -> None:
    assert did_you_mean("prise", ["price", "size"]) == "; did you mean 'price'?"
    assert did_you_mean("prise", ["a", "b"]) == did_you_mean("prise", []) == ""
