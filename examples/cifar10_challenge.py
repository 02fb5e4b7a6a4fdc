"""Three convolutions with batch norm on CIFAR-10: the open-ended challenge of CS231n.

Convolutions 16 of 5x5, 32 of 3x3 and 64 of 3x3, each with batch norm, ReLU and 2x2 max-pooling, and
a linear layer; then the same with dropout and one more linear layer. Adam at 1e-3, its rate falling
as half a cosine, batches of 64, 10 epochs; the weights of the best epoch on the validation images
are kept, and then tested. Data: CIFAR-10 in any form that `fastnn.datasets.cifar10` reads.
"""

from __future__ import annotations

import sys

import numpy as np
from _cifar10 import Images, batches, by_channel, load
from _example import Example, main

from fastnn import datasets, layers, metrics, optim, plot
from fastnn.train import EarlyStopping, History, LearningRate, Trainer

BATCH, RATE = 64, 1e-3


def challenge_net(rng: np.random.Generator, *, dropout: float = 0.0) -> layers.Sequential:
    """The net; with dropout it has a hidden linear layer of 128."""
    parts: list[layers.Layer] = []
    for inputs, outputs, size in ((3, 16, 5), (16, 32, 3), (32, 64, 3)):
        parts += [
            layers.Conv2d(inputs, outputs, size, padding=size // 2, rng=rng),
            layers.BatchNorm2d(outputs),
            layers.ReLU(),
            layers.MaxPool2d(2),
        ]
    parts.append(layers.Flatten())
    if not dropout:
        return layers.Sequential(*parts, layers.Linear(1024, 10, rng=rng))
    return layers.Sequential(
        *parts,
        layers.Dropout(dropout, rng=rng),
        layers.Linear(1024, 128, rng=rng),
        layers.ReLU(),
        layers.Dropout(dropout, rng=rng),
        layers.Linear(128, 10, rng=rng),
    )


def train(
    model: layers.Sequential, images: Images, epochs: int, rng: np.random.Generator
) -> tuple[Trainer, History]:
    """Train, and put back the weights of the best epoch."""
    prepare = by_channel(images)
    train_set = batches(images, BATCH, prepare, rng)
    adam = optim.Adam(model, RATE)
    trainer = Trainer(model, layers.CrossEntropyLoss(), adam, metrics=[metrics.accuracy])
    falling = LearningRate(optim.CosineLR(adam, epochs * len(train_set)), each_step=True)
    best = EarlyStopping("val_accuracy", patience=epochs)
    held = prepare(images.x_held, images.y_held)
    history = trainer.fit(train_set, held, epochs=epochs, callbacks=[falling, best])
    return trainer, history


def run(example: Example) -> None:
    """Train both nets, test them, draw, check the gradients."""
    images = load(example, 3000 if example.quick else None)
    prepare, epochs = by_channel(images), 2 if example.quick else 10
    histories = {}
    models = {
        "the net": challenge_net(example.rng(0)),
        "with dropout": challenge_net(example.rng(0), dropout=0.25),
    }
    test = datasets.Batches((images.x_test, images.y_test), 500, transform=prepare)
    for number, (name, model) in enumerate(models.items()):
        trainer, history = train(model, images, epochs, example.rng(1, number))
        histories[name] = history
        example.say(f"{name}\n{history}\n")
        example.weights(model)
        first = not number
        example.figure(
            f"{name}: best validation, %", 100 * max(history["val_accuracy"]),
            report=75.0 if first else None, at_least=30.0 if example.quick else 72.0,
        )  # fmt: skip
        example.figure(
            f"{name}: test, %", 100 * trainer.evaluate(test)["accuracy"],
            report=73.8 if first else None,
        )  # fmt: skip
        seconds = float(np.median(history["seconds"]))
        example.figure(f"{name}: seconds an epoch", f"{seconds:.1f}")
    _draw(example, models["the net"], histories, images)
    # Flat skies tie in pools, where there is no slope: noise parts them. And a step of 1e-6 crosses
    # some of the 170,000 kinks of ReLU and pools, a smaller one hardly any.
    x, y = prepare(images.x[:6], images.y[:6])
    x = x + 0.01 * example.rng(3).standard_normal(x.shape)
    example.check(
        models["the net"], layers.CrossEntropyLoss(), x, y, step=1e-8, tolerance=1e-4,
        rng=example.rng(2),
    )  # fmt: skip


def _draw(
    example: Example, model: layers.Sequential, histories: dict[str, History], images: Images
) -> None:
    for name, history in histories.items():
        title = f"Challenge net: {name}"
        shown = {k: v for k, v in history.items() if k not in ("seconds", "lr")}
        labels = {"loss": "cross-entropy (nats)"}
        example.picture(
            plot.learning_curves(shown, labels=labels, title=title),
            "curves" + "-dropout" * (name != "the net"),
        )
    first = model.params["0.weight"]
    example.picture(plot.filters(first, columns=8, title="First convolution, 5x5"), "filters")
    prepare = by_channel(images)
    found = Trainer(model, layers.CrossEntropyLoss(), optim.SGD(model, 0.0)).predict(
        prepare(images.x_test, images.y_test)[0]
    )
    counts = metrics.confusion_matrix(images.y_test, found, labels=range(10))
    example.picture(plot.confusion_matrix(counts, names=images.names, normalise=True), "confusion")


if __name__ == "__main__":
    sys.exit(main(run))
