"""A sparse autoencoder on patches of natural photographs, by three optimisers.

256-64-256 with sigmoids on 10,240 grey patches of 16x16, all of them in each step, and

    J = 1 / (2N) sum |d - o|^2 + lambda / 2 (|W1|^2 + |W2|^2)
        + beta * sum over hidden units b of KL(rho | mean activation of b)

by gradient descent, Adam and L-BFGS; then 10, 50 and 100 hidden units with three strengths lambda.
Data: natural_patches_kodak.h5, or assign3_data1.h5, on which the report's figures are.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from timeit import default_timer
from typing import Any, NamedTuple

import numpy as np
from _example import Example, main

from fastnn import datasets, init, inspect, layers, optim, plot
from fastnn.train import L2, KLSparsity, Trainer, minimize

Array = np.ndarray[Any, Any]

SIDE = 16
HIDDEN, DECAY, SPARSITY, RHO = 64, 5e-4, 0.1, 0.05  # sizes and lambda, beta, rho
SIZES, DECAYS = (10, 50, 100), (0.0, 1e-5, 1e-3)


class HalfSquares:
    """Half the squared distance of each sample, the mean over samples: MSE times D / 2."""

    def __init__(self) -> None:
        self._mean = layers.MSELoss()
        self._half = 0.0

    def __call__(self, x: Array, target: Array) -> float:
        """The loss alone."""
        return float(self._mean(x, target)) * x[0].size / 2

    def forward(self, x: Array, target: Array) -> float:
        """The loss, and what `backward` needs is saved."""
        self._half = x[0].size / 2
        return float(self._mean.forward(x, target)) * self._half

    def backward(self, dy: float = 1.0) -> Array:
        """The gradient of x."""
        return self._mean.backward(dy * self._half)


class Trained(NamedTuple):
    """A model, its loss after each epoch or iteration, and the time that it took."""

    model: layers.Sequential
    losses: Sequence[float]
    seconds: float


LOSS = HalfSquares()


def penalties(decay: float = DECAY) -> list[Any]:
    """Those of J. A unit's activation is averaged by itself over all samples; biases are free."""
    return [L2(decay), KLSparsity("1", SPARSITY, rho=RHO)]


def autoencoder(
    hidden: int, rng: np.random.Generator, dtype: Any = np.float32, *, normal: bool = False
) -> layers.Sequential:
    """Two linear layers, each with a sigmoid; biases start at 0."""
    model = layers.Sequential(
        layers.Linear(SIDE**2, hidden, rng=rng, dtype=dtype),
        layers.Sigmoid(),
        layers.Linear(hidden, SIDE**2, rng=rng, dtype=dtype),
        layers.Sigmoid(),
    )
    draw = init.glorot_normal if normal else init.glorot_uniform
    return init.apply(model, draw, rng=rng)


def by_steps(x: Array, model: layers.Sequential, optimizer: Any, epochs: int) -> Trained:
    """Train with a step an epoch, on all patches."""
    x = x.astype(np.float32)
    trainer = Trainer(model, LOSS, optimizer, penalties=penalties())
    started = default_timer()
    history = trainer.fit((x, x), epochs=epochs, batch_size=len(x), shuffle=False)
    took = default_timer() - started
    return Trained(model, [*history["loss"], trainer.evaluate((x, x), len(x))["loss"]], took)


def by_search(x: Array, model: layers.Sequential, iterations: int, decay: float = DECAY) -> Trained:
    """Train with L-BFGS, in float64."""
    started = default_timer()
    found = minimize(model, LOSS, (x, x), penalties=penalties(decay), maxiter=iterations)
    return Trained(model, found.losses, default_timer() - started)


def run(example: Example) -> None:
    """Train in all ways, then with all settings; draw; check the gradients."""
    x = datasets.grey_patches(datasets.kodak_patches(example.data))
    if example.quick:
        x = x[:1024]
    quick = example.quick
    model, other = (autoencoder(HIDDEN, example.rng(0), normal=normal) for normal in (False, True))
    runs = {
        "gradient descent": by_steps(x, model, optim.SGD(model, lr=0.9), 120 if quick else 5000),
        "Adam": by_steps(x, other, optim.Adam(other, lr=5e-3), 120 if quick else 2000),
        "L-BFGS": by_search(
            x, autoencoder(HIDDEN, example.rng(0), np.float64), 80 if quick else 1000
        ),
    }
    reported = {"gradient descent": 0.7, "Adam": 0.25}
    example.figure("loss before", runs["gradient descent"].losses[0], report=2.79)
    for name, trained in runs.items():
        example.say(_described(name, trained, x))
        example.weights(trained.model)
        most = runs["gradient descent"].losses[-1] if name == "L-BFGS" else None
        example.figure(f"{name}: loss", trained.losses[-1], report=reported.get(name), at_most=most)
    grid = {
        (hidden, decay): by_search(
            x, autoencoder(hidden, example.rng(hidden), np.float64), 30 if quick else 300, decay
        )
        for hidden in SIZES
        for decay in DECAYS
    }
    for (hidden, decay), trained in grid.items():
        name = f"{hidden} units, lambda {decay:g}"
        example.say(_described(name, trained, x))
        example.weights(trained.model)
        example.figure(f"{name}: loss", trained.losses[-1])
    _draw(example, x, runs, grid)
    few = x[:: len(x) // 16]
    example.check(runs["L-BFGS"].model, LOSS, few, few, penalties=penalties(), rng=example.rng(1))


def _described(name: str, trained: Trained, x: Array) -> str:
    kind = trained.model.params["0.weight"].dtype
    found = inspect.activations(trained.model, x.astype(kind))
    means, distance = found["1"].mean(axis=0), np.square(x - found[""]).mean() ** 0.5
    return (
        f"{name}: J {trained.losses[0]:.3f} -> {trained.losses[-1]:.4f} in "
        f"{len(trained.losses) - 1} steps, {trained.seconds:.1f} s; a pixel is off by "
        f"{distance:.4f}; mean activation {means.mean():.3f}, "
        f"{means.min():.3f} to {means.max():.3f}"
    )


def _draw(
    example: Example, x: Array, runs: dict[str, Trained], grid: dict[tuple[int, float], Trained]
) -> None:
    axis = plot.compare(
        {name: trained.losses for name, trained in runs.items()},
        xlabel="epoch or iteration, each with all patches", ylabel="J", log=True, title="Loss",
    )  # fmt: skip
    axis.set_xscale("log")
    example.picture(axis, "loss")
    drawn, axes = plot.figure(ncols=len(runs), figsize=(4.2 * len(runs), 4.5))
    for axis, (name, trained) in zip(axes, runs.items(), strict=True):
        _weights(trained, f"{name}: J = {trained.losses[-1]:.3f}", axis)
    drawn.suptitle("Weights of the hidden units, each on a scale of its own")
    example.picture(drawn, "hidden-weights")
    chosen = x[:: len(x) // 12][:12].astype(np.float32)
    outputs = {
        name: trained.model(chosen.astype(trained.model.params["0.weight"].dtype), save=False)
        for name, trained in runs.items()
    }
    title = "Patches, and what comes out of 64 units"
    example.picture(
        plot.reconstructions(chosen, outputs, shape=(SIDE, SIDE), count=12, title=title),
        "reconstructions",
    )
    drawn, axes = plot.figure(
        len(SIZES), len(DECAYS), figsize=(12.6, 9.2), height_ratios=(2, 2.5, 5)
    )
    for axis, ((hidden, decay), trained) in zip(axes.flat, grid.items(), strict=True):
        title = f"{hidden} units, lambda {decay:g}: J = {trained.losses[-1]:.3f}"
        _weights(trained, title, axis)
    example.picture(drawn, "settings")


def _weights(trained: Trained, title: str, axis: Any) -> None:
    w = trained.model.params["0.weight"]
    columns = {10: 5, 50: 10, HIDDEN: 8, 100: 10}[len(w)]
    plot.tiles(w, shape=(SIDE, SIDE), columns=columns, each=True, signed=True, title=title, ax=axis)


if __name__ == "__main__":
    sys.exit(main(run))
