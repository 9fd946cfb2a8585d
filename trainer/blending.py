"""How much of a blend is its additive part: what the validation rows ask for."""

from __future__ import annotations

from typing import NamedTuple, Protocol, cast

import numpy as np
import paddle
from numpy.typing import NDArray

from model.blend import Blend
from reader.merge import join
from reader.split import evenly
from trainer.build import Fit

SHARES = np.linspace(0, 1, 101)
EVEN, PRIOR_ROWS = 0.5, 20
MOST_ROWS = 200_000
Rows = NDArray[np.float32]
Matrix = NDArray[np.float64]


class Measure(Protocol):
    """See model.objective.Objective."""

    def measure(self, output: Matrix, target: Matrix) -> NDArray[np.float64]: ...


class Parts(NamedTuple):
    """Predictions [n, 1] of both parts, and the target [n, 1], all on the scaled target."""

    additive: Matrix
    network: Matrix
    target: Matrix

    def at(self, share: float) -> Matrix:
        """The blend with this share of the additive part."""
        return share * self.additive + (1 - share) * self.network


def parts_of(fit: Fit, rows: NDArray[np.integer]) -> Parts:
    """Of the table's rows at these indices, or of so many, evenly spaced."""
    network = cast(Blend, fit.network)

    def of_block(block: Rows) -> list[Matrix]:
        with paddle.no_grad():
            found = network.parts(paddle.to_tensor(fit.inputs.transform(block)))
        columns = [*(part.numpy() for part in found), fit.target.transform(block[:, -1:])]
        return [np.hstack(columns).astype(np.float64)]

    network.eval()
    some = rows[evenly(len(rows), MOST_ROWS)]
    nothing: list[Matrix] = []
    found = np.concatenate(fit.data.packed.reduce(of_block, join, nothing, some, fit.width))
    return Parts(found[:, :1], found[:, 1:2], found[:, 2:])


def choose_share(fit: Fit) -> None:
    """Set the share that the validation rows ask for; a half, where there are none or where
    train.export=last, of which validation rows decide nothing."""
    rows, share = fit.data.parts.validation, EVEN
    if len(rows) and fit.settings.export == "best":
        share = best_share(fit.regressor.objective, parts_of(fit, rows))
    cast(Blend, fit.network).share.set_value(np.array([share], dtype=np.float32))


def best_share(objective: Measure, parts: Parts) -> float:
    """That of least loss, as if PRIOR_ROWS more rows had asked for a half: few rows cannot tell
    shares apart.

    The squared error is a parabola of the share, whose curvature its values at 0, a half and 1
    tell; other losses are near to one.
    """
    losses = np.array([objective.measure(parts.at(share), parts.target).mean() for share in SHARES])
    curvature = 2 * (losses[0] + losses[-1] - 2 * losses[len(SHARES) // 2])
    prior = PRIOR_ROWS / len(parts.target) * max(curvature, 0.0)
    return float(SHARES[np.argmin(losses + prior * (SHARES - EVEN) ** 2)])
