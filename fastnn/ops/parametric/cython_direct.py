"""PReLU in one pass over memory, compiled."""

from __future__ import annotations

from typing import Any

from fastnn._ext import _activation
from fastnn._memory import empty
from fastnn.ops.parametric.spec import Array, PreluCall


def forward(
    call: PreluCall, x: Array, w: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = empty(call.out, call.dtype) if out is None else out
    _activation.prelu_forward(call.sizes, x, w, y)
    return y, (x, w)


def backward(
    call: PreluCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    x, w = saved
    dx = empty(call.x, call.dtype) if "x" in needs else None
    dw = empty(call.w, call.dtype) if "w" in needs else None
    if needs:
        _activation.prelu_backward(call.sizes, x, w, dy, dx, dw)
    return dx, dw
