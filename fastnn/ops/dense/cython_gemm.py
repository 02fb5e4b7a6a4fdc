"""Linear layers by our matrix product, compiled; transposed operands are views."""

from __future__ import annotations

from typing import Any

from fastnn._ext import _linear
from fastnn._memory import empty
from fastnn.ops.dense.spec import Array, LinearCall


def linear_forward(
    call: LinearCall, x: Array, w: Array, b: Array | None, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    return _linear.forward(x, w, b, out), (x, w)


def linear_backward(
    call: LinearCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    x, w = saved
    dy = dy.reshape(-1, call.w[0])
    dx = empty(call.x, call.dtype) if "x" in needs else None
    dw = empty(call.w, call.dtype) if "w" in needs else None
    db = empty(call.w[0], call.dtype) if call.bias and "b" in needs else None
    if dx is not None:
        _linear.gemm(dy, w, None, dx.reshape(-1, call.w[1]))
    if dw is not None:
        _linear.gemm(dy.T, x.reshape(-1, call.w[1]), None, dw)
    if db is not None:
        _linear.column_sums(dy, db)
    return dx, dw, db
