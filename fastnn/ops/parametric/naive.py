"""PReLU as its formula says, one element at a time, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._check import wide
from fastnn.ops.parametric.spec import Array, PreluCall


def _channel(call: PreluCall, i: tuple[int, ...]) -> int:
    return i[1] if call.w[0] > 1 else 0


def forward(
    call: PreluCall, x: Array, w: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    for i in np.ndindex(*call.x):
        y[i] = x[i] if x[i] > 0 else wide(w[_channel(call, i)]) * x[i]
    return y, (x, w)


def backward(
    call: PreluCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    x, w = saved
    dx, dw = np.empty(call.x, call.dtype), np.zeros(call.w)
    for i in np.ndindex(*call.x):
        k = _channel(call, i)
        dx[i] = dy[i] if x[i] > 0 else wide(w[k]) * dy[i]
        dw[k] += 0 if x[i] > 0 else wide(dy[i]) * x[i]
    return (
        dx if "x" in needs else None,
        dw.astype(call.dtype) if "w" in needs else None,
    )
