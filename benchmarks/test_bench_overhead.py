"""What is paid besides arithmetic: the import, the way through dispatch, steps of a tiny net."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from rows import note

import fastnn
from fastnn.dispatch import unavailable


@pytest.mark.parametrize("modules", ["numpy", "numpy, fastnn"])
def test_import(benchmark: Any, modules: str) -> None:
    """A fresh interpreter; fastnn's share is the difference of the two rows."""
    benchmark.group = "import"
    note(benchmark, implementation=modules)
    command = [sys.executable, "-c", f"import {modules}"]
    benchmark.pedantic(subprocess.run, (command,), {"check": True}, rounds=15, warmup_rounds=2)


def _paths() -> dict[str, Callable[[], object]]:
    """Three ways to one tiny product, from the front door to the kernel's."""
    linear = importlib.import_module("fastnn._ext._linear")
    x, w = np.ones((2, 4, 4), np.float32)
    out = np.empty_like(x)
    op = fastnn.linear
    call, arrays, _, _ = op.front(x, w)
    impl = op.select(call, "cython")
    return {
        "fastnn.linear": lambda: op(x, w, out=out),
        "implementation": lambda: impl.forward(call, *arrays, out=out, save=False),
        "door": lambda: linear.gemm(x, w.T, None, out),
    }


@pytest.mark.skipif(unavailable("cython") is not None, reason=str(unavailable("cython")))
@pytest.mark.parametrize("path", ["fastnn.linear", "implementation", "door"])
def test_dispatch(benchmark: Any, path: str) -> None:
    """A 4x4 product; checks and choice are the difference of the first two rows."""
    benchmark.group = "dispatch of linear 4x4"
    note(benchmark, implementation=path)
    benchmark(_paths()[path])


# -- a training step of a tiny net ---------------------------------------------------------------

WIDTHS = (1, *[2] * 9, 1)  # of "Dying ReLU and Initialization" (Lu et al.), 64 samples a step


def _weights() -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(0)
    return [
        (rng.standard_normal((k, c)).astype("f"), np.zeros(k, "f")) for c, k in pairwise(WIDTHS)
    ]


def _fastnn_step(x: Any, y: Any) -> Callable[[], object]:
    from fastnn import layers, optim
    from fastnn.train import Trainer

    parts: list[Any] = []
    for w, b in _weights():
        linear = layers.Linear(w.shape[1], w.shape[0])
        linear.load_state_dict({"weight": w, "bias": b})
        parts += [linear, layers.ReLU()]
    model = layers.Sequential(*parts[:-1])
    trainer = Trainer(model, layers.MSELoss(), optim.SGD(model, lr=1e-3, momentum=0.9))
    return lambda: trainer.step(x, y)


def _numpy_step(x: Any, y: Any) -> Callable[[], object]:
    parameters = [a for pair in _weights() for a in pair]
    speeds = [np.zeros_like(a) for a in parameters]

    def step() -> object:
        inputs = [x]
        for i in range(0, len(parameters), 2):
            h = inputs[-1] @ parameters[i].T + parameters[i + 1]
            inputs.append(np.maximum(h, 0) if i + 2 < len(parameters) else h)
        error = inputs.pop() - y
        d, gradients = 2 / error.size * error, []
        for i in range(len(parameters) - 2, -1, -2):
            gradients += [d.sum(0), d.T @ inputs[-1]]
            d = d @ parameters[i] * (inputs.pop() > 0) if i else d
        for parameter, speed, gradient in zip(parameters, speeds, gradients[::-1], strict=True):
            speed *= 0.9
            speed += gradient
            parameter -= 1e-3 * speed
        return float((error * error).mean())

    return step


def _torch_step(x: Any, y: Any) -> Callable[[], object]:
    torch = pytest.importorskip("torch")
    torch.set_num_threads(fastnn.get_num_threads())
    parts = []
    for w, b in _weights():
        linear = torch.nn.Linear(w.shape[1], w.shape[0])
        linear.load_state_dict({"weight": torch.from_numpy(w), "bias": torch.from_numpy(b)})
        parts += [linear, torch.nn.ReLU()]
    model = torch.nn.Sequential(*parts[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    loss_of, tx, ty = torch.nn.MSELoss(), torch.from_numpy(x), torch.from_numpy(y)

    def step() -> object:
        optimizer.zero_grad()
        loss = loss_of(model(tx), ty)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


STEPS = {"fastnn": _fastnn_step, "numpy": _numpy_step, "torch": _torch_step}


@pytest.mark.parametrize("library", list(STEPS))
def test_tiny_net(benchmark: Any, library: str) -> None:
    """Ten layers of width 2, forward, loss, backward and SGD with momentum: calls, no work."""
    benchmark.group = "step of a net of 10 layers of width 2, 64 samples"
    note(benchmark, implementation=library)
    x = np.linspace(-2, 2, 64, dtype="f")[:, None]
    step = STEPS[library](x, np.abs(x))
    for _ in range(20):  # warm up, and learn something
        loss = step()
    assert 0 < loss < 10
    benchmark(step)
