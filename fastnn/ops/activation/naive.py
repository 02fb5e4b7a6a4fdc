"""Activations as their formulas say, one element at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.ops.activation.spec import ActivationCall, Array


def relu_forward(
    call: ActivationCall, x: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    for i in np.ndindex(*call.x):
        y[i] = x[i] if x[i] > 0 or np.isnan(x[i]) else 0
    return y, y


def relu_backward(
    call: ActivationCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.empty(call.x, call.dtype)
    for i in np.ndindex(*call.x):
        dx[i] = 0 if saved[i] <= 0 else dy[i]
    return (dx,)
