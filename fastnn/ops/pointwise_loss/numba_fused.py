"""Losses that are a sum over elements, jitted: a task is a block of elements."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.loss.reduction import finish
from fastnn.ops.pointwise_loss.spec import KINDS, Array, PointCall

BLOCK = 1024  # a longer chain of additions would lose digits
MSE, L1, HUBER, BCE, KL, KL_LOG = range(len(KINDS))


@_jit.helper
def _tail(x):  # type: ignore[no-untyped-def]
    """log(1 + exp(-|x|))."""
    return np.log1p(np.exp(-abs(x)))


@_jit.helper
def _loss(kind, x, t, p, delta):  # type: ignore[no-untyped-def]
    """Loss of an element."""
    d = abs(x - t)
    if kind == MSE:
        return d * d
    if kind == L1:
        return d
    if kind == HUBER:
        return d * d / 2 if d <= delta else delta * (d - delta / 2)
    if kind == BCE:
        linear = -p * t * x if x < 0 else (1 - t) * x
        return linear + (1 - t + p * t) * _tail(x)
    if kind == KL:
        return t * ((np.log(t) if t != 0 else 0.0) - x)
    return np.exp(t) * (t - x)


@_jit.helper
def _slope(kind, x, t, p, delta):  # type: ignore[no-untyped-def]
    """Derivative by x."""
    d = x - t
    if kind == MSE:
        return 2 * d
    if kind == L1:
        return 1.0 if d > 0 else (-1.0 if d < 0 else d)
    if kind == HUBER:
        return delta if d > delta else (-delta if d < -delta else d)
    if kind == BCE:
        e = np.exp(-abs(x))
        sigmoid = (1.0 if x < 0 else e) / (1 + e)
        return 1 - t - (1 - t + p * t) * sigmoid
    if kind == KL:
        return -t
    return -np.exp(t)


@_jit.helper
def _target_slope(kind, x, t, p, delta):  # type: ignore[no-untyped-def]
    """Derivative by the target."""
    if kind == BCE:
        return (p - 1) * (_tail(x) + (-x if x < 0 else 0.0)) - x
    if kind == KL:
        return np.log(t) + 1 - x
    if kind == KL_LOG:
        return np.exp(t) * (t - x + 1)
    return -_slope(kind, x, t, p, delta)


@_jit.kernel
def forward_kernel(kind, delta, x, target, w, pos_weight, y, partial):  # type: ignore[no-untyped-def]
    """Losses of the elements into y, or the sums of blocks if y is empty; weights may be one."""
    every_w, every_p = int(w.size > 1), int(pos_weight.size > 1)
    for block in prange(partial.size):
        total = 0.0
        for i in range(block * BLOCK, min(x.size, (block + 1) * BLOCK)):
            p = np.float64(pos_weight[i * every_p])
            loss = _loss(kind, np.float64(x[i]), np.float64(target[i]), p, delta)
            loss *= w[i * every_w]
            if y.size > 0:
                y[i] = loss
            else:
                total += loss
        partial[block] = total


@_jit.kernel
def backward_kernel(kind, delta, x, target, w, pos_weight, dy, scale, dx, dt):  # type: ignore[no-untyped-def]
    """Gradients times dy, which may be one number, and scale; empty ones are not written."""
    every_w, every_p, every_dy = int(w.size > 1), int(pos_weight.size > 1), int(dy.size > 1)
    for block in prange((x.size + BLOCK - 1) // BLOCK):
        for i in range(block * BLOCK, min(x.size, (block + 1) * BLOCK)):
            p = np.float64(pos_weight[i * every_p])
            gain = scale * dy[i * every_dy] * w[i * every_w]
            a, t = np.float64(x[i]), np.float64(target[i])
            if dx.size > 0:
                dx[i] = _slope(kind, a, t, p, delta) * gain
            if dt.size > 0:
                dt[i] = _target_slope(kind, a, t, p, delta) * gain


def forward(
    call: PointCall,
    x: Array,
    target: Array,
    w: Array | None = None,
    pos_weight: Array | None = None,
    *,
    out: Array | None,
    save: bool,
) -> tuple[Array, Any]:
    one = np.ones(1, call.dtype)
    given = (
        KINDS.index(call.kind),
        call.delta,
        x.reshape(-1),
        target.reshape(-1),
        one if w is None else w.reshape(-1),
        one if pos_weight is None else pos_weight.reshape(-1),
    )
    partial = np.empty((call.size + BLOCK - 1) // BLOCK)
    if call.reduction == "none":
        y = np.empty(call.out, call.dtype) if out is None else out
        _jit.launch(forward_kernel, *given, y.reshape(-1), partial)
    else:
        _jit.launch(forward_kernel, *given, np.empty(0, call.dtype), partial)
        y = finish(call, partial, call.divisor, out)
    return y, given


def backward(
    call: PointCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    dx = np.empty(call.size if "x" in needs else 0, call.dtype)
    dt = np.empty(call.size if "target" in needs else 0, call.dtype)
    scale = 1.0 if call.reduction == "none" else 1 / call.divisor
    if dx.size or dt.size:
        _jit.launch(backward_kernel, *saved, dy.reshape(-1), scale, dx, dt)
    dx_dt = (d.reshape(call.x) if d.size else None for d in (dx, dt))
    return tuple(dx_dt)


mse_loss_forward = l1_loss_forward = huber_loss_forward = forward
mse_loss_backward = l1_loss_backward = huber_loss_backward = backward
binary_cross_entropy_with_logits_forward = kl_div_forward = forward
binary_cross_entropy_with_logits_backward = kl_div_backward = backward
