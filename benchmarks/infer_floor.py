"""What infer.py cannot do without: import Paddle, read the columns, write one.

python -m benchmarks.infer_floor TABLE OUTPUT
"""

from __future__ import annotations

import sys

import paddle
import polars as pl


def main(table: str, output: str) -> None:
    names = pl.scan_csv(table).collect_schema().names()
    frame = pl.read_csv(table, schema=dict.fromkeys(names, pl.Float32))
    frame.select(names[0]).write_csv(output)


if __name__ == "__main__":
    assert paddle.__version__
    main(*sys.argv[1:])
