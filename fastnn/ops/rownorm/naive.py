"""Layer, group, instance and RMS normalisation as their formulas say, a row at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._check import wide, wide_dtype
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
    y = np.empty(call.out, call.dtype) if out is None else out
    scale, shift = affine_maps(call, w, b)
    mean, inverse = np.zeros((2, *call.sizes[:2]), wide_dtype(call.dtype))
    rows, results = x.reshape(call.sizes), y.reshape(call.sizes)
    for n, g in np.ndindex(call.sizes[:2]):
        values = wide(rows[n, g])
        if call.centred:
            mean[n, g] = np.sum(values) / call.values
        var = np.sum((values - mean[n, g]) ** 2) / call.values
        inverse[n, g] = 1 / np.sqrt(var + call.eps)
        for k in range(call.sizes[2]):
            results[n, g, k] = (values[k] - mean[n, g]) * inverse[n, g] * scale[g, k] + shift[g, k]
    return y, (rows, scale, mean, inverse)


def layer_norm_backward(
    call: RowCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    rows, scale, mean, inverse = saved
    slopes = dy.reshape(call.sizes)
    dx = np.empty(call.sizes, call.dtype)
    dw, db = np.zeros(scale.shape), np.zeros(scale.shape)
    for n, g in np.ndindex(call.sizes[:2]):
        d, xhat = wide(slopes[n, g]), (wide(rows[n, g]) - mean[n, g]) * inverse[n, g]
        dw[g] += np.sum(d * xhat, axis=1)
        db[g] += np.sum(d, axis=1)
        d *= scale[g][:, None]
        common = np.sum(d) / call.values if call.centred else 0.0
        along = np.sum(d * xhat) / call.values
        dx[n, g] = inverse[n, g] * (d - common - xhat * along)
    return grads(
        call,
        dx if "x" in needs else None,
        dw.astype(call.dtype) if call.weight and "w" in needs else None,
        db.astype(call.dtype) if call.bias and "b" in needs else None,
    )


group_norm_forward = instance_norm_forward = rms_norm_forward = layer_norm_forward
group_norm_backward = instance_norm_backward = rms_norm_backward = layer_norm_backward
