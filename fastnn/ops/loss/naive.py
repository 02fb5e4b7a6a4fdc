"""Losses of scores against classes as their formulas say, one row at a time, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._check import wide
from fastnn.ops.loss.spec import (
    Array,
    LossCall,
    finish,
    from_rows,
    labels_or_target,
    margin_scale,
    row_scale,
    to_rows,
)


def _log_softmax(row: Array) -> Array:
    """x - log(sum of exp(x)), with the maximum taken off first."""
    with np.errstate(invalid="ignore"):  # inf - inf is NaN, as it should be
        d = row - row[np.argmax(row.real)]
        return np.asarray(d - np.log(np.sum(np.exp(d))))


def _goals(call: LossCall, labels: Array | None, target: Array | None, w: Array | None) -> Array:
    """t[n,c]: smoothed probabilities times class weights."""
    share = call.label_smoothing / call.x[1]
    if labels is None:
        goals = share + (1 - call.label_smoothing) * wide(np.asarray(target))
    else:
        goals = np.full((call.rows, call.x[1]), share)
        for n in range(call.rows):
            if labels[n] != call.ignore_index:
                goals[n, labels[n]] += 1 - call.label_smoothing
    return goals if w is None else goals * w


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
    goals, rows = _goals(call, labels, target, w), wide(to_rows(call, x))
    losses = np.zeros(call.rows, np.result_type(goals, rows))
    for n in range(call.rows):
        if labels is not None and labels[n] == call.ignore_index:
            continue
        part: Any = slice(None)
        if labels is not None and call.label_smoothing == 0:
            part = labels[n]  # the others have no share, -inf there is no NaN
        with np.errstate(invalid="ignore"):
            losses[n] = -np.sum(goals[n, part] * _log_softmax(rows[n])[part])
    scale = row_scale(call, labels, w, sample_weight)
    return finish(call, scale.weigh(losses), scale.divisor, out), (rows, labels, goals, w, scale)


def softmax_cross_entropy_backward(
    call: LossCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    rows, labels, goals, w, scale = saved
    dx, dt, gradients = np.zeros(rows.shape), np.zeros(rows.shape), scale.gradients(call, dy)
    for n in range(call.rows):
        if labels is not None and labels[n] == call.ignore_index:
            continue
        with np.errstate(invalid="ignore"):
            logs = _log_softmax(rows[n])
            dx[n] = (np.exp(logs) * np.sum(goals[n]) - goals[n]) * gradients[n]
            dt[n] = -(1 - call.label_smoothing) * logs * gradients[n]
        if w is not None:
            dt[n] *= w
    return (
        from_rows(call, dx.astype(call.dtype)) if "x" in needs else None,
        from_rows(call, dt.astype(call.dtype)) if "target" in needs else None,
    )[: 1 + call.soft]


soft_cross_entropy_forward = softmax_cross_entropy_forward
soft_cross_entropy_backward = softmax_cross_entropy_backward


def multi_margin_loss_forward(
    call: LossCall, x: Array, labels: Array, w: Array | None, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    rows, losses = wide(x), np.zeros(call.rows)
    with np.errstate(invalid="ignore"):
        for n in range(call.rows):
            for c in range(call.x[1]):
                z = rows[n, c] - rows[n, labels[n]] + call.margin
                if c != labels[n] and not z <= 0:  # NaN goes on
                    losses[n] += z**call.p
    scale = margin_scale(call, labels, w)
    return finish(call, scale.weigh(losses), scale.divisor, out), (x, labels, scale)


def multi_margin_loss_backward(
    call: LossCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    x, labels, scale = saved
    rows, gradients = wide(x), scale.gradients(call, dy)
    dx = np.zeros(call.x)
    with np.errstate(invalid="ignore"):
        for n in range(call.rows):
            for c in range(call.x[1]):
                z = rows[n, c] - rows[n, labels[n]] + call.margin
                if c != labels[n] and not z <= 0:
                    slope = (2 * z if call.p == 2 else 1.0 if z == z else z) * gradients[n]
                    dx[n, c] += slope
                    dx[n, labels[n]] -= slope
    return (dx.astype(call.dtype),)
