"""Activations in one pass over memory, jitted: a task is a block, with a loop per function.

One kernel for all, since compiling one for each would take longer than it saves.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange

from fastnn import _jit
from fastnn.ops.activation.spec import FUNCTIONS, ActivationCall, Array

BLOCK = 16384

RELU, LEAKY_RELU, ELU = FUNCTIONS["relu"], FUNCTIONS["leaky_relu"], FUNCTIONS["elu"]
GELU, GELU_TANH, SILU = FUNCTIONS["gelu"], FUNCTIONS["gelu_tanh"], FUNCTIONS["silu"]
SIGMOID, TANH, SOFTPLUS = FUNCTIONS["sigmoid"], FUNCTIONS["tanh"], FUNCTIONS["softplus"]
HARDSIGMOID, HARDSWISH = FUNCTIONS["hardsigmoid"], FUNCTIONS["hardswish"]

CUBIC = 0.044715
ROOT_2, ROOT_2_PI = math.sqrt(2), math.sqrt(2 * math.pi)
DOUBLE_ROOT = 2 * math.sqrt(2 / math.pi)


@_jit.helper
def _sigmoid(z):  # type: ignore[no-untyped-def]
    """Without overflow on either side."""
    e = np.exp(-abs(z))
    return (1 if z >= 0 else e) / (1 + e)


@_jit.helper
def _gated(x, g):  # type: ignore[no-untyped-def]
    """x * g, and 0 where g is 0 though x be infinite."""
    return x * g if g != 0 else math.copysign(g, x)


@_jit.helper
def _gated_slope(x, z, dz):  # type: ignore[no-untyped-def]
    """The derivative of x sigmoid(z), dz the derivative of z."""
    g = _sigmoid(z)
    return g + _gated(x * dz, g * _sigmoid(-z))


@_jit.helper
def _gate(x):  # type: ignore[no-untyped-def]
    """2u of gelu's tanh(u)."""
    return DOUBLE_ROOT * (x + CUBIC * x * x * x)


@_jit.helper
def _softplus(z):  # type: ignore[no-untyped-def]
    """Without overflow on either side."""
    return (z if z > 0 else 0) + np.log1p(np.exp(-abs(z)))


@_jit.helper
def _hardsigmoid(x):  # type: ignore[no-untyped-def]
    """NaN passes."""
    return 0.0 if x <= -3 else 1.0 if x >= 3 else (x + 3) / 6


@_jit.helper
def values(function, x, y, a, b):  # type: ignore[no-untyped-def]
    """y = function(x) of a block; the formulas are naive.py's."""
    for i in range(x.size):
        v = x[i]
        if function == RELU:
            y[i] = 0 if v <= 0 else v
        elif function == LEAKY_RELU:
            y[i] = v if v > 0 else a * v
        elif function == ELU:
            y[i] = b * v if v > 0 else a * np.expm1(v)
        elif function == GELU:
            y[i] = _gated(v, math.erfc(-v / ROOT_2) / 2)
        elif function == GELU_TANH:
            y[i] = _gated(v, _sigmoid(_gate(v)))
        elif function == SILU:
            y[i] = _gated(v, _sigmoid(v))
        elif function == SIGMOID:
            y[i] = _sigmoid(a * v)
        elif function == TANH:
            y[i] = np.tanh(v)
        elif function == SOFTPLUS:
            y[i] = v if a * v > b else _softplus(a * v) / a
        elif function == HARDSIGMOID:
            y[i] = _hardsigmoid(v)
        elif function == HARDSWISH:
            y[i] = _gated(v, _hardsigmoid(v))


@_jit.helper
def slopes(function, saved, dy, dx, a, b):  # type: ignore[no-untyped-def]
    """dx of a block from dy and from what forward saved."""
    for i in range(saved.size):
        s, d = saved[i], dy[i]
        if function == RELU:
            dx[i] = 0 if s <= 0 else d
        elif function == LEAKY_RELU:
            dx[i] = d if s > 0 else a * d
        elif function == ELU:
            dx[i] = d * (b if s > 0 else a * np.exp(s))
        elif function == GELU:
            bell = np.exp(-s * s / 2) / ROOT_2_PI
            dx[i] = d * (math.erfc(-s / ROOT_2) / 2 + _gated(s, bell))
        elif function == GELU_TANH:
            dx[i] = d * _gated_slope(s, _gate(s), DOUBLE_ROOT * (1 + 3 * CUBIC * s * s))
        elif function == SILU:
            dx[i] = d * _gated_slope(s, s, 1)
        elif function == SIGMOID:
            dx[i] = d * a * s * (1 - s)
        elif function == TANH:
            dx[i] = d * (1 - s) * (1 + s)
        elif function == SOFTPLUS:
            dx[i] = d if a * s > b else d * _sigmoid(a * s)
        elif function == HARDSIGMOID:
            dx[i] = d / 6 if -3 < s < 3 else 0
        elif function == HARDSWISH:
            dx[i] = 0 if s <= -3 else d if s >= 3 else d * (s / 3 + 0.5)


@_jit.kernel
def forward_kernel(function, x, y, a, b):  # type: ignore[no-untyped-def]
    """y = function(x) of flat arrays."""
    for task in prange((x.size + BLOCK - 1) // BLOCK):
        part = slice(task * BLOCK, (task + 1) * BLOCK)
        values(function, x[part], y[part], a, b)


@_jit.kernel
def backward_kernel(function, saved, dy, dx, a, b):  # type: ignore[no-untyped-def]
    """dx of flat arrays."""
    for task in prange((saved.size + BLOCK - 1) // BLOCK):
        part = slice(task * BLOCK, (task + 1) * BLOCK)
        slopes(function, saved[part], dy[part], dx[part], a, b)


def _run(compiled: Any, call: ActivationCall, *arrays: Array) -> None:
    kind = np.dtype(call.dtype).type  # float32 stays float32: parameters of float64 would widen it
    a, b = map(kind, call.parameters)
    flat = [array.reshape(-1) for array in arrays]
    _jit.launch(compiled, FUNCTIONS[call.function], *flat, a, b)


def forward(call: ActivationCall, x: Array, *, out: Array | None, save: bool) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    _run(forward_kernel, call, x, y)
    return y, call.saved(x, y)


def backward(
    call: ActivationCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.empty(call.x, call.dtype)
    _run(backward_kernel, call, saved, dy, dx)
    return (dx,)
