"""Losses, jitted: a task is a row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.loss.spec import Array, LossCall, reduce, row_scale


@_jit.kernel
def forward_kernel(x, labels, loss, state):  # type: ignore[no-untyped-def]
    """Loss of each row; `state` gets the row's maximum and 1 / sum of exp(x - maximum)."""
    for n in prange(x.shape[0]):
        row = x[n]
        top = row[0]
        for c in range(row.size):  # a NaN stays the maximum, for nothing is larger
            if row[c] > top or row[c] != row[c]:
                top = row[c]
        total = 0.0
        for c in range(row.size):
            total += np.exp(row[c] - top)
        loss[n] = np.float64(top) - np.float64(row[labels[n]]) + np.log(total)
        state[n, 0] = top
        state[n, 1] = 1 / total


@_jit.kernel
def backward_kernel(x, labels, state, scale, dx):  # type: ignore[no-untyped-def]
    """dx = (softmax(x) - onehot(labels)) * scale."""
    for n in prange(x.shape[0]):
        row, out = x[n], dx[n]
        top, gain = row.dtype.type(state[n, 0]), state[n, 1] * scale[n]
        for c in range(row.size):
            out[c] = np.exp(row[c] - top) * gain
        out[labels[n]] -= scale[n]


def softmax_cross_entropy_forward(
    call: LossCall, x: Array, labels: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    loss, state = np.empty(call.x[0]), np.empty((call.x[0], 2))
    _jit.launch(forward_kernel, x, labels, loss, state)
    return reduce(call, loss, out), (x, labels, state)


def softmax_cross_entropy_backward(
    call: LossCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    x, labels, state = saved
    dx = np.empty(call.x, call.dtype)
    _jit.launch(backward_kernel, x, labels, state, row_scale(call, dy), dx)
    return (dx,)
