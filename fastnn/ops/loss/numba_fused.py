"""Losses of scores against classes, jitted: a task is a row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from fastnn import _jit
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


@_jit.kernel
def forward_kernel(x, labels, target, w, smoothing, ignore, losses, state):  # type: ignore[no-untyped-def]
    """Loss of each row; `state` gets maximum, sum of exp(x - maximum) and sum of the goals.

    Goals are those of `target`, or of `labels` if it has no rows.
    """
    c_ = x.shape[1]
    keep, spread = 1 - smoothing, smoothing / c_
    for n in prange(x.shape[0]):
        losses[n] = 0
        if target.shape[0] == 0 and labels[n] == ignore:
            continue
        row = x[n]
        top = row[0]
        for c in range(c_):  # a NaN stays the maximum, for nothing is larger
            if row[c] > top or row[c] != row[c]:
                top = row[c]
        total, weight, gap, all_weight, all_gap = 0.0, 0.0, 0.0, 0.0, 0.0
        for c in range(c_):
            total += np.exp(row[c] - top)
        if target.shape[0] == 0:
            y = labels[n]
            weight = w[y]
            gap = weight * (np.float64(top) - np.float64(row[y]))
        else:
            for c in range(c_):
                t = np.float64(target[n, c]) * w[c]
                weight += t
                gap += t * (top - row[c])
        loss = keep * (gap + weight * np.log(total))
        weight *= keep
        if spread > 0:
            for c in range(c_):
                all_weight += w[c]
                all_gap += w[c] * np.float64(top - row[c])
            loss += spread * (all_gap + all_weight * np.log(total))
            weight += spread * all_weight
        losses[n] = loss
        state[n, 0], state[n, 1], state[n, 2] = top, total, weight


@_jit.kernel
def backward_kernel(x, labels, target, w, smoothing, ignore, state, scale, dx, dt):  # type: ignore[no-untyped-def]
    """dx = (softmax(x) * sum of the goals - goals) * scale; empty dx and dt are not written."""
    c_ = x.shape[1]
    keep, spread = 1 - smoothing, smoothing / c_
    for n in prange(x.shape[0]):
        row = x[n]
        top, gain = row.dtype.type(state[n, 0]), state[n, 2] * scale[n] / state[n, 1]
        ignored = target.shape[0] == 0 and labels[n] == ignore
        for c in range(c_ if dx.shape[0] > 0 else 0):
            if ignored:
                dx[n, c] = 0
                continue
            goal = spread
            if target.shape[0] > 0:
                goal += keep * target[n, c]
            elif labels[n] == c:
                goal += keep
            dx[n, c] = np.exp(row[c] - top) * gain - goal * w[c] * scale[n]
        for c in range(c_ if dt.shape[0] > 0 else 0):
            dt[n, c] = (np.log(state[n, 1]) + (top - row[c])) * keep * w[c] * scale[n]


@_jit.kernel
def margin_forward_kernel(x, labels, margin, p, losses):  # type: ignore[no-untyped-def]
    """Hinge loss of each row."""
    for n in prange(x.shape[0]):
        y, loss = labels[n], 0.0
        for c in range(x.shape[1]):
            z = np.float64(x[n, c]) - x[n, y] + margin
            if c != y and not z <= 0:
                loss += z * z if p == 2 else z
        losses[n] = loss


@_jit.kernel
def margin_backward_kernel(x, labels, margin, p, scale, dx):  # type: ignore[no-untyped-def]
    """Gradient of each row's hinge loss times scale[n]."""
    for n in prange(x.shape[0]):
        y, total = labels[n], 0.0
        for c in range(x.shape[1]):
            z = np.float64(x[n, c]) - x[n, y] + margin
            slope = 0.0
            if c != y and not z <= 0:
                slope = z + z if p == 2 else (1.0 if z == z else z)
            total += slope
            dx[n, c] = slope * scale[n]
        dx[n, y] = -total * scale[n]


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
    losses, state = np.empty(call.rows), np.empty((call.rows, 3))
    given = (
        to_rows(call, x),
        np.empty(0, np.int64) if labels is None else labels,
        np.empty((0, call.x[1]), call.dtype) if target is None else target,
        np.ones(call.x[1], call.dtype) if w is None else w,
        call.label_smoothing,
        call.ignore_index,
    )
    _jit.launch(forward_kernel, *given, losses, state)
    scale = row_scale(call, labels, w, sample_weight)
    return finish(call, scale.weigh(losses), scale.divisor, out), (given, state, scale)


def softmax_cross_entropy_backward(
    call: LossCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    given, state, scale = saved
    c = call.x[1]
    dx = np.empty((call.rows if "x" in needs else 0, c), call.dtype)
    dt = np.empty((call.rows if "target" in needs else 0, c), call.dtype)
    if len(dx) or len(dt):
        _jit.launch(backward_kernel, *given, state, scale.gradients(call, dy), dx, dt)
    gradients = tuple(from_rows(call, d) if len(d) else None for d in (dx, dt))
    return gradients[: 1 + call.soft]


soft_cross_entropy_forward = softmax_cross_entropy_forward
soft_cross_entropy_backward = softmax_cross_entropy_backward


def multi_margin_loss_forward(
    call: LossCall, x: Array, labels: Array, w: Array | None, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    losses = np.empty(call.rows)
    given = (x, labels, call.margin, call.p)
    _jit.launch(margin_forward_kernel, *given, losses)
    scale = margin_scale(call, labels, w)
    return finish(call, scale.weigh(losses), scale.divisor, out), (given, scale)


def multi_margin_loss_backward(
    call: LossCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    given, scale = saved
    dx = np.empty(call.x, call.dtype)
    _jit.launch(margin_backward_kernel, *given, scale.gradients(call, dy), dx)
    return (dx,)
