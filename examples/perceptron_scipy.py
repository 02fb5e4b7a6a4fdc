"""A perceptron of three layers on 5,000 handwritten digits, trained by SciPy's optimisers.

400-20-20-10 with scaled sigmoids s(z) = 1 / (1 + exp(-2z)), the mean over samples of the sum of ten
binary cross-entropies, and lambda / (2m) times the sum of squared weights: 8,650 parameters as one
flat vector, found by truncated Newton and by L-BFGS-B. Data: ex3data1.mat.
"""

from __future__ import annotations

import itertools
import sys
from timeit import default_timer
from typing import Any

import numpy as np
from _example import Example, main

from fastnn import datasets, init, layers, metrics, plot, softmax
from fastnn.train import L2, MinimizeResult, minimize

Array = np.ndarray[Any, Any]

SLOPE = 2.0  # of the scaled sigmoid
DECAY = 1.0  # lambda
CLASSES = 10


class SummedCrossEntropy:
    """Binary cross-entropies of scaled sigmoids, summed over outputs, the mean over samples.

    It takes what the last sigmoid will take. The derivative of s is 2 s (1 - s), not s (1 - s):
    here the 2 is the factor that `backward` applies.
    """

    def __init__(self) -> None:
        self._sum = layers.BCEWithLogitsLoss(reduction="sum")
        self._samples = 0

    def __call__(self, z: Array, target: Array) -> float:
        """The loss alone."""
        return float(self._sum(SLOPE * z, target)) / len(z)

    def forward(self, z: Array, target: Array) -> float:
        """The loss, and what `backward` needs is saved."""
        self._samples = len(z)
        return float(self._sum.forward(SLOPE * z, target)) / len(z)

    def backward(self, dy: float = 1.0) -> Array:
        """The gradient of z."""
        return self._sum.backward(dy * SLOPE / self._samples)


def perceptron(*hidden: int, rng: np.random.Generator) -> layers.Sequential:
    """Linear layers with scaled sigmoids between; the last sigmoid is in the loss."""
    sizes = (400, *hidden, CLASSES)
    parts: list[layers.Layer] = []
    for inputs, outputs in itertools.pairwise(sizes):
        parts.append(layers.Linear(inputs, outputs, rng=rng, dtype=np.float64))
        parts.append(layers.Sigmoid(SLOPE))
    model = layers.Sequential(*parts[:-1])
    return init.apply(model, init.uniform, parameters="*", low=-0.125, high=0.125, rng=rng)


def run(example: Example) -> None:
    """Train three times, look at the softmax, check the gradients."""
    x, y = datasets.ex3data1(example.data)
    if example.quick:
        x, y = x[::5], y[::5]
    target = datasets.one_hot(y, CLASSES, dtype=np.float64)
    loss, penalty = SummedCrossEntropy(), L2(DECAY / len(x))
    steps = 120 if example.quick else 250

    def train(
        title: str, method: str, *hidden: int, **options: int
    ) -> tuple[layers.Sequential, MinimizeResult]:
        model = perceptron(*hidden, rng=example.rng(0))
        started = default_timer()
        found = minimize(
            model, loss, (x, target), method, penalties=[penalty], maxiter=steps, **options
        )
        took = default_timer() - started
        right = metrics.accuracy(y, model(x, save=False))
        example.say(
            f"{title}: cost {found.losses[0]:.4f} -> {found.loss:.4f}, {right:.2%} right, "
            f"{found.iterations} iterations, {found.evaluations} evaluations in {took:.1f} s"
        )
        example.weights(model)
        return model, found

    def figure(
        title: str,
        model: layers.Layer,
        cost: float,
        reported: tuple[float | None, float | None] = (None, None),
        goal: tuple[float | None, float | None] = (None, None),
    ) -> None:
        right = 100 * metrics.accuracy(y, model(x, save=False))
        example.figure(f"{title}: cost", cost, report=reported[0], at_most=goal[0])
        example.figure(f"{title}: accuracy, %", right, report=reported[1], at_least=goal[1])

    # SciPy counts evaluations as TNC's iterations. By default 50 of them may go into the conjugate
    # gradients of one Newton step; with 10 there are more steps for the same 250.
    model, newton = train("three layers, TNC", "TNC", 20, 20, maxCGit=10)
    plain, default = train("three layers, TNC as SciPy has it", "TNC", 20, 20)
    other, bfgs = train("three layers, L-BFGS-B", "L-BFGS-B", 20, 20)
    two, small = train("two layers, TNC", "TNC", 20, maxCGit=10)
    goals = (0.6, 95.0) if example.quick else (0.1446, 99.8)
    example.figure("TNC: cost before", newton.losses[0], report=6.8077, at_least=6.0, at_most=8.0)
    figure("TNC", model, newton.loss, (0.1446, 99.84), goals)
    figure("TNC, 50 inner steps", plain, default.loss)
    figure("L-BFGS-B", other, bfgs.loss, goal=goals)
    figure("two layers, TNC", two, small.loss, (None, 99.2))
    _jacobian(example)
    runs = {"TNC": newton, "TNC, 50 inner steps": default, "L-BFGS-B": bfgs,
            "TNC, two layers": small}  # fmt: skip
    _draw(example, model, runs)
    few = slice(None, None, len(x) // 20)
    example.check(model, loss, x[few], target[few], penalties=[penalty], rng=example.rng(2))


def _jacobian(example: Example) -> None:
    """The Jacobian of softmax, row by row through backward, by formula, by differences."""
    v = example.rng(1).standard_normal(CLASSES)
    rows = []
    for unit in np.eye(CLASSES):
        o, context = softmax.forward(v, axis=-1)
        rows.append(softmax.backward(context, unit).x)
    formula = o[:, None] * (np.eye(CLASSES) - o)
    step = 1e-5
    columns = [
        (softmax(v + step * unit) - softmax(v - step * unit)) / (2 * step)
        for unit in np.eye(CLASSES)
    ]
    for name, found, most in (
        ("backward", np.array(rows), 1e-15), ("differences", np.array(columns).T, 1e-9),
    ):  # fmt: skip
        distance = float(np.abs(found - formula).max())
        example.figure(f"softmax Jacobian: formula against {name}", distance, at_most=most)


def _draw(example: Example, model: layers.Sequential, runs: dict[str, MinimizeResult]) -> None:
    """The costs by evaluation, and what the first layer looks for."""
    costs = {name: found.curve for name, found in runs.items()}
    drawn = plot.compare(costs, xlabel="evaluations of cost and gradient", ylabel="cost", log=True)
    example.picture(drawn, "cost")
    upright = model.params["0.weight"].reshape(-1, 20, 20).swapaxes(1, 2)
    drawn = plot.tiles(
        upright, columns=10, signed=True, label="weight", title="Weights of the first layer's units"
    )
    example.picture(drawn, "hidden-weights")


if __name__ == "__main__":
    sys.exit(main(run))
