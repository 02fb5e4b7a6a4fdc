"""Max-pooling over planes, jitted: each cell of the window challenges a row of outputs.

Inner loops run along output columns without border tests and without branches, so that they
become vector code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.pool.spec import Array, PoolCall, UnpoolCall


@_jit.helper
def _inside(size, steps, stride, shift):  # type: ignore[no-untyped-def]
    """Output positions [first, last) of `steps` whose cell, `shift` on, is inside `size`."""
    first = 0 if shift >= 0 else min((-shift + stride - 1) // stride, steps)
    last = 0 if size <= shift else min((size - shift + stride - 1) // stride, steps)
    return first, max(first, last)


@_jit.helper
def _contest(best, winner, row, step, place):  # type: ignore[no-untyped-def]
    """One cell of the window against the best so far, for a row of windows."""
    for q in range(best.size):
        value, now = row[q * step], best[q]
        take = (value > now) | (winner[q] < 0) | ((value != value) & (now == now))
        best[q] = value if take else now
        winner[q] = place if take else winner[q]


@_jit.kernel
def forward_kernel(x, y, offset, window, stride, start, dilation):  # type: ignore[no-untyped-def]
    """y = max-pool(x) of planes; `offset` gets the winners' places unless it is empty."""
    planes, h_, w_ = x.shape
    p_, q_ = y.shape[1:]
    for plane in prange(planes):
        winner = np.empty(q_, np.int32)
        for p in range(p_):
            best = y[plane, p]
            best[:] = -np.inf
            winner[:] = -1
            for r in range(window[0]):
                h = p * stride[0] + r * dilation[0] + start[0]
                if 0 <= h < h_:
                    for s in range(window[1]):
                        shift = s * dilation[1] + start[1]
                        q0, q1 = _inside(w_, q_, stride[1], shift)
                        place = np.int32(r * window[1] + s)
                        if q0 == q1:
                            continue
                        row = x[plane, h, q0 * stride[1] + shift :]
                        if stride[1] == 1:
                            _contest(best[q0:q1], winner[q0:q1], row, 1, place)
                        elif stride[1] == 2:
                            _contest(best[q0:q1], winner[q0:q1], row, 2, place)
                        else:
                            _contest(best[q0:q1], winner[q0:q1], row, stride[1], place)
            if offset.size:
                for q in range(q_):
                    offset[plane, p, q] = winner[q]


@_jit.kernel
def backward_kernel(offset, dy, dx, nobody, cells, stride, start, dilation):  # type: ignore[no-untyped-def]
    """dx of planes from dy and the winners' places; `cells` is the window's width."""
    p_, q_ = dy.shape[1:]
    for plane in prange(dx.shape[0]):
        image = dx[plane]
        image[:] = 0
        for p in range(p_):
            for q in range(q_):
                place = np.int64(offset[plane, p, q])
                if place != nobody:
                    h = p * stride[0] + place // cells * dilation[0] + start[0]
                    w = q * stride[1] + place % cells * dilation[1] + start[1]
                    image[h, w] += dy[plane, p, q]


@_jit.kernel
def places_kernel(offset, index, width, nobody, cells, stride, start, dilation):  # type: ignore[no-untyped-def]
    """Places in the plane from places in the window; -1 where there is no winner."""
    for plane in prange(offset.shape[0]):
        for p in range(offset.shape[1]):
            for q in range(offset.shape[2]):
                place = np.int64(offset[plane, p, q])
                h = p * stride[0] + place // cells * dilation[0] + start[0]
                w = q * stride[1] + place % cells * dilation[1] + start[1]
                index[plane, p, q] = -1 if place == nobody else h * width + w


@_jit.kernel
def scatter_kernel(x, place, y):  # type: ignore[no-untyped-def]
    """y = 0, then y[place] = x, in each row, in order."""
    for plane in prange(x.shape[0]):
        row = y[plane]
        row[:] = 0
        for i in range(x.shape[1]):
            row[place[plane, i]] = x[plane, i]


@_jit.kernel
def gather_kernel(y, place, x):  # type: ignore[no-untyped-def]
    """x = y[place] in each row."""
    for plane in prange(x.shape[0]):
        for i in range(x.shape[1]):
            x[plane, i] = y[plane, place[plane, i]]


def _planes(a: Array) -> Array:
    """N C H W as planes H W; with one spatial axis, as planes of one row."""
    return a.reshape(-1, a.shape[-2] if a.ndim > 3 else 1, a.shape[-1])


def _geometry(call: PoolCall) -> tuple[tuple[int, ...], ...]:
    one, zero = ((1,), (0,)) if len(call.window) == 1 else ((), ())
    return one + call.stride, zero + tuple(-p for p, _ in call.padding), one + call.dilation


def _max(call: PoolCall, x: Array, y: Array, offset: Array) -> None:
    window = (1,) * (2 - len(call.window)) + call.window
    planes = (_planes(x), _planes(y), _planes(offset) if offset.size else offset)
    _jit.launch(forward_kernel, *planes, window, *_geometry(call))


def _nobody(call: PoolCall) -> int:
    return 255 if call.offset_dtype == "uint8" else -1


def _max_forward(call: PoolCall, x: Array, *, out: Array | None, save: bool) -> tuple[Array, Any]:
    y = np.empty(call.y, call.dtype) if out is None else out
    offset = np.empty(call.y if save else (0, 0, 0), call.offset_dtype)
    _max(call, x, y, offset)
    return y, offset


def _indices_forward(call: PoolCall, x: Array, *, out: None, save: bool) -> tuple[Any, Any]:
    y, indices = np.empty(call.y, call.dtype), np.empty(call.y, np.int64)
    offset = np.empty(call.y, call.offset_dtype)
    _max(call, x, y, offset)
    planes, geometry = (_planes(offset), _planes(indices)), _geometry(call)
    _jit.launch(places_kernel, *planes, call.x[-1], _nobody(call), call.window[-1], *geometry)
    return (y, indices), offset


def _max_backward(
    call: PoolCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.empty(call.x, call.dtype)
    planes = (_planes(saved), _planes(dy), _planes(dx))
    _jit.launch(backward_kernel, *planes, _nobody(call), call.window[-1], *_geometry(call))
    return (dx,)


def _flat(a: Array) -> Array:
    return a.reshape(a.shape[0] * a.shape[1], -1)


def max_unpool2d_forward(
    call: UnpoolCall, x: Array, indices: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    _jit.launch(scatter_kernel, _flat(x), _flat(indices), _flat(y))
    return y, indices


def max_unpool2d_backward(
    call: UnpoolCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.empty(call.x, call.dtype)
    _jit.launch(gather_kernel, _flat(dy), _flat(saved), _flat(dx))
    return (dx,)


max_pool1d_forward, max_pool1d_backward = _max_forward, _max_backward
max_pool2d_forward, max_pool2d_backward = _max_forward, _max_backward
max_pool2d_with_indices_forward, max_pool2d_with_indices_backward = _indices_forward, _max_backward
