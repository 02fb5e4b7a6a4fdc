"""Adaptive and global pooling over planes, jitted: window by window."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.avgpool.numba_direct import average_backward, average_forward, planes, window
from fastnn.ops.avgpool.spec import Array, WindowCall


@_jit.kernel
def max_kernel(x, y, rows, cols, winner):  # type: ignore[no-untyped-def]
    """y = maxima of the windows of planes x; `winner` gets their flat places."""
    for plane in prange(x.shape[0]):
        for p in range(y.shape[1]):
            h0, h1, _ = window(rows, p, False)
            for q in range(y.shape[2]):
                w0, w1, _ = window(cols, q, False)
                best, place = x[plane, h0, w0], h0 * x.shape[2] + w0
                for h in range(h0, h1):
                    for w in range(w0, w1):
                        value = x[plane, h, w]
                        if value > best or (value != value and best == best):
                            best, place = value, h * x.shape[2] + w
                y[plane, p, q] = best
                winner[plane, p, q] = place


@_jit.kernel
def backward_kernel(dy, winner, dx):  # type: ignore[no-untyped-def]
    """dx of planes from dy and the winners' places."""
    for plane in prange(dx.shape[0]):
        row = dx[plane]
        row[:] = 0
        for i in range(dy.shape[1]):
            row[winner[plane, i]] += dy[plane, i]


def _max_forward(call: WindowCall, x: Array, *, out: Array | None, save: bool) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    images, maxima, rows, cols = planes(call, x, y)
    winners = np.empty(maxima.shape, np.int64)
    _jit.launch(max_kernel, images, maxima, rows, cols, winners)
    return y, winners


def _max_backward(
    call: WindowCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.empty(call.x, call.dtype)
    n = call.x[0] * call.x[1]
    _jit.launch(backward_kernel, dy.reshape(n, -1), saved.reshape(n, -1), dx.reshape(n, -1))
    return (dx,)


adaptive_avg_pool2d_forward, adaptive_avg_pool2d_backward = average_forward, average_backward
adaptive_max_pool2d_forward, adaptive_max_pool2d_backward = _max_forward, _max_backward
global_avg_pool_forward, global_avg_pool_backward = average_forward, average_backward
global_max_pool_forward, global_max_pool_backward = _max_forward, _max_backward
