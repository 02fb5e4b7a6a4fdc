"""The networks of `activity` beside the same ones in PyTorch: same weights, same batches.

Every model is trained by Adam in both, epoch for epoch in turn, on as many threads: in float32 for
the times, in float64 for the numbers. Over 150 steps gradients explode or nearly so, and
rounding grows as they do: in float32 two runs that differ in the last bit are two different runs
before an epoch is over; the picture shows both. PyTorch's GRU applies its reset gate after the
product; the form that the models here have, with the gate before it, can only be written there as
a loop over steps: both forms are compared. Needs PyTorch. Data: har_watch.h5.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from timeit import default_timer
from typing import Any, NamedTuple

import numpy as np
from _example import Example, main
from activity import BATCH, CLASSES, MODELS, RATE, SENSORS, network, scaling

import fastnn
from fastnn import datasets, layers, metrics, optim, plot
from fastnn._extras import need
from fastnn._table import render
from fastnn.train import Trainer

Array = np.ndarray[Any, Any]

AFTER = "GRU, reset after"
DTYPES: tuple[Any, Any] = (np.float32, np.float64)


class Beside(NamedTuple):
    """What training a network and its twin showed: first ours, then PyTorch's."""

    seconds: tuple[float, float]
    """Of an epoch, the median."""
    losses: tuple[float, float]
    """Of the last epoch, the mean."""
    accuracies: tuple[float, float]
    """Of the test windows."""
    apart: Array
    """How far the losses of each step of the first epoch are apart."""


def run(example: Example) -> None:
    """Train each pair, compare losses, accuracies and times, check the gradients."""
    torch = need("activity_against_torch", "torch", "PyTorch", "bench")
    drawn, axes = plot.figure(ncols=2, figsize=(12, 4.4), sharey=True)
    torch.set_num_threads(fastnn.get_num_threads())
    data = datasets.har_watch(example.data)
    if example.quick:
        data = data._replace(x_train=data.x_train[::4], y_train=data.y_train[::4])
    names = ["RNN", "LSTM", AFTER] if example.quick else [*MODELS, AFTER]
    found = {}
    for name in example.progress(names, "models", len(names)):
        for dtype, epochs in zip(DTYPES, (2, 1 if example.quick else 4), strict=True):
            found[name, dtype] = _beside(example, torch, name, data, dtype, epochs)
    rows = []
    for name in names:
        single, double = (found[name, dtype] for dtype in DTYPES)
        rows.append([
            name, *(f"{s:.2f}" for s in single.seconds),
            f"{single.seconds[1] / single.seconds[0]:.1f}", f"{single.apart.max():.1e}",
            f"{double.apart.max():.1e}", *(f"{loss:.6f}" for loss in double.losses),
            *(f"{share:.1%}" for share in double.accuracies),
        ])  # fmt: skip
        example.figure(
            f"{name}: losses of the first epoch, apart", double.apart.max(), at_most=1e-3
        )
        points = 100 * abs(double.accuracies[0] - double.accuracies[1])
        example.figure(f"{name}: test accuracies, points apart", points, at_most=3)
    header = ["", "s/epoch", "PyTorch", "times", "apart", "float64", "loss", "PyTorch", "test",
              "PyTorch"]  # fmt: skip
    example.say(render(header, rows, right="lrrrrrrrrr"))
    for axis, kind in zip(axes, DTYPES, strict=True):
        lines = {name: np.maximum(found[name, kind].apart, 1e-17).tolist() for name in names}
        title = f"Losses of both, {np.dtype(kind).name}"
        plot.compare(lines, xlabel="step", ylabel="apart", log=True, title=title, ax=axis)
    axes[0].get_legend().remove()
    example.picture(drawn, "apart")
    few = scaling(data.x_train)(data.x_train[:4, :30]), data.y_train[:4]
    for key, name in enumerate(MODELS):
        example.check(network(name, 32, example.rng(2, key)), layers.CrossEntropyLoss(), *few)


def _beside(
    example: Example, torch: Any, name: str, data: datasets.Split, dtype: Any, epochs: int
) -> Beside:
    """Train a network and its twin."""
    after = name == AFTER
    model, hidden = "GRU" if after else name, 32 if example.quick else 128
    rng = example.rng(0, (*MODELS, AFTER).index(name))
    options = {"reset_after": True} if after else {}
    ours = network(model, hidden, rng, dtype=dtype, **options)
    cell, count, _ = MODELS[model]
    theirs = _twin(torch, ours, "GRU after" if after else cell, hidden, count)
    scaled = scaling(data.x_train)
    train, test = (scaled(x).astype(dtype) for x in (data.x_train, data.x_test))
    batches = datasets.Batches((train, data.y_train), BATCH, shuffle=True, rng=example.rng(1))
    trainer = Trainer(ours, layers.CrossEntropyLoss(), optim.Adam(ours, lr=RATE), clip_value=10)
    adam = torch.optim.Adam(theirs.parameters(), lr=RATE)
    loss = torch.nn.CrossEntropyLoss()

    def step(x: Array, y: Array) -> float:
        adam.zero_grad()
        value = loss(theirs(torch.from_numpy(x)), torch.from_numpy(y))
        value.backward()
        torch.nn.utils.clip_grad_value_(theirs.parameters(), 10)
        adam.step()
        return float(value.item())

    both, times = [], []
    for epoch in range(epochs):
        trainer.optimizer.lr = adam.param_groups[0]["lr"] = RATE * (1 - epoch / epochs)
        drawn = list(batches)
        runs = [_epoch(one, drawn) for one in (trainer.step, step)]
        both.append([losses for losses, _ in runs])
        times.append([seconds for _, seconds in runs])
    with torch.no_grad():
        scores = trainer.predict(test), theirs(torch.from_numpy(test)).numpy()
    example.weights(ours)
    seconds, last = np.median(times, axis=0), np.mean(both[-1], axis=1)
    shares = [metrics.accuracy(data.y_test, s) for s in scores]
    apart = np.abs(np.subtract(both[0][0], both[0][1]))
    return Beside((seconds[0], seconds[1]), (last[0], last[1]), (shares[0], shares[1]), apart)


def _epoch(
    step: Callable[[Array, Array], float], batches: list[tuple[Array, Array]]
) -> tuple[list[float], float]:
    """The losses of all steps, and the seconds."""
    start = default_timer()
    losses = [step(x, y) for x, y in batches]
    return losses, default_timer() - start


def _twin(torch: Any, ours: layers.Sequential, cell: str, hidden: int, count: int) -> Any:
    """The same network in PyTorch, with the same weights."""
    nn = torch.nn
    kinds = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU after": nn.GRU}
    recurrent = (
        kinds[cell](SENSORS, hidden, count, batch_first=True)
        if cell in kinds
        else _classic_gru(torch, hidden, count)
    )
    parts = []
    for layer in list(ours)[1:]:
        if isinstance(layer, layers.Linear):
            outputs, inputs = layer.params["weight"].shape
            parts.append(nn.Linear(inputs, outputs))
        else:
            parts.append(nn.ReLU())
    assert parts[-1].out_features == CLASSES

    class Twin(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.recurrent, self.head = recurrent, nn.Sequential(*parts)

        def forward(self, x: Any) -> Any:
            return self.head(self.recurrent(x)[0][:, -1])

    twin = Twin()
    twin.to(torch.from_numpy(next(iter(ours.params.values()))).dtype)
    with torch.no_grad():
        for mine, other in zip(ours.params.values(), twin.parameters(), strict=True):
            other.copy_(torch.from_numpy(mine))
    return twin


def _classic_gru(torch: Any, hidden: int, count: int) -> Any:
    """A GRU whose reset gate multiplies the state before the product, as a loop over steps."""

    class ClassicGRU(torch.nn.GRU):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            for layer in range(count):
                w, u, b, c = (
                    getattr(self, f"{name}_l{layer}")
                    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                )
                inputs = (x @ w.T + b + c).unbind(1)
                gates, candidate = u[: 2 * hidden].T, u[2 * hidden :].T
                h = x.new_zeros(len(x), hidden)
                states = []
                for a in inputs:
                    r, z = torch.sigmoid(a[:, : 2 * hidden] + h @ gates).chunk(2, 1)
                    n = torch.tanh(a[:, 2 * hidden :] + (r * h) @ candidate)
                    h = n + z * (h - n)
                    states.append(h)
                x = torch.stack(states, 1)
            return x, h

    return ClassicGRU(SENSORS, hidden, count, batch_first=True)


if __name__ == "__main__":
    sys.exit(main(run))
