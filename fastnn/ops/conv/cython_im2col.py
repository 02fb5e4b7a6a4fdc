"""im2col in bounded chunks and our matrix product, compiled; col2im in a fixed order."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._ext import _conv
from fastnn.ops.conv.spec import Array, ConvCall


def conv2d_forward(
    call: ConvCall, x: Array, w: Array, b: Array | None, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    _conv.im2col_forward(call, x, w, b, y)
    return y, (x, w)


def conv2d_backward(
    call: ConvCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    x, w = saved
    dx = np.empty_like(x) if "x" in needs else None
    dw = np.empty_like(w) if "w" in needs else None
    db = np.empty(call.w[0], call.dtype) if call.bias and "b" in needs else None
    if dx is not None:
        _conv.im2col_backward_data(call, w, dy, dx)
    if dw is not None or db is not None:
        _conv.im2col_backward_filter(call, x, dy, dw, db)
    return dx, dw, db
