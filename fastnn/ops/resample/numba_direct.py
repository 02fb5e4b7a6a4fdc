"""Resampling by planes and padding by rows, jitted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.resample.spec import (
    PAD_MODES,
    Array,
    PadCall,
    ResampleCall,
    merged_axes,
    sources,
)


@_jit.kernel
def nearest_kernel(x, y, row, col):  # type: ignore[no-untyped-def]
    """y = planes x at given rows and columns."""
    for plane in prange(x.shape[0]):
        for p in range(row.size):
            for q in range(col.size):
                y[plane, p, q] = x[plane, row[p], col[q]]


@_jit.kernel
def nearest_back_kernel(dy, dx, row, col):  # type: ignore[no-untyped-def]
    """The transpose."""
    for plane in prange(dx.shape[0]):
        dx[plane] = 0
        for p in range(row.size):
            for q in range(col.size):
                dx[plane, row[p], col[q]] += dy[plane, p, q]


@_jit.kernel
def linear_kernel(x, y, row, col, row_weight, col_weight):  # type: ignore[no-untyped-def]
    """y = planes x between rows and columns."""
    for plane in prange(x.shape[0]):
        for p in range(row.size):
            a, upper = row_weight[p], x[plane, row[p]]
            lower = x[plane, min(row[p] + 1, x.shape[1] - 1)]
            for q in range(col.size):
                b, left = col_weight[q], col[q]
                right = min(left + 1, x.shape[2] - 1)
                above = (1 - b) * upper[left] + b * upper[right]
                y[plane, p, q] = (1 - a) * above + a * ((1 - b) * lower[left] + b * lower[right])


@_jit.kernel
def linear_back_kernel(dy, dx, row, col, row_weight, col_weight):  # type: ignore[no-untyped-def]
    """The transpose."""
    for plane in prange(dx.shape[0]):
        dx[plane] = 0
        for p in range(row.size):
            a, upper = row_weight[p], dx[plane, row[p]]
            lower = dx[plane, min(row[p] + 1, dx.shape[1] - 1)]
            for q in range(col.size):
                b, left, g = col_weight[q], col[q], dy[plane, p, q]
                right = min(left + 1, dx.shape[2] - 1)
                upper[left] += (1 - a) * (1 - b) * g
                upper[right] += (1 - a) * b * g
                lower[left] += a * (1 - b) * g
                lower[right] += a * b * g


@_jit.helper
def _source(axis, mode, o):  # type: ignore[no-untyped-def]
    """The index of x behind index o of y along an axis; -1 for the constant, mode 0."""
    i, size = o - axis[1], axis[0]
    if 0 <= i < size:
        return i
    if mode == 0:
        return -1
    if mode == 2:
        return 0 if i < 0 else size - 1
    return -i if i < 0 else 2 * (size - 1) - i


@_jit.helper
def _source_row(axes, mode, row):  # type: ignore[no-untyped-def]
    """The row of x behind a row of y, both counted over all axes but the last; or -1."""
    at, step = 0, 1
    for k in range(len(axes) - 2, -1, -1):
        out = axes[k].sum()
        i = _source(axes[k], mode, row % out)
        if i < 0:
            return -1
        at += i * step
        row //= out
        step *= axes[k, 0]
    return at


@_jit.kernel
def pad_kernel(x, y, axes, mode, value):  # type: ignore[no-untyped-def]
    """Rows y from rows x."""
    for r in prange(y.shape[0]):
        row = _source_row(axes, mode, np.int64(r))
        for j in range(y.shape[1]):
            i = _source(axes[-1], mode, j)
            y[r, j] = value if row < 0 or i < 0 else x[row, i]


@_jit.kernel
def pad_back_kernel(dy, dx, axes, mode):  # type: ignore[no-untyped-def]
    """dx of planes, the first axis, from rows dy and to rows dx."""
    planes = axes[0, 0]
    few, many = dx.shape[0] // planes, dy.shape[0] // planes
    for plane in prange(planes):
        dx[plane * few : (plane + 1) * few] = 0
        for r in range(plane * many, (plane + 1) * many):
            row = _source_row(axes, mode, np.int64(r))
            if row >= 0:
                for j in range(dy.shape[1]):
                    i = _source(axes[-1], mode, j)
                    if i >= 0:
                        dx[row, i] += dy[r, j]


def _planes(a: Array) -> Array:
    """N C H W as planes H W; with one spatial axis, as planes of one row."""
    return a.reshape(a.shape[0] * a.shape[1], a.shape[2] if a.ndim > 3 else 1, a.shape[-1])


def interpolate_forward(
    call: ResampleCall, x: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    (row, a), (col, b) = found = sources(call)
    if call.mode == "nearest":
        _jit.launch(nearest_kernel, _planes(x), _planes(y), row, col)
    else:
        _jit.launch(linear_kernel, _planes(x), _planes(y), row, col, a, b)
    return y, found


def interpolate_backward(
    call: ResampleCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.empty(call.x, call.dtype)
    (row, a), (col, b) = saved
    if call.mode == "nearest":
        _jit.launch(nearest_back_kernel, _planes(dy), _planes(dx), row, col)
    else:
        _jit.launch(linear_back_kernel, _planes(dy), _planes(dx), row, col, a, b)
    return (dx,)


def _rows(call: PadCall, x: Array, y: Array) -> tuple[Array, Array, Array, int]:
    """Arrays of the shapes of x and y as rows along the last merged axis, the axes, the mode."""
    axes = np.array(merged_axes(call))
    rows = x.reshape(-1, axes[-1, 0]), y.reshape(-1, axes[-1].sum())
    return *rows, axes, PAD_MODES.index(call.mode)


def pad_forward(call: PadCall, x: Array, *, out: Array | None, save: bool) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    _jit.launch(pad_kernel, *_rows(call, x, y), call.value)
    return y, None


def pad_backward(
    call: PadCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.empty(call.x, call.dtype)
    to, rows, axes, mode = _rows(call, dx, dy)
    _jit.launch(pad_back_kernel, rows, to, axes, mode)
    return (dx,)
