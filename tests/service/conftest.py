"""Two small models and a server of both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import train_recipe
from tests.service.server import Served, serving

TOWNS = ["north", "south", 'e<b>"a"', "中部"]


def homes(rows: int = 240) -> dict[str, list[Any]]:
    """A table with an id, holes, a category with one too, a boolean, a time, and the target."""
    random = np.random.default_rng(5)
    area, rooms = random.uniform(30, 200, rows).round(1), random.integers(1, 8, rows)
    towns = [TOWNS[at] for at in random.integers(0, len(TOWNS), rows)]
    garden = random.integers(0, 2, rows).astype(bool)
    day = np.datetime64("2021-01-01") + random.integers(0, 700, rows)
    price = 3 * area + 10 * rooms + 40 * garden + np.array([len(town) for town in towns])
    return {
        "home": [f"H{row:04}" for row in range(rows)],
        "area": [None if row % 9 == 4 else value for row, value in enumerate(area.tolist())],
        "rooms": rooms.tolist(),
        "town": [None if row % 13 == 7 else town for row, town in enumerate(towns)],
        "garden": garden.tolist(),
        "sold": [
            f"{d} {hour:02}:30" for d, hour in zip(day, random.integers(0, 24, rows), strict=True)
        ],
        "price": (price + random.normal(0, 5, rows)).round(2).tolist(),
    }


def as_csv(table: dict[str, list[Any]]) -> str:
    def cell(value: Any) -> str:
        text = "" if value is None else str(value)
        return '"' + text.replace('"', '""') + '"' if '"' in text else text

    lines = [
        ",".join(table),
        *(",".join(map(cell, row)) for row in zip(*table.values(), strict=True)),
    ]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="session")
def homes_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "homes.csv"
    path.write_text(as_csv(homes()), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def homes_run(homes_csv: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A line with intervals, of a table with holes, texts and times."""
    folder = tmp_path_factory.mktemp("runs") / "homes"
    recipe = folder.parent / "recipe.yaml"
    recipe.write_text(f"data: {{path: {homes_csv}, target: price}}\nintervals: {{coverage: 0.9}}\n")
    train_recipe(folder, str(recipe))
    return folder


@pytest.fixture(scope="session")
def served(homes_run: Path, boston_run: Path) -> Iterator[Served]:
    arguments = ("--model", f"homes={homes_run}", "--model", f"boston={boston_run}")
    with serving(*arguments, "--max-body", "1") as server:
        yield server
