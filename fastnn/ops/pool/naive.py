"""Pooling as its formula says, one window at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn.ops.pool.spec import Array, PoolCall, UnpoolCall


def _cells(call: PoolCall, pq: tuple[int, ...]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Place in the window and index in the image of the cells inside, in row-major order."""
    for place, rs in enumerate(np.ndindex(*call.window)):
        cell = tuple(
            p * s + r * d - before
            for p, s, r, d, (before, _) in zip(
                pq, call.stride, rs, call.dilation, call.padding, strict=True
            )
        )
        if all(0 <= i < size for i, size in zip(cell, call.x[2:], strict=True)):
            yield place, cell


def _max(call: PoolCall, x: Array, y: Array, offset: Array | None, indices: Array | None) -> None:
    """Write y, and if wanted each winner's place in its window and in its plane, or -1."""
    for o in np.ndindex(*call.y):
        n, c, *pq = o
        best, winner, index = -np.inf, -1, -1
        for place, cell in _cells(call, tuple(pq)):
            value = x[n, c, *cell]
            if winner < 0 or value > best or (np.isnan(value) and not np.isnan(best)):
                best, winner = value, place
                index = int(np.ravel_multi_index(cell, call.x[2:]))
        y[o] = best
        if offset is not None:
            offset[o] = winner
        if indices is not None:
            indices[o] = index


def _max_forward(call: PoolCall, x: Array, *, out: Array | None, save: bool) -> tuple[Array, Any]:
    y = np.empty(call.y, call.dtype) if out is None else out
    offset = np.empty(call.y, np.int32) if save else None
    _max(call, x, y, offset, None)
    return y, offset


def _indices_forward(call: PoolCall, x: Array, *, out: None, save: bool) -> tuple[Any, Any]:
    y, indices = np.empty(call.y, call.dtype), np.empty(call.y, np.int64)
    offset = np.empty(call.y, np.int32) if save else None
    _max(call, x, y, offset, indices)
    return (y, indices), offset


def _max_backward(
    call: PoolCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.zeros(call.x, np.float64)
    for o in np.ndindex(*call.y):
        n, c, *pq = o
        for place, cell in _cells(call, tuple(pq)):
            if place == saved[o]:
                dx[n, c, *cell] += dy[o]
    return (dx.astype(call.dtype),)


def max_unpool2d_forward(
    call: UnpoolCall, x: Array, indices: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    y[...] = 0
    for n, c, p, q in np.ndindex(*call.x):
        h, w = divmod(int(indices[n, c, p, q]), call.output_size[1])
        y[n, c, h, w] = x[n, c, p, q]
    return y, indices


def max_unpool2d_backward(
    call: UnpoolCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.empty(call.x, call.dtype)
    for n, c, p, q in np.ndindex(*call.x):
        h, w = divmod(int(saved[n, c, p, q]), call.output_size[1])
        dx[n, c, p, q] = dy[n, c, h, w]
    return (dx,)


max_pool1d_forward, max_pool1d_backward = _max_forward, _max_backward
max_pool2d_forward, max_pool2d_backward = _max_forward, _max_backward
max_pool2d_with_indices_forward, max_pool2d_with_indices_backward = _indices_forward, _max_backward
