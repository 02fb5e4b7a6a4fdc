"""Linear layers as their formula says, one output at a time, sums in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._check import wide
from fastnn.ops.dense.spec import Array, LinearCall


def linear_forward(
    call: LinearCall, x: Array, w: Array, b: Array | None, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    x64, w64 = wide(x), wide(w)
    for m in np.ndindex(*call.x[:-1]):
        for o in range(call.w[0]):
            y[*m, o] = np.sum(x64[m] * w64[o]) + (0.0 if b is None else b[o])
    return y, (x, w)


def linear_backward(
    call: LinearCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    x64, w64 = (wide(a) for a in saved)
    dx, dw, db = np.zeros_like(x64), np.zeros_like(w64), np.zeros(call.w[0])
    for m in np.ndindex(*call.x[:-1]):
        for o in range(call.w[0]):
            dx[m] += dy[*m, o] * w64[o]
            dw[o] += dy[*m, o] * x64[m]
            db[o] += dy[*m, o]
    return (
        dx.astype(call.dtype) if "x" in needs else None,
        dw.astype(call.dtype) if "w" in needs else None,
        db.astype(call.dtype) if call.bias and "b" in needs else None,
    )
