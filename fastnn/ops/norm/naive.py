"""Batch normalisation as its formula says, one channel at a time, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._check import wide
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
    y = np.empty(call.out, call.dtype) if out is None else out
    mean, var = statistics(call, running_mean, running_var)
    for c in range(call.x[1]):
        values = wide(x[:, c])
        if call.training:
            mean[c] = np.sum(values) / max(call.values, 1)
            var[c] = np.sum((values - mean[c]) ** 2) / max(call.values, 1)
        xhat = (values - mean[c]) / np.sqrt(var[c] + call.eps)
        y[:, c] = xhat * (1.0 if w is None else w[c]) + (0.0 if b is None else b[c])
    update_running(call, running_mean, running_var, mean, var)
    return y, (x, w, mean, var)


def batch_norm_backward(
    call: NormCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    x, w, mean, var = saved
    dx = np.empty(call.x, call.dtype)
    dw, db = np.empty(call.x[1]), np.empty(call.x[1])
    for c in range(call.x[1]):
        inverse = 1 / np.sqrt(var[c] + call.eps)
        d, xhat = wide(dy[:, c]), (wide(x[:, c]) - mean[c]) * inverse
        dw[c], db[c] = np.sum(d * xhat), np.sum(d)
        if call.training:
            d -= (db[c] + xhat * dw[c]) / max(call.values, 1)
        dx[:, c] = d * inverse * (1.0 if w is None else w[c])
    return (
        dx if "x" in needs else None,
        dw.astype(call.dtype) if call.weight and "w" in needs else None,
        db.astype(call.dtype) if call.bias and "b" in needs else None,
    )
