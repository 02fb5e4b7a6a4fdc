"""Average pooling over planes, jitted: window by window, sums in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.avgpool.spec import Array, Axis, WindowCall


@_jit.helper
def window(axis, i, padding_counts):  # type: ignore[no-untyped-def]
    """First and last cell of window i of an `Axis`, and how many an average counts."""
    size, steps, taps, stride, before, after = axis
    if taps == 0:
        whole, rest = size // steps, size % steps
        first = whole * i + rest * i // steps
        last = whole * (i + 1) + (rest * (i + 1) + steps - 1) // steps
        return first, last, last - first
    start = i * stride - before
    end = min(start + taps, size + after)
    first, last = max(start, 0), min(end, size)
    return first, last, end - start if padding_counts else last - first


@_jit.kernel
def forward_kernel(x, y, rows, cols, padding_counts, override):  # type: ignore[no-untyped-def]
    """y = averages of the windows of planes x; `override` above 0 is the divisor."""
    for plane in prange(x.shape[0]):
        for p in range(y.shape[1]):
            h0, h1, height = window(rows, p, padding_counts)
            for q in range(y.shape[2]):
                w0, w1, width = window(cols, q, padding_counts)
                total = 0.0
                for h in range(h0, h1):
                    for w in range(w0, w1):
                        total += x[plane, h, w]
                divisor = override if override > 0 else np.float64(height) * width
                y[plane, p, q] = total / divisor


@_jit.kernel
def backward_kernel(dy, dx, rows, cols, padding_counts, override):  # type: ignore[no-untyped-def]
    """dx of planes from dy."""
    for plane in prange(dx.shape[0]):
        dx[plane] = 0
        for p in range(dy.shape[1]):
            h0, h1, height = window(rows, p, padding_counts)
            for q in range(dy.shape[2]):
                w0, w1, width = window(cols, q, padding_counts)
                divisor = override if override > 0 else np.float64(height) * width
                share = dx.dtype.type(dy[plane, p, q] / divisor)
                for h in range(h0, h1):
                    for w in range(w0, w1):
                        dx[plane, h, w] += share


def planes(call: WindowCall, x: Array, y: Array) -> tuple[Array, Array, Axis, Axis]:
    """Arrays of the shapes of x and y as planes, and the windows of rows and columns."""
    rows = call.axes[0] if len(call.axes) > 1 else Axis(1, 1, 1, 1)
    cols = call.axes[-1]
    shapes = (-1, rows.size, cols.size), (-1, rows.steps, cols.steps)
    return x.reshape(shapes[0]), y.reshape(shapes[1]), rows, cols


def average_forward(
    call: WindowCall, x: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    override = float(call.divisor_override or 0)
    _jit.launch(forward_kernel, *planes(call, x, y), call.count_include_pad, override)
    return y, None


def average_backward(
    call: WindowCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.empty(call.x, call.dtype)
    images, averages, rows, cols = planes(call, dx, dy)
    override = float(call.divisor_override or 0)
    _jit.launch(backward_kernel, averages, images, rows, cols, call.count_include_pad, override)
    return (dx,)


avg_pool1d_forward, avg_pool1d_backward = average_forward, average_backward
avg_pool2d_forward, avg_pool2d_backward = average_forward, average_backward
