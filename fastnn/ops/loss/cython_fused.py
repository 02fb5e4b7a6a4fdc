"""Losses of scores against classes, compiled: a row's passes while it is in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._ext import _loss
from fastnn._memory import empty
from fastnn.ops.loss.spec import (
    Array,
    LossCall,
    RowScale,
    finish,
    from_rows,
    labels_or_target,
    margin_scale,
    row_scale,
    to_rows,
)


def softmax_cross_entropy_forward(
    call: LossCall,
    x: Array,
    goal: Array,
    w: Array | None,
    sample_weight: Array | None,
    *,
    out: Array | None,
    save: bool,
) -> tuple[Array, Any]:
    labels, target = labels_or_target(call, goal)
    rows = to_rows(call, x)
    n = len(rows)
    losses, state = empty(n, "float64"), empty((n, 3), "float64") if save else None
    given = (rows, labels, target, w, call.label_smoothing, call.ignore_index)
    total, divisor = _loss.softmax_xent_forward(*given, losses, state)
    if sample_weight is not None or call.reduction == "none":
        scale = row_scale(call, labels, w, sample_weight)
        return finish(call, scale.weigh(losses), scale.divisor, out), (given, state, *scale)
    if call.reduction == "sum":
        divisor = 1.0
    return finish(call, total, divisor, out), (given, state, None, divisor)


def softmax_cross_entropy_backward(
    call: LossCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    given, state, weights, divisor = saved
    rows = given[0]
    dx = empty(rows.shape, call.dtype) if "x" in needs else None
    dt = empty(rows.shape, call.dtype) if "target" in needs else None
    if dx is not None or dt is not None:
        each, gain = None, 0.0
        if weights is None and call.reduction != "none" and divisor:
            gain = float(dy) / divisor
        else:
            each = RowScale(weights, divisor).gradients(call, dy)
        _loss.softmax_xent_backward(*given, state, each, gain, dx, dt)
    dx = from_rows(call, dx)
    return (dx, from_rows(call, dt)) if call.soft else (dx,)


soft_cross_entropy_forward = softmax_cross_entropy_forward
soft_cross_entropy_backward = softmax_cross_entropy_backward


def multi_margin_loss_forward(
    call: LossCall, x: Array, labels: Array, w: Array | None, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    losses, given = np.empty(call.rows), (x, labels, call.margin, call.p)
    _loss.multi_margin(*given, losses, None, None)
    scale = margin_scale(call, labels, w)
    return finish(call, scale.weigh(losses), scale.divisor, out), (given, scale)


def multi_margin_loss_backward(
    call: LossCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    given, scale = saved
    dx = empty(call.x, call.dtype)
    _loss.multi_margin(*given, None, scale.gradients(call, dy), dx)
    return (dx,)
