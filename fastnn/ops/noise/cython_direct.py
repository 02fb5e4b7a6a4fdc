"""Dropout in one pass over memory, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._ext import _activation
from fastnn.ops.noise.spec import Array, DropoutCall


def _apply(call: DropoutCall, key: Array | None, x: Array, y: Array) -> Array:
    if key is None:
        np.copyto(y, x)
    else:
        _activation.dropout(key, call.least, call.scale, x, y)
    return y


def forward(
    call: DropoutCall, x: Array, key: Array | None, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = np.empty(call.out, call.dtype) if out is None else out
    return _apply(call, key, x, y), key


def backward(
    call: DropoutCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    return (_apply(call, saved, dy, np.empty(call.x, call.dtype)) if "x" in needs else None,)
