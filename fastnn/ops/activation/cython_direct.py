"""Activations in one pass over memory, compiled."""

from __future__ import annotations

from typing import Any

from fastnn._ext import _activation
from fastnn._memory import empty
from fastnn.ops.activation.spec import ActivationCall, Array


def forward(call: ActivationCall, x: Array, *, out: Array | None, save: bool) -> tuple[Array, Any]:
    y = empty(call.x, call.dtype) if out is None else out
    _activation.pointwise_forward(call.function, call.parameters, x, y)
    return y, call.saved(x, y) if save else None


def backward(
    call: ActivationCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = empty(call.x, call.dtype)
    _activation.pointwise_backward(call.function, call.parameters, saved, dy, dx)
    return (dx,)
