"""Losses that are a sum over elements, compiled: one pass, nothing kept but x and target."""

from __future__ import annotations

from typing import Any

from fastnn._ext import _loss
from fastnn._memory import empty
from fastnn.ops.loss.reduction import finish
from fastnn.ops.pointwise_loss.spec import KINDS, Array, PointCall


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
    given = (KINDS.index(call.kind), call.delta, x, target, w, pos_weight)
    if call.reduction == "none":
        y = empty(call.out, call.dtype) if out is None else out
        _loss.pointloss_forward(*given, y)
    else:
        y = finish(call, _loss.pointloss_forward(*given, None), call.divisor, out)
    return y, given


def backward(
    call: PointCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    dx = empty(call.x, call.dtype) if "x" in needs else None
    dt = empty(call.x, call.dtype) if "target" in needs else None
    if dx is not None or dt is not None:
        each = dy if call.reduction == "none" else None
        scale = 1.0 if each is not None else float(dy) / call.divisor
        _loss.pointloss_backward(*saved, each, scale, dx, dt)
    return dx, dt


mse_loss_forward = l1_loss_forward = huber_loss_forward = forward
mse_loss_backward = l1_loss_backward = huber_loss_backward = backward
binary_cross_entropy_with_logits_forward = kl_div_forward = forward
binary_cross_entropy_with_logits_backward = kl_div_backward = backward
