"""The networks of `activity` beside the same ones in PyTorch: same weights, same batches.

Every model is trained by Adam in both, epoch for epoch in turn, on as many threads. PyTorch's GRU
applies its reset gate after the product; the form that the models here have, with the gate before
it, can only be written there as a loop over steps: both forms are compared. Needs PyTorch. Data:
har_watch.h5.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from timeit import default_timer
from typing import Any

import numpy as np
from _example import Example, main
from activity import BATCH, CLASSES, MODELS, RATE, SENSORS, network, scaling

import fastnn
from fastnn import datasets, layers, metrics, optim
from fastnn._extras import need
from fastnn._table import render
from fastnn.train import Trainer

Array = np.ndarray[Any, Any]

AFTER = "GRU, reset after"


def run(example: Example) -> None:
    """Train each pair, compare losses, accuracies and times, check the gradients."""
    torch = need("activity_against_torch", "torch", "PyTorch", "bench")
    torch.set_num_threads(fastnn.get_num_threads())
    data = datasets.har_watch(example.data)
    scaled = scaling(data.x_train)
    train, test = (scaled(data.x_train), data.y_train), scaled(data.x_test)
    if example.quick:
        train = train[0][::4], train[1][::4]
    hidden, epochs = (32, 2) if example.quick else (128, 8)
    names = ["RNN", "LSTM", AFTER] if example.quick else [*MODELS, AFTER]
    rows = []
    for name in example.progress(names, "models", len(names)):
        cell, count, _ = MODELS[name.removesuffix(", reset after")]
        options = {"reset_after": True} if name == AFTER else {}
        key = (*MODELS, AFTER).index(name)
        ours = network(name.removesuffix(", reset after"), hidden, example.rng(0, key), **options)
        theirs = _twin(torch, ours, cell if name != AFTER else "GRU after", hidden, count)
        row = _beside(torch, ours, theirs, train, (test, data.y_test), epochs, example.rng(1))
        rows.append([name, *row[0]])
        example.weights(ours)
        apart, points = row[1]
        example.figure(f"{name}: losses of the first epoch, apart", apart, at_most=1e-3)
        example.figure(
            f"{name}: test accuracies, points apart", points, at_most=None if example.quick else 3
        )
    header = ["", "s/epoch", "PyTorch", "times", "loss", "PyTorch", "test", "PyTorch"]
    example.say(render(header, rows, right="lrrrrrrr"))
    few = train[0][:4, :30], train[1][:4]
    for key, name in enumerate(MODELS):
        example.check(network(name, 32, example.rng(2, key)), layers.CrossEntropyLoss(), *few)


def _beside(
    torch: Any,
    ours: layers.Sequential,
    theirs: Any,
    train: tuple[Array, Array],
    test: tuple[Array, Array],
    epochs: int,
    rng: np.random.Generator,
) -> tuple[list[str], tuple[float, float]]:
    """Train both; a row of the table, and how far first losses and final accuracies are apart."""
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

    times: tuple[list[float], list[float]] = ([], [])
    losses: tuple[list[float], list[float]] = ([], [])
    first = 0.0
    for epoch in range(epochs):
        trainer.optimizer.lr = adam.param_groups[0]["lr"] = RATE * (1 - epoch / epochs)
        batches = list(datasets.Batches(train, BATCH, shuffle=True, rng=rng))
        found = [_epoch(one, batches) for one in (trainer.step, step)]
        for side, (values, seconds) in enumerate(found):
            times[side].append(seconds)
            losses[side].append(float(np.mean(values)))
        if not epoch:
            first = float(np.max(np.abs(np.subtract(found[0][0], found[1][0]))))
    with torch.no_grad():
        scores = theirs(torch.from_numpy(test[0])).numpy()
    right = [metrics.accuracy(test[1], s) for s in (trainer.predict(test[0]), scores)]
    mine, other = (float(np.median(t)) for t in times)
    row = [f"{mine:.2f}", f"{other:.2f}", f"{other / mine:.1f}"]
    row += [f"{side[-1]:.4f}" for side in losses] + [f"{share:.1%}" for share in right]
    return row, (first, 100 * abs(right[0] - right[1]))


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
