"""Peers, each with a choice of settings, from which every table gets the best.

A peer is imported where it is used, so that one that is not installed is only left out.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import chain, product
from math import cos, pi
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.optimum import MOST_PASSES, PASSES, QUARTERS, Predict, Setting
from benchmarks.tables import Matrix, Table, Vector, write_standard_vw
from benchmarks.timing import run

SMALL = 5_000  # rows below which a call for each quarter of a pass costs more than the pass


@dataclass(frozen=True)
class Peer:
    """`settings`: the ways to a table's optimum to choose from; files go into the given folder.

    `modules` are loaded beforehand.
    """

    name: str
    package: str
    modules: Sequence[str]
    settings: Callable[[Table, Path], Sequence[Setting]]

    def load(self) -> bool:
        """Whether it is installed."""
        if find_spec(self.modules[0].partition(".")[0]) is None:
            return False
        for module in self.modules:
            importlib.import_module(module)
        return True


def scikit_learn(table: Table, folder: Path, whiten: bool = False) -> Sequence[Setting]:
    rank = table.rank if whiten else 0
    constant = [
        {"learning_rate": "constant", "eta0": rate, "average": average}
        for rate, average in product(
            (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2), (False, True, len(table.y))
        )
    ]
    falling = [
        {"learning_rate": "invscaling", "eta0": rate, "power_t": power, "average": average}
        for rate, power, average in product(
            (3e-3, 0.01, 0.03, 0.1, 0.3), (0.25, 0.5), (False, True)
        )
    ]
    adaptive = [
        {"learning_rate": "adaptive", "eta0": rate, "tol": 1e-4, "n_iter_no_change": 1}
        for rate in (1e-3, 3e-3, 1e-2)
    ]
    whole = [*adaptive, *constant, *falling] if len(table.y) < SMALL else adaptive
    return [
        *(_sgd_regressor(table, rank, options, by_quarters=True) for options in constant),
        *(_sgd_regressor(table, rank, options, by_quarters=True) for options in falling),
        *(_sgd_regressor(table, rank, options, by_quarters=False) for options in whole),
    ]


def _sgd_regressor(table: Table, rank: int, options: dict[str, Any], by_quarters: bool) -> Setting:
    """SGDRegressor after StandardScaler, and PCA(rank, whiten=True) unless that is 0;
    quarter of a pass by quarter, or by one `fit` of so many passes."""
    from sklearn.decomposition import PCA
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import SGDRegressor
    from sklearn.preprocessing import StandardScaler

    def scaled() -> tuple[Vector, Vector]:
        # In float64, which SGDRegressor is as fast in, and which whitening needs.
        x, y = table.x.astype(np.float64), table.y[:, None].astype(np.float64)
        x, y = StandardScaler().fit_transform(x), StandardScaler().fit_transform(y)[:, 0]
        return (PCA(rank, whiten=True).fit_transform(x) if rank else x), y

    def model(**more: Any) -> Any:
        return SGDRegressor(**({"penalty": None, "tol": None, "random_state": 0} | options | more))

    def quarters() -> Iterator[Predict]:
        x, y = scaled()
        estimator, pieces = model(), []
        for rows in np.array_split(np.random.default_rng(0).permutation(len(x)), QUARTERS):
            pieces.append((x[rows], y[rows]))
            estimator.partial_fit(*pieces[-1])  # which shuffles the piece
            yield partial(estimator.predict, x)
        for piece in pieces * (MOST_PASSES - 1):
            estimator.partial_fit(*piece)
            yield partial(estimator.predict, x)

    def fits() -> Iterator[Predict]:
        warnings.filterwarnings("ignore", category=ConvergenceWarning)  # more passes follow
        for passes in PASSES:
            x, y = scaled()
            yield partial(model(max_iter=passes).fit(x, y).predict, x)

    name = " ".join(f"{key}={value}" for key, value in options.items())
    train = quarters if by_quarters else fits
    return Setting(f"{name}, {train.__name__}", train, restarts=not by_quarters)


def pytorch(table: Table, folder: Path) -> Sequence[Setting]:
    """torch.optim.SGD on tensors that are all there: with a rate that stays, its last weights or
    their average over a pass, whichever comes first; or with one that falls to 0 by a cosine."""
    settings = []
    batches = (10, 30, 100) if len(table.y) < SMALL else (100, 300, 1000)
    for batch, rate in product(batches, (0.02, 0.05, 0.1, 0.2, 0.3)):
        model = partial(Torch, table.x, table.y, batch, rate)
        name = f"batch {batch}, lr {rate}"
        settings += [
            Setting(f"{name}, constant", partial(_torch_constant, model)),
            Setting(f"{name}, cosine", partial(_torch_cosine, model), restarts=True),
        ]
    return settings


class Torch:
    """nn.Linear on scaled tensors that stay in memory; they are shuffled once a pass, and batches
    are views of them. x float32 [N, D], y float32 [N]."""

    def __init__(self, x: Matrix, y: Matrix, batch: int, rate: float) -> None:
        import torch

        torch.manual_seed(0)
        self.x, self.y = map(self._scaled, (torch.from_numpy(x), torch.from_numpy(y)[:, None]))
        self.batch, self.steps = batch, -(-len(x) // batch)
        self.network = torch.nn.Linear(x.shape[1], 1)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=rate)

    @staticmethod
    def _scaled(values: Any) -> Any:
        import torch

        spread, mean = torch.std_mean(values, dim=0)
        return (values - mean) / torch.where(spread > 0, spread, 1.0)

    def epoch(self) -> Iterator[None]:
        """One pass; yields after each step."""
        import torch

        order = torch.randperm(len(self.x))
        batches = zip(self.x[order].split(self.batch), self.y[order].split(self.batch), strict=True)
        yield from self.train(batches)

    def loader_epoch(self) -> Iterator[None]:
        """The same by the ordinary DataLoader."""
        from torch.utils.data import DataLoader, TensorDataset

        rows = TensorDataset(self.x, self.y)
        yield from self.train(DataLoader(rows, batch_size=self.batch, shuffle=True))

    def train(self, batches: Iterable[Any]) -> Iterator[None]:
        import torch.nn.functional as F

        network, optimizer = self.network, self.optimizer
        for x, y in batches:
            loss = F.mse_loss(network(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield

    def predict(self, weight: Any, bias: Any) -> Vector:
        weights = weight.double().numpy()[0]
        with np.errstate(invalid="ignore", over="ignore"):
            return np.asarray(self.x.double().numpy() @ weights + float(bias))


def _torch_constant(model: Callable[[], Torch]) -> Iterator[Predict]:
    trained = model()
    quarter = -(-trained.steps // QUARTERS)
    weights = [parameter.detach() for parameter in trained.network.parameters()]
    sums = [weight * 0 for weight in weights]
    last: deque[list[Any]] = deque(maxlen=QUARTERS)
    every = chain.from_iterable(trained.epoch() for _ in range(MOST_PASSES))
    for step, _ in enumerate(every, start=1):
        for total, weight in zip(sums, weights, strict=True):
            total.add_(weight)
        if step % quarter == 0:
            yield partial(trained.predict, *weights)
            last.append(sums)
            sums = [weight * 0 for weight in weights]
            steps = quarter * len(last)
            yield partial(trained.predict, *(sum(s) / steps for s in zip(*last, strict=True)))


def _torch_cosine(model: Callable[[], Torch]) -> Iterator[Predict]:
    for passes in PASSES:
        trained = model()
        group = trained.optimizer.param_groups[0]
        rate, last = group["lr"], passes * trained.steps
        every = chain.from_iterable(trained.epoch() for _ in range(passes))
        for step, _ in enumerate(every, start=1):
            group["lr"] = rate * 0.5 * (1 + cos(pi * step / last))
        yield partial(trained.predict, *(p.detach() for p in trained.network.parameters()))


def vowpal_wabbit(table: Table, folder: Path) -> Sequence[Setting]:
    """Whole processes, as it is used, on standardised columns in its own text format; neither
    scaling nor writing them counts."""
    text = write_standard_vw(folder, table)
    rates = [
        *product(([],), (0.1, 0.5), (0.5, 0.7)),
        *product((["--sgd"],), (0.01, 0.03, 0.1), (0.5, 0.6, 0.7)),
    ]
    choices = [[*how, "-l", f"{rate}", "--power_t", f"{power}"] for how, rate, power in rates]
    return [
        Setting(" ".join(options), partial(_vw, text, options), restarts=True)
        for options in [*choices, ["--coin"]]
    ]


def vw(text: Path, *options: str) -> list[str]:
    """Its command line: the program's, or else the package's."""
    program = shutil.which("vw")
    return [
        *([program] if program else [sys.executable, "-m", "vowpalwabbit"]),
        *("--data", str(text), "--loss_function", "squared", "--quiet", *options),
    ]


def _vw(text: Path, options: Sequence[str]) -> Iterator[Predict]:
    model, cache = text.with_suffix(".model"), text.with_suffix(".cache")
    # It holds predictions to the range of targets seen; a straight line knows no such bounds.
    free = ["--min_prediction=-1000", "--max_prediction=1000"]
    for passes in (*PASSES, 300, 400, 600, 800):  # its passes, from a cache, cost little
        again = ["--passes", f"{passes}", "--cache_file", str(cache), "--kill_cache"]
        run(vw(text, "--holdout_off", *again, *free, *options, "-f", str(model)))
        yield partial(_vw_predictions, text, model)


def _vw_predictions(text: Path, model: Path) -> Vector:
    predictions = text.with_suffix(".predictions")
    run(vw(text, "--testonly", "-i", str(model), "-r", str(predictions)))
    return np.loadtxt(predictions)


SKLEARN_MODULES = ("sklearn.linear_model", "sklearn.preprocessing", "sklearn.decomposition")
PYTORCH = Peer("PyTorch", "torch", ("torch", "torch.utils.data"), pytorch)
VOWPAL_WABBIT = Peer("Vowpal Wabbit", "vowpalwabbit", ("vowpalwabbit",), vowpal_wabbit)
PEERS = (
    Peer("scikit-learn", "scikit-learn", SKLEARN_MODULES, scikit_learn),
    Peer(
        "scikit-learn, PCA(whiten=True)",
        "scikit-learn",
        SKLEARN_MODULES,
        partial(scikit_learn, whiten=True),
    ),
    PYTORCH,
    VOWPAL_WABBIT,
)


def say_who_is_missing() -> None:
    for peer in PEERS:
        if not peer.load():
            print(f"{peer.name} is not installed, and left out: see requirements-bench.txt")
