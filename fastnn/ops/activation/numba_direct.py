"""Activations in one pass over memory, jitted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.activation.spec import ActivationCall, Array


@_jit.kernel
def forward_kernel(x, y):  # type: ignore[no-untyped-def]
    """y = relu(x) of flat arrays."""
    for i in prange(x.size):
        if x[i] <= 0:
            y[i] = 0
        else:
            y[i] = x[i]


@_jit.kernel
def backward_kernel(y, dy, dx):  # type: ignore[no-untyped-def]
    """dx = dy where not (y <= 0), of flat arrays."""
    for i in prange(y.size):
        if y[i] <= 0:
            dx[i] = 0
        else:
            dx[i] = dy[i]


def relu_forward(
    call: ActivationCall, x: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    _jit.launch(forward_kernel, x.reshape(-1), y.reshape(-1))
    return y, y


def relu_backward(
    call: ActivationCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.empty(call.x, call.dtype)
    _jit.launch(backward_kernel, saved.reshape(-1), dy.reshape(-1), dx.reshape(-1))
    return (dx,)
