"""Gradients by hand, by finite differences and by PyTorch, for every weight of a net on MNIST.

784-64-64-10 with sigmoids and softmax: the cross-entropy of the first 16 training images. "By hand"
is the chain rule written out with NumPy, as a report does it, and what `backward` must agree with.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import numpy as np
from _example import Example, main

from fastnn import datasets, init, inspect, layers, plot

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]

IMAGES = 16
STEP = 1e-5  # of central differences in float64: their errors are about STEP**2 and 1e-16 / STEP


def network(rng: np.random.Generator) -> layers.Sequential:
    """784-64-64-10 with sigmoids; the softmax is in the loss.

    The weights are wide enough for hidden values all over (0, 1): about 0.5, where PyTorch's start
    leaves them, s(h)(1 - s(h)) is close to h(1 - h).
    """
    model = layers.Sequential(
        layers.Linear(784, 64, rng=rng, dtype=np.float64),
        layers.Sigmoid(),
        layers.Linear(64, 64, rng=rng, dtype=np.float64),
        layers.Sigmoid(),
        layers.Linear(64, 10, rng=rng, dtype=np.float64),
    )
    return init.apply(model, init.normal, std=0.25, rng=rng)


def run(example: Example) -> None:
    """Compare gradients, draw where they differ, check the model."""
    data = datasets.mnist(example.data, dtype=np.float64)
    x, labels = data.x_train[:IMAGES].reshape(IMAGES, -1), data.y_train[:IMAGES]
    model, loss = network(example.rng(0)), layers.CrossEntropyLoss()
    found = inspect.gradients(model, loss, x, labels)
    example.weights(found)

    every = 97 if example.quick else 1
    hand = by_hand(model.params, x, labels)
    differences = by_differences(example, model, loss, x, labels, every)
    chosen = {name: g.reshape(-1)[::every] for name, g in found.items()}
    example.figure("weights", sum(g.size for g in found.values()))
    example.figure("weights compared with differences", sum(g.size for g in chosen.values()))
    example.figure("error against by hand", _error(found, hand), at_most=1e-13)
    example.figure("error against differences", _error(chosen, differences), at_most=1e-7)
    other = by_torch(model.params, x, labels)
    if other is None:
        example.figure("error against PyTorch", "not installed")
    else:
        example.figure("error against PyTorch", _error(found, other), at_most=1e-13)
    wrong = by_hand(model.params, x, labels, mistake=True)
    example.figure(
        "error of s'(h) = s(h)(1 - s(h)) at h = s(z)", _error(wrong, found), at_least=0.1
    )
    _draw(example, found, hand, wrong, differences, every)
    example.check(model, loss, x, labels)


def by_hand(w: Any, x: Array, labels: Array, *, mistake: bool = False) -> Arrays:
    """The gradients by the chain rule; with the derivative of the sigmoid taken wrongly if asked.

    The derivative at z is s(z)(1 - s(z)). What is at hand in the backward pass is h = s(z), and so
    it is h(1 - h); the mistake is to put h into the formula for z.
    """

    def sigmoid(z: Array) -> Array:
        return 1 / (1 + np.exp(-z))

    def slope(h: Array) -> Array:
        return sigmoid(h) * (1 - sigmoid(h)) if mistake else h * (1 - h)

    h1 = sigmoid(x @ w["0.weight"].T + w["0.bias"])
    h2 = sigmoid(h1 @ w["2.weight"].T + w["2.bias"])
    scores = h2 @ w["4.weight"].T + w["4.bias"]
    p = np.exp(scores - scores.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    d3 = (p - np.eye(10)[labels]) / len(x)
    d2 = d3 @ w["4.weight"] * slope(h2)
    d1 = d2 @ w["2.weight"] * slope(h1)
    pairs = {"0": (d1, x), "2": (d2, h1), "4": (d3, h2)}
    grads = {f"{layer}.weight": d.T @ inputs for layer, (d, inputs) in pairs.items()}
    return grads | {f"{layer}.bias": d.sum(axis=0) for layer, (d, _) in pairs.items()}


def by_differences(
    example: Example, model: layers.Layer, loss: layers.Loss, x: Array, labels: Array, every: int
) -> Arrays:
    """Central differences for every so-manieth entry of every parameter."""
    found = {}
    for name, array in model.params.items():
        flat = array.reshape(-1)
        slopes = []
        for place in example.progress(range(0, flat.size, every), name):
            before = flat[place]
            flat[place] = before + STEP
            above = float(loss(model(x, save=False), labels))
            flat[place] = before - STEP
            below = float(loss(model(x, save=False), labels))
            flat[place] = before
            slopes.append((above - below) / (2 * STEP))
        found[name] = np.array(slopes)
    return found


def by_torch(params: Any, x: Array, labels: Array) -> Arrays | None:
    """The gradients by PyTorch's autograd; None if it is not installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    w = {name: torch.tensor(a, requires_grad=True) for name, a in params.items()}
    h: Any = torch.tensor(x)
    for layer in ("0", "2", "4"):
        h = torch.nn.functional.linear(h, w[f"{layer}.weight"], w[f"{layer}.bias"])
        h = torch.sigmoid(h) if layer != "4" else h
    torch.nn.functional.cross_entropy(h, torch.tensor(labels)).backward()
    return {name: a.grad.numpy() for name, a in w.items()}


def _error(found: Arrays, want: Arrays) -> float:
    """The largest difference in any array, relative to that array's largest entry."""
    return max(
        float(np.abs(found[name].reshape(-1) - a.reshape(-1)).max() / np.abs(a).max())
        for name, a in want.items()
    )


def _draw(
    example: Example, found: Arrays, hand: Arrays, wrong: Arrays, differences: Arrays, every: int
) -> None:
    """Gradients against finite differences, and the mistake's against the right ones."""
    drawn, (left, right) = plot.figure(ncols=2, figsize=(9.6, 4.2))
    for name, a in differences.items():
        left.loglog(abs(a), abs(found[name].reshape(-1)[::every]), ".", markersize=2, label=name)
    left.set(xlabel="|central difference|", ylabel="|backward|", title="Gradient of every weight")
    for name in ("2.weight", "0.weight"):
        step = max(1, hand[name].size // 4000)
        pair = [a[name].reshape(-1)[::step] for a in (hand, wrong)]
        right.plot(*pair, ".", markersize=2, label=name)
    right.set(xlabel="gradient", ylabel="with the mistake", title="s(h)(1 - s(h)) for h(1 - h)")
    for axis in (left, right):
        ends = axis.get_xlim()
        axis.plot(ends, ends, color=plot.GREY, linewidth=0.8, zorder=0)
        axis.legend(fontsize=8, markerscale=4, frameon=False)
    example.picture(drawn, "gradients")


if __name__ == "__main__":
    sys.exit(main(run))
