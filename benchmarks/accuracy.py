"""Errors of convolution's implementations, and PyTorch's if it is there, against float64.

    python benchmarks/accuracy.py
    python benchmarks/accuracy.py res28 chal2 --seed 3

x, w and dy are normal; each result is scaled to deviation 1, so that the numbers of different
shapes compare: maximum and root of the mean square of the difference.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from peers.rows import CONVS

import fastnn

Array = np.ndarray[Any, Any]
CASES = ("res28", "res56", "res14", "chal2", "cifar3x3b")
RESULTS = ("y", "dx", "dw")


def results(x: Array, w: Array, dy: Array, **options: Any) -> tuple[Array, ...]:
    """y, dx, dw."""
    y, context = fastnn.conv2d.forward(x, w, **options)
    grads = fastnn.conv2d.backward(context, dy, needs=("x", "w"))
    return y, grads.x, grads.w


def torch_results(x: Array, w: Array, dy: Array, padding: int) -> tuple[Array, ...]:
    import torch

    tensors = [torch.from_numpy(a).requires_grad_() for a in (x, w)]
    y = torch.nn.functional.conv2d(*tensors, padding=padding)
    y.backward(torch.from_numpy(dy))
    return y.detach().numpy(), *(t.grad.numpy() for t in tensors if t.grad is not None)


def found(x: Array, w: Array, dy: Array, padding: int) -> Iterator[tuple[str, tuple[Array, ...]]]:
    """Results by name of who computed them."""
    op = fastnn.conv2d
    call = op.front(x, w, padding=padding).call
    for name in op.impls:
        if name != "naive" and op.impl(name).supports(call) is None:
            yield name, results(x, w, dy, padding=padding, backend=name)
    with fastnn.use(precision="fast"):
        yield "cython:winograd fast", results(x, w, dy, padding=padding, backend="cython:winograd")
    try:
        yield "torch", torch_results(x, w, dy, padding)
    except ImportError:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    print(f"{'max / rms':34}" + "".join(f"{r:>20}" for r in RESULTS))
    for case in arguments.cases:
        x_shape, w_shape, _, padding, _, _ = CONVS[case]
        shapes = x_shape, w_shape, (x_shape[0], w_shape[0], *x_shape[2:])
        x, w, dy = (rng.standard_normal(s, np.float32) for s in shapes)
        exact = results(*(a.astype(np.float64) for a in (x, w, dy)), padding=padding,
                        backend="cython:im2col")  # fmt: skip
        for name, arrays in found(x, w, dy, padding):
            line = f"{case:12}{name:22}"
            for one, right in zip(arrays, exact, strict=True):
                error = np.abs(one - right) / right.std()
                line += f"{error.max():11.1e} /{np.sqrt((error**2).mean()):8.1e}"
            print(line)


if __name__ == "__main__":
    main()
