"""Several networks at once are what each of them is alone, and what their papers say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from numpy.typing import NDArray

from lesson.backpropagation import TwoLayerNetwork
from model.embedding import Periodic, PiecewiseLinear
from model.input_layers import TargetScale
from model.members import Dense, Masks
from model.mlp import MLP
from model.network import Group, Network, flat_cosine
from model.networks import build_members, build_network
from model.objective import SquaredError
from model.optimizer import Adam, build_optimizer, build_schedule, is_settled
from model.realmlp import RealMLP
from model.tabm import TabM
from reader.inputs import InputColumn

Rows = NDArray[np.float32]
COLUMNS = [
    *(InputColumn(name, "number") for name in "abcd"),
    InputColumn("flag", "flag"),
    InputColumn("code", "code", 9),
    InputColumn("other", "code", 7),
]
NETWORKS: list[tuple[str, dict[str, Any]]] = [
    ("mlp", {"hidden": [16, 16]}),
    ("mlp", {"hidden": [16], "numeric_embedding": "pbld", "activation": "mish"}),
    ("resnet", {"width": 8, "normalization": "layer"}),
    ("resnet", {"width": 8, "normalization": "batch"}),
    ("realmlp", {"hidden": [16, 16]}),
    ("realmlp", {"hidden": [16, 16], "numeric_embedding": "ple"}),
]


def rows(count: int = 512) -> Rows:
    random = np.random.default_rng(0)
    numbers, flags = random.normal(size=(count, 4)), random.random(count) < 0.3
    codes = random.integers(0, [9, 7], size=(count, 2))
    return np.column_stack([numbers, flags, codes]).astype(np.float32)


def train(name: str, seeds: Sequence[int], options: dict[str, Any]) -> Network:
    """Six steps of Adam, with dropout; behind batch normalisation a bias has no slope but rounding,
    which Adam would blow up."""
    x = rows()
    y = np.sin(2 * x[:, :1]) + x[:, 1:2]
    network = build_members(name, COLUMNS, seeds, x, dropout=0.2, **options)
    kind = "sgd" if options.get("normalization") == "batch" else "adamw"
    optimizer = build_optimizer(kind, network, 0.01, 0.1)
    objective = SquaredError(TargetScale(0.0, 1.0))
    network.train()
    network.begin_block(seed=3, done=0.0, rows=64)
    for start in range(0, 384, 64):
        batch = slice(start, start + 64)
        loss = objective.loss(network(paddle.to_tensor(x[batch])), paddle.to_tensor(y[batch]))
        optimizer.clear_grad(set_to_zero=False)
        (loss * network.members).backward()
        optimizer.step()
    network.eval()
    return network


def predict(network: Network, x: Rows) -> Rows:
    with paddle.no_grad():
        return network(paddle.to_tensor(x)).numpy()


def gradient(parameter: paddle.Tensor) -> Rows:
    assert parameter.grad is not None
    return parameter.grad.numpy()


@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_a_member_is_the_network_trained_alone_with_its_seed(
    name: str, options: dict[str, Any]
) -> None:
    together, x = predict(train(name, [5, 6, 7], options), rows()), rows()
    assert together.shape == (512, 3, 1)
    for member, seed in enumerate([5, 6, 7]):
        alone = predict(train(name, [seed], options), x)
        np.testing.assert_allclose(together[:, member], alone, atol=2e-3)
    assert np.abs(together[:, 0] - together[:, 1]).max() > 0.02


def test_a_member_drops_what_it_drops_alone() -> None:
    together, alone = Masks(0.25, [5, 6]), Masks(0.25, [6])
    for masks in (together, alone):
        masks.begin(seed=9, share=0.25, most=4_000)
    for width in (40, 100):
        ones = paddle.ones([2, 40, width])
        both, one = together(ones).numpy(), alone(ones[0]).numpy()
        np.testing.assert_array_equal(both[1], one)
        assert not np.array_equal(both[0], both[1])
        assert set(np.unique(one)) == {0.0, np.float32(1 / 0.75)}
        assert np.mean(one == 0) == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("members", [1, 3])
def test_training_and_prediction_compute_the_same(members: int) -> None:
    """And the gradients are those of the plain product."""
    layer = Dense(4, 5, members, gain=0.5)
    x = paddle.rand([20, 4])
    gradients = []
    for layer.training in (True, False):
        loss = (layer(x) ** 2).sum()
        loss.backward()
        gradients.append([loss.numpy(), gradient(layer.weight), gradient(layer.bias)])
        layer.clear_gradients()
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


def test_mlp_has_the_gradients_of_the_network_by_hand() -> None:
    """With the weights of the lesson's; its slopes are of half the loss."""
    by_hand = TwoLayerNetwork(num_features=3, num_hidden=5)
    columns = [InputColumn(name, "number") for name in "abc"]
    network = MLP(columns, 1, Masks(0.0, [0]), hidden=[5], activation="sigmoid")
    for parameter, values in zip(network.parameters(), by_hand.parameters(), strict=True):
        parameter.set_value(values.astype(np.float32))
    random = np.random.default_rng(0)
    x, y = random.normal(size=(40, 3)), random.normal(size=(40, 1))
    output = network(paddle.to_tensor(x.astype(np.float32)))
    np.testing.assert_allclose(output.numpy(), by_hand.forward(x), rtol=1e-4, atol=1e-5)
    F.mse_loss(output, paddle.to_tensor(y.astype(np.float32))).backward()
    for parameter, slope in zip(network.parameters(), by_hand.gradient(x, y), strict=True):
        np.testing.assert_allclose(gradient(parameter) / 2, slope, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("members", [1, 2])
def test_periodic_embedding(members: int) -> None:
    """A column's numbers after the other's: (cos(x f + b) W + c, x)."""
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    layer = Periodic(3, members)
    f, b, w, c = (p.numpy() for p in layer.parameters())
    for layer.training in (True, False):
        found = layer(paddle.to_tensor(x)).numpy().reshape(members, 6, 12)
        for member in range(members):
            for column in range(3):
                at, of = member * 3 + column, x[:, column : column + 1]
                waves = np.cos(of @ f[at] + b[at]) @ w[at] + c[at]
                expected = np.hstack([waves, of])
                given = found[member, :, 4 * column : 4 * column + 4]
                np.testing.assert_allclose(given, expected, atol=1e-4)


def test_piecewise_linear_embedding_is_any_line_between_quantiles() -> None:
    """Ramps from quantile to quantile, which go on at both ends; a constant column has none."""
    values = np.random.default_rng(0).gamma(2, size=4_000)
    data = np.column_stack([values, np.full(4_000, 3.0)]).astype(np.float32)
    layer = PiecewiseLinear(2)
    layer.start(data)
    layer.linear.set_value(np.zeros([2, 1, 8], dtype=np.float32))
    layer.bias.set_value(np.zeros([2, 1, 8], dtype=np.float32))
    edges = np.quantile(data[:, 0], np.linspace(0, 1, 33))
    heights = np.random.default_rng(1).normal(size=33)
    weight = np.zeros([2, 32, 8], dtype=np.float32)
    weight[0, :, 5] = np.diff(heights)
    layer.weight.set_value(weight)
    points = np.array([*edges, edges[0] - 1, edges[-1] + 2])
    first, last = (np.diff(heights) / np.diff(edges))[[0, -1]]
    expected = [*(heights - heights[0]), -first, heights[-1] - heights[0] + 2 * last]
    x = np.column_stack([points, np.full(len(points), 3.0)]).astype(np.float32)
    found = layer(paddle.to_tensor(x)).numpy()
    np.testing.assert_allclose(found[:, 5], expected, atol=1e-4)
    assert np.abs(np.delete(found, 5, axis=1)).max() == 0


def test_tabm_is_one_mlp_whose_members_scale_its_inputs_and_outputs() -> None:
    columns, x = COLUMNS[:4], rows(20)[:, :4]
    network = TabM(columns, 1, Masks(0.0, [0, 1, 2]), hidden=[6, 5], numeric_embedding="none")
    random = np.random.default_rng(0)
    for parameter in network.parameters():
        parameter.set_value(random.normal(size=parameter.shape).astype(np.float32))
    for network.training in (True, False):
        found = network(paddle.to_tensor(x)).numpy()
        for member in range(3):
            h = x
            for layer in network.layers:
                r, s, b = (each.numpy()[member] for each in (layer.r, layer.s, layer.bias))
                h = np.maximum((h * r[:, 0]) @ layer.weight.numpy() * s[0] + b[0], 0)
            expected = h @ network.weight.numpy()[member] + network.bias.numpy()[member]
            np.testing.assert_allclose(found[:, member], expected, rtol=1e-3, atol=1e-3)


def test_first_weights_of_realmlp_follow_the_rows() -> None:
    """What each layer gives, before its bias, has deviation 1; with it, it is near 0 somewhere."""
    x = rows(2_000)
    network = build_members("realmlp", COLUMNS, [4], x, hidden=[64, 64])
    assert isinstance(network, RealMLP)
    network.eval()
    with paddle.no_grad():
        h = network.columns(paddle.to_tensor(x))
        for layer in network.layers:
            product = layer(h).numpy()
            np.testing.assert_allclose(product.std(axis=0), 1, rtol=0.02)
            assert np.abs(np.median(product, axis=0)).mean() < 1
            h = network.activation(layer(h))
    again = build_members("realmlp", COLUMNS, [4], x, hidden=[64, 64])
    for one, other in zip(network.parameters(), again.parameters(), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_the_groups_of_realmlp_learn_and_decay_as_published() -> None:
    network = build_network("realmlp", COLUMNS, seed=0)
    named = {id(p): name for name, p in network.named_parameters()}
    factors = {
        named[id(p)]: (group.rate, group.decay)
        for group in network.groups()
        for p in group.parameters
    }
    assert set(factors) == set(named.values())
    assert factors["scale"] == pytest.approx((6, 36))
    for name in ("layers.0.weight", "columns.levels.weight"):
        assert factors[name] == pytest.approx((1, 1))
    assert factors["layers.0.bias"] == pytest.approx((0.1, 0))
    for name in ("columns.numbers.frequency", "columns.numbers.weight"):
        assert factors[name] == pytest.approx((0.1, 0.1**2))


def test_decay_pulls_each_group_by_its_own_strength() -> None:
    weights = [paddle.create_parameter([3], "float32") for _ in range(2)]
    for parameter in weights:
        parameter.set_value(np.ones(3, dtype=np.float32))
        (parameter * 0).sum().backward()
    groups = [Group(weights[:1], rate=2.0, decay=0.5), Group(weights[1:], decay=0.0)]
    optimizer = Adam(groups, 0.1, weight_decay=0.3, decoupled=True)
    optimizer.fade = 0.5
    optimizer.step()
    assert weights[0].numpy() == pytest.approx(1 - 0.1 * 0.3 * 0.5 * 0.5)
    assert weights[1].numpy() == pytest.approx(1)


@pytest.mark.parametrize(("name", "decay"), [("adam", 0.0), ("adam", 0.1), ("adamw", 0.1)])
@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_adam_steps_as_paddle_does(name: str, decay: float, clip: float) -> None:
    random = np.random.default_rng(0)
    first = [random.normal(size=shape).astype(np.float32) for shape in ((5, 4), (4,))]
    ours, theirs = ([paddle.create_parameter(v.shape, "float32") for v in first] for _ in range(2))
    for parameters in (ours, theirs):
        for parameter, values in zip(parameters, first, strict=True):
            parameter.set_value(values)
    kinds = {"adam": paddle.optimizer.Adam, "adamw": paddle.optimizer.AdamW}
    limit = paddle.nn.ClipGradByGlobalNorm(clip) if clip else None
    of_paddle = kinds[name](
        0.02, beta2=0.95, parameters=theirs, weight_decay=decay, grad_clip=limit
    )
    own = Adam([Group(ours)], 0.02, decay, name == "adamw", (0.9, 0.95), clip)
    x = paddle.to_tensor(random.normal(size=(30, 5)).astype(np.float32))
    for _ in range(8):
        for parameters, optimizer in ((ours, own), (theirs, of_paddle)):
            (paddle.tanh(x @ parameters[0] + parameters[1]) ** 2).mean().backward()
            optimizer.step()
            optimizer.clear_grad()
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-5, atol=1e-6)


def test_schedules_have_their_published_shapes() -> None:
    four = build_schedule("coslog4", 2.0, steps_per_epoch=15, epochs=1)
    rates = [four(step) for step in range(15)]
    assert [rates[step] for step in (0, 1, 3, 7)] == pytest.approx([0, 0, 0, 0], abs=1e-12)
    assert max(rates) == rates[5] == rates[11] or max(rates) <= 2.0
    once = build_schedule("one_cycle", 2.0, steps_per_epoch=100, epochs=1)
    assert (once(0), once(25)) == pytest.approx((0.08, 2.0))
    assert once(99) < 0.01
    warm = build_schedule("cosine", 2.0, steps_per_epoch=100, epochs=1, warm_up=0.1)
    assert (warm(0), warm(5), warm(10), warm(55)) == pytest.approx((0, 1, 2, 1))
    assert [flat_cosine(done) for done in (0, 0.4, 0.75, 1)] == pytest.approx([1, 1, 0.5, 0])


def test_steps_are_at_rest_where_cycles_of_coslog4_end() -> None:
    resting = [epoch for epoch in range(65) if is_settled("coslog4", epoch / 64)]
    assert resting == [12, 13, 14, *range(28, 33), *range(60, 65)]
    assert all(is_settled("cosine", share) for share in (0.0, 0.5, 1.0))


def test_what_is_dropped_falls_to_nothing_at_the_end() -> None:
    network = build_network("realmlp", COLUMNS, seed=0, dropout=0.5)
    network.train()
    assert network.masks
    for done, share in ((0.2, 0.5), (0.75, 0.25), (1.0, 0.0)):
        network.begin_block(seed=1, done=done, rows=100)
        dropped = (network.masks(paddle.ones([100, 200])) == 0).astype("float32").mean()
        assert float(dropped) == pytest.approx(share, abs=0.02)
