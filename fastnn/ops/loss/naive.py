"""Losses as their formulas say, one row at a time, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._check import wide, wide_dtype
from fastnn.ops.loss.spec import Array, LossCall, reduce, row_scale


def _exponentials(row: Array) -> tuple[Any, Array]:
    """The row's maximum and exp(row - maximum)."""
    top = row.max()
    with np.errstate(invalid="ignore"):  # inf - inf is NaN, as it should be
        return top, np.exp(row - top)


def softmax_cross_entropy_forward(
    call: LossCall, x: Array, labels: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    x64, loss = wide(x), np.empty(call.x[0], wide_dtype(call.dtype))
    for n in range(call.x[0]):
        top, e = _exponentials(x64[n])
        with np.errstate(invalid="ignore"):
            loss[n] = np.log(np.sum(e)) - (x64[n, labels[n]] - top)
    return reduce(call, loss, out), (x, labels)


def softmax_cross_entropy_backward(
    call: LossCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    x, labels = saved
    x64, dx, scale = wide(x), np.empty(call.x), row_scale(call, dy)
    for n in range(call.x[0]):
        _, e = _exponentials(x64[n])
        dx[n] = e / np.sum(e)
        dx[n, labels[n]] -= 1
        dx[n] *= scale[n]
    return (dx.astype(call.dtype),)
