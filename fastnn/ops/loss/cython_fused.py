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
    margin_scale,
    row_scale,
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
    labels, target = (None, goal) if call.soft else (goal, None)
    rows = call.rows if call.soft else goal.size  # a property costs 0.2 us
    losses = empty(rows, "float64")
    state = empty((3, rows), "float64") if save else None
    given = (x, labels, target, w, call.label_smoothing, call.ignore_index)
    total, divisor = _loss.softmax_xent_forward(*given, losses, state)
    if sample_weight is not None or call.reduction == "none":
        flat = None if labels is None else labels.reshape(-1)
        scale = row_scale(call, flat, w, sample_weight)
        return finish(call, scale.weigh(losses), scale.divisor, out), (given, state, *scale)
    if call.reduction == "sum":
        divisor = 1.0
    return finish(call, total, divisor, out), (given, state, None, divisor)


def softmax_cross_entropy_backward(
    call: LossCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    given, state, weights, divisor = saved
    dx = empty(call.x, call.dtype) if "x" in needs else None
    dt = empty(call.x, call.dtype) if "target" in needs else None
    if dx is not None or dt is not None:
        each, gain = None, 0.0
        if weights is None and call.reduction != "none" and divisor:
            gain = float(dy) / divisor
        else:
            each = RowScale(weights, divisor).gradients(call, dy)
        _loss.softmax_xent_backward(*given, state, each, gain, dx, dt)
    return (dx, dt)[: 1 + call.soft]


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
