"""The dying ReLU: how many deep and narrow nets collapse to a constant function.

Nets of 10 layers of width 2 are fitted to |x|, x sin(5x) and 1[x > 0] + 0.2 sin(5x) at 3,000 points
of [-sqrt(7), sqrt(7)], 1,000 independent times each, with ReLU and with leaky ReLU. After L. Lu,
Y. Shin, Y. Su, G. Karniadakis, "Dying ReLU and initialization" (arXiv 1903.06733), section 3.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from timeit import repeat
from typing import Any, NamedTuple

import numpy as np
from _example import Example, main

import fastnn
from fastnn import init, inspect, layers, optim, plot
from fastnn.train import Trainer

Array = np.ndarray[Any, Any]

POINTS, BATCH, DEPTH, WIDTH = 3000, 64, 10, 2
RATE = 5e-3
CHUNK = 10  # runs that a process does at a time
FLAT = 0.01  # a net has collapsed if what it gives varies by less than this over all points

TARGETS: dict[str, Callable[[Array], Array]] = {
    "|x|": np.abs,
    "x sin(5x)": lambda x: x * np.sin(5 * x),
    "1[x>0] + 0.2 sin(5x)": lambda x: (x > 0) + 0.2 * np.sin(5 * x),
}
ACTIVATIONS: dict[str, type[layers.Layer]] = {"ReLU": layers.ReLU, "leaky ReLU": layers.LeakyReLU}


class Task(NamedTuple):
    """One run of the sweep; any process makes the same of it."""

    seed: int
    target: str
    activation: str
    number: int
    epochs: int


class Outcome(NamedTuple):
    """What became of a run."""

    task: Task
    born: bool
    """Whether the net was constant before training."""
    dead: bool
    """Whether it is afterwards."""
    error: float
    """Its mean squared error."""
    weights: bytes


def network(activation: str, rng: np.random.Generator) -> layers.Sequential:
    """1-2-2-...-2-1, its weights He normal, its biases 0."""
    sizes = [1, *[WIDTH] * (DEPTH - 1), 1]
    parts: list[layers.Layer] = []
    for inputs, outputs in itertools.pairwise(sizes):
        parts += [layers.Linear(inputs, outputs, rng=rng), ACTIVATIONS[activation]()]
    model = layers.Sequential(*parts[:-1])
    init.apply(model, init.constant, parameters="*.bias", value=0.0)
    return init.apply(model, init.he_normal, rng=rng)


def points(target: str, rng: np.random.Generator) -> tuple[Array, Array]:
    """The data of a run."""
    x = rng.uniform(-math.sqrt(7), math.sqrt(7), (POINTS, 1)).astype(np.float32)
    return x, TARGETS[target](x).astype(np.float32)


def fit(task: Task) -> tuple[layers.Sequential, Outcome, tuple[Array, Array]]:
    """Draw data and a net, and train it.

    A ReLU net that gives the same for every point has a layer that is dead on all of them, so no
    gradient reaches it nor the layers before it and it stays dead: training could change nothing
    but the constant, which is set to the best one here. Only the others are trained. A leaky net
    is always trained.
    """
    key = (list(TARGETS).index(task.target), list(ACTIVATIONS).index(task.activation), task.number)
    rng = np.random.default_rng([task.seed, *key])
    x, y = points(task.target, rng)
    model = network(task.activation, rng)
    born = inspect.is_constant(model, x, tolerance=FLAT)
    if task.activation == "ReLU" and inspect.is_constant(model, x, tolerance=0.0):
        model.params[f"{2 * DEPTH - 2}.bias"][...] += np.mean(y - model(x, save=False))
    else:
        trainer = Trainer(model, layers.MSELoss(), optim.Adam(model, RATE), rng=rng)
        trainer.fit((x, y), epochs=task.epochs, batch_size=BATCH, progress=False)
    dead = inspect.is_constant(model, x, tolerance=FLAT)
    error = float(np.mean((model(x, save=False) - y) ** 2))
    weights = b"".join(a.tobytes() for a in model.params.values())
    return model, Outcome(task, born, dead, error, weights), (x, y)


def work(tasks: list[Task]) -> list[Outcome]:
    """What one process does at a time."""
    with fastnn.use(threads=1):
        return [fit(task)[1] for task in tasks]


def sweep(example: Example, tasks: list[Task]) -> Iterator[Outcome]:
    """All runs, in order, by as many processes as there are threads."""
    chunks = [tasks[i : i + CHUNK] for i in range(0, len(tasks), CHUNK)]
    processes = min(fastnn.get_num_threads(), len(chunks))
    # Processes of their own, not forks of this one: matplotlib or PyTorch may have threads.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        results = pool.map(work, chunks)
        for outcomes in example.progress(results, "sweep", len(chunks)):
            yield from outcomes


def interval(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share, by E. B. Wilson (1927)."""
    z, p = 1.959964, hits / n
    middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def run(example: Example) -> None:
    """Sweep, count, draw, time a step, check the gradients."""
    runs, epochs = (30, 4) if example.quick else (1000, 10)
    tasks = [
        Task(example.seed, target, activation, number, epochs)
        for activation in ACTIVATIONS
        for target in TARGETS
        for number in range(runs)
    ]
    outcomes = list(sweep(example, tasks))
    example.weights({"all": np.frombuffer(b"".join(o.weights for o in outcomes), np.float32)})
    for activation in ACTIVATIONS:
        for target in TARGETS:
            found = [o for o in outcomes if o.task[1:3] == (target, activation)]
            dead, born = sum(o.dead for o in found), sum(o.born for o in found)
            low, high = interval(dead, len(found))
            name = f"{activation}, {target}"
            said = "> 90" if activation == "ReLU" else None
            relu = activation == "ReLU"
            example.figure(
                f"{name}: collapsed, %", 100 * dead / len(found), report=said,
                at_least=(70.0 if example.quick else 90.0) if relu else None,
                at_most=None if relu else 50.0,
            )  # fmt: skip
            example.figure(f"{name}: 95 % interval", f"{100 * low:.1f} to {100 * high:.1f}")
            example.figure(f"{name}: flat from the start, %", 100 * born / len(found))
    _draw(example, outcomes)
    _time(example)
    healthy = min((o for o in outcomes if o.task.activation != "ReLU"), key=lambda o: o.error)
    model, _, (x, y) = fit(healthy.task)
    example.check(model, layers.MSELoss(), x[:50], y[:50])


def _draw(example: Example, outcomes: list[Outcome]) -> None:
    """For each target a collapsed fit of each activation, and the best one."""
    drawn, axes = plot.figure(len(ACTIVATIONS), len(TARGETS), figsize=(13, 7))
    cells = itertools.product(ACTIVATIONS, TARGETS)
    for axis, (activation, target) in zip(axes.flat, cells, strict=True):
        found = [o for o in outcomes if o.task[1:3] == (target, activation)]
        chosen = {"best": min(found, key=lambda o: o.error)}
        if any(o.dead for o in found):
            chosen["collapsed"] = next(o for o in found if o.dead)
        curves = {}
        grid = np.linspace(-math.sqrt(7), math.sqrt(7), 600, dtype=np.float32)
        for name, outcome in chosen.items():
            model = fit(outcome.task)[0]
            curves[f"{name}: MSE {outcome.error:.3f}"] = model(grid[:, None], save=False)
        share = np.mean([o.dead for o in found])
        plot.fits(
            grid, TARGETS[target](grid), curves, title=f"{activation}: {share:.1%} collapsed",
            ylabel=target, ax=axis,
        )  # fmt: skip
    example.picture(drawn, "fits")


# -- the time of a step ----------------------------------------------------------------------------


def _time(example: Example) -> None:
    """A step of one batch with Adam, here, in plain NumPy and in PyTorch."""
    rng = example.rng(9)
    x, y = (a[:BATCH] for a in points("|x|", rng))
    model = network("leaky ReLU", rng)
    trainer = Trainer(model, layers.MSELoss(), optim.Adam(model, RATE))
    steps = {
        "fastnn": lambda: trainer.step(x, y),
        "NumPy": numpy_step({k: a.copy() for k, a in model.params.items()}, x, y),
        "PyTorch": torch_step(dict(model.params), x, y),
    }
    turns, rounds = (20, 3) if example.quick else (300, 7)
    with fastnn.use(threads=1):
        for name, step in steps.items():
            if step is None:
                example.figure(f"step, {name}", "not installed")
                continue
            best = min(repeat(step, number=turns, repeat=rounds)) / turns
            example.figure(f"step, {name}", f"{1e6 * best:.0f} us")


def numpy_step(w: dict[str, Array], x: Array, y: Array) -> Callable[[], None]:
    """The same step written out, with what NumPy has."""
    names = [str(2 * i) for i in range(DEPTH)]
    m = {k: np.zeros_like(a) for k, a in w.items()}
    v = {k: np.zeros_like(a) for k, a in w.items()}
    count = itertools.count(1)

    def step() -> None:
        inputs, scores = [], x
        for name in names:
            inputs.append(scores)
            scores = scores @ w[f"{name}.weight"].T + w[f"{name}.bias"]
            if name != names[-1]:
                scores = np.where(scores > 0, scores, 0.01 * scores)
        dy, grads = 2 * (scores - y) / y.size, {}
        for i in reversed(range(DEPTH)):
            grads[f"{names[i]}.weight"] = dy.T @ inputs[i]
            grads[f"{names[i]}.bias"] = dy.sum(axis=0)
            if i:
                dy = dy @ w[f"{names[i]}.weight"]
                dy = np.where(inputs[i] > 0, dy, 0.01 * dy)
        t = next(count)
        size, root = RATE / (1 - 0.9**t), math.sqrt(1 - 0.999**t)
        for k, g in grads.items():
            m[k] += 0.1 * (g - m[k])
            v[k] += 0.001 * (g * g - v[k])
            w[k] -= size * m[k] / (np.sqrt(v[k]) / root + 1e-8)

    return step


def torch_step(w: dict[str, Array], x: Array, y: Array) -> Callable[[], None] | None:
    """The same step in PyTorch; None if it is not installed."""
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    torch.set_num_threads(1)
    parts: list[Any] = []
    for i in range(DEPTH):
        o, n = w[f"{2 * i}.weight"].shape
        parts += [torch.nn.Linear(n, o), torch.nn.LeakyReLU()]
    model = torch.nn.Sequential(*parts[:-1])
    model.load_state_dict({k: torch.tensor(a) for k, a in w.items()})
    adam = torch.optim.Adam(model.parameters(), RATE)
    inputs, target = torch.tensor(x), torch.tensor(y)

    def step() -> None:
        adam.zero_grad()
        torch.nn.functional.mse_loss(model(inputs), target).backward()
        adam.step()

    return step


if __name__ == "__main__":
    sys.exit(main(run))
