"""Adaptive and global pooling as their formulas say, one window at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.ops.avgpool.naive import average_backward, average_forward
from fastnn.ops.avgpool.spec import Array, WindowCall


def _max_forward(call: WindowCall, x: Array, *, out: Array | None, save: bool) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    images, maxima = call.planes(x), call.windows(y)
    winners = np.empty((*maxima.shape, len(call.axes)), np.int64)
    for n, c, *pq in np.ndindex(*maxima.shape):
        winner, *rest = _cells(call, tuple(pq))
        best = images[n, c, *winner]
        for cell in rest:
            value = images[n, c, *cell]
            if value > best or (np.isnan(value) and not np.isnan(best)):
                best, winner = value, cell
        maxima[n, c, *pq] = best
        winners[n, c, *pq] = winner
    return y, winners


def _cells(call: WindowCall, pq: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Indices of the cells of a window, in row-major order."""
    cells, _ = call.window(pq)
    corner = [s.start for s in cells]
    return [
        tuple(a + b for a, b in zip(corner, rs, strict=True))
        for rs in np.ndindex(*(s.stop - s.start for s in cells))
    ]


def _max_backward(
    call: WindowCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.zeros(call.x, np.float64)
    images, maxima = call.planes(dx), call.windows(dy)
    for n, c, *pq in np.ndindex(*maxima.shape):
        images[n, c, *saved[n, c, *pq]] += maxima[n, c, *pq]
    return (dx.astype(call.dtype),)


adaptive_avg_pool2d_forward, adaptive_avg_pool2d_backward = average_forward, average_backward
adaptive_max_pool2d_forward, adaptive_max_pool2d_backward = _max_forward, _max_backward
global_avg_pool_forward, global_avg_pool_backward = average_forward, average_backward
global_max_pool_forward, global_max_pool_backward = _max_forward, _max_backward
