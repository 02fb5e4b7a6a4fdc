"""Max-pooling over planes, compiled; the vector runs along output columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._ext import _pool
from fastnn.ops.pool.spec import Array, PoolCall


def _max_forward(call: PoolCall, x: Array, *, out: Array | None, save: bool) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    offset = np.empty(call.out, call.offset_dtype) if save else None
    _pool.max_forward(call, x, y, offset)
    return y, offset


def _max_backward(
    call: PoolCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.empty(call.x, call.dtype)
    _pool.max_backward(call, saved, dy, dx)
    return (dx,)


max_pool2d_forward, max_pool2d_backward = _max_forward, _max_backward
