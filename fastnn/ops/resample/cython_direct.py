"""Resampling by planes and padding by rows, compiled."""

from __future__ import annotations

from typing import Any

from fastnn._ext import _resample
from fastnn._memory import empty
from fastnn.ops.resample.spec import (
    PAD_MODES,
    Array,
    PadCall,
    ResampleCall,
    merged_axes,
    sources,
)


def interpolate_forward(
    call: ResampleCall, x: Array, *, out: Array | None, save: bool
) -> tuple[Array, Any]:
    y = empty(call.out, call.dtype) if out is None else out
    found = sources(call)
    _resample.resample_forward(call, found, x, y)
    return y, found


def interpolate_backward(
    call: ResampleCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = empty(call.x, call.dtype)
    _resample.resample_backward(call, saved, dy, dx)
    return (dx,)


def pad_forward(call: PadCall, x: Array, *, out: Array | None, save: bool) -> tuple[Array, Any]:
    y = empty(call.out, call.dtype) if out is None else out
    mode = PAD_MODES.index(call.mode)
    _resample.pad_forward(merged_axes(call), mode, call.value, x, y)
    return y, None


def pad_backward(
    call: PadCall, saved: Any, dy: Array, needs: tuple[str, ...]
) -> tuple[Array | None, ...]:
    if "x" not in needs:
        return (None,)
    dx = empty(call.x, call.dtype)
    _resample.pad_backward(merged_axes(call), PAD_MODES.index(call.mode), dy, dx)
    return (dx,)
