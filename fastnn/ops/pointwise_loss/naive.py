"""Losses that are a sum over elements as their formulas say, one element at a time, in float64.

Where a formula has cases they are told apart by real parts, so that complex numbers may pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn._check import wide
from fastnn.ops.loss.reduction import finish, loss_scale
from fastnn.ops.pointwise_loss.spec import Array, PointCall


def _softplus(x: Any) -> Any:
    """log(1 + exp(x)), in the form that does not overflow."""
    return x + np.log1p(np.exp(-x)) if x.real > 0 else np.log1p(np.exp(x))


def _mse(call: PointCall, x: Any, t: Any, p: Any) -> Any:
    return (x - t) ** 2


def _mse_slopes(call: PointCall, x: Any, t: Any, p: Any) -> tuple[Any, Any]:
    return 2 * (x - t), 2 * (t - x)


def _l1(call: PointCall, x: Any, t: Any, p: Any) -> Any:
    return np.abs(x - t)


def _l1_slopes(call: PointCall, x: Any, t: Any, p: Any) -> tuple[Any, Any]:
    return np.sign(x - t), np.sign(t - x)


def _huber(call: PointCall, x: Any, t: Any, p: Any) -> Any:
    d = np.abs(x - t)
    return d**2 / 2 if d <= call.delta else call.delta * (d - call.delta / 2)


def _huber_slopes(call: PointCall, x: Any, t: Any, p: Any) -> tuple[Any, Any]:
    d = np.clip(x - t, -call.delta, call.delta)
    return d, -d


def _bce(call: PointCall, x: Any, t: Any, p: Any) -> Any:
    # Both softplus share their curved part: taken out, no two large numbers cancel.
    linear = (1 - t) * x if x.real >= 0 else -p * t * x
    return linear + (1 - t + p * t) * _softplus(x if x.real < 0 else -x)


def _bce_slopes(call: PointCall, x: Any, t: Any, p: Any) -> tuple[Any, Any]:
    sigmoid = np.exp(-_softplus(-x))
    return (1 - t) * sigmoid - p * t * np.exp(-_softplus(x)), p * _softplus(-x) - _softplus(x)


def _kl(call: PointCall, x: Any, t: Any, p: Any) -> Any:
    return t * ((np.log(t) if t != 0 else 0) - x)


def _kl_slopes(call: PointCall, x: Any, t: Any, p: Any) -> tuple[Any, Any]:
    return -t, np.log(t) + 1 - x


def _kl_log(call: PointCall, x: Any, t: Any, p: Any) -> Any:
    return np.exp(t) * (t - x)


def _kl_log_slopes(call: PointCall, x: Any, t: Any, p: Any) -> tuple[Any, Any]:
    return -np.exp(t), np.exp(t) * (t - x + 1)


_LOSSES: dict[str, tuple[Callable[..., Any], Callable[..., tuple[Any, Any]]]] = {
    "mse": (_mse, _mse_slopes),
    "l1": (_l1, _l1_slopes),
    "huber": (_huber, _huber_slopes),
    "bce": (_bce, _bce_slopes),
    "kl": (_kl, _kl_slopes),
    "kl_log": (_kl_log, _kl_log_slopes),
}


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
    x64, t64 = wide(x), wide(target)
    losses = np.empty(call.x, np.result_type(x64, t64))
    with np.errstate(all="ignore"):  # infinities and NaN are results here, not accidents
        for i in np.ndindex(call.x):
            p = 1.0 if pos_weight is None else pos_weight[i]
            losses[i] = _LOSSES[call.kind][0](call, x64[i], t64[i], p)
        if w is not None:
            losses *= w
        y = finish(call, losses, call.divisor, out)
    return y, (x64, t64, w, pos_weight)


def backward(
    call: PointCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    x64, t64, w, pos_weight = saved
    gains = loss_scale(call, dy, call.divisor, call.size).reshape(call.x)
    dx, dt = np.empty(call.x), np.empty(call.x)
    with np.errstate(all="ignore"):
        if w is not None:
            gains *= w
        for i in np.ndindex(call.x):
            p = 1.0 if pos_weight is None else pos_weight[i]
            slopes = _LOSSES[call.kind][1](call, x64[i], t64[i], p)
            dx[i], dt[i] = slopes[0] * gains[i], slopes[1] * gains[i]
    return (
        dx.astype(call.dtype) if "x" in needs else None,
        dt.astype(call.dtype) if "target" in needs else None,
    )


mse_loss_forward = l1_loss_forward = huber_loss_forward = forward
mse_loss_backward = l1_loss_backward = huber_loss_backward = backward
binary_cross_entropy_with_logits_forward = kl_div_forward = forward
binary_cross_entropy_with_logits_backward = kl_div_backward = backward
