"""The appendix: activations against differences, images against loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest

from lesson import tensors
from lesson.backpropagation import sigmoid


def test_the_slopes_are_those_of_the_functions() -> None:
    x, step = np.linspace(-5, 5, 40), 1e-6
    pairs = ((sigmoid, tensors.sigmoid_slope), (tensors.relu, tensors.relu_slope))
    for function, slope in pairs:
        difference = (function(x + step) - function(x - step)) / (2 * step)
        np.testing.assert_allclose(slope(x), difference, atol=1e-8)
    np.testing.assert_allclose(sigmoid(x), paddle.nn.functional.sigmoid(paddle.to_tensor(x)))
    np.testing.assert_allclose(tensors.relu(x), paddle.nn.functional.relu(paddle.to_tensor(x)))


def test_the_image_operations_against_loops() -> None:
    image = tensors.draw_house()
    height, width, _ = image.shape
    flipped, bright = tensors.flip(image), tensors.brighten(image, 1.5)
    cropped = tensors.crop(image, slice(3, 9), slice(10, 30))
    assert image.dtype == bright.dtype == np.uint8
    assert cropped.shape == (6, 20, 3)
    for row in range(0, height, 7):
        for column in range(0, width, 5):
            for colour in range(3):
                value = int(image[row, column, colour])
                assert flipped[row, width - 1 - column, colour] == value
                assert bright[row, column, colour] == min(255, int(value * 1.5))
    assert cropped[0, 0].tolist() == image[3, 10].tolist()
    assert np.shares_memory(image, cropped)
    assert np.shares_memory(image, flipped)
    assert not np.shares_memory(image, bright)


def test_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = tensors.main(tmp_path)
    printed = capsys.readouterr().out
    assert (facts["copied"], facts["shared"]) == (0, 99)
    assert (facts["kept"], facts["written"]) == (0, 99)
    assert facts["steepest"] == pytest.approx(0.25)
    by_paddle, by_hand = (line for line in printed.splitlines() if "slopes by" in line)
    assert by_paddle.partition(":")[2].split() == by_hand.partition(":")[2].split()
    assert len(list(tmp_path.glob("tensors-*.png"))) == 4
