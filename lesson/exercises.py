"""Page 8. Questions, and answers that run when they are asked for.

python -m lesson.exercises          the questions
python -m lesson.exercises 1-4      the answers to the first four; also 3, or 2,5
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import numpy as np

from lesson.backpropagation import show_challenge
from lesson.data import COLUMNS, Facts, load_data, read_flat, scale, split_rows, to_table
from lesson.markup import by_language, exercises, fill, plain
from lesson.network import Network
from lesson.paddle_twin import show_twins
from lesson.purchase import show_fruit
from lesson.stochastic import inner_iterations, mini_batches, show_sizes
from lesson.tensors import sigmoid_slope


def own_ruler() -> Facts:
    """Test rows measured with the training rows' extremes, and with their own."""
    training_data, test_data = load_data()
    raw_training, raw_test = split_rows(to_table(read_flat()))
    own_data, _ = scale(raw_test, raw_training)
    low, high = raw_training[:, -1].min(), raw_training[:, -1].max()
    net = Network(13)
    net.train_stochastic(training_data, num_epochs=20, batch_size=1, eta=0.1)
    errors = []
    print("Error on the test rows, 1,000 USD")
    for name, data in (("training rows' extremes", test_data), ("their own extremes", own_data)):
        prices = net.forward(data[:, :-1]) * (high - low) + low
        errors.append(float(np.sqrt(np.mean((prices - raw_test[:, -1:]) ** 2))))
        print(f"scaled by {name:<25}{errors[-1]:8.2f}")
    return {"own_ruler_training": errors[0], "own_ruler_test": errors[1]}


def zero_slope() -> Facts:
    """Three reasons for a slope of zero."""
    training_data, _ = load_data()
    x, y = training_data[:, :-1], training_data[:, -1:]
    net = Network(13)
    inputs = np.hstack([x, np.ones((len(x), 1))])
    solution = np.linalg.lstsq(inputs, y, rcond=None)[0]
    net.w, net.b = solution[:-1].astype(np.float64), float(solution[-1, 0])
    rest = np.abs(net.gradient(x, y)[0]).max()
    print(f"at the lowest point: largest slope {rest:.0e}")
    fresh, column = Network(13), COLUMNS.index("CHAS")
    slope = fresh.gradient(x[:10], y[:10])[0][column, 0]
    loss = fresh.loss(fresh.forward(x[:10]), y[:10])
    print(f"CHAS in the first ten rows: {x[:10, column]}, slope {slope:.0f}, loss {loss:.4f}")
    saturated = float(sigmoid_slope(np.array(20.0)))
    print(f"a sigmoid at 20: slope {saturated:.1e}")
    return {
        "rest_slope": rest,
        "absent_slope": abs(slope),
        "absent_loss": loss,
        "saturated_slope": saturated,
    }


def batch_sizes() -> Facts:
    """The extremes, and what lies between."""
    training_data, _ = load_data()
    facts, all_rows = show_sizes(training_data), len(training_data)
    return {
        "small_updates": facts["updates_1"],
        "small_end": facts["end_1"],
        "large_updates": facts[f"updates_{all_rows}"],
        "large_end": facts[f"end_{all_rows}"],
    }


def count_iterations() -> Facts:
    """The two loops, run empty."""
    samples, counted = np.zeros((1000, 14)), 0
    for _ in range(5):
        for _ in mini_batches(samples, batch_size=20):
            counted += 1
    print("counted:", counted, "  calculated:", inner_iterations(5, len(samples), 20))
    return {"counted": counted, "counted_each": counted // 5}


def fruit() -> Facts:
    """The bill's gradients by hand and by Paddle."""
    return show_fruit()


def challenge() -> Facts:
    """The gradients of two layers, checked twice."""
    training_data, _ = load_data()
    facts = show_challenge(training_data[:, :-1], training_data[:, -1:])
    return {
        "challenge_off_paddle": facts["off_paddle"],
        "challenge_off_differences": facts["off_differences"],
    }


def twins() -> Facts:
    """NumPy and Paddle side by side."""
    facts = show_twins(load_data()[0])
    return {"twin_apart": facts["most_apart"], "twin_steps": facts["steps"]}


ANSWERS: tuple[Callable[[], Facts], ...] = (
    own_ruler,
    zero_slope,
    batch_sizes,
    count_iterations,
    fruit,
    challenge,
    twins,
)


def chosen(text: str) -> list[int]:
    """The exercises that `3`, `1-4` or `2,5` names, from 1. Raises ValueError for what is none."""
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        numbers += range(int(first), int(last if dash else first) + 1)
    if not numbers or not set(numbers) <= set(range(1, len(ANSWERS) + 1)):
        raise ValueError(text)
    return numbers


def main(arguments: Sequence[str] = ()) -> int:
    """List the questions, or run the answers that were asked for."""
    questions, answers = exercises()
    if not arguments:
        for number, question in questions.items():
            for text in by_language(question).values():
                print(f"{number}. {plain(text)}")
            print()
        return 0
    try:
        numbers = chosen(",".join(arguments))
    except ValueError:
        found, last = " ".join(arguments), len(ANSWERS)
        print(
            f"error: {found!r} names no exercises; they are 1 to {last}: try 3, 1-4 or 2,5",
            file=sys.stderr,
        )
        return 2
    for number in numbers:
        for text in by_language(questions[number]).values():
            print(f"{number}. {plain(text)}")
        print()
        facts = ANSWERS[number - 1]()
        print()
        for text in by_language(answers[number]).values():
            print(plain(fill(text, facts)))
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
