"""From losses to a result and from dy to the losses' gradients: what all losses share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_DTYPES: dict[str, np.dtype[Any]] = {
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}

REDUCTIONS = ("mean", "sum", "none")


def scalar(call: Any, value: float, out: Array | None) -> Array:
    """`value` as the result; one beyond float32 is infinity there, without a warning."""
    if abs(value) > 3e38:
        with np.errstate(over="ignore"):
            value = float(np.asarray(value, call.dtype))
    if out is None:
        return np.array(value, _DTYPES[call.dtype])
    out[...] = value
    return out


def finish(call: Any, losses: Any, divisor: float, out: Array | None) -> Array:
    """The result of `call` from its float64 losses: themselves, or their sum over `divisor`.

    A divisor of 0, where nothing counts, makes the mean NaN.
    """
    if type(losses) is float and call.reduction != "none":
        return scalar(call, losses / divisor if divisor else losses * math.nan, out)
    y = np.empty(call.out, call.dtype) if out is None else out
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if call.reduction == "none":
            y[...] = np.reshape(losses, call.out)
        else:
            y[...] = np.divide(np.sum(losses), divisor)
    return y


def loss_scale(call: Any, dy: Array, divisor: float, losses: int) -> Array:
    """The gradient of each of `losses` losses in float64: dy, or dy over `divisor`."""
    scale = np.empty(losses)
    scale[:] = dy.reshape(-1)
    if call.reduction != "none":
        with np.errstate(invalid="ignore", divide="ignore"):
            scale /= divisor
    return scale
