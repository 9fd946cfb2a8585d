"""docs/recipe.md, made from the schema: python -m configs.document > docs/recipe.md."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from configs.keys import by_path, default, meaning

INTRODUCTION = """\
# The keys of a recipe

<!-- Made by `make recipe` from configs/schema.py, which is the file to edit. -->

A recipe is a YAML file of sections and keys. `data.path` and `data.target` are required;
everything else has a default:

```yaml
data:
  path: houses.csv
  target: price
model: {name: mlp, hidden: [32, 16]}
```

`train.py -c houses.yaml` trains by it; `-o model.name=linear train.epochs=20` overrides
single keys.
`train.py --help-keys` prints this list, and `train.py --help-keys data.split` a section of it.
"""


def document() -> str:
    """The page: a table for each section."""
    return INTRODUCTION + "".join(_sections())


def _sections() -> Iterator[str]:
    section = ""
    for path, entry in by_path().items():
        if (inside := path.rpartition(".")[0]) != section:
            section = inside
            yield f"\n## {section}\n\n| key | default | meaning |\n|---|---|---|\n"
        told = default(entry)
        is_value = " with " not in told and told != "required" and path != "run.dir"
        shown = f"`{told}`" if is_value else told
        yield f"| `{path}` | {_cell(shown)} | {_cell(meaning(entry))} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(document())
