"""Pooling as its formula says, one window at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from fastnn.ops.pool.spec import Array, PoolCall


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


def _max_forward(call: PoolCall, x: Array, *, out: Array | None, save: bool) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    offset = np.full(call.out, -1, np.int32) if save else None
    for o in np.ndindex(*call.out):
        n, c, *pq = o
        best, winner = -np.inf, -1
        for place, cell in _cells(call, tuple(pq)):
            value = x[n, c, *cell]
            if winner < 0 or value > best or (np.isnan(value) and not np.isnan(best)):
                best, winner = value, place
        y[o] = best
        if offset is not None:
            offset[o] = winner
    return y, offset


def _max_backward(
    call: PoolCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.zeros(call.x, np.float64)
    for o in np.ndindex(*call.out):
        n, c, *pq = o
        for place, cell in _cells(call, tuple(pq)):
            if place == saved[o]:
                dx[n, c, *cell] += dy[o]
    return (dx.astype(call.dtype),)


max_pool2d_forward, max_pool2d_backward = _max_forward, _max_backward
