"""Batch normalisation, compiled: a channel's statistics about a mean near its own, its result."""

from __future__ import annotations

from typing import Any

from fastnn._ext import _norm
from fastnn._memory import empty
from fastnn.ops.norm.spec import Array, NormCall, statistics, update_running


def batch_norm_forward(
    call: NormCall,
    x: Array,
    w: Array | None,
    b: Array | None,
    running_mean: Array | None,
    running_var: Array | None,
    *,
    out: Array | None,
    save: bool,
) -> tuple[Array, Any]:
    y = empty(call.out, call.dtype) if out is None else out
    mean, var = statistics(call, running_mean, running_var)
    _norm.batch_forward(call.sizes, call.eps, call.training, x, w, b, mean, var, y)
    update_running(call, running_mean, running_var, mean, var)
    return y, (x, w, mean, var)


def batch_norm_backward(
    call: NormCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    x, w, mean, var = saved
    dx = empty(call.x, call.dtype) if "x" in needs else None
    dw = empty(call.x[1], call.dtype) if call.weight and "w" in needs else None
    db = empty(call.x[1], call.dtype) if call.bias and "b" in needs else None
    _norm.batch_backward(call.sizes, call.eps, call.training, x, w, mean, var, dy, dx, dw, db)
    return dx, dw, db
