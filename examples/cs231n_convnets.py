"""CS231n's nets on CIFAR-10: a three-layer ConvNet, and its PyTorch notebook's in three forms.

The ConvNet, 32 filters of 7x7 - ReLU - 2x2 max-pool - affine 500 - ReLU - affine, is written once
with the drop-in functions of `fastnn.compat.cs231n`, which memorise 100 images, and once as layers,
which see 49,000 images once. Then a two-layer net 3072-4000-10 and a ConvNet of 32 filters of 5x5
and 16 of 3x3, each as functions, as a class and as a sequence, with equal bits. Data: CIFAR-10
in any form that `fastnn.datasets.cifar10` reads.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from timeit import default_timer
from typing import Any

import numpy as np
from _cifar10 import Images, batches, by_channel, load, minus_mean_image
from _example import Example, main

import fastnn
from fastnn import datasets, init, layers, metrics, optim, plot
from fastnn.compat import cs231n
from fastnn.train import L2, Trainer

Array = np.ndarray[Any, Any]
Weights = dict[str, Array]

CONV, POOL = {"stride": 1, "pad": 3}, {"pool_height": 2, "pool_width": 2, "stride": 2}
HIDDEN = 500


# -- the three-layer ConvNet ---------------------------------------------------------------------


class ThreeLayerConvNet:
    """Written as the assignment asks for, with the drop-in functions."""

    def __init__(self, scale: float, reg: float, rng: np.random.Generator, hidden: int) -> None:
        self.reg = reg
        self.params: Weights = {
            "W1": scale * rng.standard_normal((32, 3, 7, 7), np.float32),
            "b1": np.zeros(32, np.float32),
            "W2": scale * rng.standard_normal((32 * 16 * 16, hidden), np.float32),
            "b2": np.zeros(hidden, np.float32),
            "W3": scale * rng.standard_normal((hidden, 10), np.float32),
            "b3": np.zeros(10, np.float32),
        }

    def scores(self, x: Array) -> tuple[Array, Any]:
        """The scores N 10, and the caches."""
        p = self.params
        a, first = cs231n.conv_relu_pool_forward(x, p["W1"], p["b1"], CONV, POOL)
        h, second = cs231n.affine_relu_forward(a, p["W2"], p["b2"])
        scores, third = cs231n.affine_forward(h, p["W3"], p["b3"])
        return scores, (first, second, third)

    def loss(self, x: Array, y: Array) -> tuple[float, Weights]:
        """The loss with L2, and its gradients."""
        scores, (first, second, third) = self.scores(x)
        loss, dout = cs231n.softmax_loss(scores, y)
        dout, dw3, db3 = cs231n.affine_backward(dout, third)
        dout, dw2, db2 = cs231n.affine_relu_backward(dout, second)
        _, dw1, db1 = cs231n.conv_relu_pool_backward(dout, first)
        grads = {"W1": dw1, "b1": db1, "W2": dw2, "b2": db2, "W3": dw3, "b3": db3}
        for name in ("W1", "W2", "W3"):
            w = self.params[name]
            loss += 0.5 * self.reg * float(np.vdot(w, w))
            grads[name] = grads[name] + np.float32(self.reg) * w
        return loss, grads

    def as_layers(self) -> layers.Sequential:
        """The same with the same weights, as layers."""
        hidden = len(self.params["b2"])
        model = layers.Sequential(
            layers.Conv2d(3, 32, 7, padding=3),
            layers.ReLU(),
            layers.MaxPool2d(2),
            layers.Flatten(),
            layers.Linear(32 * 16 * 16, hidden),
            layers.ReLU(),
            layers.Linear(hidden, 10),
        )
        for place, number in (("0", 1), ("4", 2), ("6", 3)):
            w = self.params[f"W{number}"]
            model.params[f"{place}.weight"][...] = w.T if w.ndim == 2 else w
            model.params[f"{place}.bias"][...] = self.params[f"b{number}"]
        return model


def memorise(example: Example, images: Images) -> None:
    """Train the drop-in net on 100 images until it knows them, with the course's Adam."""
    prepare = minus_mean_image(images)
    x, y = prepare(images.x[:100], images.y[:100])
    net = ThreeLayerConvNet(1e-2, 0.0, example.rng(0), 100)
    rng, configs = example.rng(1), {name: {"learning_rate": 1e-3} for name in net.params}
    fifteen = 0.0
    for epoch in range(20):
        if epoch == 15:
            fifteen = metrics.accuracy(y, net.scores(x)[0])
        for chosen in rng.permutation(100).reshape(2, 50):
            _, grads = net.loss(x[chosen], y[chosen])
            for name, dw in grads.items():
                net.params[name], _ = cs231n.adam(net.params[name], dw, configs[name])
    example.weights(net.params)
    held, labels = prepare(images.x_held, images.y_held)
    example.figure("100 images, 15 epochs: training, %", 100 * fifteen, report=99.0)
    example.figure(
        "100 images, 20 epochs: training, %", 100 * metrics.accuracy(y, net.scores(x)[0]),
        at_least=99.0,
    )  # fmt: skip
    example.figure(
        "100 images, 20 epochs: validation, %", 100 * metrics.accuracy(labels, net.scores(held)[0]),
        report=22.0,
    )  # fmt: skip


def three_layers(example: Example, images: Images) -> None:
    """Both forms of the net agree; the layers see all images once."""
    prepare = minus_mean_image(images)
    net = ThreeLayerConvNet(1e-3, 1e-3, example.rng(2), HIDDEN)
    model = net.as_layers()
    x, y = prepare(images.x[:50], images.y[:50])
    loss, grads = net.loss(x, y)
    decay, criterion = L2(1e-3), layers.CrossEntropyLoss()
    adam = optim.Adam(model, 1e-3)
    trainer = Trainer(model, criterion, adam, metrics=[metrics.accuracy], penalties=[decay])
    held = prepare(images.x_held, images.y_held)
    example.figure("three-layer net: loss before", loss, at_least=2.25, at_most=2.40)
    far = abs(trainer.evaluate((x, y))["loss"] - loss)
    example.figure("drop-in against layers: loss", far, at_most=1e-5)
    example.figure(
        "drop-in against layers: gradient of W1", _distance(grads["W1"], model, criterion, x, y),
        at_most=1e-4,
    )  # fmt: skip
    history = trainer.fit(batches(images, 50, prepare, example.rng(3)), held)
    example.weights(model)
    example.say(f"three-layer net, one epoch\n{history}\n")
    quick = example.quick
    sample = datasets.Batches((images.x[:5000], images.y[:5000]), 500, transform=prepare)
    example.figure(
        "three-layer net, one epoch: training, %", 100 * trainer.evaluate(sample)["accuracy"],
        report=50.4,
    )  # fmt: skip
    example.figure(
        "three-layer net, one epoch: validation, %", 100 * history["val_accuracy"][-1],
        report=49.9, at_least=20.0 if quick else 48.0,
    )  # fmt: skip
    example.figure("three-layer net: seconds an epoch", f"{history['seconds'][-1]:.1f}")
    title = "Three-layer ConvNet after an epoch: 7x7 filters"
    example.picture(plot.filters(model.params["0.weight"], columns=8, title=title), "filters")
    # Flat areas tie in pools, where there is no slope: noise parts them. And a step of 1e-6 crosses
    # some of the 130,000 kinks of ReLU and pools, a smaller one hardly any.
    rough = x[:4] + example.rng(7).standard_normal(x[:4].shape)
    example.check(
        model, criterion, rough, y[:4], penalties=[decay], step=1e-8, tolerance=1e-4,
        rng=example.rng(4),
    )  # fmt: skip


def _distance(dw: Array, model: layers.Sequential, loss: Any, x: Array, y: Array) -> float:
    """How far the gradient of the filters is from the layers', without the decay, relatively."""
    found = fastnn.inspect.gradients(model, loss, x, y)["0.weight"]
    found = found + np.float32(1e-3) * model.params["0.weight"]
    return float(np.abs(found - dw).max() / np.abs(dw).max())


# -- the notebook's nets, in three forms ---------------------------------------------------------


def two_layer_functions(w: Weights, x: Array, y: Array) -> tuple[float, Weights]:
    """Loss and gradients of the two-layer net, from functions alone."""
    flat = x.reshape(len(x), -1)
    a, first = fastnn.linear.forward(flat, w["1.weight"], w["1.bias"])
    h, second = fastnn.relu.forward(a)
    scores, third = fastnn.linear.forward(h, w["3.weight"], w["3.bias"])
    loss, last = fastnn.softmax_cross_entropy.forward(scores, y)
    dscores = fastnn.softmax_cross_entropy.backward(last, np.ones_like(loss)).x
    dh, dw3, db3 = fastnn.linear.backward(third, dscores)
    da = fastnn.relu.backward(second, dh).x
    _, dw1, db1 = fastnn.linear.backward(first, da, needs=("w", "b"))
    return float(loss), {"1.weight": dw1, "1.bias": db1, "3.weight": dw3, "3.bias": db3}


def convnet_functions(w: Weights, x: Array, y: Array) -> tuple[float, Weights]:
    """The same of the ConvNet."""
    a, c1 = fastnn.conv2d.forward(x, w["0.weight"], w["0.bias"], padding=2)
    h, c2 = fastnn.relu.forward(a)
    a, c3 = fastnn.conv2d.forward(h, w["2.weight"], w["2.bias"], padding=1)
    h, c4 = fastnn.relu.forward(a)
    scores, c5 = fastnn.linear.forward(h.reshape(len(h), -1), w["5.weight"], w["5.bias"])
    loss, c6 = fastnn.softmax_cross_entropy.forward(scores, y)
    dscores = fastnn.softmax_cross_entropy.backward(c6, np.ones_like(loss)).x
    dflat, dw5, db5 = fastnn.linear.backward(c5, dscores)
    dh, dw2, db2 = fastnn.conv2d.backward(c3, fastnn.relu.backward(c4, dflat.reshape(h.shape)).x)
    da = fastnn.relu.backward(c2, dh).x
    _, dw0, db0 = fastnn.conv2d.backward(c1, da, needs=("w", "b"))
    return float(loss), {
        "0.weight": dw0, "0.bias": db0, "2.weight": dw2, "2.bias": db2, "5.weight": dw5,
        "5.bias": db5,
    }  # fmt: skip


def two_layers(rng: np.random.Generator) -> layers.Sequential:
    """The two-layer net as a sequence."""
    return layers.Sequential(
        layers.Flatten(),
        layers.Linear(3072, 4000, rng=rng),
        layers.ReLU(),
        layers.Linear(4000, 10, rng=rng),
    )


def convnet(rng: np.random.Generator) -> layers.Sequential:
    """The ConvNet as a sequence."""
    return layers.Sequential(
        layers.Conv2d(3, 32, 5, padding=2, rng=rng),
        layers.ReLU(),
        layers.Conv2d(32, 16, 3, padding=1, rng=rng),
        layers.ReLU(),
        layers.Flatten(),
        layers.Linear(16 * 32 * 32, 10, rng=rng),
    )


class Chain(layers.Layer):
    """A class with layers as children and the order of their work in its own two methods."""

    def __init__(self, *parts: layers.Layer) -> None:
        super().__init__()
        for number, part in enumerate(parts):
            self.add_child(str(number), part)

    def _forward(self, x: Array, save: bool) -> tuple[Array, Any]:
        for part in self.children.values():
            x = part.forward(x, save=save)
        return x, None

    def _backward(self, context: Any, dy: Array, input_grad: bool) -> Array | None:
        first, *rest = self.children.values()
        for part in reversed(rest):
            dy = part.backward(dy)
        return first.backward(dy, input_grad=input_grad)


def initialised(build: Callable[..., Any], rng: np.random.Generator) -> layers.Sequential:
    """He's normal weights, biases 0, as in the notebook."""
    model: layers.Sequential = init.apply(build(rng), init.he_normal, rng=rng)
    return model


def notebook(example: Example, images: Images) -> None:
    """Each net in three forms with the same bits; one epoch of each, in another form each."""
    prepare, loss = by_channel(images), layers.CrossEntropyLoss()
    held = prepare(images.x_held, images.y_held)
    quick = example.quick
    nets = (
        ("two-layer net", two_layers, two_layer_functions, 1e-2),
        ("ConvNet", convnet, convnet_functions, 3e-3),
    )
    for number, (title, build, functions, rate) in enumerate(nets):
        # -- three steps of all three forms
        some = [prepare(images.x[i : i + 64], images.y[i : i + 64]) for i in (0, 64, 128)]
        sequence = initialised(build, example.rng(5, number))
        chain = Chain(*initialised(build, example.rng(5, number)).children.values())
        weights = sequence.state_dict()
        both = [Trainer(m, loss, optim.SGD(m, rate)) for m in (sequence, chain)]
        for x, y in some:
            _, grads = functions(weights, x, y)
            for name, dw in grads.items():
                weights[name] -= np.float32(rate) * dw
            for trainer in both:
                trainer.step(x, y)
        apart = max(
            float(np.abs(w - m.params[name]).max())
            for name, w in weights.items()
            for m in (sequence, chain)
        )
        example.figure(f"{title}: three forms apart after 3 steps", apart, at_most=1e-6)
        # -- an epoch
        started = default_timer()
        weights = initialised(build, example.rng(5, number)).state_dict()
        if functions is two_layer_functions:
            for x, y in batches(images, 64, prepare, example.rng(6, number)):
                _, grads = functions(weights, x, y)
                for name, dw in grads.items():
                    dw *= np.float32(rate)
                    weights[name] -= dw
            sequence.load_state_dict(weights)
            trainer, how = both[0], "functions, SGD"
        else:
            chain = Chain(*initialised(build, example.rng(5, number)).children.values())
            trainer, how = Trainer(chain, loss, optim.SGD(chain, rate)), "class, SGD"
            trainer.fit(batches(images, 64, prepare, example.rng(6, number)))
        _after_an_epoch(
            example, f"{title} ({how})", trainer, held, started,
            15.0 if quick else (40.0, 42.0)[number],
        )  # fmt: skip
    model = initialised(convnet, example.rng(5, 1))
    nesterov = optim.SGD(model, 1e-2, momentum=0.9, nesterov=True)
    trainer, started = Trainer(model, loss, nesterov), default_timer()
    trainer.fit(batches(images, 64, prepare, example.rng(6, 1)))
    _after_an_epoch(
        example, "ConvNet (sequence, Nesterov)", trainer, held, started, 15.0 if quick else 50.0
    )


def _after_an_epoch(
    example: Example, title: str, trainer: Trainer, held: Any, started: float, least: float
) -> None:
    took = default_timer() - started
    trainer.metrics = {"accuracy": metrics.accuracy}
    found = trainer.evaluate(held)
    example.weights(trainer.model)
    example.say(f"{title}: {found['accuracy']:.1%} of the validation images in {took:.1f} s")
    example.figure(f"{title}, one epoch: validation, %", 100 * found["accuracy"], at_least=least)
    if not math.isfinite(found["loss"]):
        example.say(f"{title}: the loss is {found['loss']}")


def run(example: Example) -> None:
    """All of it."""
    images = load(example, 2000 if example.quick else None)
    memorise(example, images)
    notebook(example, images)
    three_layers(example, images)


if __name__ == "__main__":
    sys.exit(main(run))
