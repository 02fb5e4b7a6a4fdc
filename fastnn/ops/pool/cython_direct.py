"""Max-pooling over planes, compiled; the vector runs along output columns. Unpooling, too."""

from __future__ import annotations

from typing import Any

from fastnn._ext import _pool
from fastnn._memory import empty
from fastnn.ops.pool.spec import Array, PoolCall, UnpoolCall


def _max_forward(call: PoolCall, x: Array, *, out: Array | None, save: bool) -> tuple[Array, Any]:
    y = empty(call.y, call.dtype) if out is None else out
    offset = empty(call.y, call.offset_dtype) if save else None
    _pool.max_forward(call, x, y, offset, None)
    return y, offset


def _indices_forward(call: PoolCall, x: Array, *, out: None, save: bool) -> tuple[Any, Any]:
    y, indices = empty(call.y, call.dtype), empty(call.y, "int64")
    offset = empty(call.y, call.offset_dtype) if save else None
    _pool.max_forward(call, x, y, offset, indices)
    return (y, indices), offset


def _max_backward(
    call: PoolCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = empty(call.x, call.dtype)
    _pool.max_backward(call, saved, dy, dx)
    return (dx,)


def max_unpool2d_forward(
    call: UnpoolCall, x: Array, indices: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = empty(call.out, call.dtype) if out is None else out
    _pool.scatter(call.x[0] * call.x[1], x, indices, y, False)
    return y, indices


def max_unpool2d_backward(
    call: UnpoolCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = empty(call.x, call.dtype)
    _pool.gather(call.x[0] * call.x[1], dy, saved, dx)
    return (dx,)


max_pool1d_forward, max_pool1d_backward = _max_forward, _max_backward
max_pool2d_forward, max_pool2d_backward = _max_forward, _max_backward
max_pool2d_with_indices_forward, max_pool2d_with_indices_backward = _indices_forward, _max_backward
