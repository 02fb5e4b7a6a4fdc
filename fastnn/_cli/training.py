"""Training of a three-layer ConvNet on real handwritten digits, in plain steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

import numpy as np

from fastnn import layers, optim, softmax_cross_entropy
from fastnn._cli.extras import need

Array = np.ndarray[Any, Any]

BATCH = 64
RATE = 3e-3


class Digits(NamedTuple):
    """Images N 1 8 8 in [0, 1] with their labels, split by class."""

    x: Array
    labels: Array
    x_held: Array
    labels_held: Array


class Epoch(NamedTuple):
    """Figures after one pass over the training images."""

    loss: float
    loss_held: float
    accuracy: float
    accuracy_held: float


def load_digits() -> Digits:
    """The 1,797 digits of scikit-learn; one fifth of every class is held out, the same always."""
    datasets = need("sklearn.datasets", "scikit-learn", "demo")
    selection = need("sklearn.model_selection", "scikit-learn", "demo")
    images, labels = datasets.load_digits(return_X_y=True)
    x = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    x, x_held, y, y_held = selection.train_test_split(
        x, labels, test_size=360, stratify=labels, random_state=0
    )
    return Digits(x, y, x_held, y_held)


def three_layer_net(rng: np.random.Generator) -> layers.Sequential:
    """Two convolutions with batch norm and pooling, and a linear layer: 8x8, 4x4, 2x2, 10."""
    return layers.Sequential(
        layers.Conv2d(1, 16, 3, padding=1, rng=rng),
        layers.BatchNorm2d(16),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Conv2d(16, 32, 3, padding=1, rng=rng),
        layers.BatchNorm2d(32),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Flatten(),
        layers.Dropout(0.25, rng=rng),
        layers.Linear(128, 10, rng=rng),
    )


def train(
    net: layers.Sequential, digits: Digits, epochs: int, rng: np.random.Generator
) -> Iterator[Epoch]:
    """Train with Adam, its rate falling as half a cosine; figures after every epoch."""
    optimiser = optim.Adam(net, lr=RATE)
    for epoch in range(epochs):
        optimiser.lr = RATE * 0.5 * (1 + np.cos(np.pi * epoch / epochs))
        net.train()
        for batch in _batches(len(digits.x), rng):
            scores = net.forward(digits.x[batch])
            _, ctx = softmax_cross_entropy.forward(scores, digits.labels[batch])
            optimiser.zero_grad()
            gradient = softmax_cross_entropy.backward(ctx, np.ones((), np.float32)).x
            net.backward(cast(Array, gradient), input_grad=False)
            optimiser.step()
        yield Epoch(*_interlace(net, digits))


def _batches(n: int, rng: np.random.Generator) -> Iterable[Array]:
    """Indices in random order; the last, shorter batch is as good as the others."""
    order = rng.permutation(n)
    return (order[start : start + BATCH] for start in range(0, n, BATCH))


def _interlace(net: layers.Sequential, digits: Digits) -> Iterator[float]:
    """Loss on both sets, then accuracy on both."""
    pairs = ((digits.x, digits.labels), (digits.x_held, digits.labels_held))
    scores = [predict(net, x) for x, _ in pairs]
    for s, (_, labels) in zip(scores, pairs, strict=True):
        yield float(softmax_cross_entropy(s, labels))
    for s, (_, labels) in zip(scores, pairs, strict=True):
        yield float(np.mean(s.argmax(axis=1) == labels))


def predict(net: layers.Sequential, x: Array) -> Array:
    """Scores N 10, with batch norm and dropout as for use."""
    net.eval()
    return net.forward(x)
