"""Page 5, first half. Back-propagation through a bill.

python -m lesson.purchase
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

import model  # noqa: F401  (before Paddle: it keeps the import quiet)
from lesson.data import PICTURES, Facts
from lesson.drawing import BLUE, GREEN, ORANGE, RED, arrow, blank, circle, picture

Place = tuple[float, float]


class Edge(NamedTuple):
    """What flows along an edge: the value forward, the gradient of the bill backward."""

    value: float
    gradient: float


def multiply_backward(a: float, b: float, gradient: float) -> tuple[float, float]:
    """For a * b: each factor receives the gradient times the other factor."""
    return gradient * b, gradient * a


def add_backward(gradient: float) -> tuple[float, float]:
    """For a + b: both terms receive the gradient as it is."""
    return gradient, gradient


def buy_apples(price: float, count: float, discount: float) -> dict[str, Edge]:
    """The bill for apples, forward and then backward."""
    cost = price * count
    bill = cost * discount

    to_bill = 1.0  # the bill changes by 1 when the bill changes by 1
    to_cost, to_discount = multiply_backward(cost, discount, to_bill)
    to_price, to_count = multiply_backward(price, count, to_cost)
    return {
        "price": Edge(price, to_price),
        "count": Edge(count, to_count),
        "cost": Edge(cost, to_cost),
        "discount": Edge(discount, to_discount),
        "bill": Edge(bill, to_bill),
    }


def buy_fruit(
    apple_price: float,
    apple_count: float,
    orange_price: float,
    orange_count: float,
    discount: float,
) -> dict[str, Edge]:
    """The bill for apples and oranges, forward and then backward."""
    apples = apple_price * apple_count
    oranges = orange_price * orange_count
    cost = apples + oranges
    bill = cost * discount

    to_bill = 1.0
    to_cost, to_discount = multiply_backward(cost, discount, to_bill)
    to_apples, to_oranges = add_backward(to_cost)
    to_apple_price, to_apple_count = multiply_backward(apple_price, apple_count, to_apples)
    to_orange_price, to_orange_count = multiply_backward(orange_price, orange_count, to_oranges)
    return {
        "apple price": Edge(apple_price, to_apple_price),
        "apple count": Edge(apple_count, to_apple_count),
        "orange price": Edge(orange_price, to_orange_price),
        "orange count": Edge(orange_count, to_orange_count),
        "apples": Edge(apples, to_apples),
        "oranges": Edge(oranges, to_oranges),
        "cost": Edge(cost, to_cost),
        "discount": Edge(discount, to_discount),
        "bill": Edge(bill, to_bill),
    }


def paddle_fruit_gradients(values: list[float]) -> list[float]:
    """The gradients by the five arguments of `buy_fruit`, by Paddle."""
    import paddle

    inputs: Any = [paddle.to_tensor(value, stop_gradient=False) for value in values]
    apple_price, apple_count, orange_price, orange_count, discount = inputs
    bill = (apple_price * apple_count + orange_price * orange_count) * discount
    bill.backward()
    return [float(value.grad) for value in inputs]


def show_apples() -> Facts:
    apples = buy_apples(price=100, count=2, discount=0.9)
    print("Two apples at 100, 10 % off")
    print("edge           value   gradient")
    for name, edge in apples.items():
        print(f"{name:<12}{edge.value:8g}{edge.gradient:11g}")
    print()
    return {
        "apple_cost": apples["cost"].value,
        "apple_bill": apples["bill"].value,
        "to_price": apples["price"].gradient,
        "to_count": apples["count"].gradient,
    }


def show_fruit() -> Facts:
    order = [100.0, 2.0, 150.0, 3.0, 0.9]
    edges = buy_fruit(*order)
    inputs = ["apple price", "apple count", "orange price", "orange count", "discount"]
    by_paddle = dict(zip(inputs, paddle_fruit_gradients(order), strict=True))
    print("Two apples at 100 and three oranges at 150, 10 % off")
    print("edge           value   by hand   by Paddle")
    for name, edge in edges.items():
        paddle_too = f"{by_paddle[name]:12g}" if name in by_paddle else ""
        print(f"{name:<12}{edge.value:8g}{edge.gradient:10g}{paddle_too}")
    gradients = {f"{name.replace(' ', '_')}_gradient": edges[name].gradient for name in inputs}
    return {"fruit_bill": edges["bill"].value, **gradients}


def draw_edges(axes: Axes, edges: dict[str, Edge], lines: dict[str, tuple[Place, Place]]) -> None:
    """Each edge as an arrow, its value above and its gradient below."""
    for name, (start, end) in lines.items():
        arrow(axes, start, end)
        along = np.subtract(end, start)
        across = np.array([-along[1], along[0]]) / np.linalg.norm(along)
        middle = start + 0.45 * along
        texts = ((f"{edges[name].value:g}", BLUE, 0.42), (f"{edges[name].gradient:g}", RED, -0.42))
        for text, colour, side in texts:
            x, y = middle + side * across
            axes.text(x, y, text, color=colour, ha="center", va="center")


def draw_apples(folder: Path) -> None:
    edges = buy_apples(price=100, count=2, discount=0.9)
    price, count, discount = (0.6, 4.0), (0.6, 0.8), (3.9, 0.8)
    first, second, bill = (3.9, 4.0), (7.2, 4.0), (10.4, 4.0)
    lines = {
        "price": (price, first),
        "count": (count, first),
        "cost": (first, second),
        "discount": (discount, second),
        "bill": (second, bill),
    }
    with picture(folder / "purchase-apples.svg", height=2.2) as axes:
        blank(axes, 11, 5)
        draw_edges(axes, edges, lines)
        for place, text in ((price, "price"), (count, "count"), (discount, "discount")):
            circle(axes, *place, text, ORANGE)
        for place in (first, second):
            circle(axes, *place, "×", GREEN)
        circle(axes, *bill, "bill")


def draw_fruit(folder: Path) -> None:
    edges = buy_fruit(100, 2, 150, 3, 0.9)
    names = ["apple price", "apple count", "orange price", "orange count"]
    places = [(0.6, 9.6), (0.6, 6.6), (0.6, 4.0), (0.6, 1.0)]
    apples, oranges, plus = (3.7, 8.1), (3.7, 2.5), (6.1, 5.3)
    discount, times, bill = (6.1, 1.0), (8.3, 5.3), (10.6, 5.3)
    products = (apples, apples, oranges, oranges)
    lines = {
        name: (place, product) for name, place, product in zip(names, places, products, strict=True)
    }
    lines |= {"apples": (apples, plus), "oranges": (oranges, plus), "cost": (plus, times)}
    lines |= {"discount": (discount, times), "bill": (times, bill)}
    with picture(folder / "purchase-fruit.svg", height=4.1) as axes:
        blank(axes, 11.2, 10.4)
        draw_edges(axes, edges, lines)
        for place, name in zip(places, names, strict=True):
            circle(axes, *place, name.replace(" ", "\n"), ORANGE)
        circle(axes, *discount, "discount", ORANGE)
        for place, sign in ((apples, "×"), (oranges, "×"), (plus, "+"), (times, "×")):
            circle(axes, *place, sign, GREEN)
        circle(axes, *bill, "bill")


def main(folder: Path = PICTURES) -> Facts:
    """Print what the page shows, save its pictures to `folder`; the figures for the chapter."""
    draw_apples(folder)
    draw_fruit(folder)
    return show_apples() | show_fruit()


if __name__ == "__main__":
    main()
