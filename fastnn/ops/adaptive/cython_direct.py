"""Adaptive and global pooling over planes, compiled."""

from __future__ import annotations

from typing import Any

from fastnn._ext import _pool
from fastnn._memory import empty
from fastnn.ops.avgpool.cython_direct import average_backward, average_forward
from fastnn.ops.avgpool.spec import Array, WindowCall


def _max_forward(call: WindowCall, x: Array, *, out: Array | None, save: bool) -> tuple[Array, Any]:
    y = empty(call.out, call.dtype) if out is None else out
    winners = empty(call.out, "int64") if save else None
    _pool.window_max(call, x, y, winners)
    return y, winners


def _max_backward(
    call: WindowCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = empty(call.x, call.dtype)
    _pool.scatter(call.x[0] * call.x[1], dy, saved, dx, True)
    return (dx,)


adaptive_avg_pool2d_forward, adaptive_avg_pool2d_backward = average_forward, average_backward
adaptive_max_pool2d_forward, adaptive_max_pool2d_backward = _max_forward, _max_backward
global_avg_pool_forward, global_avg_pool_backward = average_forward, average_backward
global_max_pool_forward, global_max_pool_backward = _max_forward, _max_backward
