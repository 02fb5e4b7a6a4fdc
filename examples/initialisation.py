"""Initial weights and vanishing gradients: what each layer gives, and what reaches it back.

784 - linear 100 - five layers of 100 with an activation - softmax 10 on MNIST: one epoch of
RMSprop, batches of 32. Normal weights of five deviations under tanh and sigmoid, then Glorot's,
then ReLU with Glorot's and He's. And what layers give in a very wide net, 1024-8192-8192-8192-4096-
4096 with tanh, its weights drawn one layer at a time. Data: MNIST.
"""

from __future__ import annotations

import itertools
import sys
from functools import partial
from typing import Any

import numpy as np
from _example import Example, main

from fastnn import datasets, init, inspect, layers, linear, metrics, optim, plot, tanh
from fastnn.train import Trainer

Array = np.ndarray[Any, Any]
Scheme = partial[Any]

HIDDEN = 5
WIDE = (1024, 8192, 8192, 8192, 4096, 4096)
SCHEMES: dict[str, tuple[type[layers.Layer], Scheme]] = {
    **{
        f"{kind.__name__.lower()}, normal {std:g}": (kind, partial(init.normal, std=std))
        for kind in (layers.Tanh, layers.Sigmoid)
        for std in (0.01, 0.1, 0.14, 0.28, 0.8)
    },
    "tanh, Glorot normal": (layers.Tanh, partial(init.glorot_normal)),
    "sigmoid, Glorot normal": (layers.Sigmoid, partial(init.glorot_normal)),
    "relu, Glorot normal": (layers.ReLU, partial(init.glorot_normal)),
    "relu, He normal": (layers.ReLU, partial(init.he_normal)),
}


def network(
    activation: type[layers.Layer], scheme: Scheme, rng: np.random.Generator
) -> layers.Sequential:
    """784 - linear 100 - five of 100 with the activation - 10; the softmax is in the loss."""
    parts: list[layers.Layer] = [layers.Linear(784, 100)]
    for _ in range(HIDDEN):
        parts += [layers.Linear(100, 100), activation()]
    model = layers.Sequential(*parts, layers.Linear(100, 10))
    init.apply(model, init.constant, parameters="*.bias", value=0.0)
    return init.apply(model, scheme, rng=rng)


def run(example: Example) -> None:
    """Train with every scheme, draw distributions, push a vector through the wide net."""
    data = datasets.mnist(example.data, dtype=np.float32)
    count = 6400 if example.quick else 60_000
    x, y = data.x_train[:count].reshape(count, -1), data.y_train[:count]
    x_test, y_test = data.x_test.reshape(len(data.x_test), -1), data.y_test
    loss = layers.CrossEntropyLoss()
    before: dict[str, dict[str, Array]] = {}
    after: dict[str, dict[str, Array]] = {}
    accuracies = {}
    for title, (activation, scheme) in example.progress(SCHEMES.items(), "schemes"):
        model = network(activation, scheme, example.rng(0))
        before[title] = _hidden(inspect.activations(model, x[:1000]))
        trainer = Trainer(model, loss, optim.RMSprop(model, 1e-3), rng=example.rng(1))
        found = trainer.fit((x, y), batch_size=32, progress=False)["loss"][0]
        after[title] = _weights(inspect.gradients(model, loss, x[:1000], y[:1000]))
        accuracies[title] = metrics.accuracy(y_test, trainer.predict(x_test))
        example.weights(model)
        spread = [float(a.std()) for a in before[title].values()]
        flow = [float(np.abs(a).mean()) for a in after[title].values()]
        example.say(
            f"{title}: activations' deviation {spread[0]:.3g} to {spread[-1]:.3g}, "
            f"gradients' size {flow[0]:.3g} to {flow[-1]:.3g}, loss {found:.3f}, "
            f"{accuracies[title]:.1%} of the test"
        )
    _figures(example, before, accuracies)
    _draw(example, before, after)
    wide(example)
    small = network(layers.Tanh, SCHEMES["tanh, Glorot normal"][1], example.rng(2))
    example.check(small, loss, x[:8], y[:8])


def _hidden(outputs: dict[str, Array]) -> dict[str, Array]:
    """What the layers with an activation give, by their number from 1."""
    return {str(i + 1): outputs[str(2 * i + 2)] for i in range(HIDDEN)}


def _weights(grads: dict[str, Array]) -> dict[str, Array]:
    """The gradients of the weights of those layers."""
    return {str(i + 1): grads[f"{2 * i + 1}.weight"] for i in range(HIDDEN)}


def _figures(
    example: Example, before: dict[str, dict[str, Array]], accuracies: dict[str, float]
) -> None:
    """The contrasts, as numbers."""

    def ratio(title: str) -> float:
        first, last = (before[title][layer].std() for layer in ("1", str(HIDDEN)))
        return float(last / first)

    def saturated(title: str) -> float:
        return float(np.mean(np.abs(before[title][str(HIDDEN)]) > 0.99))

    name = "deviation in layer 5 / in layer 1"
    example.figure(f"tanh, normal 0.01: {name}", ratio("tanh, normal 0.01"), at_most=1e-3)
    example.figure(f"tanh, Glorot: {name}", ratio("tanh, Glorot normal"), at_least=0.4)
    example.figure(f"relu, Glorot: {name}", ratio("relu, Glorot normal"), at_most=0.5)
    example.figure(f"relu, He: {name}", ratio("relu, He normal"), at_least=0.5, at_most=2.0)
    share = saturated("tanh, normal 0.8")
    example.figure("tanh, normal 0.8: beyond 0.99 in layer 5", share, at_least=0.5)
    share = saturated("tanh, Glorot normal")
    example.figure("tanh, Glorot: beyond 0.99 in layer 5", share, at_most=0.01)
    for title, accuracy in accuracies.items():
        good = "Glorot" in title or "He" in title
        least = (0.7 if example.quick else 0.88) if good and "sigmoid" not in title else None
        example.figure(f"{title}: test accuracy", accuracy, at_least=least)


def _draw(
    example: Example, before: dict[str, dict[str, Array]], after: dict[str, dict[str, Array]]
) -> None:
    """Violins of activations over violins of gradients, a column for each scheme."""
    for kind in ("tanh", "sigmoid", "relu"):
        titles = [title for title in SCHEMES if title.startswith(f"{kind},")]
        drawn, axes = plot.figure(
            2, len(titles), figsize=(3.3 * len(titles), 6), squeeze=False,
            sharey="row" if kind == "relu" else False,
        )  # fmt: skip
        for column, title in enumerate(titles):
            plot.violins(
                before[title], every=20, ylabel="activation before training", title=title,
                ax=axes[0, column],
            )  # fmt: skip
            plot.violins(
                after[title], every=20, ylabel="gradient after an epoch", ax=axes[1, column]
            )
        example.picture(drawn, f"violins-{kind}")


def wide(example: Example) -> None:
    """What the layers of a very wide net give for one vector; a layer's weights at a time."""
    sizes = tuple(size // 16 for size in WIDE) if example.quick else WIDE
    schemes: dict[str, Any] = {
        "normal, 0 and 1": init.normal,
        "Glorot normal": init.glorot_normal,
        "Glorot uniform": init.glorot_uniform,
    }
    start = example.rng(3).normal(0, np.sqrt(0.5), (1, sizes[0])).astype(np.float32)
    for title, scheme in example.progress(schemes.items(), "wide net"):
        rng, x, found = example.rng(4), start, {}
        for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes), start=1):
            w = scheme(np.empty((outputs, inputs), np.float32), rng=rng)
            x = tanh(linear(x, w))
            found[f"layer {number}: {outputs}"] = x
            del w
        name = title.replace(", ", "-").replace(" ", "-").lower()
        drawn = plot.histograms(
            found, limits=(-1.05, 1.05), xlabel="activation", title=f"tanh, weights {title}"
        )
        example.picture(drawn, f"wide-{name}")
        last = next(reversed(found.values()))
        share = float(np.mean(np.abs(last) > 0.99))
        full = scheme is init.normal
        example.figure(
            f"wide net, {title}: beyond 0.99", share, at_least=0.8 if full else None,
            at_most=None if full else 0.01,
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(run))
