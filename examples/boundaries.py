"""Perceptrons trained by numerical gradients, and the boundaries that they can draw.

One layer and a softmax on three blobs, in 1,000 steps of one sample each, its gradients by backward
and by differences; the same on moons and circles, where no line will do; then two layers with 2 to
50 hidden units, ReLU and tanh. The data are drawn here.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np
from _example import Example, main

from fastnn import datasets, layers, metrics, optim, plot, softmax
from fastnn.datasets import Labelled

Array = np.ndarray[Any, Any]

STEP = 1e-4  # of the numerical gradient
HIDDEN = (2, 5, 10, 15, 20, 50)


class Problem(NamedTuple):
    """Points to train on, and others to test on."""

    train: Labelled
    test: Labelled

    @property
    def classes(self) -> int:
        """How many there are."""
        return int(self.train.y.max()) + 1


class Course(NamedTuple):
    """Figures after each step."""

    loss: list[float]
    train: list[float]
    test: list[float]
    error: list[float]
    """Of the numerical gradient: its distance from backward's by the size of that."""


def run(example: Example) -> None:
    """Train one layer on all three, then two layers on moons and circles."""
    problems = {
        "blobs": _problem(datasets.blobs(400, rng=example.rng(0))),
        "moons": _problem(datasets.moons(400, noise=0.15, rng=example.rng(1))),
        "circles": _problem(datasets.circles(400, noise=0.08, rng=example.rng(2))),
    }
    steps = 300 if example.quick else 1000
    single = {}
    for name, problem in problems.items():
        model = layers.Linear(2, problem.classes, rng=example.rng(3), dtype=np.float64)
        course = train(example, model, problem, steps, 0.01, numerical=True)
        single[name] = (model, course)
        example.weights(model)
        goals = {"blobs": (0.95, None), "moons": (0.7, 0.95), "circles": (0.3, 0.75)}[name]
        example.figure(
            f"one layer, {name}: test accuracy", course.test[-1], at_least=goals[0],
            at_most=goals[1],
        )  # fmt: skip
    worst = max(max(course.error) for _, course in single.values())
    example.figure("worst error of a numerical gradient", worst, at_most=1e-6)
    _draw_courses(example, {name: course for name, (_, course) in single.items()})
    models = {f"{name}, one layer": (problems[name], model) for name, (model, _) in single.items()}
    example.picture(_regions(models, 3), "one-layer")

    steps = 2000 if example.quick else 10_000
    for name in ("moons", "circles"):
        nets: dict[str, tuple[Problem, layers.Layer]] = {}
        for activation in (layers.ReLU, layers.Tanh):
            for units in HIDDEN:
                model = two_layers(units, problems[name].classes, activation, example.rng(4))
                course = train(example, model, problems[name], steps, 0.1)
                kind = activation.__name__
                title = f"{units} {kind}"
                nets[f"{title}: {course.test[-1]:.0%} right"] = (problems[name], model)
                example.weights(model)
                if units == HIDDEN[-1]:
                    example.figure(
                        f"{title} units, {name}: test accuracy", course.test[-1], at_least=0.95
                    )
        example.picture(_regions(nets, len(HIDDEN)), f"two-layers-{name}")

    few = problems["moons"].train
    example.check(
        two_layers(20, 2, layers.Tanh, example.rng(5)), layers.CrossEntropyLoss(), few.x[:20],
        few.y[:20],
    )  # fmt: skip


def _problem(data: Labelled) -> Problem:
    """Half to train on, half to test on: points that training never sees."""
    half = len(data.x) // 2
    return Problem(Labelled(data.x[:half], data.y[:half]), Labelled(data.x[half:], data.y[half:]))


def two_layers(
    units: int, classes: int, activation: type[layers.Layer], rng: np.random.Generator
) -> layers.Sequential:
    """2-units-classes; the softmax is in the loss, so this gives scores and not probabilities."""
    return layers.Sequential(
        layers.Linear(2, units, rng=rng, dtype=np.float64),
        activation(),
        layers.Linear(units, classes, rng=rng, dtype=np.float64),
    )


def probabilities(model: layers.Layer, x: Array) -> Array:
    """What the model says of each class."""
    return softmax(model(x, save=False), axis=1)


def train(
    example: Example, model: layers.Layer, problem: Problem, steps: int, rate: float, *,
    numerical: bool = False,
) -> Course:  # fmt: skip
    """Plain SGD, one random sample a step; with the numerical gradient, which is compared."""
    loss, sgd = layers.CrossEntropyLoss(), optim.SGD(model, rate)
    x, y = problem.train
    order = example.rng(6).integers(len(x), size=steps)
    course = Course([], [], [], [])
    for step, i in enumerate(example.progress(order, "steps")):
        sample = x[i : i + 1], y[i : i + 1]
        model.zero_grad()
        loss.forward(model.forward(sample[0]), sample[1])
        model.backward(loss.backward(), input_grad=False)
        if numerical:
            course.error.append(_replace(model, loss, *sample))
        sgd.step()
        if numerical or step == steps - 1:
            course.loss.append(float(loss(model(x, save=False), y)))
            for part, kept in ((problem.train, course.train), (problem.test, course.test)):
                kept.append(metrics.accuracy(part.y, probabilities(model, part.x)))
    return course


def _replace(model: layers.Layer, loss: layers.Loss, x: Array, y: Array) -> float:
    """Put central differences in place of the gradients; how far they are from them."""
    distance = size = 0.0
    for _, w, dw in model.parameters():
        numerical = np.empty_like(w)
        for place in np.ndindex(w.shape):
            before = w[place]
            w[place] = before + STEP
            above = float(loss(model(x, save=False), y))
            w[place] = before - STEP
            below = float(loss(model(x, save=False), y))
            w[place] = before
            numerical[place] = (above - below) / (2 * STEP)
        distance += float(np.sum((numerical - dw) ** 2))
        size += float(np.sum(dw**2))
        dw[...] = numerical
    return float(np.sqrt(distance / size)) if size else 0.0


def _draw_courses(example: Example, courses: dict[str, Course]) -> None:
    """The gradients' error, the loss and the accuracies, step by step."""
    drawn, axes = plot.figure(ncols=4, figsize=(15, 3.6))
    plot.compare(
        {name: c.error for name, c in courses.items()}, ylabel="relative error", xlabel="step",
        log=True, title="Numerical gradient", ax=axes[0],
    )  # fmt: skip
    plot.compare(
        {name: c.loss for name, c in courses.items()}, ylabel="cross-entropy", xlabel="step",
        title="Training loss", ax=axes[1],
    )  # fmt: skip
    for axis, field in ((axes[2], "train"), (axes[3], "test")):
        plot.compare(
            {name: getattr(c, field) for name, c in courses.items()}, ylabel="accuracy",
            xlabel="step", title=f"{field.capitalize()} accuracy", ax=axis,
        )  # fmt: skip
        axis.set_ylim(0, 1.03)
    example.picture(drawn, "one-layer-courses")


def _regions(models: dict[str, tuple[Problem, layers.Layer]], columns: int) -> Any:
    """A panel for each model: its probabilities, and the test points on them."""
    rows = -(-len(models) // columns)
    drawn, axes = plot.figure(rows, columns, figsize=(3.4 * columns, 3.2 * rows), squeeze=False)
    for axis, (title, (problem, model)) in zip(axes.flat, models.items(), strict=True):
        plot.decision_regions(
            lambda p, model=model: probabilities(model, p), problem.test.x, problem.test.y,
            title=title, ax=axis,
        )  # fmt: skip
        if axis is not axes[0, 0]:
            axis.get_legend().remove()
    return drawn


if __name__ == "__main__":
    sys.exit(main(run))
