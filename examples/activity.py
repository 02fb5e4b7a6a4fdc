"""Recurrent networks name the exercise of three seconds of a watch's accelerations.

RNN (tanh), LSTM and GRU (reset before the product), alone, with dense layers after the last step,
and two on top of each other, each trained by five optimisers; then networks for people that they
have not met: in both directions, the mean or the largest of all states, and windows that are
turned and stretched at random. All choices are by people who are held out of the training
data. Data: har_watch.h5.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from _example import Example, main

from fastnn import datasets, init, layers, metrics, optim, plot, softmax
from fastnn._table import render
from fastnn.train import EarlyStopping, History, LearningRate, Trainer, minimize

Array = np.ndarray[Any, Any]
Pair = tuple[Array, Array]

SENSORS, CLASSES = 3, 6
BATCH, RATE = 32, 1e-3
CELLS: dict[str, tuple[Callable[..., layers.Layer], dict[str, Any]]] = {
    "RNN": (layers.RNN, {}),
    "LSTM": (layers.LSTM, {}),
    "GRU": (layers.GRU, {"reset_after": False}),
}
MODELS: dict[str, tuple[str, int, tuple[int, ...]]] = {
    "RNN": ("RNN", 1, ()),
    "RNN, 64-32": ("RNN", 1, (64, 32)),
    "RNN twice, 64": ("RNN", 2, (64,)),
    "LSTM": ("LSTM", 1, ()),
    "LSTM, 64-32-16": ("LSTM", 1, (64, 32, 16)),
    "LSTM twice, 64": ("LSTM", 2, (64,)),
    "GRU": ("GRU", 1, ()),
    "GRU, 64-32-16-8": ("GRU", 1, (64, 32, 16, 8)),
    "GRU twice, 64": ("GRU", 2, (64,)),
}
"""Cell, how many on top of each other, dense layers."""

OPTIMISERS: dict[str, Callable[[layers.Layer], optim.Optimizer]] = {
    "SGD": lambda model: optim.SGD(model, lr=0.05, momentum=0.85),
    "AdaGrad": lambda model: optim.AdaGrad(model, lr=0.01),
    "RMSprop": lambda model: optim.RMSprop(model, lr=RATE),
    "Adam": lambda model: optim.Adam(model, lr=RATE),
    "uncorrected Adam": lambda model: optim.Adam(model, lr=RATE, bias_correction=False),
}
UNMET: dict[str, tuple[str, str]] = {
    "GRU both ways, mean": ("GRU", "mean"),
    "GRU both ways, largest": ("GRU", "largest"),
    "LSTM both ways, largest": ("LSTM", "largest"),
}
"""Networks for people not met: cell, and what is taken of the states of all steps."""

# Who made each recording, recordings in the order in which har_watch.h5 has them first: of the
# source of these windows, `subject` of load_watch in seglearn 1.2.5.
PEOPLE = (
    "688718371646325682582276478753575651767521514452"
    "846774221331862381413325817451463188243432573664"
)


# -- data ----------------------------------------------------------------------------------------


def recordings(x: Array) -> Array:
    """Which recording each window is of, from 0: those of one have steps in common.

    Windows that share two steps in a row are of one recording, and so are those linked by others.
    """
    windows, steps, sensors = x.shape
    pairs = np.ascontiguousarray(np.concatenate([x[:, :-1], x[:, 1:]], axis=2))
    keys = pairs.view(np.dtype((np.void, 2 * sensors * x.itemsize)))
    _, first, same = np.unique(keys.reshape(-1), return_index=True, return_inverse=True)
    owners = first[same].reshape(windows, steps - 1) // (steps - 1)
    label, least = np.zeros(windows, np.int64), np.arange(windows)
    while not np.array_equal(label, least):
        label = least
        least = label[owners].min(axis=1)
        np.minimum.at(least, owners, least[:, None])
    found: Array = np.unique(label, return_inverse=True)[1]
    return found


def people(x: Array) -> Array:
    """Who is in each window; of another file than har_watch.h5, each recording is for itself."""
    recording = recordings(x)
    if recording.max() + 1 != len(PEOPLE):
        return recording
    found: Array = np.array([int(person) for person in PEOPLE])[recording]
    return found


def folds(who: Array, rng: np.random.Generator, parts: int = 4) -> list[Array]:
    """Divide people at random: for each part, which windows are of people in it."""
    return [np.isin(who, part) for part in np.array_split(rng.permutation(np.unique(who)), parts)]


def scaling(train: Array) -> Callable[[Array], Array]:
    """What brings each sensor of the training data to mean 0 and deviation 1."""
    mean, std = train.mean(axis=(0, 1), dtype=np.float64), train.std(axis=(0, 1), dtype=np.float64)
    return lambda x: ((x - mean) / std).astype(np.float32)


def varied(x: Array, rng: np.random.Generator) -> Array:
    """The windows as another person may have made them.

    Turned about a random axis by about 25 degrees, as a watch may sit on a wrist, and about 20 %
    faster or slower.
    """
    n, steps, _ = x.shape
    turned = x @ _rotations(n, 25.0, rng).astype(x.dtype)
    middle = (steps - 1) / 2
    pace = np.exp(rng.normal(0, 0.2, (n, 1)))
    place = np.clip(middle + (np.arange(steps) - middle) * pace, 0, steps - 1)
    left = np.minimum(place.astype(np.int64), steps - 2)
    part = (place - left)[..., None]
    before, after = (np.take_along_axis(turned, (left + i)[..., None], axis=1) for i in (0, 1))
    found: Array = before + part * (after - before)
    return found


def _rotations(n: int, degrees: float, rng: np.random.Generator) -> Array:
    """Rotation matrices about random axes by normal angles (Rodrigues' formula)."""
    axis = rng.standard_normal((n, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = rng.normal(0, np.deg2rad(degrees), (n, 1, 1))
    cross = np.cross(axis[:, None], np.eye(3)[None])
    found: Array = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    return found


# -- models --------------------------------------------------------------------------------------


def network(
    name: str, hidden: int, rng: np.random.Generator, *, dtype: Any = np.float32, **options: Any
) -> layers.Sequential:
    """A network of `MODELS`: the last step's state, dense layers with ReLU, scores."""
    cell, count, dense = MODELS[name]
    kind, own = CELLS[cell]
    sizes = (hidden, *dense, CLASSES)
    options = {"batch_first": True, "last_only": True, "rng": rng, "dtype": dtype, **own, **options}
    parts = [kind(SENSORS, hidden, count, **options)]
    for inputs, outputs in itertools.pairwise(sizes):
        parts += [layers.Linear(inputs, outputs, rng=rng, dtype=dtype), layers.ReLU()]
    return _xavier(layers.Sequential(*parts[:-1]), rng)


def both_ways(name: str, hidden: int, rng: np.random.Generator) -> layers.Sequential:
    """A network of `UNMET`: both directions, all steps, dropout, scores."""
    cell, taken = UNMET[name]
    kind, own = CELLS[cell]
    pool = layers.GlobalMaxPool() if taken == "largest" else layers.GlobalAvgPool()
    model = layers.Sequential(
        kind(SENSORS, hidden, batch_first=True, bidirectional=True, rng=rng, **own),
        layers.Permute(0, 2, 1),
        pool,
        layers.Dropout(0.3, rng=rng),
        layers.Linear(2 * hidden, CLASSES, rng=rng),
    )
    return _xavier(model, rng)


def _xavier(model: layers.Sequential, rng: np.random.Generator) -> layers.Sequential:
    init.apply(model, init.glorot_uniform, rng=rng)
    return init.apply(model, init.constant, parameters="*bias*", value=0.0)


# -- training ------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """One trained network."""

    model: layers.Sequential
    history: History
    held: Array
    """Probabilities of the windows held out."""
    test: Array
    """Of the test windows."""

    @property
    def seconds(self) -> float:
        """Of an epoch."""
        return float(np.median(self.history["seconds"]))


def grid(example: Example, data: datasets.Split, held: Array) -> dict[tuple[str, str], Outcome]:
    """Train every model with every optimiser, all from the same weights on the same batches."""
    quick = example.quick
    scaled = scaling(data.x_train[~held])
    train = scaled(data.x_train[~held]), data.y_train[~held]
    validation = scaled(data.x_train[held]), data.y_train[held]
    test = scaled(data.x_test)
    names = ("RNN", "LSTM", "GRU") if quick else tuple(MODELS)
    runs = [(name, optimiser) for name in names for optimiser in OPTIMISERS]
    found = {}
    for name, optimiser in example.progress(runs, "models and optimisers", len(runs)):
        model = network(name, 32 if quick else 128, example.rng(1, tuple(MODELS).index(name)))
        trainer = Trainer(
            model, layers.CrossEntropyLoss(), OPTIMISERS[optimiser](model),
            metrics=[metrics.accuracy], clip_value=10, rng=example.rng(2),
        )  # fmt: skip
        history = trainer.fit(
            train, validation, epochs=2 if quick else 15, batch_size=BATCH, progress=False,
            callbacks=[EarlyStopping("val_accuracy", patience=6)],
        )  # fmt: skip
        held_out, tested = (softmax(trainer.predict(x)) for x in (validation[0], test))
        found[name, optimiser] = Outcome(model, history, held_out, tested)
        example.weights(model)
    return found


def unmet(example: Example, name: str, data: datasets.Split, held: Array, key: int) -> Outcome:
    """Train a network of `UNMET` on varied windows; its best epoch is that of the people held."""
    epochs = 8 if example.quick else 25
    rng = example.rng(3, key)
    scaled = scaling(data.x_train[~held])
    validation = scaled(data.x_train[held]), data.y_train[held]
    model = both_ways(name, 32 if example.quick else 64, rng)
    trainer = Trainer(
        model, layers.CrossEntropyLoss(), optim.Adam(model, lr=RATE),
        metrics=[metrics.accuracy], clip_norm=5, rng=rng,
    )  # fmt: skip

    def vary(x: Array, y: Array) -> Pair:
        return scaled(varied(x, rng)), y

    batches = datasets.Batches(
        (data.x_train[~held], data.y_train[~held]), BATCH, shuffle=True, rng=rng, transform=vary
    )
    history = trainer.fit(
        batches, validation, epochs=epochs,
        callbacks=[
            LearningRate(lambda epoch: RATE * 0.5 * (1 + np.cos(np.pi * epoch / epochs))),
            EarlyStopping("val_loss", patience=epochs),
        ],
    )  # fmt: skip
    held_out, tested = (softmax(trainer.predict(x)) for x in (validation[0], scaled(data.x_test)))
    return Outcome(model, history, held_out, tested)


def linear(data: datasets.Split) -> float:
    """The test accuracy of softmax regression on 15 figures of each window."""
    figures = [
        np.concatenate([f(x, axis=1) for f in (np.mean, np.std, np.min, np.max, np.median)], axis=1)
        for x in (data.x_train, data.x_test)
    ]
    train, test = datasets.standardise(*(f.astype(np.float64) for f in figures))
    model = layers.Linear(train.shape[1], CLASSES, rng=0, dtype=np.float64)
    minimize(model, layers.CrossEntropyLoss(), (train, data.y_train), "L-BFGS-B", maxiter=300)
    return metrics.accuracy(data.y_test, model(test, save=False))


# -- the whole -----------------------------------------------------------------------------------


def run(example: Example) -> None:
    """Compare models and optimisers, train for people not met, check all gradients."""
    data = datasets.har_watch(example.data)
    who = people(data.x_train)
    parts = folds(who, example.rng(0))
    example.say(
        f"{len(data.x_train)} windows of {len(np.unique(who))} people to train on, of which "
        f"{parts[0].sum()} are held out; {len(data.x_test)} of others to test on"
    )
    found = grid(example, data, parts[0])
    chosen = _compare(example, found, data.y_train[parts[0]], data.y_test)
    example.figure("linear, 15 figures a window: test accuracy, %", 100 * linear(data), report=78.0)
    best = _best(example, data, parts)
    _draw(example, found, chosen, best, data)
    few = scaling(data.x_train)(data.x_train[:4, :30]), data.y_train[:4]
    for key, name in enumerate(MODELS):
        example.check(network(name, 32, example.rng(4, key)), layers.CrossEntropyLoss(), *few)
    for key, name in enumerate(UNMET):
        example.check(both_ways(name, 32, example.rng(5, key)), layers.CrossEntropyLoss(), *few)


REPORTED: dict[str, float | str] = {
    "RNN": 85.0, "RNN, 64-32": 94.4, "LSTM": "88-90", "GRU": 83.0, "GRU twice, 64": 94.0,
}  # fmt: skip


def _compare(
    example: Example, found: Mapping[tuple[str, str], Outcome], held: Array, tested: Array
) -> dict[str, str]:
    """Print the tables; give each model's optimiser, the best for the people held out."""
    names = list(dict.fromkeys(name for name, _ in found))
    columns = list(OPTIMISERS)
    accuracies = {
        key: (metrics.accuracy(held, run.held), metrics.accuracy(tested, run.test))
        for key, run in found.items()
    }
    for text, index in (("people held out", 0), ("test", 1)):
        rows = [
            [name, *(f"{accuracies[name, column][index]:.1%}" for column in columns)]
            for name in names
        ]
        example.say(f"\n{render([f'accuracy, {text}', *columns], rows, right='lrrrrr')}")
    rows = [
        [name, *(f"{found[name, c].seconds:.2f} x {found[name, c].history.epoch}" for c in columns)]
        for name in names
    ]
    example.say(f"\n{render(['seconds x epochs', *columns], rows, right='lrrrrr')}\n")
    chosen = {name: max(columns, key=lambda c: accuracies[name, c][0]) for name in names}
    for name in names:
        accuracy = accuracies[name, chosen[name]][1]
        title = f"{name}, {chosen[name]}: test accuracy, %"
        example.figure(title, 100 * accuracy, report=REPORTED.get(name))
    return chosen


def _best(example: Example, data: datasets.Split, parts: list[Array]) -> Outcome:
    """Choose a network by people held out in turn; the four that were so trained vote on others."""
    names = ["GRU both ways, largest"] if example.quick else list(UNMET)
    parts = parts[:1] if example.quick else parts
    runs = {}
    for name in names:
        runs[name] = [unmet(example, name, data, part, key) for key, part in enumerate(parts)]
    right = {
        name: float(np.mean(np.concatenate([
            data.y_train[part] == run.held.argmax(axis=1)
            for part, run in zip(parts, outcomes, strict=True)
        ])))
        for name, outcomes in runs.items()
    }  # fmt: skip
    rows = [
        [name, f"{right[name]:.1%}", f"{np.median([run.seconds for run in outcomes]):.2f}",
         f"{np.mean([metrics.accuracy(data.y_test, run.test) for run in outcomes]):.1%}"]
        for name, outcomes in runs.items()
    ]  # fmt: skip
    header = ["for people not met", "people held out", "seconds an epoch", "test, each alone"]
    example.say(render(header, rows, right="lrrr") + "\n")
    name = max(right, key=lambda name: right[name])
    outcomes = runs[name]
    for outcome in outcomes:
        example.weights(outcome.model)
    vote = np.mean([outcome.test for outcome in outcomes], axis=0)
    low = 60.0 if example.quick else 82.0
    example.figure(f"{name}: accuracy of people held out, %", 100 * right[name])
    example.figure(
        f"{name}: test accuracy, %", 100 * metrics.accuracy(data.y_test, vote), at_least=low
    )
    report = metrics.classification_report(data.y_test, vote, names=data.names or None)
    example.say(f"{name}, the test windows\n{report}")
    return outcomes[0]._replace(test=vote)


def _draw(
    example: Example,
    found: Mapping[tuple[str, str], Outcome],
    chosen: Mapping[str, str],
    best: Outcome,
    data: datasets.Split,
) -> None:
    """The pictures."""
    by_optimiser = {c: found["GRU", c].history for c in OPTIMISERS}
    by_model = {name: found[name, "Adam"].history for name in chosen}
    for name, histories, title in (
        ("optimisers", by_optimiser, "GRU by optimiser"), ("models", by_model, "Models, by Adam"),
    ):  # fmt: skip
        drawn, (left, right) = plot.figure(ncols=2, figsize=(12, 4.4))
        losses = {run: history["loss"] for run, history in histories.items()}
        plot.compare(losses, ylabel="training loss", title=title, ax=left)
        shares = {run: history["val_accuracy"] for run, history in histories.items()}
        plot.compare(shares, ylabel="accuracy of people held out", title=title, ax=right)
        left.get_legend().remove()
        example.picture(drawn, name)
    curves = {k: v for k, v in best.history.items() if k.endswith(("loss", "accuracy"))}
    epoch = best.history.best("val_loss") + 1
    example.picture(plot.learning_curves(curves, best=epoch, title="For people not met"), "curves")
    drawn, axes = plot.figure(2, 2, figsize=(9, 9))
    tests = {f"{name}, {chosen[name]}": found[name, chosen[name]] for name in CELLS}
    for ax, (name, run) in zip(
        axes.flat, {**tests, "for people not met": best}.items(), strict=True
    ):
        counts = metrics.confusion_matrix(data.y_test, run.test, labels=range(CLASSES))
        share = metrics.accuracy(data.y_test, run.test)
        plot.confusion_matrix(counts, names=data.names, title=f"{name}: {share:.1%}", ax=ax)
    example.picture(drawn, "confusion")


if __name__ == "__main__":
    sys.exit(main(run))
