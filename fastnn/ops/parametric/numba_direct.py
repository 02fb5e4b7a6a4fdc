"""PReLU, jitted: a task is a row of one sample and channel, its sum in dw a place of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.parametric.spec import Array, PreluCall


@_jit.kernel
def forward_kernel(x, w, y, row):  # type: ignore[no-untyped-def]
    """y = prelu(x) of flat arrays, in rows of the weights in turn."""
    for task in prange((x.size + row - 1) // row):
        a = w[task % w.size]
        for i in range(task * row, min((task + 1) * row, x.size)):
            y[i] = x[i] if x[i] > 0 else a * x[i]


@_jit.kernel
def backward_kernel(x, w, dy, dx, sums, row):  # type: ignore[no-untyped-def]
    """dx of flat arrays and each row's part of dw; what is empty is not written."""
    for task in prange((x.size + row - 1) // row):
        a, total = w[task % w.size], 0.0
        for i in range(task * row, min((task + 1) * row, x.size)):
            if dx.size:
                dx[i] = dy[i] if x[i] > 0 else a * dy[i]
            if sums.size and not x[i] > 0:
                total += np.float64(dy[i]) * x[i]
        if sums.size:
            sums[task] = total


def forward(
    call: PreluCall, x: Array, w: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    _jit.launch(forward_kernel, x.reshape(-1), w, y.reshape(-1), call.sizes[2])
    return y, (x, w)


def backward(
    call: PreluCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    x, w = saved
    n, c, row = call.sizes
    dx = np.empty(call.x if "x" in needs else 0, call.dtype)
    sums = np.empty((n, c) if "w" in needs else (0, 0))
    flat = (dy.reshape(-1), dx.reshape(-1), sums.reshape(-1))
    _jit.launch(backward_kernel, x.reshape(-1), w, *flat, row)
    return (
        dx if "x" in needs else None,
        sums.sum(0).astype(call.dtype) if "w" in needs else None,
    )
