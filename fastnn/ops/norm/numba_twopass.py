"""Batch normalisation, jitted: a task is a channel, mean, then variance, then result."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.norm.numba_sums import LANES, plain_sum, product_sum
from fastnn.ops.norm.spec import Array, NormCall, statistics, update_running


@_jit.kernel
def forward_kernel(x, w, b, mean, var, y, eps, training):  # type: ignore[no-untyped-def]
    """y = batch_norm(x[n,c,l]); `mean` and `var` are written in training, else read."""
    n_, c_, l_ = x.shape
    for c in prange(c_):
        lanes = np.empty(LANES)
        if training:
            total = 0.0
            for n in range(n_):
                total += plain_sum(x[n, c], lanes)
            mean[c] = total / (n_ * l_)
            total = 0.0
            for n in range(n_):
                total += product_sum(x[n, c], mean[c], x[n, c], mean[c], lanes)
            var[c] = total / (n_ * l_)
        scale, middle = w[c] / np.sqrt(var[c] + eps), mean[c]
        for n in range(n_):
            for i in range(l_):
                y[n, c, i] = (x[n, c, i] - middle) * scale + b[c]


@_jit.kernel
def backward_kernel(x, w, mean, var, dy, dx, dw, db, eps, training):  # type: ignore[no-untyped-def]
    """dx, dw and db from dy; an empty dx is not written."""
    n_, c_, l_ = x.shape
    for c in prange(c_):
        lanes = np.empty(LANES)
        inverse, middle = 1 / np.sqrt(var[c] + eps), mean[c]
        along, common = 0.0, 0.0
        for n in range(n_):
            along += product_sum(x[n, c], middle, dy[n, c], 0.0, lanes)
            common += plain_sum(dy[n, c], lanes)
        along *= inverse
        dw[c], db[c] = along, common
        gain = w[c] * inverse
        if training:
            along, common = along * inverse / (n_ * l_), common / (n_ * l_)
        else:
            along, common = 0.0, 0.0
        for n in range(dx.shape[0]):
            for i in range(l_):
                slope = dy[n, c, i] - common
                if training:
                    slope -= (x[n, c, i] - middle) * along
                dx[n, c, i] = gain * slope


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
    y = np.empty(call.out, call.dtype) if out is None else out
    mean, var = statistics(call, running_mean, running_var)
    scale = np.ones(call.x[1], call.dtype) if w is None else w
    shift = np.zeros(call.x[1], call.dtype) if b is None else b
    flat_x, flat_y = x.reshape(call.sizes), y.reshape(call.sizes)
    _jit.launch(forward_kernel, flat_x, scale, shift, mean, var, flat_y, call.eps, call.training)
    update_running(call, running_mean, running_var, mean, var)
    return y, (flat_x, scale, mean, var)


def batch_norm_backward(
    call: NormCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    n, c, length = call.sizes
    dx = np.empty((n if "x" in needs else 0, c, length), call.dtype)
    dw, db = np.empty(c, call.dtype), np.empty(c, call.dtype)
    flat_dy = dy.reshape(call.sizes)
    _jit.launch(backward_kernel, *saved, flat_dy, dx, dw, db, call.eps, call.training)
    return (
        dx.reshape(call.x) if "x" in needs else None,
        dw if call.weight and "w" in needs else None,
        db if call.bias and "b" in needs else None,
    )
