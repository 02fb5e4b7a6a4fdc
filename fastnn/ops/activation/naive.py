"""Activations as their formulas say, one element at a time, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn._check import wide
from fastnn.ops.activation.spec import ActivationCall, Array


def _sigmoid(z: Any) -> Any:
    if z.real < 0:
        return np.exp(z) / (1 + np.exp(z))
    return 1 / (1 + np.exp(-z))


def _times(x: Any, factor: Any) -> Any:
    """x * factor; where an infinite x meets 0 the limit, 0, for the factor falls exponentially."""
    return math.copysign(0, x.real) if factor == 0 else x * factor


def _softplus(z: Any) -> Any:
    return z + np.log1p(np.exp(-z)) if z.real > 0 else np.log1p(np.exp(z))


def _hardsigmoid(x: Any) -> Any:
    return 0.0 if x.real <= -3 else 1.0 if x.real >= 3 else (x + 3) / 6


def _normal(x: Any) -> Any:
    """The standard normal distribution's integral up to x."""
    return math.erfc(-x / math.sqrt(2)) / 2


def _bell(x: Any) -> Any:
    """Its density."""
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


ROOT = math.sqrt(2 / math.pi)


def _gate(x: Any) -> Any:
    """(1 + tanh(u)) / 2 with gelu's u: it is sigmoid(2u)."""
    return _sigmoid(2 * ROOT * (x + 0.044715 * x * x * x))


def _gated_slope(x: Any, g: Any, dz: Any) -> Any:
    """The derivative of x g(z), g = sigmoid(z), dz the derivative of z."""
    return g + _times(x * dz, g * (1 - g))


# y from x and the parameters a and b.
VALUES: dict[str, Callable[..., Any]] = {
    "relu": lambda x, a, b: x if x.real > 0 or np.isnan(x) else 0,
    "leaky_relu": lambda x, a, b: x if x.real > 0 else a * x,
    "elu": lambda x, a, b: b * x if x.real > 0 else a * np.expm1(x),
    "gelu": lambda x, a, b: _times(x, _normal(x)),
    "gelu_tanh": lambda x, a, b: _times(x, _gate(x)),
    "silu": lambda x, a, b: _times(x, _sigmoid(x)),
    "sigmoid": lambda x, a, b: _sigmoid(a * x),
    "tanh": lambda x, a, b: np.tanh(x),
    "softplus": lambda x, a, b: x if a * x.real > b else _softplus(a * x) / a,
    "hardsigmoid": lambda x, a, b: _hardsigmoid(x),
    "hardswish": lambda x, a, b: _times(x, _hardsigmoid(x)),
}

# dx from what forward saved, s = x or y, and dy.
SLOPES: dict[str, Callable[..., Any]] = {
    "relu": lambda s, dy, a, b: 0 if s <= 0 else dy,
    "leaky_relu": lambda s, dy, a, b: dy if s > 0 else a * dy,
    "elu": lambda s, dy, a, b: dy * (b if s > 0 else a * np.exp(s)),
    "gelu": lambda s, dy, a, b: dy * (_normal(s) + _times(s, _bell(s))),
    "gelu_tanh": lambda s, dy, a, b: (
        dy * _gated_slope(s, _gate(s), 2 * ROOT * (1 + 3 * 0.044715 * s * s))
    ),
    "silu": lambda s, dy, a, b: dy * _gated_slope(s, _sigmoid(s), 1),
    "sigmoid": lambda s, dy, a, b: dy * a * s * (1 - s),
    "tanh": lambda s, dy, a, b: dy * (1 - s * s),
    "softplus": lambda s, dy, a, b: dy if a * s > b else dy * _sigmoid(a * s),
    "hardsigmoid": lambda s, dy, a, b: dy / 6 if -3 < s < 3 else 0,
    "hardswish": lambda s, dy, a, b: 0 if s <= -3 else dy if s >= 3 else dy * (s / 3 + 0.5),
}


def forward(call: ActivationCall, x: Array, *, out: Array | None, save: bool) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    value = VALUES[call.function]
    with np.errstate(all="ignore"):  # exponentials may overflow; what is made of them is right
        for i in np.ndindex(*call.x):
            y[i] = value(wide(x[i]), *call.parameters)
    return y, call.saved(x, y)


def backward(
    call: ActivationCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = np.empty(call.x, call.dtype)
    slope = SLOPES[call.function]
    with np.errstate(all="ignore"):
        for i in np.ndindex(*call.x):
            dx[i] = slope(wide(saved[i]), wide(dy[i]), *call.parameters)
    return (dx,)
