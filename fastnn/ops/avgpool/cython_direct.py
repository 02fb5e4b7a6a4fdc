"""Average pooling over planes, compiled; the vector runs along output columns."""

from __future__ import annotations

from typing import Any

from fastnn._ext import _pool
from fastnn._memory import empty
from fastnn.ops.avgpool.spec import Array, WindowCall


def average_forward(
    call: WindowCall, x: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = empty(call.out, call.dtype) if out is None else out
    _pool.avg_forward(call, x, y)
    return y, None


def average_backward(
    call: WindowCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = empty(call.x, call.dtype)
    _pool.avg_backward(call, dy, dx)
    return (dx,)


avg_pool1d_forward, avg_pool1d_backward = average_forward, average_backward
avg_pool2d_forward, avg_pool2d_backward = average_forward, average_backward
