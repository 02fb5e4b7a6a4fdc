"""Convolution as its formula says, one output pixel at a time, sums in float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn._check import wide
from fastnn.ops.conv.spec import Array, ConvCall


def _windows(call: ConvCall) -> Iterator[tuple[tuple[int, ...], tuple[Any, ...]]]:
    """Index of every output pixel (n, k, p, q) with the index of its window in the padded x."""
    c = call.w[1]
    per_group = call.w[0] // call.groups
    for out in np.ndindex(*call.out):
        n, k, *pq = out
        first = (k // per_group) * c
        window = tuple(
            slice(p * s, p * s + d * (r - 1) + 1, d)
            for p, s, d, r in zip(pq, call.stride, call.dilation, call.w[2:], strict=True)
        )
        yield out, (n, slice(first, first + c), *window)


def _padded(call: ConvCall, x: Array) -> Array:
    return np.pad(wide(x), ((0, 0), (0, 0), *call.padding))


def _forward(
    call: ConvCall, x: Array, w: Array, b: Array | None, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    xp, w64 = _padded(call, x), wide(w)
    for o, window in _windows(call):
        y[o] = np.sum(xp[window] * w64[o[1]]) + (0.0 if b is None else b[o[1]])
    return y, (x, w)


def _backward(
    call: ConvCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    x, w = saved
    xp, w64 = _padded(call, x), wide(w)
    dxp, dw = np.zeros_like(xp), np.zeros_like(w64)
    for o, window in _windows(call):
        dxp[window] += dy[o] * w64[o[1]]
        dw[o[1]] += dy[o] * xp[window]
    inside: Any = tuple(
        slice(before, before + size)
        for (before, _), size in zip(call.padding, call.x[2:], strict=True)
    )
    db = dy.sum(axis=(0, *range(2, dy.ndim)), dtype=np.float64)
    return (
        dxp[:, :, *inside].astype(call.dtype) if "x" in needs else None,
        dw.astype(call.dtype) if "w" in needs else None,
        db.astype(call.dtype) if call.bias and "b" in needs else None,
    )


conv2d_forward, conv2d_backward = _forward, _backward
