"""Losses, compiled: maximum, exponentials and sum of a row while it is in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._ext import _loss
from fastnn.ops.loss.spec import Array, LossCall, reduce, row_scale


def softmax_cross_entropy_forward(
    call: LossCall, x: Array, labels: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    loss = np.empty(call.x[0])
    state = np.empty((call.x[0], 2)) if save else None
    _loss.softmax_xent_forward(x, labels, loss, state)
    return reduce(call, loss, out), (x, labels, state)


def softmax_cross_entropy_backward(
    call: LossCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    x, labels, state = saved
    dx = np.empty(call.x, call.dtype)
    _loss.softmax_xent_backward(x, labels, state, row_scale(call, dy), dx)
    return (dx,)
