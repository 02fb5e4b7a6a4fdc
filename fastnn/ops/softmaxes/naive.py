"""Softmax and its logarithm as their formulas say, one row at a time, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._check import wide
from fastnn.ops.softmaxes.spec import Array, SoftmaxCall


def forward(call: SoftmaxCall, x: Array, *, out: Array | None, save: bool) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    rows, results = x.reshape(call.sizes), y.reshape(call.sizes)
    for n, i in np.ndindex(call.sizes[0], call.sizes[2]):
        row = wide(rows[n, :, i])
        if not row.size:
            continue
        with np.errstate(invalid="ignore"):  # inf - inf is NaN, as it should be
            row -= row.real.max()
        total = np.sum(np.exp(row))
        results[n, :, i] = row - np.log(total) if call.log else np.exp(row) / total
    return y, y


def backward(
    call: SoftmaxCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.empty(call.sizes, call.dtype)
    ys, dys = saved.reshape(call.sizes), dy.reshape(call.sizes)
    for n, i in np.ndindex(call.sizes[0], call.sizes[2]):
        y, d = wide(ys[n, :, i]), wide(dys[n, :, i])
        dx[n, :, i] = d - np.exp(y) * np.sum(d) if call.log else y * (d - np.sum(d * y))
    return (dx.reshape(call.x),)
