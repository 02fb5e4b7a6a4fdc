"""From losses to a result and from dy to the losses' gradients: what all losses share."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

REDUCTIONS = ("mean", "sum", "none")


def finish(call: Any, losses: Any, divisor: float, out: Array | None) -> Array:
    """The result of `call` from its float64 losses: themselves, or their sum over `divisor`.

    A divisor of 0, where nothing counts, makes the mean NaN.
    """
    y = np.empty(call.out, call.dtype) if out is None else out
    if call.reduction == "none":
        y[...] = np.reshape(losses, call.out)
    else:
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
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
