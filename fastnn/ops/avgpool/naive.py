"""Average pooling as its formula says, one window at a time, sums in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._check import wide
from fastnn.ops.avgpool.spec import Array, WindowCall


def average_forward(
    call: WindowCall, x: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    images, averages = call.planes(wide(x)), call.windows(y)
    for n, c, *pq in np.ndindex(*averages.shape):
        cells, divisor = call.window(tuple(pq))
        averages[n, c, *pq] = np.sum(images[n, c, *cells]) / divisor
    return y, None


def average_backward(
    call: WindowCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.zeros(call.x, np.float64)
    images, averages = call.planes(dx), call.windows(wide(dy))
    for n, c, *pq in np.ndindex(*averages.shape):
        cells, divisor = call.window(tuple(pq))
        images[n, c, *cells] += averages[n, c, *pq] / divisor
    return (dx.astype(call.dtype),)


avg_pool1d_forward, avg_pool1d_backward = average_forward, average_backward
avg_pool2d_forward, avg_pool2d_backward = average_forward, average_backward
