"""Softmax and its logarithm, compiled: vectors run along the axis, or across it."""

from __future__ import annotations

from typing import Any

from fastnn._ext import _activation
from fastnn._memory import empty
from fastnn.ops.softmaxes.spec import Array, SoftmaxCall


def forward(call: SoftmaxCall, x: Array, *, out: Array | None, save: bool) -> tuple[Array, Any]:
    y = empty(call.out, call.dtype) if out is None else out
    _activation.softmax_forward(call.sizes, call.log, x, y)
    return y, y


def backward(
    call: SoftmaxCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = empty(call.x, call.dtype)
    _activation.softmax_backward(call.sizes, call.log, saved, dy, dx)
    return (dx,)
