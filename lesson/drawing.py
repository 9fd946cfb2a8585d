"""One look for every picture of the lesson."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation

Labels = dict[str, Any]
INK = "#1b1b1f"  # the chapter's page replaces it by the colour of its own text, light or dark
BLUE, ORANGE, GREEN, RED, GREY = "#3b78e7", "#e8833a", "#2a9d6f", "#d6455d", "#8b909a"

STYLE: Any = {
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "grid.color": GREY,
    "grid.alpha": 0.3,
    **{f"axes3d.{axis}axis.panecolor": (0.5, 0.5, 0.5, 0.08) for axis in "xyz"},
    "savefig.transparent": True,
    "savefig.dpi": 200,
    "svg.hashsalt": "lesson",  # the same picture gives the same file
}


@contextmanager
def picture(
    path: Path,
    width: float = 4.4,
    height: float = 3.1,
    projection: str | None = None,
    **labels: Any,
) -> Iterator[Any]:
    """Axes to draw on; what was drawn is saved to `path` at the end. Sizes are in inches."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure.add_subplot(projection=projection, **labels)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def blank(axes: Axes, width: float, height: float) -> None:
    """A sheet from (0, 0) to (width, height) without axes, for drawings."""
    axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    axes.axis("off")


def circle(axes: Axes, x: float, y: float, text: str, colour: str = BLUE) -> None:
    """A node of a network or a computational graph."""
    axes.plot(x, y, "o", markersize=29, markerfacecolor=colour + "30", markeredgecolor=colour)
    size = 9 if len(text) < 4 or "$" in text else 7
    axes.text(x, y, text, ha="center", va="center", fontsize=size)


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> Annotation:
    """An edge from one point to another, with room for the nodes at its ends."""
    style = {"arrowstyle": "-|>", "color": GREY, "shrinkA": 16, "shrinkB": 16}
    return axes.annotate("", xy=end, xytext=start, arrowprops=style)
