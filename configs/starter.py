"""A first recipe for a table: what must be said, and as comments what is most often changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from configs.overrides import apply
from configs.yaml_text import dump, inline
from display import for_shell, padded, width

MOST = 60  # columns that are listed
OTHERS = {
    "model": "{name: mlp}  # linear (default), additive, mlp, realmlp, blend",
    "train": "{seed: 0, device: auto}",
    "intervals": "{coverage: 0.9}  # adds `lower` and `upper` to the predictions",
}


def starter(file: str, overrides: Sequence[str], kinds: Mapping[str, str]) -> str:
    """The text of a recipe called `file` that sets what `overrides` do; `kinds`: of the table's
    columns, as they were inferred. Every line that is commented out may be used as it stands.
    Raises ConfigError."""
    values: dict[str, Any] = {"data": {"path": "", "target": ""}}  # which come first
    for override in overrides:
        apply(values, override)
    given = dump(values).splitlines()
    at = next(i for i, line in enumerate(given) if line.startswith("  target:")) + 1
    comments = [line for key, line in _data(kinds).items() if key not in values["data"]]
    others = [f"# {name}: {text}" for name, text in OTHERS.items() if name not in values]
    train = f"# python train.py -c {for_shell(file)}"
    head = [train, "# All keys: docs/recipe.md, or train.py --help-keys"]
    return "\n".join([*head, *given[:at], *comments, *given[at:], *others, ""])


def _data(kinds: Mapping[str, str]) -> dict[str, str]:
    """The comments on keys of the table."""
    shown = list(kinds.items())[:MOST]
    most = max((width(inline(name)) for name, _ in shown), default=0) + 1
    columns = [f"  #   {padded(inline(name) + ':', most)} {kind}" for name, kind in shown]
    if len(kinds) > MOST:
        columns.append(f"  #   # and {len(kinds) - MOST:,} more")
    allowed = "numeric, categorical, boolean, time, id or ignored"
    return {
        "exclude": "  # exclude: []  # columns not used as features",
        "kinds": "\n".join(
            [
                "  # Kinds as inferred from the first rows. Uncomment and correct the wrong ones:",
                f"  # {allowed}",
                "  # kinds:",
                *columns,
            ]
        ),
        "split": "  # split: {method: random, train: 0.8, validation: 0.1, test: 0.1}",
        "missing": "  # missing: {numeric: mean}",
    }
