from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from numpy.typing import NDArray

from model.average import Average
from model.input_layers import Fill, Indicate, OneHot, Scale, Select, TargetScale, Whiten
from model.intervals import Margins
from model.linear import FusedLinear, Linear
from model.network import Embedded, Network
from model.networks import NETWORKS, build_network
from model.objective import SquaredError
from model.optimizer import SGD, build_optimizer, build_schedule
from model.regressor import Regressor, get_state, set_state
from reader.inputs import InputColumn

MLP: dict[str, Any] = {"hidden": [5, 4], "activation": "tanh", "dropout": 0.0}


def numbers(count: int) -> list[InputColumn]:
    return [InputColumn(f"x{i}", "number") for i in range(count)]


def flat(network: paddle.nn.Layer) -> list[float]:
    return [float(v) for values in get_state(network).values() for v in values.ravel()]


def learn_something(network: Network) -> None:
    """In place of training: at first a network is its line."""
    assert isinstance(network, Embedded)
    last = network.layers[-1].weight
    last.set_value(paddle.full_like(last, 0.3))
    network.set_line(np.arange(1.0, network.numbers + 1), -2.0)


def test_linear_is_one_paddle_linear() -> None:
    network = build_network("linear", columns=numbers(13), seed=0)
    (layer,) = [layer for layer in network.sublayers() if isinstance(layer, paddle.nn.Linear)]
    assert layer.weight.shape == [13, 1]


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu"])
def test_mlp_computes_what_its_weights_say(activation: str) -> None:
    network = build_network("mlp", columns=numbers(3), seed=0, **MLP | {"activation": activation})
    x = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    functions: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
        "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
        "tanh": np.tanh,
        "relu": lambda v: np.maximum(v, 0),
    }
    learn_something(network)
    state = get_state(network)
    w1, b1, w2, b2, w3, b3 = (state[name] for name, _ in network.named_parameters())
    hidden = functions[activation](functions[activation](x @ w1 + b1) @ w2 + b2)
    expected = hidden @ w3 + b3 + x @ state["line_weight"] + state["line_bias"]
    np.testing.assert_allclose(network(paddle.to_tensor(x)).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "resnet"])
def test_a_network_starts_as_its_line(name: str) -> None:
    columns = [*numbers(2), InputColumn("c", "code", 5)]
    network = build_network(name, columns, seed=0, outputs=2)
    assert isinstance(network, Embedded)
    network.set_line(np.array([2.0, -1.0]), 0.5)
    network.eval()
    x = paddle.to_tensor([[1.0, 2.0, 3.0], [0.0, 4.0, 1.0]])
    np.testing.assert_allclose(network(x).numpy(), [[0.5, 0.5], [-3.5, -3.5]], rtol=1e-6)
    assert not {"line_weight", "line_bias"} & {name for name, _ in network.named_parameters()}


def test_dropout_acts_in_training_alone() -> None:
    network = build_network("mlp", columns=numbers(3), seed=0, **MLP | {"dropout": 0.5})
    learn_something(network)
    x = paddle.ones([1, 3])
    network.train()
    assert len({network(x).item() for _ in range(20)}) > 1
    network.eval()
    assert len({network(x).item() for _ in range(20)}) == 1


def test_first_weights_depend_on_the_seed_alone() -> None:
    paddle.seed(99)
    one = flat(build_network("mlp", numbers(3), seed=1, **MLP))
    paddle.rand([5])
    assert one == flat(build_network("mlp", numbers(3), seed=1, **MLP))
    assert one != flat(build_network("mlp", numbers(3), seed=2, **MLP))


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_threads_do_not_take_each_others_first_weights(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Paddle draws from one generator: another thread's seed must not come between."""
    options: dict[str, Any] = MLP if name == "mlp" else {}
    alone = [flat(build_network(name, numbers(3), seed=seed, **options)) for seed in range(4)]
    seed_of = paddle.seed

    def slowly(seed: int) -> None:
        seed_of(seed)
        time.sleep(0.02)  # in which another thread would seed it

    monkeypatch.setattr(paddle, "seed", slowly)
    with ThreadPoolExecutor(4) as threads:
        built = threads.map(lambda s: build_network(name, numbers(3), seed=s, **options), range(4))
        assert [flat(network) for network in built] == alone


def test_weights_go_back_into_another_network() -> None:
    one, other = (build_network("mlp", numbers(3), seed=seed, **MLP) for seed in (1, 2))
    set_state(other, get_state(one))
    assert flat(one) == flat(other)
    with pytest.raises(AssertionError), pytest.warns(UserWarning, match="not found"):
        set_state(other, {})


def test_regressor_takes_raw_values_and_gives_the_targets_unit() -> None:
    network = build_network("linear", columns=numbers(2), seed=0)
    regressor = Regressor(
        Scale(np.array([1.0, 2.0]), np.array([10.0, 20.0])),
        network,
        SquaredError(TargetScale(100.0, 7.0)),
    )
    raw = np.array([[11.0, 42.0], [1.0, -8.0]], dtype=np.float32)
    weight, bias = get_state(network).values()
    scaled = np.array([[1.0, 2.0], [0.0, -0.5]], dtype=np.float32)
    np.testing.assert_allclose(
        regressor(paddle.to_tensor(raw)).numpy(), (scaled @ weight + bias) * 7 + 100, rtol=1e-6
    )


def test_target_scales_and_their_inverses() -> None:
    scale = TargetScale(1.0, 2.0, log=True)
    y = paddle.to_tensor([[0.0], [np.e - 1], [1e6]])
    np.testing.assert_allclose(scale(y).numpy()[:2], [[-0.5], [0.0]], atol=1e-6)
    np.testing.assert_allclose(scale.inverse(scale(y)).numpy(), y.numpy(), rtol=1e-4)
    plain, y = TargetScale(3.0, 4.0), paddle.to_tensor([[3.0], [11.0]])
    assert plain(y).numpy().tolist() == [[0.0], [2.0]]
    assert plain.inverse(plain(y)).numpy().tolist() == y.numpy().tolist()


OPTIONS: dict[str, dict[str, float]] = {
    "sgd": {},
    "momentum": {"momentum": 0.9},
    "adam": {"beta1": 0.9, "beta2": 0.999},
    "adamw": {"beta1": 0.9, "beta2": 0.999},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_first_step_of_each_optimizer(name: str, weight_decay: float) -> None:
    """Against the textbook formulae; the bias does not decay."""
    network = build_network("linear", columns=numbers(2), seed=0)
    weight, bias = (values.astype(np.float64) for values in get_state(network).values())
    step = 0.1
    optimizer = build_optimizer(name, network, step, weight_decay, **OPTIONS[name])
    x, y = np.array([[1.0, -2.0]]), np.array([[3.0]])
    F.mse_loss(network(paddle.to_tensor(x, "float32")), paddle.to_tensor(y, "float32")).backward()
    optimizer.step()

    error = 2 * (x @ weight + bias - y)
    gradient, gradient_bias = x.T @ error, error[0]
    if name == "adamw":
        weight = weight * (1 - step * weight_decay)
    else:
        gradient = gradient + weight_decay * weight
    if name.startswith("adam"):  # bias-corrected moments of one gradient: its sign
        gradient, gradient_bias = np.sign(gradient), np.sign(gradient_bias)
    found_weight, found_bias = get_state(network).values()
    np.testing.assert_allclose(found_weight, weight - step * gradient, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found_bias, bias - step * gradient_bias, rtol=1e-4, atol=1e-5)


def test_schedules() -> None:
    def rates(name: str, **options: Any) -> list[float]:
        schedule = build_schedule(name, 1.0, steps_per_epoch=2, epochs=4, **options)
        return [schedule(step) for step in range(8)]

    assert rates("constant") == [1.0] * 8
    assert rates("step", every=2, gamma=0.5) == [1.0] * 4 + [0.5] * 4
    cosine = rates("cosine")
    assert cosine[0] == 1
    assert cosine[4] == pytest.approx(0.5)
    assert cosine == sorted(cosine, reverse=True)
    assert 0 < cosine[-1] < 0.05


def test_inverse_schedule_averages_what_the_batches_of_an_epoch_ask_for() -> None:
    """On a loss of curvature 2, (w - a)^2, the weight ends at the mean of all a."""
    schedule = build_schedule("inverse", 0.5, steps_per_epoch=4, epochs=2)
    for epoch, asked in enumerate(([3.0, -1.0, 7.0, 2.0], [1.0, 1.0, 1.0, 9.0])):
        weight = 100.0
        for k, a in enumerate(asked):
            weight -= schedule(4 * epoch + k) * 2 * (weight - a)
        assert weight == pytest.approx(np.mean(asked))


def test_sgd_is_that_of_paddle_to_the_bit() -> None:
    def trained(kind: Any) -> list[float]:
        network = build_network("mlp", columns=numbers(5), seed=3, **MLP)
        optimizer, random = kind(0.1, parameters=network.parameters()), np.random.default_rng(0)
        for step in range(20):
            rows = paddle.to_tensor(random.normal(size=(16, 6)).astype(np.float32))
            optimizer.set_lr(0.1 / (1 + step))
            loss = F.mse_loss(network(rows[:, :-1]), rows[:, -1:])
            optimizer.clear_grad(set_to_zero=False)
            loss.backward()
            optimizer.step()
        return flat(network)

    assert trained(SGD) == trained(paddle.optimizer.SGD)


def test_average_puts_the_mean_of_the_iterates_in_place() -> None:
    network = build_network("linear", columns=numbers(1), seed=0)
    average, weight = Average(network), dict(network.named_parameters())["linear.weight"]
    for value in (1.0, 4.0, 7.0):
        weight.set_value(paddle.full([1, 1], value))
        average.add()
    state = average.state()
    average.end_epoch(3)
    assert weight.item() == 4
    assert average.state()["linear.weight/average"].item() == 0
    average.restore(state)
    average.end_epoch(2)
    assert weight.item() == 6


def test_fused_line_predicts_what_its_layers_predict() -> None:
    random = np.random.default_rng(0)
    center, matrix = random.normal(size=6), random.normal(size=(6, 6))
    encode = paddle.nn.Sequential(
        Select([0, 2, 1]), Indicate([1], 2), Fill(np.array([5.0, -1.0])), OneHot(3, [np.eye(3)])
    )
    network = build_network("linear", columns=numbers(6), seed=0)
    assert isinstance(network, Linear)
    target = TargetScale(1.0, 0.1, True, (-30.0, 10.0))
    inputs = paddle.nn.Sequential(encode, Whiten(center, matrix))
    regressor = Regressor(inputs, network, SquaredError(target))
    margins = Margins(np.array([0.9, 1.1]), np.array([0.05, 0.2]), np.array([0.1, 0.02]), log=True)
    regressor.calibrate(margins.within(0.8, np.inf))
    weights, bias = network.line()
    raw = matrix @ weights * 0.1
    bias = float(1 + 0.1 * bias - center @ raw)
    fused = FusedLinear(encode, raw, bias, regressor.objective.margins, (-2.0, 2.0))
    far = [[1e6, 2, 0], [-1e6, 2, 0]]
    rows = np.array([[1, 0, 2], [np.nan, 1, 3], [4, 2, np.nan], *far], dtype=np.float32)
    fused.eval()
    predictions = fused(paddle.to_tensor(rows)).numpy()
    assert predictions.dtype == np.float32
    assert predictions.shape == (5, 3)
    assert np.log1p(predictions[3:, 0].max()) == pytest.approx(2)
    np.testing.assert_allclose(predictions, regressor.predict(rows), rtol=2e-5)


def test_each_level_adds_to_a_line_what_a_flag_would() -> None:
    columns = [*numbers(2), InputColumn("c", "code", 3), InputColumn("d", "code", 4)]
    line = build_network("linear", columns, seed=0)
    line.levels.weight.set_value(paddle.arange(7, dtype="float32").unsqueeze(1) / 10)
    rows = paddle.to_tensor([[1.0, 2.0, 2.0, 3.0], [1.0, 2.0, 0.0, 0.0]])
    first, second = line(rows).numpy()[:, 0]
    # Three levels in one column and four in the other, by the roots of their shares.
    assert first - second == pytest.approx(3**0.5 * 0.2 + 4**0.5 * 0.3, rel=1e-5)
    effects = line.effects()
    assert effects[:3].sum() == pytest.approx(0, abs=1e-6)
    assert effects[2] - effects[0] + effects[6] - effects[3] == pytest.approx(first - second)


def test_of_a_resnet_only_weights_of_layers_decay() -> None:
    columns = [*numbers(2), InputColumn("c", "code", 5)]
    network = build_network("resnet", columns, seed=0, width=4, blocks=1)
    decaying = decaying_of(network)
    names = {name for name, p in network.named_parameters() if id(p) in decaying}
    layers = ("layers.0", "layers.1.first", "layers.1.second", "layers.4")
    assert names == {f"{layer}.weight" for layer in (*layers, "columns.levels")}


def decaying_of(network: Network) -> set[int]:
    """The parameters that decay, by id."""
    return {id(p) for group in network.groups() if group.decay for p in group.parameters}


@pytest.mark.parametrize(
    "name", sorted(set(NETWORKS) - {"additive", "blend"})
)  # made of a solution
def test_the_objective_says_how_many_numbers_a_row_gets(name: str) -> None:
    columns = [*numbers(2), InputColumn("c", "code", 5)]
    for outputs in (1, 3):
        network = build_network(name, columns, seed=0, outputs=outputs)
        shape = [4, 1, outputs] if name == "tabm" else [4, outputs]
        assert network(paddle.zeros([4, 3])).shape == shape


def test_levels_of_a_network_are_learned_numbers() -> None:
    columns = [*numbers(2), InputColumn("c", "code", 5)]
    network = build_network("mlp", columns, seed=0, hidden=[7], embedding=3)
    assert network(paddle.zeros([4, 3])).shape == [4, 1]
    shapes = {name: values.shape for name, values in get_state(network).items()}
    assert shapes["columns.levels.weight"] == (5, 3)
    assert shapes["layers.0.dense.weight"] == (5, 7)


@pytest.mark.parametrize("normalization", ["batch", "layer"])
def test_resnet_computes_what_its_weights_say(normalization: str) -> None:
    """In training by the mini-batch's mean and deviation, or the row's; in prediction batch norm
    takes those that it has seen so far."""
    options: dict[str, Any] = {"width": 4, "blocks": 1, "dropout": 0.0}
    network = build_network("resnet", numbers(3), seed=0, normalization=normalization, **options)
    x = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    network.train()
    for training in (True, False):
        state = {name: values.astype(np.float64) for name, values in get_state(network).items()}

        def norm(h: NDArray[Any], at: str, state: Any = state, first: bool = training) -> Any:
            axis = 0 if normalization == "batch" else 1
            mean, variance = h.mean(axis, keepdims=True), h.var(axis, keepdims=True)
            if normalization == "batch" and not first:
                mean, variance = state[f"{at}._mean"], state[f"{at}._variance"]
            weight, bias = state[f"{at}.weight"], state[f"{at}.bias"]
            return (h - mean) / np.sqrt(variance + 1e-5) * weight + bias

        def linear(h: NDArray[Any], at: str, state: Any = state) -> Any:
            return h @ state[f"{at}.weight"] + state[f"{at}.bias"]

        h = linear(x, "layers.0")
        inner = np.maximum(linear(norm(h, "layers.1.norm"), "layers.1.first"), 0)
        h = h + linear(inner, "layers.1.second")
        expected = linear(np.maximum(norm(h, "layers.2"), 0), "layers.4")
        np.testing.assert_allclose(
            network(paddle.to_tensor(x)).numpy(), expected, rtol=1e-3, atol=1e-4
        )
        network.eval()


def test_a_few_rows_do_not_change_what_batch_norm_has_seen() -> None:
    network = build_network("resnet", numbers(3), seed=0, width=4)
    network.train()
    network(paddle.rand([50, 3]))
    before = get_state(network)
    network(paddle.full([1, 3], 100.0))
    assert flat(network) == [float(v) for values in before.values() for v in values.ravel()]
    network(paddle.rand([50, 3]))
    assert any((before[name] != values).any() for name, values in get_state(network).items())


@pytest.mark.parametrize("name", ["linear", "mlp"])
def test_what_decays_are_weights_and_no_biases(name: str) -> None:
    network: Network = build_network(name, [*numbers(2), InputColumn("c", "code", 5)], seed=0)
    decaying = decaying_of(network)
    for parameter_name, parameter in network.named_parameters():
        assert (id(parameter) in decaying) == parameter_name.endswith("weight"), parameter_name


def test_the_rate_of_the_schedule_is_the_one_that_is_used() -> None:
    network = build_network("linear", columns=numbers(1), seed=0)
    optimizer = build_optimizer("sgd", network, 1.0, weight_decay=0.1)
    before = flat(network)
    optimizer.set_lr(0.0)
    network(paddle.ones([1, 1])).sum().backward()
    optimizer.step()
    assert flat(network) == before
