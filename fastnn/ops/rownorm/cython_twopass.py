"""Layer, group, instance and RMS normalisation, compiled: a row's statistics, then its result."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._ext import _rownorm
from fastnn._memory import empty
from fastnn.ops.rownorm.spec import Array, RowCall, affine_maps, grads


def layer_norm_forward(
    call: RowCall,
    x: Array,
    w: Array | None,
    b: Array | None = None,
    *,
    out: Array | None,
    save: bool,
) -> tuple[Array, Any]:
    y = empty(call.out, call.dtype) if out is None else out
    scale, shift = affine_maps(call, w, b)
    mean = np.empty(call.rows) if save else None
    inverse = np.empty(call.rows) if save else None
    _rownorm.forward(call.sizes, call.eps, call.centred, x, scale, shift, mean, inverse, y)
    return y, (x, scale, mean, inverse)


def layer_norm_backward(
    call: RowCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    dx = empty(call.x, call.dtype) if "x" in needs else None
    dw = empty(call.affine, call.dtype) if call.weight and "w" in needs else None
    db = empty(call.affine, call.dtype) if call.bias and "b" in needs else None
    _rownorm.backward(call.sizes, call.centred, *saved, dy, dx, dw, db)
    return grads(call, dx, dw, db)


group_norm_forward = instance_norm_forward = rms_norm_forward = layer_norm_forward
group_norm_backward = instance_norm_backward = rms_norm_backward = layer_norm_backward
