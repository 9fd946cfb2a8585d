"""A first recipe for a table: what must be said, and as comments what is most often changed."""

from __future__ import annotations

from collections.abc import Mapping

from configs.yaml_text import inline

MOST = 60  # columns that are listed


def starter(file: str, path: str, target: str, kinds: Mapping[str, str]) -> str:
    """The text of a recipe called `file`; `kinds`: of the table's columns, as they were inferred.
    Every line that is commented out may be used as it stands."""
    shown = list(kinds.items())[:MOST]
    width = max((len(inline(name)) for name, _ in shown), default=0)
    columns = "".join(f"  #   {inline(name) + ':':<{width + 1}} {kind}\n" for name, kind in shown)
    more = f"  #   # and {len(kinds) - MOST:,} more\n" if len(kinds) > MOST else ""
    return f"""\
# python train.py -c {file}
# Each key with its meaning and default: docs/recipe.md, or python train.py --help-keys
data:
  path: {inline(path)}
  target: {inline(target)}
  # exclude: []  # columns that are not to be used
  # Kinds as inferred from the first rows; keep the lines that you correct:
  # numeric, categorical, boolean, time, id (passed through to the predictions), ignored
  # kinds:
{columns}{more}  # split: {{method: random, train: 0.8, validation: 0.1, test: 0.1, folds: 0}}
  # missing: {{numeric: mean, indicator: false}}
# model: {{name: mlp, hidden: [64, 64]}}  # the default is linear
# train: {{seed: 0, patience: 0}}
# intervals: {{coverage: 0.9}}
"""
