"""Layer, group, instance and RMS normalisation, jitted: tasks are rows, or blocks of channels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.norm.numba_sums import LANES, plain_sum, product_sum
from fastnn.ops.rownorm.spec import Array, RowCall, affine_maps, grads

CHANNELS = 64  # of a task that adds up gradients: one at a time would read every line anew


@_jit.kernel
def forward_kernel(x, w, b, mean, inverse, y, eps, centred):  # type: ignore[no-untyped-def]
    """y = normalised x[n,g,k,l] * w[g,k] + b[g,k]; float64 mean[n,g] and inverse[n,g] are kept."""
    n_, g_, k_, l_ = x.shape
    for r in prange(n_ * g_):
        n, g = r // g_, r % g_
        lanes = np.empty(LANES)
        row = x[n, g].ravel()
        middle = plain_sum(row, lanes) / row.size if centred else 0.0
        var = product_sum(row, middle, row, middle, lanes) / row.size
        scale = 1 / np.sqrt(var + eps)
        mean[n, g], inverse[n, g] = middle, scale
        for k in range(k_):
            for i in range(l_):
                y[n, g, k, i] = (x[n, g, k, i] - middle) * scale * w[g, k] + b[g, k]


@_jit.kernel
def data_kernel(x, w, mean, inverse, dy, dx, centred):  # type: ignore[no-untyped-def]
    """dx from dy."""
    n_, g_, k_, l_ = x.shape
    for r in prange(n_ * g_):
        n, g = r // g_, r % g_
        middle, scale = mean[n, g], inverse[n, g]
        lanes, slopes = np.empty(LANES), np.empty((k_, l_))
        for k in range(k_):
            for i in range(l_):
                slopes[k, i] = dy[n, g, k, i] * w[g, k]
        common = plain_sum(slopes.ravel(), lanes)
        along = product_sum(x[n, g].ravel(), middle, slopes.ravel(), 0.0, lanes)
        common = common / (k_ * l_) if centred else 0.0
        along *= scale * scale / (k_ * l_)
        for k in range(k_):
            for i in range(l_):
                rest = slopes[k, i] - common - along * (x[n, g, k, i] - middle)
                dx[n, g, k, i] = scale * rest


@_jit.kernel
def affine_kernel(x, mean, inverse, dy, dw, db):  # type: ignore[no-untyped-def]
    """dw[g,k] and db[g,k] from dy, added up over the samples in index order."""
    n_, g_, k_, l_ = x.shape
    blocks = (k_ + CHANNELS - 1) // CHANNELS
    for task in prange(g_ * blocks):
        g, first = task // blocks, task % blocks * CHANNELS
        last = min(k_, first + CHANNELS)
        product, slope = np.zeros(CHANNELS), np.zeros(CHANNELS)
        for n in range(n_):
            middle, scale = mean[n, g], inverse[n, g]
            for k in range(first, last):
                for i in range(l_):
                    slope[k - first] += dy[n, g, k, i]
                    product[k - first] += dy[n, g, k, i] * ((x[n, g, k, i] - middle) * scale)
        for k in range(first, last):
            dw[g, k], db[g, k] = product[k - first], slope[k - first]


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
    mean, inverse = np.empty((2, *call.sizes[:2]))
    rows, results = x.reshape(call.sizes), y.reshape(call.sizes)
    _jit.launch(forward_kernel, rows, scale, shift, mean, inverse, results, call.eps, call.centred)
    return y, (rows, scale, mean, inverse)


def layer_norm_backward(
    call: RowCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    rows, scale, mean, inverse = saved
    slopes = dy.reshape(call.sizes)
    weight, bias = call.weight and "w" in needs, call.bias and "b" in needs
    dx = np.empty(call.sizes, call.dtype) if "x" in needs else None
    dw, db = np.empty((2, *scale.shape), call.dtype)
    if dx is not None:
        _jit.launch(data_kernel, rows, scale, mean, inverse, slopes, dx, call.centred)
    if weight or bias:
        _jit.launch(affine_kernel, rows, mean, inverse, slopes, dw, db)
    return grads(call, dx, dw if weight else None, db if bias else None)


group_norm_forward = instance_norm_forward = rms_norm_forward = layer_norm_forward
group_norm_backward = instance_norm_backward = rms_norm_backward = layer_norm_backward
