"""Mini-batches against what the course prints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lesson import stochastic
from lesson.data import load_data
from lesson.network import Network

TRAINING, _ = load_data()


def test_the_mini_batches_are_all_rows_in_order() -> None:
    batches = stochastic.mini_batches(TRAINING, 10)
    assert [len(batch) for batch in batches] == [10] * 40 + [4]
    np.testing.assert_array_equal(np.vstack(batches), TRAINING)


def test_the_shuffled_rows_as_the_course_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    stochastic.show_shuffle()
    printed = capsys.readouterr().out
    assert "7 2 11 3 8 6 12 1 4 5 10 9" in printed
    assert "[1 2]\n[3 4]\n[5 6]\n[ 9 10]\n[11 12]\n[7 8]" in printed


def test_fifty_epochs_as_the_course_prints_them() -> None:
    net = stochastic.course_network()
    losses = net.train_stochastic(TRAINING, num_epochs=50, batch_size=100, eta=0.1)
    published = {
        0: [1.0281, 0.5048, 0.6382, 0.5168, 0.1951],
        6: [0.3148, 0.3532, 0.4195, 0.3272, 1.2465],
        27: [0.1590, 0.1801, 0.1578, 0.1257, 0.7750],
        49: [0.0732, 0.0808, 0.0896, 0.1306, 0.1896],
    }
    assert len(losses) == 250
    for epoch, values in published.items():
        assert [round(loss, 4) for loss in losses[5 * epoch : 5 * epoch + 5]] == values


def test_one_loss_a_mini_batch_and_no_row_is_moved() -> None:
    before = TRAINING.copy()
    losses = Network(13).train_stochastic(TRAINING, num_epochs=3, batch_size=10, eta=0.1)
    assert len(losses) == 3 * 41
    np.testing.assert_array_equal(TRAINING, before)


def test_each_epoch_uses_every_row_once() -> None:
    class Recording(Network):
        def train(self, x, y, iterations, eta):  # type: ignore[no-untyped-def]
            seen.append(np.hstack([x, y]))
            return super().train(x, y, iterations, eta)

    seen: list[np.ndarray] = []
    Recording(13).train_stochastic(TRAINING, num_epochs=2, batch_size=100, eta=0.1)
    first, second = np.vstack(seen[:5]), np.vstack(seen[5:])
    assert not np.array_equal(first, second)
    for epoch in (first, second):
        np.testing.assert_array_equal(epoch[np.lexsort(epoch.T)], TRAINING[np.lexsort(TRAINING.T)])


def test_the_whole_table_as_one_batch_is_plain_descent() -> None:
    x, y = TRAINING[:, :-1], TRAINING[:, -1:]
    smooth = Network(13).train(x, y, iterations=20, eta=0.1)
    one_batch = Network(13).train_stochastic(TRAINING, num_epochs=20, batch_size=404, eta=0.1)
    np.testing.assert_allclose(one_batch, smooth, rtol=1e-12)


def test_iterations_are_counted() -> None:
    assert stochastic.inner_iterations(epochs=5, samples=1000, batch_size=20) == 250
    assert stochastic.inner_iterations(epochs=1, samples=404, batch_size=10) == 41


def test_the_page(tmp_path: Path) -> None:
    facts = stochastic.main(tmp_path)
    assert facts["updates_1"] == 20 * 404
    assert float(facts["end_1"]) < float(facts["end_10"]) < float(facts["end_404"])
    assert len(list(tmp_path.glob("*.svg"))) == 3
