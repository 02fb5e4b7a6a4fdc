"""Softmax and its logarithm, jitted: a task is a row, whatever its stride."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.softmaxes.spec import Array, SoftmaxCall

CHAIN = 64  # numbers are added up in short chains, for errors grow with their length


@_jit.kernel
def forward_kernel(x, y, log):  # type: ignore[no-untyped-def]
    """y = softmax of x[n,c,i] along c, or its logarithm."""
    inner = x.shape[2]
    for task in prange(x.shape[0] * inner):
        row, out = x[task // inner, :, task % inner], y[task // inner, :, task % inner]
        top = row[0]
        for c in range(row.size):  # a NaN stays the maximum, for nothing is larger
            if row[c] > top or row[c] != row[c]:
                top = row[c]
        total, part = 0.0, 0.0
        for c in range(row.size):
            out[c] = np.exp(row[c] - top)
            part += out[c]
            if c % CHAIN == CHAIN - 1:
                total, part = total + part, 0.0
        total += part
        if log:
            shift = row.dtype.type(np.log(total))
            for c in range(row.size):
                out[c] = row[c] - top - shift
        else:
            for c in range(row.size):
                out[c] /= total


@_jit.kernel
def backward_kernel(y, dy, dx, log):  # type: ignore[no-untyped-def]
    """dx from the result and its gradient."""
    inner = y.shape[2]
    for task in prange(y.shape[0] * inner):
        n, i = task // inner, task % inner
        row, d, out = y[n, :, i], dy[n, :, i], dx[n, :, i]
        total, part = 0.0, 0.0
        for c in range(row.size):
            part += np.float64(d[c]) if log else np.float64(d[c]) * row[c]
            if c % CHAIN == CHAIN - 1:
                total, part = total + part, 0.0
        total += part
        for c in range(row.size):
            out[c] = d[c] - np.exp(row[c]) * total if log else row[c] * (d[c] - total)


def forward(call: SoftmaxCall, x: Array, *, out: Array | None, save: bool) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    _jit.launch(forward_kernel, x.reshape(call.sizes), y.reshape(call.sizes), call.log)
    return y, y


def backward(
    call: SoftmaxCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.empty(call.sizes, call.dtype)
    _jit.launch(backward_kernel, saved.reshape(call.sizes), dy.reshape(call.sizes), dx, call.log)
    return (dx.reshape(call.x),)
