"""Page 6. The same neuron in Paddle, step by step beside the one in NumPy.

python -m lesson.paddle_twin
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import model  # noqa: F401  (before Paddle: it keeps the import quiet)
from lesson.data import (
    COLUMNS,
    PICTURES,
    Array,
    Facts,
    load_data,
    read_flat,
    split_rows,
    to_table,
)
from lesson.drawing import BLUE, GREY, ORANGE, Labels, picture
from lesson.network import Network
from lesson.stochastic import mini_batches
from reader.inputs import InputColumn
from reader.pack import PackedTable
from reader.schema import Column, Schema
from reader.statistics import Statistics

if TYPE_CHECKING:
    from model.linear import Linear

Rows = NDArray[np.float32]


class Step(NamedTuple):
    """One update of both networks: their losses before it, and how far their weights are apart."""

    numpy_loss: float
    paddle_loss: float
    apart: float


def twin(net: Network) -> Linear:
    """The project's own linear network, with the weights of the one in NumPy."""
    import paddle

    from model.linear import Linear

    network = Linear([InputColumn(name, "number") for name in COLUMNS[: len(net.w)]])
    with paddle.no_grad():
        network.linear.weight.set_value(net.w.astype(np.float32))
        network.linear.bias.set_value(np.array([net.b], dtype=np.float32))
    return network


def train_both(net: Network, network: Linear, data: Array, eta: float) -> list[Step]:
    """One epoch of mini-batches of 10, in the order of `data`, for both networks: Paddle's by the
    project's own trainer, and after each of its steps the same one in NumPy."""
    from paddle.optimizer import SGD

    from model.input_layers import TargetScale
    from model.objective import SquaredError
    from reader.dataset import TableDataset
    from trainer.trainer import Observer, State, Trainer

    batches, steps = iter(mini_batches(data, batch_size=10)), list[Step]()

    class TrainInNumPy(Observer):
        def step(self, state: State, loss: float, learning_rate: float) -> None:
            batch = next(batches)
            numpy_loss = net.train(batch[:, :-1], batch[:, -1:], iterations=1, eta=eta)[0]
            apart = np.abs(network.linear.weight.numpy() - net.w).max()
            steps.append(Step(numpy_loss, loss, float(apart)))

    # The lesson descends on half the loss, the mean squared error is the whole: slopes twice as
    # steep.
    optimizer = SGD(eta / 2, parameters=network.parameters())
    kinds = ["numeric"] * (len(COLUMNS) - 1) + ["target"]
    table = PackedTable(Schema(tuple(map(Column, COLUMNS, kinds))), data.astype(np.float32), "")
    loader = TableDataset(table, np.arange(len(table)), 10, None, inputs_and_target)
    objective = SquaredError(TargetScale(0.0, 1.0))
    trainer = Trainer(network, objective, optimizer, lambda step: eta / 2, loader)
    trainer.fit(State(), epochs=1, observers=[TrainInNumPy()], log_every=1)
    return steps


def inputs_and_target(rows: Rows) -> tuple[Rows, Rows]:
    """Features [n, 13] and prices [n, 1] of rows that are scaled already."""
    return rows[:, :-1].copy(), rows[:, -1:].copy()


def with_scaling(network: Linear) -> Any:
    """Raw columns in, prices in 1,000 USD out: the network between the project's scalings."""
    from model.input_layers import Scale, TargetScale
    from model.objective import SquaredError
    from model.regressor import Regressor

    training, _ = split_rows(to_table(read_flat()))
    center, scale = Statistics.of(COLUMNS, [training]).scaling("min_max")
    target = TargetScale(center[-1], scale[-1])
    return Regressor(Scale(center[:-1], scale[:-1]), network, SquaredError(target))


def save_graph(network: Any, path: Path, num_features: int) -> Any:
    """Record the network as a static graph and save it to `path`; the graph."""
    import paddle

    rows = paddle.static.InputSpec([None, num_features], "float32", "x")
    network.eval()
    graph = paddle.jit.to_static(network, input_spec=[rows], full_graph=True)
    paddle.jit.save(graph, str(path))
    return graph


def show_twins(training_data: Array) -> Facts:
    net = Network(13)
    network = twin(net)
    data = training_data.copy()
    net.random.shuffle(data)
    steps = train_both(net, network, data, eta=0.1)
    print("The first eight steps, mini-batches of 10")
    print("step   L in NumPy  L in Paddle  weights apart")
    for number, step in enumerate(steps[:8]):
        print(f"{number:4d}{step.numpy_loss:13.7f}{step.paddle_loss:13.7f}{step.apart:15.1e}")
    print()
    losses = np.array(steps)[:, :2]
    return {
        "steps": len(steps),
        "most_apart": max(step.apart for step in steps),
        "losses_apart": float(np.abs(losses[:, 0] - losses[:, 1]).max()),
    }


def show_graphs(training_data: Array) -> Facts:
    """Dynamic, static and read back from the disk: one prediction."""
    import paddle

    net = Network(13)
    net.train_stochastic(training_data, num_epochs=20, batch_size=1, eta=0.1)
    regressor = with_scaling(twin(net))
    _, test = split_rows(to_table(read_flat()))
    rows, prices = paddle.to_tensor(test[:, :-1], "float32"), test[:, -1]
    dynamic = regressor(rows).numpy()[:, 0]
    with TemporaryDirectory() as folder:
        graph = save_graph(regressor, Path(folder) / "model", num_features=13)
        static = graph(rows).numpy()[:, 0]
        files = {file.name: file.stat().st_size for file in sorted(Path(folder).iterdir())}
        loaded = paddle.jit.load(str(Path(folder) / "model"))
        read_back = loaded(rows).numpy()[:, 0]
    print("Prices of the first five test rows, 1,000 USD")
    print("row    true   dynamic    static   read back")
    for i in range(5):
        values = f"{dynamic[i]:10.4f}{static[i]:10.4f}{read_back[i]:12.4f}"
        print(f"{404 + i:3d}{prices[i]:8.1f}{values}")
    print()
    print("The exported files")
    for name, size in files.items():
        print(f"{name:<18}{size:6d} bytes")
    print()
    apart = max(np.abs(static - dynamic).max(), np.abs(read_back - dynamic).max())
    rmse = float(np.sqrt(np.mean((dynamic - prices) ** 2)))
    return {"graphs_apart": float(apart), "test_rmse": rmse}


def draw_twins(folder: Path, training_data: Array) -> None:
    net = Network(13)
    network = twin(net)
    data = training_data.copy()
    net.random.shuffle(data)
    steps = train_both(net, network, data, eta=0.1)
    number = np.arange(len(steps))
    labels: Labels = {"xlabel": "step", "ylabel": "$L$", "yscale": "log"}
    with picture(folder / "twin-losses.svg", **labels) as axes:
        axes.plot(number, [step.numpy_loss for step in steps], color=BLUE, linewidth=4, alpha=0.4)
        axes.plot(number, [step.paddle_loss for step in steps], color=ORANGE, linewidth=1)
        axes.legend(["NumPy", "Paddle"])
        axes.grid()
    labels = {"xlabel": "step", "ylabel": "max $|w - w_{\\mathrm{Paddle}}|$", "yscale": "log"}
    with picture(folder / "twin-apart.svg", **labels) as axes:
        axes.plot(number, [step.apart for step in steps], "o", color=ORANGE, markersize=4)
        axes.axhline(np.finfo(np.float32).eps, color=GREY, linestyle="--", label="float32 epsilon")
        axes.grid()
        axes.legend()


def main(folder: Path = PICTURES) -> Facts:
    """Print what the page shows, save its pictures to `folder`; the figures for the chapter."""
    training_data, _ = load_data()
    draw_twins(folder, training_data)
    return show_twins(training_data) | show_graphs(training_data)


if __name__ == "__main__":
    main()
