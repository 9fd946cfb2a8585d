"""The loop by itself, with observers of any kind; and what a whole run asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from numpy.typing import NDArray

from errors import DivergedError, UserError
from model.columns import Columns
from model.input_layers import TargetScale
from model.linear import Linear
from model.network import Network
from model.networks import build_network
from model.objective import SquaredError
from model.optimizer import build_optimizer
from model.regressor import Regressor, get_state, set_state
from reader.dataset import TableDataset
from reader.inputs import InputColumn
from reader.metrics import Metrics, Sums
from reader.pack import PackedTable
from tests.conftest import numeric, train_recipe
from trainer.observers import BestWeights
from trainer.trainer import Observer, State, Trainer, watched_part

COLUMNS = [InputColumn(name, "number") for name in "ab"]
Rows = NDArray[np.float32]


def table() -> Rows:
    """Rows [40, 3] of which the target, last, follows a line but for noise."""
    random = np.random.default_rng(0)
    x = random.normal(size=(40, 2))
    return np.column_stack([x, x @ [2, -1] + 3 + random.normal(size=40)]).astype(np.float32)


def trainer(network: Network, rate: float = 0.1, batch_size: int = 8) -> Trainer:
    rows = PackedTable(numeric("aby", "y"), table(), "")
    loader = TableDataset(
        rows, np.arange(40), batch_size, 0, lambda rows: (rows[:, :-1].copy(), rows[:, -1:].copy())
    )
    loader.block_size = 16  # three blocks an epoch
    optimizer = build_optimizer("sgd", network, rate, weight_decay=0.0)
    objective = SquaredError(TargetScale(0.0, 1.0))
    return Trainer(network, objective, optimizer, lambda step: rate / (1 + step / 50), loader)


def metrics_of(rows: Rows, line: Linear) -> Metrics:
    sums = Sums()
    weights, bias = line.line()
    sums.add(rows[:, -1], rows[:, :-1] @ weights + bias)
    return sums.metrics()


def test_the_best_epoch_is_one_that_settled() -> None:
    """Where there is none yet, any; the first that did takes its place, and none of the others."""
    best, state = (
        BestWeights(trainer(build_network("linear", COLUMNS, 0)), {3, 5}.__contains__),
        State(),
    )
    chosen = []
    for state.epoch, mse in enumerate((5, 1, 4, 2, 3), start=1):
        values = Metrics(mse=float(mse), rmse=0.0, mae=0.0, r2=None, rows=1)
        best.epoch(state, {"validation": values})
        chosen.append((state.best_epoch, state.best_value))
    assert chosen == [(1, 5), (2, 1), (3, 4), (3, 4), (5, 3)]


def test_it_ends_at_least_squares() -> None:
    line = build_network("linear", COLUMNS, seed=0)
    assert isinstance(line, Linear)
    state = trainer(line).fit(State(), epochs=200)
    design = np.column_stack([table()[:, :-1], np.ones(40)])
    expected = np.linalg.lstsq(design, table()[:, -1], rcond=None)[0]
    weights, bias = line.line()
    np.testing.assert_allclose([*weights, bias], expected, atol=0.02)
    assert (state.epoch, state.step, state.block) == (200, 200 * 5, 0)
    assert state.seconds > 0


class Diary(Observer):
    """Writes down what it is told, and stops training after an epoch."""

    def __init__(self, last: int) -> None:
        self.entries: list[str] = []
        self.last = last

    def step(self, state: State, loss: float, learning_rate: float) -> None:
        assert loss > 0
        assert learning_rate == pytest.approx(0.1 / (1 + state.step / 50))
        self.entries.append(f"step {state.step}")

    def block(self, state: State) -> None:
        self.entries.append(f"block {state.epoch}.{state.block}")

    def epoch(self, state: State, metrics: Mapping[str, Metrics]) -> None:
        self.entries.append(f"epoch {state.epoch} {watched_part(metrics)} {len(state.history)}")
        if state.epoch == self.last:
            state.stop = "enough"


def test_observers_are_told_in_order_and_may_stop() -> None:
    line = build_network("linear", COLUMNS, seed=0)
    assert isinstance(line, Linear)
    diary, rows = Diary(last=2), table()

    def evaluate() -> dict[str, Metrics]:
        return {"train": metrics_of(rows[:30], line), "validation": metrics_of(rows[30:], line)}

    state = trainer(line).fit(State(), 9, [diary], evaluate, log_every=3)
    assert diary.entries == [
        *("step 0", "block 0.1", "step 3", "block 0.2", "epoch 1 validation 1"),
        *("step 6", "block 1.1", "block 1.2", "step 9", "epoch 2 validation 2"),
    ]
    assert (state.epoch, state.stop) == (2, "enough")
    assert set(state.history[0]) == {"epoch", "train", "validation"}
    assert trainer(line).fit(state, 9, [diary]).epoch == 2  # a training that was stopped stays so


def test_it_goes_on_from_any_block() -> None:
    """As a resumed run does: the same steps, whoever made the first of them."""

    class Leave(Exception):  # noqa: N818, no error
        pass

    class LeaveAt(Observer):
        def block(self, state: State) -> None:
            if (state.epoch, state.block) == (1, 2):
                raise Leave

    whole, parted, resumed = (build_network("linear", COLUMNS, seed=0) for _ in range(3))
    trainer(whole).fit(State(), 3)
    state = State()
    with pytest.raises(Leave):
        trainer(parted).fit(state, 3, [LeaveAt()])
    set_state(resumed, get_state(parted))
    trainer(resumed).fit(state, 3)
    for name, values in get_state(whole).items():
        np.testing.assert_array_equal(get_state(resumed)[name], values)


def test_only_a_step_whose_loss_is_drawn_asks_for_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU that waits for all that was asked of it."""
    asked: list[int] = []

    def counted(read: Any) -> Any:
        def reading(*given: Any, **options: Any) -> Any:
            asked.append(state.step)
            return read(*given, **options)

        return reading

    state, network = State(), build_network("mlp", COLUMNS, seed=0, hidden=[4])
    trained = trainer(network, batch_size=2)
    trained.check_shapes()
    for name in ("numpy", "item", "tolist", "__float__", "__int__", "__bool__", "__array__"):
        monkeypatch.setattr(paddle.Tensor, name, counted(getattr(paddle.Tensor, name)))
    trained.fit(state, 1, log_every=5)
    assert set(asked) == {0, 5, 10, 15}


class Flat(Linear):
    """Gives [N] where [N, 1] is asked for."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return super().forward(x)[:, 0]


def test_shapes_that_would_broadcast_are_refused_before_the_first_step() -> None:
    network = Flat(COLUMNS)
    before = get_state(network)
    with pytest.raises(AssertionError, match=r"\[1\]"):
        trainer(network).fit(State(), 1)
    assert all((before[name] == values).all() for name, values in get_state(network).items())


def test_a_loss_that_is_not_finite_ends_it() -> None:
    with pytest.raises(DivergedError, match=r"training diverged.*learning_rate=1e\+09"):
        trainer(Linear(COLUMNS), rate=1e10).fit(State(), 20, log_every=1)
    assert issubclass(DivergedError, UserError)


class Counting(Network):
    """A network with a buffer: it counts the mini-batches that it has trained on."""

    def __init__(self, columns: Columns) -> None:
        super().__init__()
        self.linear = paddle.nn.Linear(len(columns), 1)
        self.register_buffer("batches", paddle.zeros([1]))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        if self.training:
            self.batches += 1
        return self.linear(x)


def test_buffers_are_a_part_of_the_state() -> None:
    network, other = Counting(COLUMNS), Counting(COLUMNS)
    trainer(network).fit(State(), 2)
    assert get_state(network)["batches"].item() == 10  # of 5 an epoch; none to check shapes
    set_state(other, get_state(network))
    assert other.batches.item() == 10


@pytest.mark.parametrize("model", ["linear", "mlp"])
def test_no_row_is_predicted_twice_for_one_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    """Each epoch predicts the rows of two parts, the report those of the third, the proof of the
    export some training rows and one by itself; and importance 5 times those that it shuffles."""
    rows: list[int] = []
    predict = Regressor.predict_inputs

    def counted(self: Regressor, inputs: Rows) -> NDArray[np.float64]:
        rows.append(len(inputs))
        return predict(self, inputs)

    monkeypatch.setattr(Regressor, "predict_inputs", counted)
    boston = ["train.epochs=3", "train.export=last", "intervals.coverage=0.8"]
    boston += [f"model.name={model}", "optimizer.learning_rate=0.01"]
    report = train_recipe(tmp_path / "run", "configs/boston.yaml", boston)
    parts = ("train", "validation", "test")
    train, validation, test = (report["metrics"][part]["rows"] for part in parts)
    shuffled = 5 * 13 * test if model == "mlp" else 0
    assert sum(rows) == 3 * (train + validation) + test + (train + 1) + shuffled
    assert len(report["examples"]["actual"]) == test
